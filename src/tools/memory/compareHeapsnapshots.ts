import { z } from 'zod';
import type { HeapClass, HeapSummary } from '../../browser/profiling/heapSnapshot.js';
import { ToolError } from '../../errors/errors.js';
import { defineTool, type ResourceLink, type Resources } from '../defineTool.js';
import { bytesText } from '../pagination.js';
import { findSnapshot, heapRow, limit, shortRow, snapshotsOf, summarize } from '../memoryTools.js';

export const compareHeapsnapshotsTool = defineTool({
  name: 'compare_heapsnapshots',
  group: 'memory',
  needs: 'nothing',
  description: 'What grew between two heap snapshots, by constructor',
  input: z.strictObject({
    base: z.string().optional().describe('uri; default: the one before'),
    current: z.string().optional().describe('uri; default: the newest'),
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
  throw new ToolError(`Two heap snapshots are needed. There are: ${existing}. take_heapsnapshot takes one.`);
}

/** Differences, those that grew most first. Where bytes are equal, the count decides. */
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
