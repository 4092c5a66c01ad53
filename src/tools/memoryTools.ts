import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { z } from 'zod';
import {
  HeapSnapshotParser,
  type HeapSummary,
  captureHeap,
  type HeapClass,
  type HeapAnswer,
  type HeapQuery,
  queryHeap,
} from '../browser/profiling/heapSnapshot.js';
import type { CodeLocation } from '../browser/collectors/consoleMessage.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { functionMark } from '../browser/profiling/heapGraph.js';
import { ToolError } from '../errors/errors.js';
import { locationText } from './consoleTools.js';
import { fileName, OriginalPlaces, placeText } from './originalPlaces.js';
import { type ResourceLink, type Resources, definePageTool, defineTool, type Tool } from './defineTool.js';
import { bytesText, oneLine } from './pagination.js';

/** The suffix of the names of heap snapshots among the resources. */
const snapshotSuffix = '.heapsnapshot.gz';

export const limit = z.int().min(1).max(200).default(20).describe('Rows of each list');

const heapRow = z.object({ name: z.string(), count: z.int(), bytes: z.int() });
type HeapRow = z.infer<typeof heapRow>;

const maxNameChars = 120;

/** The heap snapshots of the session, oldest first. */
function snapshotsOf(resources: Resources): ResourceLink[] {
  return resources.list().filter(({ name }) => name.endsWith(snapshotSuffix));
}

/** The heap snapshot with this URI. Throws a ToolError that lists the existing ones. */
function findSnapshot(resources: Resources, uri: string): ResourceLink {
  const known = snapshotsOf(resources);
  const found = known.find((snapshot) => snapshot.uri === uri);
  if (found) return found;
  const existing =
    known.length === 0 ? 'There is none. Call take_heapsnapshot.' : known.map((snapshot) => snapshot.uri).join(', ');
  throw new ToolError(`There is no heap snapshot ${uri}. Heap snapshots: ${existing}`);
}

/** Reads a stored heap snapshot. */
async function summarize(resources: Resources, { uri }: ResourceLink): Promise<HeapSummary> {
  const parser = new HeapSnapshotParser();
  const data = await resources.read(uri);
  await pipeline(Readable.from([data]), createGunzip(), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) parser.write(chunk);
  });
  return parser.end();
}

/** The totals of a snapshot, and the classes whose names contain `filter`, as data. */
function summaryFacts({ objects, bytes, classes, detached }: HeapSummary, rows: number, filter = '') {
  const matches = ({ name }: HeapRow): boolean => name.toLowerCase().includes(filter.toLowerCase());
  return {
    objects,
    bytes,
    detachedNodes: detached.reduce((sum, { count }) => sum + count, 0),
    matching: classes.filter(matches).length,
    classes: classes.filter(matches).slice(0, rows).map(shortRow),
    detached: detached.filter(matches).slice(0, rows).map(shortRow),
  };
}

const summaryOutput = z.object({
  uri: z.string(),
  objects: z.int(),
  bytes: z.int(),
  detachedNodes: z.int(),
  /** Number of matching constructors; `classes` may have fewer. */
  matching: z.int(),
  classes: z.array(heapRow),
  detached: z.array(heapRow),
});

/** The same as text. */
function summaryText(facts: Omit<z.infer<typeof summaryOutput>, 'uri'>): string {
  const { objects, bytes, detachedNodes, matching, classes, detached } = facts;
  const left = matching - classes.length;
  return [
    `${objects} objects, ${bytesText(bytes)}. Largest by constructor (shallow size):`,
    ...classes.map(rowText),
    ...(left > 0 ? [`  … ${left} more constructors: raise limit.`] : []),
    detachedNodes === 0
      ? 'No detached DOM nodes.'
      : `${detachedNodes} detached DOM nodes (out of the document, still held):`,
    ...detached.map(rowText),
  ].join('\n');
}

function shortRow({ name, count, bytes }: HeapRow): HeapRow {
  return { name: oneLine(name, maxNameChars), count, bytes };
}

function rowText({ name, count, bytes }: HeapRow): string {
  return `  ${name} × ${count}, ${bytesText(bytes)}`;
}

/** Fast rather than small. */
const compression = { level: 1 };

const takeHeapsnapshotTool = definePageTool({
  name: 'take_heapsnapshot',
  title: 'Take heap snapshot',
  group: 'memory',
  description:
    'Take a heap snapshot of a page: kept as a resource, answered as a summary by constructor. For leaks take two, then compare_heapsnapshots',
  input: z.strictObject({ limit }),
  output: summaryOutput,
  annotations: { readOnlyHint: true },
  timeoutMs: 180_000,
  async handler(args, { page, browser, signal, progress, resources }) {
    const scripts = { page, newest: page.scripts.list().at(-1)?.key ?? 0 };
    const parser = new HeapSnapshotParser();
    const capture = captureHeap({ page, signal, progress: (done, total) => progress(done, total, 'reading the heap') });
    const link = await pipeline(teeInto(capture, parser), createGzip(compression), (data: AsyncIterable<Uint8Array>) =>
      resources.add({ name: snapshotNameOf(page.id), mimeType: 'application/gzip', data }),
    );
    takenIn.set(browser, (takenIn.get(browser) ?? new Map<string, SnapshotScripts>()).set(link.uri, scripts));
    const facts = summaryFacts(parser.end(), args.limit);
    return {
      text: [
        `Heap snapshot of page ${page.id}: ${link.uri} (${bytesText(link.bytes)}). Act, take another, then compare_heapsnapshots.`,
        summaryText(facts),
      ].join('\n'),
      structured: { uri: link.uri, ...facts },
      resources: [link],
    };
  },
});

/** Passes the chunks on and parses them. */
async function* teeInto(chunks: AsyncIterable<Buffer>, parser: HeapSnapshotParser): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    parser.write(chunk);
    yield chunk;
  }
}

function snapshotNameOf(pageId: number): string {
  const time = new Date().toISOString().replaceAll(':', '').slice(0, 17);
  return `page-${pageId}-${time}${snapshotSuffix}`;
}

const getHeapsnapshotSummaryTool = defineTool({
  name: 'get_heapsnapshot_summary',
  title: 'Heap snapshot summary',
  group: 'memory',
  needs: 'nothing',
  ofSession: true,
  description: 'Largest constructors and detached DOM nodes in a heap snapshot that was taken before',
  input: z.strictObject({
    uri: z.string().optional().describe('From take_heapsnapshot; default: the newest'),
    filter: z.string().optional().describe('Text in the name of the constructor'),
    limit,
  }),
  output: summaryOutput,
  annotations: { readOnlyHint: true },
  timeoutMs: 120_000,
  async handler({ uri, filter, limit: rows }, { resources }) {
    const link = uri === undefined ? snapshotsOf(resources).at(-1) : findSnapshot(resources, uri);
    if (link === undefined) throw new ToolError('There is no heap snapshot yet. Call take_heapsnapshot.');
    const facts = summaryFacts(await summarize(resources, link), rows, filter);
    return {
      text: `${link.name}\n${summaryText(facts)}`,
      structured: { uri: link.uri, ...facts },
    };
  },
});

const compareHeapsnapshotsTool = defineTool({
  name: 'compare_heapsnapshots',
  title: 'Compare heap snapshots',
  group: 'memory',
  needs: 'nothing',
  ofSession: true,
  description: 'What grew and shrank between two heap snapshots, by constructor',
  input: z.strictObject({
    base: z.string().optional().describe('uri of the earlier; default: the one before current'),
    current: z.string().optional().describe('uri of the later; default: the newest'),
    limit,
  }),
  output: z.object({
    base: z.string(),
    current: z.string(),
    objects: z.int(),
    bytes: z.int(),
    grown: z.array(heapRow),
    shrunk: z.array(heapRow),
    detached: z.array(heapRow),
  }),
  annotations: { readOnlyHint: true },
  timeoutMs: 120_000,
  async handler({ base, current, limit: rows }, { resources }) {
    const [before, after] = chooseSnapshots(resources, base, current);
    const [one, two] = [await summarize(resources, before), await summarize(resources, after)];
    const facts = compare(one, two, rows);
    const lines = [
      `${before.name} -> ${after.name}: ${signed(facts.objects)} objects, ${signedBytes(facts.bytes)}`,
      ...changeSection('Grown', facts.grown),
      ...changeSection('Shrunk', facts.shrunk),
      ...changeSection('Detached DOM nodes', facts.detached),
    ];
    return { text: lines.join('\n'), structured: { base: before.uri, current: after.uri, ...facts } };
  },
});

function chooseSnapshots(resources: Resources, base?: string, current?: string): [ResourceLink, ResourceLink] {
  const known = snapshotsOf(resources);
  const after = current === undefined ? known.at(-1) : findSnapshot(resources, current);
  const previous = after && known[known.findIndex(({ uri }) => uri === after.uri) - 1];
  const before = base === undefined ? previous : findSnapshot(resources, base);
  if (before && after) return [before, after];
  const existing = known.map(({ uri }) => uri).join(', ') || 'none';
  throw new ToolError(`Two heap snapshots are needed. Existing: ${existing}. Call take_heapsnapshot for another.`);
}

/** Differences, largest growth first; by count where bytes are equal. */
function compare(before: HeapSummary, after: HeapSummary, rows: number) {
  const changes = changesOf(before.classes, after.classes);
  return {
    objects: after.objects - before.objects,
    bytes: after.bytes - before.bytes,
    grown: changes.filter(isGrown).slice(0, rows).map(shortRow),
    shrunk: changes
      .filter((change) => !isGrown(change))
      .reverse()
      .slice(0, rows)
      .map(shortRow),
    detached: changesOf(before.detached, after.detached).slice(0, rows).map(shortRow),
  };
}

const isGrown = ({ bytes, count }: HeapClass): boolean => bytes > 0 || (bytes === 0 && count > 0);

function changesOf(before: readonly HeapClass[], after: readonly HeapClass[]): HeapClass[] {
  const changes = new Map(after.map((row) => [row.name, { ...row }]));
  for (const { name, count, bytes } of before) {
    const now = changes.get(name) ?? { count: 0, bytes: 0 };
    changes.set(name, { name, count: now.count - count, bytes: now.bytes - bytes });
  }
  return [...changes.values()]
    .filter(({ count, bytes }) => count !== 0 || bytes !== 0)
    .sort((a, b) => b.bytes - a.bytes || b.count - a.count);
}

function changeSection(title: string, rows: readonly HeapClass[]): string[] {
  if (rows.length === 0) return [`${title}: none`];
  return [`${title}:`, ...rows.map(({ name, count, bytes }) => `  ${name} ${signed(count)}, ${signedBytes(bytes)}`)];
}

const signed = (value: number): string => (value > 0 ? `+${value}` : String(value));
const signedBytes = (bytes: number): string => `${bytes < 0 ? '-' : '+'}${bytesText(Math.abs(bytes))}`;

const questions = ['detached', 'class', 'node', 'strings', 'closures'] as const;

const queryHeapsnapshotTool = defineTool({
  name: 'query_heapsnapshot',
  title: 'Query heap snapshot',
  group: 'memory',
  needs: 'browser',
  description:
    'What keeps objects alive in a heap snapshot: detached nodes, a class, one node; also repeated strings, and what closures hold',
  input: z.strictObject({
    about: z.enum(questions).default('detached').describe('The question'),
    name: z.string().optional().describe('Of the class; part of the function of closures'),
    node: z.int().optional().describe('Id, as @123 in answers'),
    uri: z.string().optional().describe('From take_heapsnapshot; default: the newest'),
    limit: z.int().min(1).max(100).default(10).describe('Rows'),
  }),
  output: z.object({
    uri: z.string(),
    total: z.int(),
    rows: z.array(heapRow.extend({ node: z.number(), text: z.string() })),
    holders: z.array(z.string()).optional(),
    fields: z.array(z.string()).optional(),
  }),
  annotations: { readOnlyHint: true },
  timeoutMs: 180_000,
  async handler({ about, name, node, uri, limit: rows }, { resources, browser, signal }) {
    const link = uri === undefined ? snapshotsOf(resources).at(-1) : findSnapshot(resources, uri);
    if (link === undefined) throw new ToolError('There is no heap snapshot yet. Call take_heapsnapshot.');
    const answer = await queryHeap(await resources.read(link.uri), heapQueryOf(about, name, node), signal);
    const asked = { ...answer, rows: answer.rows.slice(0, rows) };
    const { rows: shown, holders, fields } = await withPlaces(asked, { browser, uri: link.uri, signal });
    const lines = [
      `${link.name}: ${answer.total === 0 ? noneFound[about] : heads[about]}`,
      ...shown.flatMap((row) => [`${rowText(row)} @${row.node}`, ...wayLines(row.text)]),
      ...(answer.total > shown.length ? [`  … ${answer.total - shown.length} more: raise limit`] : []),
      ...(answer.unread === undefined ? [] : [`  … ${answer.unread} objects more were not looked at`]),
      ...listLines('Held by:', holders),
      ...listLines('Holds:', fields),
    ];
    return {
      text: lines.join('\n'),
      structured: {
        uri: link.uri,
        total: answer.total,
        rows: shown,
        ...(holders && { holders }),
        ...(fields && { fields }),
      },
    };
  },
});

/** The scripts that a page had when a snapshot was taken: ids of scripts are used again by the next documents. */
interface SnapshotScripts {
  readonly page: SessionPage;
  /** The key of the newest one. */
  readonly newest: number;
}

/** By session and URI of the snapshot. */
const takenIn = new WeakMap<SessionBrowser, Map<string, SnapshotScripts>>();

/** Adds positions to functions, in the original file if a source map has them. */
async function withPlaces(
  answer: HeapAnswer,
  { browser, uri, signal }: { readonly browser: SessionBrowser; readonly uri: string; readonly signal: AbortSignal },
): Promise<HeapAnswer> {
  const taken = takenIn.get(browser)?.get(uri);
  const [session] = taken?.page.scripts.sessions() ?? [];
  const locationOf = (id: string, line: string, column: string): CodeLocation | undefined => {
    const script = session && taken?.page.scripts.find(session.session, id);
    if (script === undefined || script.key > (taken?.newest ?? 0)) return undefined;
    return { url: script.url, line: Number(line), column: Number(column), script: script.key };
  };
  const texts = [
    ...answer.rows.flatMap(({ name, text }) => [name, text]),
    ...(answer.holders ?? []),
    ...(answer.fields ?? []),
  ];
  const locations = texts.flatMap((text) =>
    [...text.matchAll(functionMark)].map(([, id = '', line = '', column = '']) => locationOf(id, line, column)),
  );
  const places = await OriginalPlaces.find({ browser, page: taken?.page }, { locations }, signal);
  const placed = (text: string): string =>
    text.replace(functionMark, (_mark, id: string, line: string, column: string) => {
      const location = locationOf(id, line, column);
      if (location === undefined) return '';
      const original = places.of(location);
      return ` (${original === undefined ? locationText({ ...location, url: fileName(location.url) }) : placeText(original)})`;
    });
  return {
    ...answer,
    rows: answer.rows.map((row) => ({ ...row, name: placed(row.name), text: placed(row.text) })),
    ...(answer.holders && { holders: answer.holders.map(placed) }),
    ...(answer.fields && { fields: answer.fields.map(placed) }),
  };
}

const heads: Record<(typeof questions)[number], string> = {
  detached:
    'what keeps detached DOM nodes alive, nodes held alike together (one node of each, with its way from the root):',
  class: 'objects of the class, those held alike together (one of each, with its way from the root):',
  node: 'the shortest way from the root:',
  strings: 'repeated strings, the largest sum first (one of each, with its way from the root):',
  closures: 'functions by what their variables keep alive, the most bytes first:',
};

const noneFound: Record<(typeof questions)[number], string> = {
  detached: 'no detached DOM nodes.',
  class: 'no object of that class. get_heapsnapshot_summary lists the names.',
  node: 'no such node.',
  strings: 'no string is there twice.',
  closures: 'no closure holds variables.',
};

function heapQueryOf(kind: (typeof questions)[number], name: string | undefined, id: number | undefined): HeapQuery {
  if (kind === 'class') {
    if (name === undefined) throw new ToolError('Pass the name of the class. get_heapsnapshot_summary lists them.');
    return { kind, name };
  }
  if (kind === 'node') {
    if (id === undefined) throw new ToolError('Pass node, the id of one: the number after @ in other answers.');
    return { kind, id };
  }
  return kind === 'closures' ? { kind, name } : { kind };
}

const wayLines = (text: string): string[] => (text === '' ? [] : text.split('\n').map((line) => `    ${line}`));

const listLines = (title: string, items: readonly string[] = []): string[] =>
  items.length === 0 ? [] : [title, ...items.map((item) => `  ${oneLine(item, 200)}`)];

export const memoryTools: readonly Tool[] = [
  takeHeapsnapshotTool,
  getHeapsnapshotSummaryTool,
  compareHeapsnapshotsTool,
  queryHeapsnapshotTool,
];
