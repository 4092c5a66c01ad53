import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { HeapSnapshotParser, type HeapSummary } from '../browser/profiling/heapSnapshot.js';
import { ToolError } from '../errors/errors.js';
import type { ResourceLink, Resources } from './defineTool.js';
import { bytesText, oneLine } from './pagination.js';

/** How the names of heap snapshots end: what tells them from other resources. */
export const snapshotSuffix = '.heapsnapshot.gz';

export const limit = z.int().min(1).max(200).default(20).describe('Rows');

export const heapRow = z.object({ name: z.string(), count: z.int(), bytes: z.int() });
type HeapRow = z.infer<typeof heapRow>;

export const maxNameChars = 120;

/** The heap snapshots of the session, oldest first. */
export function snapshotsOf(resources: Resources): ResourceLink[] {
  return resources.list().filter(({ name }) => name.endsWith(snapshotSuffix));
}

/** The one with this address. Throws a ToolError that lists those that exist. */
export function findSnapshot(resources: Resources, uri: string): ResourceLink {
  const known = snapshotsOf(resources);
  const found = known.find((snapshot) => snapshot.uri === uri);
  if (found) return found;
  const existing =
    known.length === 0 ? 'There is none: call take_heapsnapshot.' : known.map((one) => one.uri).join(', ');
  throw new ToolError(`There is no heap snapshot ${uri}. Heap snapshots: ${existing}`);
}

/** Reads a kept snapshot again. */
export async function summarize(resources: Resources, { uri }: ResourceLink): Promise<HeapSummary> {
  const parser = new HeapSnapshotParser();
  const data = await resources.read(uri);
  await pipeline(Readable.from([data]), createGunzip(), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) parser.write(chunk);
  });
  return parser.end();
}

/** A snapshot's totals, and of its classes those whose name has `filter` in it, as data. */
export function summaryFacts({ objects, bytes, classes, detached }: HeapSummary, rows: number, filter = '') {
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

export const summaryOutput = z.object({
  uri: z.string(),
  objects: z.int(),
  bytes: z.int(),
  detachedNodes: z.int(),
  /** Constructors, of which `classes` may hold fewer. */
  matching: z.int(),
  classes: z.array(heapRow),
  detached: z.array(heapRow),
});

/** The same as text. */
export function summaryText(facts: Omit<z.infer<typeof summaryOutput>, 'uri'>): string {
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

export function shortRow({ name, count, bytes }: HeapRow): HeapRow {
  return { name: oneLine(name, maxNameChars), count, bytes };
}

function rowText({ name, count, bytes }: HeapRow): string {
  return `  ${name} × ${count}, ${bytesText(bytes)}`;
}
