import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { z } from 'zod';
import { captureHeap } from '../../browser/heap/captureHeap.js';
import { HeapSnapshotParser } from '../../browser/profiling/heapSnapshot.js';
import { definePageTool } from '../defineTool.js';
import { bytesText } from '../pagination.js';
import { limit, snapshotSuffix, summaryFacts, summaryOutput, summaryText } from '../memoryTools.js';

/** Fast rather than small: Chrome does not wait. */
const compression = { level: 1 };

export const takeHeapsnapshotTool = definePageTool({
  name: 'take_heapsnapshot',
  group: 'memory',
  description: 'Take a heap snapshot of a page: kept as a resource, answered as a summary by constructor',
  input: z.strictObject({ limit }),
  output: summaryOutput,
  annotations: { readOnlyHint: true },
  timeoutMs: 180_000,
  async handler(args, { page, signal, progress, resources }) {
    const parser = new HeapSnapshotParser();
    const capture = captureHeap({ page, signal, progress: (done, total) => progress(done, total, 'reading the heap') });
    const link = await pipeline(teeInto(capture, parser), createGzip(compression), (data: AsyncIterable<Uint8Array>) =>
      resources.add({ name: snapshotNameOf(page.id), mimeType: 'application/gzip', data }),
    );
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

/** Hands the pieces on and counts what is in them. */
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
