/**
 * The program of the thread that answers questions about a heap snapshot, as source text: it keeps the whole graph in typed
 * arrays, which a session's process must not hold. Takes `workerData { snapshot, query }` (the gzipped snapshot, and a
 * `HeapQuery`), posts one message: the lines and rows of `HeapAnswer` in heapQuery.ts.
 */
export const heapThreadScript = /* javascript */ `
const { parentPort, workerData } = require('node:worker_threads');
const { createGunzip } = require('node:zlib');
const { Readable } = require('node:stream');

const DETACHED = 2;

/** Reads numbers and strings from the JSON of V8 as it comes, without a text of the whole. */
async function readSnapshot(gzipped) {
  let head = '';
  let state = 'head';
  let number = 0, hasDigits = false, target = null, at = 0;
  let text = [], inString = false, escaped = false, seen = '';
  const graph = { nodes: null, edges: null, strings: [] };
  const markers = [['"nodes":[', 'nodes'], ['"edges":[', 'edges'], ['"strings":[', 'strings']];
  for await (const chunk of Readable.from([gzipped]).pipe(createGunzip())) {
    for (let index = 0; index < chunk.length; index++) {
      const byte = chunk[index];
      if (state === 'nodes' || state === 'edges') {
        if (byte >= 48 && byte <= 57) { number = number * 10 + byte - 48; hasDigits = true; continue; }
        if (hasDigits) { target[at++] = number; number = 0; hasDigits = false; }
        if (byte === 93) { state = 'between'; seen = ''; }
        continue;
      }
      if (state === 'strings') {
        if (!inString) {
          if (byte === 34) { inString = true; text = []; }
          else if (byte === 93) return graph;
          continue;
        }
        if (escaped) { text.push(byte); escaped = false; }
        else if (byte === 92) { text.push(byte); escaped = true; }
        else if (byte === 34) { inString = false; graph.strings.push(stringOf(text)); }
        else text.push(byte);
        continue;
      }
      const char = String.fromCharCode(byte);
      if (state === 'head') head += char;
      seen = (seen + char).slice(-12);
      const marker = markers.find(([mark]) => seen.endsWith(mark));
      if (!marker) continue;
      if (marker[1] === 'nodes') {
        const { snapshot } = JSON.parse(head.slice(0, -marker[0].length).replace(/,\\s*$/, '}'));
        graph.meta = snapshot.meta;
        const size = snapshot.node_count * snapshot.meta.node_fields.length + snapshot.edge_count * snapshot.meta.edge_fields.length;
        if (size > workerData.maxNumbers) return { tooLarge: true };
        graph.nodes = new Float64Array(snapshot.node_count * snapshot.meta.node_fields.length);
        graph.edges = new Uint32Array(snapshot.edge_count * snapshot.meta.edge_fields.length);
      }
      state = marker[1]; target = graph[state]; at = 0; seen = '';
    }
  }
  throw new Error('The heap snapshot is not complete.');
}

const maxText = 2000;
/** Long strings are cut: their beginning tells them apart well enough. */
function stringOf(bytes) {
  const cut = bytes.length > maxText;
  let end = cut ? maxText : bytes.length;
  const raw = Buffer.from(cut ? bytes.slice(0, end) : bytes).toString('utf8');
  for (let tail = 0; tail < 8; tail++) {
    try { return JSON.parse('"' + raw.slice(0, raw.length - tail) + '"'); } catch { /* cut within an escape */ }
  }
  return '';
}

class Graph {
  constructor({ meta, nodes, edges, strings }) {
    const field = (name) => meta.node_fields.indexOf(name);
    this.width = meta.node_fields.length;
    this.count = nodes.length / this.width;
    Object.assign(this, { nodes, edges, strings });
    this.types = meta.node_types[0];
    this.edgeTypes = meta.edge_types[0];
    this.edgeWidth = meta.edge_fields.length;
    this.at = { type: field('type'), name: field('name'), id: field('id'), size: field('self_size'), edges: field('edge_count'), detached: field('detachedness') };
    this.first = new Uint32Array(this.count + 1);
    for (let node = 0; node < this.count; node++) this.first[node + 1] = this.first[node] + nodes[node * this.width + this.at.edges];
  }
  read(node, name) { return this.nodes[node * this.width + this.at[name]]; }
  type(node) { return this.types[this.read(node, 'type')]; }
  id(node) { return this.read(node, 'id'); }
  isDetached(node) { return this.at.detached !== -1 && this.read(node, 'detached') === DETACHED; }
  name(node) {
    const type = this.type(node);
    const text = this.strings[this.read(node, 'name')] ?? '';
    if (text.startsWith('Window')) return 'window';
    if (type === 'closure') return (text || '(anonymous)') + '()';
    if (type === 'string' || type === 'concatenated string' || type === 'sliced string') return JSON.stringify(short(text, 60));
    return short(text, 80) || '(' + type + ')';
  }
  className(node) {
    const text = this.strings[this.read(node, 'name')] ?? '';
    const tag = /^<[^\\s>]+(?=\\s)/.exec(text);
    return tag ? tag[0] + '>' : text;
  }
  *edgesOf(node) {
    for (let edge = this.first[node]; edge < this.first[node + 1]; edge++) {
      const at = edge * this.edgeWidth;
      yield { type: this.edgeTypes[this.edges[at]], name: this.edges[at + 1], to: this.edges[at + 2] / this.width };
    }
  }
  edgeName({ type, name }) {
    if (type === 'element' || type === 'hidden') return '[' + name + ']';
    return this.strings[name] ?? String(name);
  }
  /** Breadth first from the root, without weak edges and what only tools see: the shortest way of each node. */
  ways() {
    const from = new Int32Array(this.count).fill(-1);
    const by = new Uint32Array(this.count);
    const queue = new Uint32Array(this.count);
    let length = 0;
    const add = (to, node, edge) => {
      if (from[to] !== -1) return;
      from[to] = node;
      by[to] = edge;
      queue[length++] = to;
    };
    let at = 0;
    const walk = () => {
      for (; at < length; at++) {
        const node = queue[at];
        for (let edge = this.first[node]; edge < this.first[node + 1]; edge++) {
          const index = edge * this.edgeWidth;
          const type = this.edgeTypes[this.edges[index]];
          if (type === 'weak' || type === 'shortcut' || (type === 'internal' && this.isWeakPart(edge))) continue;
          add(this.edges[index + 2] / this.width, node, edge);
        }
      }
    };
    from[0] = 0;
    // What the page's own globals hold comes first: that is what a developer can change.
    for (const isGlobal of [true, false]) {
      for (let edge = this.first[0]; edge < this.first[1]; edge++) {
        const index = edge * this.edgeWidth;
        const isShortcut = this.edgeTypes[this.edges[index]] === 'shortcut';
        if (isShortcut === isGlobal) add(this.edges[index + 2] / this.width, 0, edge);
      }
      walk();
    }
    return { from, by };
  }
  /** A WeakMap holds its values only as long as their keys. */
  isWeakPart(edge) {
    const name = this.strings[this.edges[edge * this.edgeWidth + 1]] ?? '';
    return /^\\d+ \\/ part of key .* WeakMap/.test(name);
  }
}

const short = (text, max) => (text.length > max ? text.slice(0, max).toWellFormed() + '…' : text);
/** Links of the engine between an object and its parts, which say nothing of the page's code. */
const dull = /^\\(|^system \\/ (?!Context)|^\\(GC roots\\)|^InternalNode$|Pending activities|^V8 .*EventListener$|^EventListener$|^JSBasedEventListener$|^ScriptState/;

function wayTo(graph, ways, node) {
  const steps = [];
  for (let at = node; at !== 0 && steps.length < 200; at = ways.from[at]) {
    if (ways.from[at] === -1) return undefined;
    const edge = ways.by[at];
    const link = { type: graph.edgeTypes[graph.edges[edge * graph.edgeWidth]], name: graph.edges[edge * graph.edgeWidth + 1] };
    steps.push({ node: at, link });
  }
  return steps.reverse();
}

const isContext = (graph, node) => (graph.strings[graph.read(node, 'name')] ?? '').startsWith('system / Context');

function wayText(graph, steps) {
  const parts = [];
  for (const { node, link } of steps) {
    const name = graph.name(node);
    const isLast = node === steps.at(-1).node;
    if (!isLast && dull.test(name) && !isContext(graph, node)) continue;
    const edge = link.type === 'internal' ? '' : link.type === 'element' ? graph.edgeName(link) : link.type === 'context' ? ' variable ' + graph.edgeName(link) : '.' + graph.edgeName(link);
    const shown = isContext(graph, node) ? 'context of a closure' : name + (isLast ? ' @' + graph.id(node) : '');
    parts.push(parts.length === 0 ? (edge ? edge.replace(/^\\./, '') + ' = ' : '') + shown : (edge || ' (internal)') + ' → ' + shown);
  }
  const text = parts.length > 14 ? [...parts.slice(0, 7), ' → … ' + (parts.length - 13) + ' more …', ...parts.slice(-6)] : parts;
  return text.join('');
}

/** Nodes that are held in the same way, without what differs between members of one list. */
function groupByWay(graph, nodes) {
  const ways = graph.ways();
  const groups = new Map();
  for (const node of nodes) {
    const steps = wayTo(graph, ways, node);
    const key = steps ? steps.slice(0, -1).map(({ node: at, link }) => (link.type === 'element' ? '[]' : graph.edgeName(link)) + graph.className(at)).join('>') + graph.className(node) : 'weak';
    const known = groups.get(key);
    if (known) { known.count += 1; known.bytes += graph.read(node, 'size'); }
    else groups.set(key, { name: graph.className(node), count: 1, bytes: graph.read(node, 'size'), node: graph.id(node), text: steps ? wayText(graph, steps) : 'held by nothing but weak references' });
  }
  return [...groups.values()].sort((one, other) => other.count - one.count || other.bytes - one.bytes);
}

const maxNodes = 20000;
function* nodesWhere(graph, test) {
  let count = 0;
  for (let node = 0; node < graph.count && count < maxNodes; node++) if (test(node)) { count += 1; yield node; }
}

const queries = {
  detached(graph) {
    return { rows: groupByWay(graph, nodesWhere(graph, (node) => graph.isDetached(node))) };
  },
  class(graph, { name }) {
    const ofType = (types) => [...nodesWhere(graph, (node) => types.includes(graph.type(node)) && graph.className(node) === name)];
    const objects = ofType(['object', 'native', 'regexp', 'array']);
    return { rows: groupByWay(graph, objects.length > 0 ? objects : ofType(['closure', 'code'])) };
  },
  node(graph, { id }) {
    let found = -1;
    for (let node = 0; node < graph.count; node++) if (graph.id(node) === id) { found = node; break; }
    if (found === -1) return { error: 'no node ' + id };
    const ways = graph.ways();
    const steps = wayTo(graph, ways, found);
    const fields = [];
    for (const edge of graph.edgesOf(found)) {
      if (fields.length === 30) break;
      if (['property', 'element', 'context'].includes(edge.type) && graph.edgeName(edge) !== '__proto__') fields.push(graph.edgeName(edge) + ': ' + graph.name(edge.to) + ' @' + graph.id(edge.to));
    }
    const holders = [];
    for (let node = 0; node < graph.count && holders.length < 20; node++) {
      for (const edge of graph.edgesOf(node)) {
        if (edge.to !== found || edge.type === 'weak' || node === found || holders.length === 20) continue;
        holders.push(graph.name(node) + ' @' + graph.id(node) + (edge.type === 'internal' ? ' (internal ' + graph.edgeName(edge) + ')' : ' .' + graph.edgeName(edge)));
      }
    }
    return { rows: [{ name: graph.name(found), count: 1, bytes: graph.read(found, 'size'), node: id, text: steps ? wayText(graph, steps) : 'held by nothing but weak references' }], holders, fields };
  },
  strings(graph) {
    const found = new Map();
    for (let node = 0; node < graph.count; node++) {
      if (graph.type(node) !== 'string') continue;
      const name = graph.read(node, 'name');
      const known = found.get(name);
      if (known) { known.count += 1; known.bytes += graph.read(node, 'size'); }
      else found.set(name, { name, count: 1, bytes: graph.read(node, 'size'), id: graph.id(node), node });
    }
    const repeated = [...found.values()].filter(({ count }) => count > 1).sort((one, other) => other.bytes - one.bytes).slice(0, 100);
    const ways = graph.ways();
    const rows = repeated.map(({ name, count, bytes, id, node }) => {
      const steps = wayTo(graph, ways, node);
      return { name: JSON.stringify(short(graph.strings[name] ?? '', 80)), count, bytes, node: id, text: steps ? wayText(graph, steps) : '' };
    });
    // Then those that belong to the engine.
    const isOfPage = ({ text }) => text.startsWith('window');
    return { rows: [...rows.filter(isOfPage), ...rows.filter((row) => !isOfPage(row))] };
  },
  closures(graph, { name = '' }) {
    const contexts = new Map();
    for (let node = 0; node < graph.count; node++) {
      if (graph.type(node) !== 'closure' || !graph.className(node).includes(name)) continue;
      for (const edge of graph.edgesOf(node)) {
        if (graph.edgeName(edge) !== 'context' || !isContext(graph, edge.to)) continue;
        const known = contexts.get(edge.to) ?? { functions: new Set(), count: 0 };
        known.count += 1;
        known.functions.add(graph.name(node));
        contexts.set(edge.to, known);
      }
    }
    const rows = [...contexts].map(([context, { functions, count }]) => {
      const variables = [];
      let bytes = 0;
      for (const edge of graph.edgesOf(context)) {
        if (edge.type !== 'context') continue;
        bytes += graph.read(edge.to, 'size');
        variables.push(graph.edgeName(edge) + ': ' + graph.name(edge.to));
      }
      return { name: [...functions].slice(0, 4).join(', '), count, bytes, node: graph.id(context), text: variables.slice(0, 12).join('; '), variables: variables.length };
    });
    const merged = new Map();
    for (const row of rows.filter(({ variables }) => variables > 0)) {
      const key = row.name + row.text;
      const known = merged.get(key);
      if (known) { known.count += row.count; known.bytes += row.bytes; }
      else merged.set(key, row);
    }
    return { rows: [...merged.values()].sort((one, other) => other.bytes - one.bytes || other.count - one.count) };
  },
};

async function main() {
  const read = await readSnapshot(workerData.snapshot);
  if (read.tooLarge) { parentPort.postMessage({ total: 0, rows: [], error: 'too large' }); return; }
  const graph = new Graph(read);
  const { rows = [], ...rest } = queries[workerData.query.kind](graph, workerData.query);
  parentPort.postMessage({ total: rows.length, rows: rows.slice(0, 200).map(({ name, count, bytes, node, text }) => ({ name, count, bytes, node, text })), ...rest });
}

void main();
`;
