import type { CDPSession, Page } from 'puppeteer-core';
import { z } from 'zod';
import { messageOf, ToolError } from '../../errors/errors.js';
import { openCdpSession, readStream, sendUntyped, unlessGone } from '../cdp/cdpSessions.js';

const started = z.object({ stream: z.string().optional() });

export interface RecordingLimits {
  /** CSS pixels; the picture keeps its proportions. */
  readonly maxWidth: number;
  readonly maxHeight: number;
  /** Frames a second, at most. */
  readonly frameRate: number;
}

interface Recording {
  readonly cdp: CDPSession;
  readonly stream: string | undefined;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
}

/**
 * Records what a page shows as a video (CDP Page.startScreenRecording; MP4). Owned by its page; a recording has its own
 * CDP session and ends with it.
 */
export class ScreenRecording {
  readonly #page: Page;
  #current: Recording | undefined;

  constructor(page: Page) {
    this.#page = page;
  }

  get isRunning(): boolean {
    return this.#current !== undefined && !this.#current.cdp.detached;
  }

  /** Throws a ToolError when the page is being recorded already, and where the browser cannot. */
  async start(limits: RecordingLimits): Promise<void> {
    if (this.isRunning) throw new ToolError('This page is being recorded already. Call stop_recording.');
    const cdp = await openCdpSession(this.#page);
    try {
      // A page in the background draws nothing.
      await cdp.send('Page.bringToFront');
      const { stream } = started.parse(await sendUntyped(cdp, 'Page.startScreenRecording', limits));
      this.#current = { cdp, stream, startedAt: Date.now() };
    } catch (error) {
      await unlessGone(cdp.detach());
      if (!/wasn't found|not supported/i.test(messageOf(error))) throw error;
      throw new ToolError('This browser cannot record videos: that takes Chrome 150 or later. Use take_screenshot.', {
        cause: error,
      });
    }
  }

  /** Ends the recording. Throws a ToolError if there is none. The video must be read to its end. */
  async stop(): Promise<{ readonly seconds: number; readonly video: AsyncIterable<Uint8Array> }> {
    const recording = this.#current;
    this.#current = undefined;
    if (recording === undefined || recording.cdp.detached) {
      throw new ToolError('This page is not being recorded. Call start_recording first.');
    }
    const { cdp, startedAt } = recording;
    try {
      const stopped = started.parse(await sendUntyped(cdp, 'Page.stopScreenRecording'));
      const handle = stopped.stream ?? recording.stream;
      if (handle === undefined) throw new Error('The browser returned no video.');
      return { seconds: (Date.now() - startedAt) / 1000, video: readVideo(cdp, handle) };
    } catch (error) {
      await unlessGone(cdp.detach());
      throw error;
    }
  }

  /** Discards a running recording. Idempotent; never rejects. */
  async dispose(): Promise<void> {
    const cdp = this.#current?.cdp;
    this.#current = undefined;
    if (cdp !== undefined && !cdp.detached) await unlessGone(cdp.detach());
  }
}

async function* readVideo(cdp: CDPSession, handle: string): AsyncGenerator<Uint8Array> {
  try {
    yield* readStream(cdp, handle);
  } finally {
    await unlessGone(cdp.detach());
  }
}
