import { parentPort, workerData } from 'node:worker_threads';
import { shortenText } from '../../text.js';
import { driverScript } from '../sources/sourceNames.js';
import { edgeKind, readHeapGraph, type HeapGraph, type Step, type Ways, wayText, wayTo } from './heapGraph.js';
import type { HeapAnswer, HeapQuery, HeapRow, HeapTask } from './heapSnapshot.js';

/**
 * The program of the thread that answers a question about a heap snapshot: it keeps the whole graph, which a session's
 * process must not hold. It posts one `HeapAnswer`.
 */
async function answerTask({ snapshot, query, maxNumbers }: HeapTask): Promise<HeapAnswer> {
  const graph = await readHeapGraph(snapshot, maxNumbers);
  if (graph === undefined) return { total: 0, rows: [], error: 'too large' };
  const { rows, ...rest } = answerQuery(graph, query);
  return { total: rows.length, rows: rows.slice(0, maxRows), ...rest };
}

const maxRows = 200;

type Found = Omit<HeapAnswer, 'total'>;

function answerQuery(graph: HeapGraph, query: HeapQuery): Found {
  switch (query.kind) {
    case 'detached':
      return groupByWay(
        graph,
        nodesWhere(graph, (node) => graph.isDetached(node)),
      );
    case 'class':
      return groupByWay(graph, nodesOfClass(graph, query.name));
    case 'node':
      return describeNode(graph, query.id);
    case 'strings':
      return { rows: repeatedStrings(graph) };
    case 'closures':
      return { rows: closureRows(graph, query.name ?? '') };
  }
}

function nodesWhere(graph: HeapGraph, isMeant: (node: number) => boolean): number[] {
  const found: number[] = [];
  for (let node = 0; node < graph.count; node++) if (isMeant(node)) found.push(node);
  return found;
}

/** The instances; of a name that has none, the functions. */
function nodesOfClass(graph: HeapGraph, name: string): number[] {
  const ofType = (...types: string[]): number[] =>
    nodesWhere(graph, (node) => types.includes(graph.type(node)) && graph.className(node) === name);
  const instances = ofType('object', 'native', 'regexp', 'array');
  return instances.length > 0 ? instances : ofType('closure', 'code');
}

type Counted = Pick<HeapRow, 'count' | 'bytes'>;

/** Adds to what is counted under a key, or begins with `first`. */
function addTo<Key, Value extends Counted>(
  counted: Map<Key, Value>,
  key: Key,
  added: Counted,
  first: () => Value,
): void {
  const known = counted.get(key);
  if (known === undefined) {
    counted.set(key, first());
    return;
  }
  known.count += added.count;
  known.bytes += added.bytes;
}

/** Nodes that one question looks at. */
const maxNodes = 50_000;
/** Groups for which other keepers are searched, each in a walk through the graph. */
const maxSearched = 3;

/** Groups nodes that are held in the same way: members of one list or map differ only in their index. */
function groupByWay(graph: HeapGraph, nodes: readonly number[]): Found {
  const ways = graph.ways();
  const groups = new Map<string, HeapRow & { readonly at: number }>();
  for (const node of nodes.slice(0, maxNodes)) {
    const steps = wayTo(ways, node);
    const one = { count: 1, bytes: graph.size(node) };
    addTo(groups, steps ? wayKey(graph, steps.slice(0, -1)) + graph.className(node) : 'weak', one, () => ({
      name: graph.className(node),
      ...one,
      node: graph.id(node),
      at: node,
      text: textOfWay(graph, steps),
    }));
  }
  const rows = [...groups.values()].sort((one, other) => other.count - one.count || other.bytes - one.bytes);
  return {
    rows: rows.map(({ at, ...row }, index) =>
      index < maxSearched ? { ...row, text: [row.text, ...otherKeepers(graph, ways, at)].join('\n') } : row,
    ),
    ...(nodes.length > maxNodes && { unread: nodes.length - maxNodes }),
  };
}

const maxKeepers = 3;

/**
 * What else keeps a node alive, once its shortest way is cut where it leaves what holds many: the ways to the other holders
 * of the node, and of the objects between it and each cut. Not for what only the engine holds.
 */
function otherKeepers(graph: HeapGraph, ways: Ways, node: number): string[] {
  const first = wayTo(ways, node);
  if (first === undefined || !isTold(wayText(graph, first))) return [];
  /** The nodes below the cuts, each with the rest of the way from it. */
  const own = new Map<number, readonly Step[]>();
  const cuts = new Set<number>();
  const texts: string[] = [];
  for (let way: readonly Step[] | undefined = first; way !== undefined; way = nextWay(graph, own, cuts)) {
    if (way !== first) texts.push(`also: ${texts.length === maxKeepers ? 'more ways' : wayText(graph, way)}`);
    if (texts.length > maxKeepers) break;
    const entry = entryOf(graph, way);
    if (entry === 0) break;
    for (let at = entry; at < way.length; at++) own.set(way[at]?.node ?? 0, way.slice(at + 1));
    cuts.add(way[entry]?.edge ?? 0);
    const collection = collectionOf(graph, way.slice(0, entry));
    if (collection !== undefined) cuts.add(-collection);
  }
  return texts;
}

/** The shortest way that none of the cuts ends: of edges, and of all that a collection holds (as a negative number). */
function nextWay(
  graph: HeapGraph,
  own: ReadonlyMap<number, readonly Step[]>,
  cuts: ReadonlySet<number>,
): readonly Step[] | undefined {
  const ways = graph.ways([...own.keys()]);
  for (const holder of ways.order) {
    for (const edge of graph.edgesOf(holder)) {
      const node = graph.target(edge);
      const rest = own.get(node);
      if (rest === undefined || cuts.has(edge) || !graph.keepsAlive(holder, edge)) continue;
      const before = wayTo(ways, holder) ?? [];
      if (!cuts.has(-(collectionOf(graph, before) ?? NaN))) return [...before, { node, edge }, ...rest];
    }
  }
  return undefined;
}

/** The step of a way into what holds only few: from there on, the objects are the node's own. */
const entryOf = (graph: HeapGraph, way: readonly Step[]): number =>
  Math.max(
    0,
    way.findLastIndex(({ edge }, index) => index > 0 && isEntry(graph, way[index - 1]?.node ?? 0, edge)),
  );

/** Whether a way tells more than the node itself. */
const isTold = (text: string): boolean => text.includes(' → ');

/** Whether an edge leads to one of many: a member of a list, an entry of a map, what the page's globals or the browser hold. */
function isEntry(graph: HeapGraph, holder: number, edge: number): boolean {
  const label = graph.label(holder);
  if (graph.type(holder) === 'native') return !label.startsWith('<');
  return label === 'window' || ['[]', 'WeakMap'].includes(edgeKind(graph, edge));
}

/** The list or map that a way ends in, without its parts in the engine. */
function collectionOf(graph: HeapGraph, steps: readonly Step[]): number | undefined {
  const last = steps.findLast(({ node }) => graph.type(node) !== 'array')?.node;
  return last === undefined || graph.type(last) === 'native' || graph.label(last) === 'window' ? undefined : last;
}

function wayKey(graph: HeapGraph, steps: readonly Step[]): string {
  return steps.map(({ node, edge }) => edgeKind(graph, edge) + graph.className(node)).join('>');
}

function textOfWay(graph: HeapGraph, steps: readonly Step[] | undefined): string {
  return steps ? wayText(graph, steps) : 'held by nothing but weak references';
}

function describeNode(graph: HeapGraph, id: number): Found {
  const [node] = nodesWhere(graph, (each) => graph.id(each) === id);
  if (node === undefined) return { rows: [], error: `no node ${id}` };
  const ways = graph.ways();
  const text = [textOfWay(graph, wayTo(ways, node)), ...otherKeepers(graph, ways, node)].join('\n');
  return {
    rows: [{ name: graph.label(node), count: 1, bytes: graph.size(node), node: id, text }],
    holders: holdersOf(graph, node),
    fields: fieldsOf(graph, node),
  };
}

const maxHolders = 20;

function holdersOf(graph: HeapGraph, held: number): string[] {
  const holders: string[] = [];
  for (let node = 0; node < graph.count; node++) {
    const end = graph.firstEdge(node + 1);
    for (let edge = graph.firstEdge(node); edge < end; edge++) {
      const type = graph.edgeType(edge);
      if (graph.target(edge) !== held || type === 'weak' || node === held) continue;
      const label = graph.edgeLabel(edge);
      const link = type === 'internal' ? `(internal ${label})` : `.${label}`;
      holders.push(`${graph.label(node)} @${graph.id(node)} ${link}`);
      if (holders.length === maxHolders) return holders;
    }
  }
  return holders;
}

const maxFields = 30;
const ownEdges: readonly string[] = ['property', 'element', 'context'];

function fieldsOf(graph: HeapGraph, node: number): string[] {
  const own = [...graph.edgesOf(node)].filter(
    (edge) => ownEdges.includes(graph.edgeType(edge)) && graph.edgeLabel(edge) !== '__proto__',
  );
  return own.slice(0, maxFields).map((edge) => {
    const value = graph.target(edge);
    return `${graph.edgeLabel(edge)}: ${graph.label(value)} @${graph.id(value)}`;
  });
}

const maxStrings = 100;

/** Without those that only the engine, or the code of drivers, holds. */
function repeatedStrings(graph: HeapGraph): HeapRow[] {
  const byText = new Map<number, Counted & { readonly node: number }>();
  for (let node = 0; node < graph.count; node++) {
    if (graph.type(node) !== 'string') continue;
    const one = { count: 1, bytes: graph.size(node) };
    addTo(byText, graph.textIndex(node), one, () => ({ ...one, node }));
  }
  const repeated = [...byText.values()]
    .filter(({ count, bytes }) => count > 1 && bytes > 0)
    .sort((one, other) => other.bytes - one.bytes);
  const ways = graph.ways();
  const drivers = new DriverCode(graph);
  const rows: HeapRow[] = [];
  for (const string of repeated) {
    if (rows.length === maxStrings) break;
    const row = stringRow(graph, ways, string);
    if (isTold(row.text) && !wayTo(ways, string.node)?.some(({ node }) => drivers.has(node))) rows.push(row);
  }
  return rows;
}

/** The functions and scripts that the server and puppeteer run in a page. */
class DriverCode {
  readonly #graph: HeapGraph;
  readonly #scripts = new Map<number, boolean>();

  constructor(graph: HeapGraph) {
    this.#graph = graph;
  }

  has(node: number): boolean {
    if (this.#graph.type(node) === 'closure') {
      const shared = this.#at(node, 'shared');
      const script = shared === undefined ? undefined : this.#at(shared, 'script');
      return script !== undefined && this.has(script);
    }
    if (!this.#graph.text(node).startsWith('system / Script')) return false;
    const known = this.#scripts.get(node);
    if (known !== undefined) return known;
    const isOwn = ['source_url', 'name'].some((label) => {
      const name = this.#at(node, label);
      return name !== undefined && driverScript.test(this.#graph.text(name));
    });
    this.#scripts.set(node, isOwn);
    return isOwn;
  }

  #at(node: number, label: string): number | undefined {
    for (const edge of this.#graph.edgesOf(node))
      if (this.#graph.edgeLabel(edge) === label) return this.#graph.target(edge);
    return undefined;
  }
}

/** The bytes of each node and of what is reached through it first: what it keeps alive, unless something else does too. */
function keptBytes(graph: HeapGraph, { from, order }: Ways): Float64Array {
  const kept = new Float64Array(graph.count);
  for (let at = order.length - 1; at >= 0; at--) {
    const node = order[at] ?? 0;
    const before = from[node] ?? 0;
    kept[node] = (kept[node] ?? 0) + graph.size(node);
    kept[before] = (kept[before] ?? 0) + (kept[node] ?? 0);
  }
  return kept;
}

function stringRow(graph: HeapGraph, ways: Ways, { node, count, bytes }: Counted & { readonly node: number }): HeapRow {
  const steps = wayTo(ways, node);
  const name = JSON.stringify(shortenText(graph.text(node), 80));
  return { name, count, bytes, node: graph.id(node), text: steps ? wayText(graph, steps) : '' };
}

/** The functions of each context with variables, alike ones together. */
function closureRows(graph: HeapGraph, name: string): HeapRow[] {
  const rows = new Map<string, HeapRow>();
  const kept = keptBytes(graph, graph.ways());
  for (const [context, functions] of functionsByContext(graph, name)) {
    const row = contextRow(graph, context, functions, kept[context] ?? 0);
    if (row.text !== '') addTo(rows, row.name + row.text, row, () => row);
  }
  return [...rows.values()].sort((one, other) => other.bytes - one.bytes || other.count - one.count);
}

/** The functions whose names contain `name`, by the context that each one holds. */
function functionsByContext(graph: HeapGraph, name: string): Map<number, number[]> {
  const contexts = new Map<number, number[]>();
  const drivers = new DriverCode(graph);
  for (let node = 0; node < graph.count; node++) {
    if (!graph.isWritten(node) || !graph.className(node).includes(name) || drivers.has(node)) continue;
    for (const edge of graph.edgesOf(node)) {
      const context = graph.target(edge);
      if (graph.edgeLabel(edge) !== 'context' || !graph.isContext(context)) continue;
      const known = contexts.get(context);
      if (known === undefined) contexts.set(context, [node]);
      else known.push(node);
    }
  }
  return contexts;
}

const maxNames = 4;
const maxVariables = 12;

function contextRow(graph: HeapGraph, context: number, functions: readonly number[], bytes: number): HeapRow {
  const variables = [...graph.edgesOf(context)].filter((edge) => graph.edgeType(edge) === 'context');
  const names = new Set(functions.map((node) => graph.label(node)));
  return {
    name: [...names].sort().slice(0, maxNames).join(', '),
    count: functions.length,
    bytes,
    node: graph.id(context),
    text: variables
      .slice(0, maxVariables)
      .map((edge) => `${graph.edgeLabel(edge)}: ${graph.label(graph.target(edge))}`)
      .join('; '),
  };
}

parentPort?.postMessage(await answerTask(workerData as HeapTask));
