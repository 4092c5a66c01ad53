import type { CDPSession, Page, Protocol } from 'puppeteer-core';
import { messageOf, ToolError } from '../../errors/errors.js';
import { untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { openCdpSession, readStream, unlessGone } from '../cdp/cdpSessions.js';

/**
 * The categories that the trace engine reads; others only make a trace larger. Without V8's source rundown: together with
 * its profiler it crashes renderers of Chrome 156 in which documents load while a trace begins or ends.
 */
const includedCategories = [
  'blink.console',
  'blink.user_timing',
  'devtools.timeline',
  'disabled-by-default-devtools.target-rundown',
  'disabled-by-default-devtools.timeline',
  'disabled-by-default-devtools.timeline.frame',
  'disabled-by-default-devtools.timeline.stack',
  'disabled-by-default-lighthouse',
  'disabled-by-default-v8.compile',
  'disabled-by-default-v8.cpu_profiler',
  'latencyInfo',
  'loading',
  'v8',
  'v8.execute',
];

const bufferKilobytes = 100 * 1024;
const maxTraceBytes = 48 * 1024 ** 2;
/** The renderer of a page that draws nothing, since a style sheet has no answer, does not end its part of a trace. */
const endTimeoutMs = 5_000;

export interface RecordedTrace {
  /** Gzipped JSON of the whole browser: contains other sessions' data until it is filtered. */
  readonly data: Buffer;
  /** The trace buffer was full before the end. */
  readonly isTruncated: boolean;
  /** Loading of the page was stopped, so that the trace could end. */
  readonly isLoadStopped: boolean;
  /** The recording was started to load the page: events before the load are irrelevant. */
  readonly isOfLoad: boolean;
}

/**
 * Records traces of a page (CDP domain Tracing). A browser records one trace at a time. Owned by its page; a recording
 * has its own CDP session and ends with it.
 */
export class PageTracing {
  readonly #page: Page;
  #recording: CDPSession | undefined;
  #isOfLoad = false;

  constructor(page: Page) {
    this.#page = page;
  }

  get isRecording(): boolean {
    return this.#recording !== undefined && !this.#recording.detached;
  }

  /** Throws a ToolError when a trace is being recorded already. */
  async start(signal: AbortSignal, isOfLoad: boolean): Promise<void> {
    if (this.isRecording) throw new ToolError('This page is being traced already. Call performance_stop_trace.');
    const cdp = await untilAborted(openCdpSession(this.#page), signal, (late) => void detach(late));
    this.#recording = cdp;
    this.#isOfLoad = isOfLoad;
    try {
      await untilAborted(startTracing(cdp), signal);
    } catch (error) {
      await this.dispose();
      throw /already been started/i.test(messageOf(error)) ? alreadyTracing(error) : error;
    }
  }

  /**
   * Ends the recording and reads the trace. Throws a ToolError when nothing is being recorded, or the trace is too
   * large.
   */
  async stop(signal: AbortSignal): Promise<RecordedTrace> {
    const cdp = this.#recording;
    if (cdp === undefined || cdp.detached) {
      throw new ToolError('This page is not being traced. Call performance_start_trace first.');
    }
    try {
      return { ...(await untilAborted(finishTracing(cdp), signal)), isOfLoad: this.#isOfLoad };
    } finally {
      await this.dispose();
    }
  }

  /** Discards a running recording. Idempotent; never rejects. */
  async dispose(): Promise<void> {
    const cdp = this.#recording;
    this.#recording = undefined;
    if (cdp !== undefined) await detach(cdp);
  }
}

async function startTracing(cdp: CDPSession): Promise<void> {
  await cdp.send('Tracing.start', {
    transferMode: 'ReturnAsStream',
    streamCompression: 'gzip',
    traceConfig: {
      recordMode: 'recordUntilFull',
      traceBufferSizeInKb: bufferKilobytes,
      excludedCategories: ['*'],
      includedCategories,
    },
  });
}

async function finishTracing(cdp: CDPSession): Promise<Omit<RecordedTrace, 'isOfLoad'>> {
  const completed = new Promise<Protocol.Tracing.TracingCompleteEvent>((resolve) => {
    cdp.once('Tracing.tracingComplete', resolve);
  });
  await cdp.send('Tracing.end');
  let isLoadStopped = false;
  await untilAborted(completed, timeLimit(endTimeoutMs)).catch(async () => {
    const state = await unlessGone(cdp.send('Runtime.evaluate', { expression: 'document.readyState' }));
    isLoadStopped = state !== undefined && state.result.value !== 'complete';
    if (isLoadStopped) await unlessGone(cdp.send('Page.stopLoading'));
  });
  const { stream, dataLossOccurred } = await completed;
  if (stream === undefined) throw new Error('The browser returned no trace stream.');
  return { data: await readTrace(cdp, stream), isTruncated: dataLossOccurred, isLoadStopped };
}

async function readTrace(cdp: CDPSession, handle: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of readStream(cdp, handle)) {
    bytes += part.length;
    if (bytes > maxTraceBytes) throw new ToolError('The trace is too large to be analysed. Record a shorter time.');
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function alreadyTracing(cause: unknown): ToolError {
  return new ToolError(
    'Another page of this browser is being traced, and a browser makes one trace at a time. Stop that one with ' +
      "performance_stop_trace and its pageId; if it is another session's, try again later.",
    { cause },
  );
}

/** Never rejects: the session of a closed page is detached already. */
async function detach(cdp: CDPSession): Promise<void> {
  if (!cdp.detached) await cdp.detach().catch(() => undefined);
}
