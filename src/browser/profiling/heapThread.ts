import { parentPort, workerData } from 'node:worker_threads';
import { shortenText } from '../../text.js';
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
      return {
        rows: groupByWay(
          graph,
          nodesWhere(graph, (node) => graph.isDetached(node)),
        ),
      };
    case 'class':
      return { rows: groupByWay(graph, nodesOfClass(graph, query.name)) };
    case 'node':
      return describeNode(graph, query.id);
    case 'strings':
      return { rows: repeatedStrings(graph) };
    case 'closures':
      return { rows: closureRows(graph, query.name ?? '') };
  }
}

/** Nodes that one question looks at. */
const maxNodes = 20_000;

function nodesWhere(graph: HeapGraph, isMeant: (node: number) => boolean, most = maxNodes): number[] {
  const found: number[] = [];
  for (let node = 0; node < graph.count && found.length < most; node++) if (isMeant(node)) found.push(node);
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

/** Groups nodes that are held in the same way: members of one list or map differ only in their index. */
function groupByWay(graph: HeapGraph, nodes: readonly number[]): HeapRow[] {
  const ways = graph.ways();
  const groups = new Map<string, HeapRow>();
  for (const node of nodes) {
    const steps = wayTo(ways, node);
    const one = { count: 1, bytes: graph.size(node) };
    addTo(groups, steps ? `${wayKey(graph, steps)}${graph.className(node)}` : 'weak', one, () => ({
      name: graph.className(node),
      ...one,
      node: graph.id(node),
      text: textOfWay(graph, steps),
    }));
  }
  return [...groups.values()].sort((one, other) => other.count - one.count || other.bytes - one.bytes);
}

function wayKey(graph: HeapGraph, steps: readonly Step[]): string {
  return steps
    .slice(0, -1)
    .map(({ node, edge }) => edgeKind(graph, edge) + graph.className(node))
    .join('>');
}

function textOfWay(graph: HeapGraph, steps: readonly Step[] | undefined): string {
  return steps ? wayText(graph, steps) : 'held by nothing but weak references';
}

function describeNode(graph: HeapGraph, id: number): Found {
  const [node] = nodesWhere(graph, (each) => graph.id(each) === id, 1);
  if (node === undefined) return { rows: [], error: `no node ${id}` };
  const text = textOfWay(graph, wayTo(graph.ways(), node));
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

/** Those that the page's globals hold come first, then those of the engine. */
function repeatedStrings(graph: HeapGraph): HeapRow[] {
  const byText = new Map<number, Counted & { readonly node: number }>();
  for (let node = 0; node < graph.count; node++) {
    if (graph.type(node) !== 'string') continue;
    const one = { count: 1, bytes: graph.size(node) };
    addTo(byText, graph.textIndex(node), one, () => ({ ...one, node }));
  }
  const repeated = [...byText.values()].filter(({ count }) => count > 1).sort((one, other) => other.bytes - one.bytes);
  const ways = graph.ways();
  const rows = repeated.slice(0, maxStrings).map((string) => stringRow(graph, ways, string));
  const isOfPage = ({ text }: HeapRow): boolean => text.startsWith('window');
  return [...rows.filter(isOfPage), ...rows.filter((row) => !isOfPage(row))];
}

function stringRow(graph: HeapGraph, ways: Ways, { node, count, bytes }: Counted & { readonly node: number }): HeapRow {
  const steps = wayTo(ways, node);
  const name = JSON.stringify(shortenText(graph.text(node), 80));
  return { name, count, bytes, node: graph.id(node), text: steps ? wayText(graph, steps) : '' };
}

/** The functions of each context with variables, alike ones together. */
function closureRows(graph: HeapGraph, name: string): HeapRow[] {
  const rows = new Map<string, HeapRow>();
  for (const [context, functions] of functionsByContext(graph, name)) {
    const row = contextRow(graph, context, functions);
    if (row.text !== '') addTo(rows, row.name + row.text, row, () => row);
  }
  return [...rows.values()].sort((one, other) => other.bytes - one.bytes || other.count - one.count);
}

/** The functions whose names contain `name`, by the context that each one holds. */
function functionsByContext(graph: HeapGraph, name: string): Map<number, number[]> {
  const contexts = new Map<number, number[]>();
  for (let node = 0; node < graph.count; node++) {
    if (graph.type(node) !== 'closure' || !graph.className(node).includes(name)) continue;
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

function contextRow(graph: HeapGraph, context: number, functions: readonly number[]): HeapRow {
  const variables = [...graph.edgesOf(context)].filter((edge) => graph.edgeType(edge) === 'context');
  const names = new Set(functions.map((node) => graph.label(node)));
  return {
    name: [...names].slice(0, maxNames).join(', '),
    count: functions.length,
    bytes: variables.reduce((sum, edge) => sum + graph.size(graph.target(edge)), 0),
    node: graph.id(context),
    text: variables
      .slice(0, maxVariables)
      .map((edge) => `${graph.edgeLabel(edge)}: ${graph.label(graph.target(edge))}`)
      .join('; '),
  };
}

parentPort?.postMessage(await answerTask(workerData as HeapTask));
