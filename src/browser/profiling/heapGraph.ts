import { createGunzip } from 'node:zlib';
import { shortenText } from '../../text.js';

const [zero = 0, nine = 0, quote, backslash, closing] = Buffer.from('09"\\]');

/** Bytes of the JSON before the nodes. */
const maxHeaderBytes = 1024 ** 2;

/** The part of V8's `snapshot` that describes the format of the numbers. */
interface SnapshotHeader {
  readonly node_count: number;
  readonly edge_count: number;
  readonly meta: {
    readonly node_fields: readonly string[];
    readonly node_types: readonly [readonly string[], ...unknown[]];
    readonly edge_fields: readonly string[];
    readonly edge_types: readonly [readonly string[], ...unknown[]];
    readonly location_fields?: readonly string[];
  };
}

interface SnapshotContent {
  readonly meta: SnapshotHeader['meta'];
  /** A double holds the size of any object. */
  readonly nodes: Float64Array;
  readonly edges: Uint32Array;
  readonly strings: readonly string[];
  /** The locations of functions, in the format of `location_fields`; lines and columns count from 0. */
  readonly locations: readonly number[];
}

/** Reads a gzipped snapshot. Undefined when its nodes and edges are more than `maxNumbers` numbers. */
export async function readHeapGraph(gzipped: Uint8Array, maxNumbers: number): Promise<HeapGraph | undefined> {
  const gunzip = createGunzip();
  gunzip.end(gzipped);
  const reader = new SnapshotReader(gunzip);
  const head = (await reader.readTo('"nodes":[', maxHeaderBytes)).toString('utf8');
  const { snapshot } = JSON.parse(head.replace(/,\s*$/, '}')) as { readonly snapshot: SnapshotHeader };
  const { meta, node_count: nodeCount, edge_count: edgeCount } = snapshot;
  const numbers = { nodes: nodeCount * meta.node_fields.length, edges: edgeCount * meta.edge_fields.length };
  if (numbers.nodes + numbers.edges > maxNumbers) return undefined;
  const nodes = await reader.readNumbers(new Float64Array(numbers.nodes));
  await reader.readTo('"edges":[');
  const edges = await reader.readNumbers(new Uint32Array(numbers.edges));
  await reader.readTo('"locations":[');
  const locations = await reader.readNumbers<number[]>([]);
  await reader.readTo('"strings":[');
  return new HeapGraph({ meta, nodes, edges, locations, strings: await reader.readStrings() });
}

/**
 * Reads the JSON of V8 as it arrives, without one text of all of it. Each method continues where the last one ended.
 */
class SnapshotReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Moves behind the next `marker`. Resolves with what was before it, `keep` bytes of it at most if it is long. */
  async readTo(marker: string, keep = 0): Promise<Buffer> {
    for (;;) {
      const found = this.#chunk.indexOf(marker, this.#at);
      if (found !== -1) {
        const before = this.#chunk.subarray(this.#at, found);
        this.#at = found + marker.length;
        return before;
      }
      // The marker may have begun.
      await this.#readMore(Math.max(this.#at, this.#chunk.length - Math.max(keep, marker.length)));
    }
  }

  /** Reads the rest of an array of numbers into `target`. */
  async readNumbers<Target extends Float64Array | Uint32Array | number[]>(target: Target): Promise<Target> {
    let [number, hasDigits, index] = [0, false, 0];
    for (;;) {
      const chunk = this.#chunk;
      for (let at = this.#at; at < chunk.length; at++) {
        const byte = chunk[at] ?? 0;
        if (byte >= zero && byte <= nine) {
          number = number * 10 + byte - zero;
          hasDigits = true;
          continue;
        }
        if (hasDigits) target[index++] = number;
        number = 0;
        hasDigits = false;
        if (byte !== closing) continue;
        this.#at = at + 1;
        return target;
      }
      await this.#readMore(chunk.length);
    }
  }

  /** Reads the rest of an array of strings. */
  async readStrings(): Promise<string[]> {
    const strings: string[] = [];
    for (;;) {
      const chunk = this.#chunk;
      let at = this.#at;
      while (at < chunk.length) {
        if (chunk[at] === closing) return strings;
        if (chunk[at] !== quote) {
          at += 1;
          continue;
        }
        const end = endOfString(chunk, at);
        if (end === -1) break;
        strings.push(String(JSON.parse(chunk.toString('utf8', at, end + 1))));
        at = end + 1;
      }
      await this.#readMore(at);
    }
  }

  /** Reads the next chunk, and keeps the rest of this one from `at`. */
  async #readMore(at: number): Promise<void> {
    const next = await this.#chunks.next();
    if (next.done === true) throw new Error('The heap snapshot is not complete.');
    const rest = this.#chunk.subarray(at);
    this.#chunk = rest.length === 0 ? next.value : Buffer.concat([rest, next.value]);
    this.#at = 0;
  }
}

/** The index of the closing quote of the string that begins at `start`, or -1. */
export function endOfString(text: Buffer, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === backslash) at += 1;
    else if (text[at] === quote) return at;
  }
  return -1;
}

/** The position of a function in an answer of the thread: script, line and column, counted from 1. */
export const functionMark = / \(script (\d+):(\d+):(\d+)\)/g;

/** Elements with the same tag are one class, whatever attributes the name contains; so are scopes, whatever their ids. */
export function normalizedClassName(name: string): string {
  if (name.startsWith('system / ')) return name.replace(/ @\d+$/, '').replace(/ \/ scope$/, '');
  const tag = /^<[^\s>]+(?=\s)/.exec(name);
  return tag ? `${tag[0]}>` : name;
}

/** A node, and the edge to it. */
export interface Step {
  readonly node: number;
  readonly edge: number;
}

/** The shortest path to each node: the previous node, less than 0 if there is none, and the edge from there. */
export interface Ways {
  readonly from: Int32Array;
  readonly by: Uint32Array;
  /** The nodes that have a path, nearest to the root first. */
  readonly order: Uint32Array;
}

type NodeField = 'type' | 'name' | 'id' | 'size' | 'detachedness';

const isDetached = 2;

/** The objects of a snapshot and their references. Nodes and edges are numbers from 0; node 0 is the root. */
export class HeapGraph {
  readonly count: number;
  readonly #nodes: Float64Array;
  readonly #edges: Uint32Array;
  readonly #strings: readonly string[];
  readonly #nodeWidth: number;
  readonly #edgeWidth: number;
  readonly #nodeTypes: readonly string[];
  readonly #edgeTypes: readonly string[];
  /** The index of each field. */
  readonly #at: Readonly<Record<NodeField, number>>;
  /** The first edge of each node; its last is before that of the next node. */
  readonly #firstEdges: Uint32Array;
  /** Of functions: their places as `functionMark` finds them. */
  readonly #marks = new Map<number, string>();

  constructor({ meta, nodes, edges, strings, locations }: SnapshotContent) {
    const field = (name: string): number => meta.node_fields.indexOf(name);
    this.#nodes = nodes;
    this.#edges = edges;
    this.#strings = strings;
    this.#nodeWidth = meta.node_fields.length;
    this.#edgeWidth = meta.edge_fields.length;
    this.#nodeTypes = meta.node_types[0];
    this.#edgeTypes = meta.edge_types[0];
    this.#at = {
      type: field('type'),
      name: field('name'),
      id: field('id'),
      size: field('self_size'),
      detachedness: field('detachedness'),
    };
    this.count = nodes.length / this.#nodeWidth;
    this.#firstEdges = new Uint32Array(this.count + 1);
    const edgeCount = field('edge_count');
    for (let node = 0; node < this.count; node++)
      this.#firstEdges[node + 1] = this.firstEdge(node) + (nodes[node * this.#nodeWidth + edgeCount] ?? 0);
    // Newer versions of V8 have more fields.
    const { location_fields: fields = ['object_index', 'script_id', 'line', 'column'] } = meta;
    for (let at = 0; at < locations.length; at += fields.length) {
      const read = (name: string): number => locations[at + fields.indexOf(name)] ?? 0;
      const place = `${read('script_id')}:${read('line') + 1}:${read('column') + 1}`;
      this.#marks.set(read('object_index') / this.#nodeWidth, ` (script ${place})`);
    }
  }

  type(node: number): string {
    return this.#nodeTypes[this.#read(node, 'type')] ?? '';
  }

  /** The number after @ in answers; DevTools shows the same. */
  id(node: number): number {
    return this.#read(node, 'id');
  }

  /** Shallow size in bytes. */
  size(node: number): number {
    return this.#read(node, 'size');
  }

  isDetached(node: number): boolean {
    return this.#at.detachedness !== -1 && this.#read(node, 'detachedness') === isDetached;
  }

  /** Holds the variables of functions. */
  isContext(node: number): boolean {
    return this.text(node).startsWith('system / Context');
  }

  /** The index of its name, which equal strings share. */
  textIndex(node: number): number {
    return this.#read(node, 'name');
  }

  /** The name as V8 writes it; the content of a string. */
  text(node: number): string {
    return this.#strings[this.textIndex(node)] ?? '';
  }

  className(node: number): string {
    return normalizedClassName(this.text(node));
  }

  /** Whether it is a function that is written in a script. */
  isWritten(node: number): boolean {
    return this.type(node) === 'closure' && this.#marks.has(node);
  }

  /** The name as a reader of code knows it; of a function with its place. */
  label(node: number): string {
    const type = this.type(node);
    const text = this.text(node);
    if (text.startsWith('Window')) return 'window';
    if (type === 'closure') return `${text || '(anonymous)'}()${this.#marks.get(node) ?? ''}`;
    if (type === 'string' || type === 'concatenated string' || type === 'sliced string')
      return JSON.stringify(shortenText(text, 60));
    return shortenText(text, 80) || `(${type})`;
  }

  firstEdge(node: number): number {
    return this.#firstEdges[node] ?? 0;
  }

  *edgesOf(node: number): Generator<number> {
    for (let edge = this.firstEdge(node); edge < this.firstEdge(node + 1); edge++) yield edge;
  }

  edgeType(edge: number): string {
    return this.#edgeTypes[this.#edges[edge * this.#edgeWidth] ?? 0] ?? '';
  }

  /** The node that the edge leads to. */
  target(edge: number): number {
    return (this.#edges[edge * this.#edgeWidth + 2] ?? 0) / this.#nodeWidth;
  }

  edgeLabel(edge: number): string {
    const type = this.edgeType(edge);
    const name = this.#edges[edge * this.#edgeWidth + 1] ?? 0;
    return type === 'element' || type === 'hidden' ? `[${name}]` : (this.#strings[name] ?? String(name));
  }

  /** Breadth first from the root, without weak edges and what only tools see; through none of the `barred` nodes. */
  ways(barred: readonly number[] = []): Ways {
    const ways = { from: new Int32Array(this.count).fill(-1), by: new Uint32Array(this.count) };
    for (const node of barred) ways.from[node] = -2;
    const queue = new Uint32Array(this.count);
    let length = 0;
    const add = (node: number, edge: number): void => {
      const to = this.target(edge);
      if (ways.from[to] !== -1) return;
      ways.from[to] = node;
      ways.by[to] = edge;
      queue[length++] = to;
    };
    ways.from[0] = 0;
    let at = 0;
    // What the page's own globals hold comes first: that is what a developer can change.
    for (const isGlobal of [true, false]) {
      for (const edge of this.edgesOf(0)) if ((this.edgeType(edge) === 'shortcut') === isGlobal) add(0, edge);
      for (; at < length; at++) {
        const node = queue[at] ?? 0;
        const end = this.firstEdge(node + 1);
        for (let edge = this.firstEdge(node); edge < end; edge++) if (this.keepsAlive(node, edge)) add(node, edge);
      }
    }
    return { ...ways, order: queue.subarray(0, length) };
  }

  keepsAlive(node: number, edge: number): boolean {
    const type = this.edgeType(edge);
    if (type === 'weak' || type === 'shortcut') return false;
    const [, table] = (type === 'internal' ? weakMapEntry.exec(this.edgeLabel(edge)) : null) ?? [];
    // The key of a WeakMap holds its value; the table alone does not.
    return table === undefined || Number(table) !== this.id(node);
  }

  #read(node: number, field: NodeField): number {
    return this.#nodes[node * this.#nodeWidth + this.#at[field]] ?? 0;
  }
}

/** How V8 names the edges from the key of a WeakMap, and from its table, to the value. */
const weakMapEntry = /^\d+ \/ part of key .* pair in WeakMap \(table @(\d+)\)$/;

const maxSteps = 200;

/** The way from the root to a node, nearest to the root first. Undefined for what only weak references hold. */
export function wayTo({ from, by }: Ways, node: number): readonly Step[] | undefined {
  const steps: Step[] = [];
  for (let at = node; at !== 0 && steps.length < maxSteps;) {
    const before = from[at] ?? -1;
    if (before < 0) return undefined;
    steps.push({ node: at, edge: by[at] ?? 0 });
    at = before;
  }
  return steps.reverse();
}

/** Nodes of the engine between an object and its parts, which say nothing of the page's code. */
const engineNode =
  /^\(|^system \/ (?!Context)|^InternalNode$|Pending activities|^V8 .*EventListener$|^EventListener$|^JSBasedEventListener$|^ScriptState|^blink::|^ScheduledAction$|^V8Function$/;

/** The beginning and the end of a long way are shown. */
const maxParts = 14;

/** The same for edges that differ in an index alone: entries of an array, a Map, a Set or a WeakMap. */
export function edgeKind(graph: HeapGraph, edge: number): string {
  const label = graph.edgeLabel(edge);
  if (/^\[?\d+\]?$/.test(label)) return '[]';
  return weakMapEntry.test(label) ? 'WeakMap' : label;
}

/** A way as text: `window.removed → Array[3] → <article> @123`. */
export function wayText(graph: HeapGraph, steps: readonly Step[]): string {
  const last = steps.at(-1)?.node;
  const shown = steps.filter(
    ({ node }) =>
      node === last || graph.isContext(node) || graph.isWritten(node) || !engineNode.test(graph.label(node)),
  );
  const parts = shown.map(({ node, edge }, index) => {
    const link = linkText(graph, edge);
    const name = graph.isContext(node) ? 'context of a closure' : graph.label(node);
    const text = node === last && !graph.isContext(node) ? `${name} @${graph.id(node)}` : name;
    if (index > 0) return `${link || ' (internal)'} → ${text}`;
    return link ? `${link.replace(/^\./, '')} = ${text}` : text;
  });
  if (parts.length <= maxParts) return parts.join('');
  return [...parts.slice(0, 7), ` → … ${parts.length - 13} more …`, ...parts.slice(-6)].join('');
}

function linkText(graph: HeapGraph, edge: number): string {
  const type = graph.edgeType(edge);
  const label = graph.edgeLabel(edge);
  if (type === 'internal') return weakMapEntry.test(label) ? ' (key of a WeakMap)' : '';
  if (type === 'element') return label;
  return type === 'context' ? ` variable ${label}` : `.${label}`;
}
