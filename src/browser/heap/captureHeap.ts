import { once } from 'node:events';
import type { CDPSession } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';
import type { SessionPage } from '../page/sessionPage.js';
import { untilAborted } from '../../async.js';
import { openCdpSession } from '../protocol/openSession.js';

/** What may wait in memory for a reader: Chrome sends as fast as it can and cannot be held up. */
const maxBufferedBytes = 256 * 1024 ** 2;

export interface HeapCaptureOptions {
  readonly page: SessionPage;
  readonly signal: AbortSignal;
  progress(done: number, total: number): void;
}

/**
 * The heap of a page after a garbage collection, as Chrome sends it (`HeapProfiler.takeHeapSnapshot`), in a protocol
 * session of its own that ends with the iteration. Throws the signal's reason, or a ToolError when the reader falls too
 * far behind.
 */
export async function* captureHeap({ page, signal, progress }: HeapCaptureOptions): AsyncGenerator<Buffer> {
  const cdp = await untilAborted(openCdpSession(page.page), signal, (late) => void detach(late));
  const buffered: Buffer[] = [];
  let bytes = 0;
  const arrivals = new EventTarget();
  const overrun = new AbortController();
  cdp.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > maxBufferedBytes) overrun.abort(tooLarge());
    else buffered.push(part);
    arrivals.dispatchEvent(new Event('more'));
  });
  cdp.on('HeapProfiler.reportHeapSnapshotProgress', ({ done, total }) => progress(done, total));
  try {
    const taking = cdp.send('HeapProfiler.takeHeapSnapshot', { reportProgress: true });
    const ended = taking.then(() => 'ended' as const);
    for (let next: unknown; next !== 'ended' || buffered.length > 0;) {
      if (buffered.length === 0) next = await untilAborted(Promise.race([once(arrivals, 'more'), ended]), signal);
      overrun.signal.throwIfAborted();
      for (const part of buffered.splice(0)) {
        yield part;
        bytes -= part.length;
      }
    }
  } finally {
    await detach(cdp);
  }
}

function tooLarge(): ToolError {
  return new ToolError('The heap is too large: it came faster than it could be kept. Try a smaller page.');
}

/** Ends the session; one whose page has gone has ended. */
async function detach(cdp: CDPSession): Promise<void> {
  if (!cdp.detached) await cdp.detach().catch(() => undefined);
}
