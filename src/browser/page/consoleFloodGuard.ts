import type { CDPSession, Frame, Page } from 'puppeteer-core';
import { noop } from '../../async.js';
import { systemClock, type Clock } from '../../clock.js';

/** More messages than this in one window are a flood. */
const floodLimit = 100;
const windowMs = 1_000;

/**
 * Limits the cost of console floods. Puppeteer also receives each message, on its own sessions, and without a `console`
 * listener it releases each value by a command (CDP Runtime.releaseObject): a page that logs objects in a loop would
 * keep the pipe busy for minutes. During a flood this class adds a listener and releases the values together, once per
 * window. Owned by the page, which disposes it.
 */
export class ConsoleFloodGuard {
  readonly #page: Page;
  readonly #clock: Clock;
  #windowStart = 0;
  #count = 0;
  #timer: unknown;

  constructor(page: Page, clock: Clock = systemClock) {
    this.#page = page;
    this.#clock = clock;
  }

  /** Counts a console message. */
  readonly onMessage = (): void => {
    const now = this.#clock.now();
    if (this.#timer === undefined && now - this.#windowStart >= windowMs) this.#startWindow(now);
    this.#count += 1;
    if (this.#count <= floodLimit || this.#timer !== undefined) return;
    this.#page.on('console', noopListener);
    this.#timer = this.#clock.setTimeout(this.#checkWindow, windowMs);
  };

  /** Idempotent. */
  dispose(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#page.off('console', noopListener);
  }

  readonly #checkWindow = (): void => {
    for (const session of puppeteerSessionsOf(this.#page)) {
      // A closed target retains no values.
      void session.send('Runtime.releaseObjectGroup', { objectGroup: 'console' }).catch(noop);
    }
    const isFlooding = this.#count > floodLimit;
    this.#startWindow(this.#clock.now());
    if (isFlooding) this.#timer = this.#clock.setTimeout(this.#checkWindow, windowMs);
    else this.dispose();
  };

  #startWindow(now: number): void {
    this.#windowStart = now;
    this.#count = 0;
  }
}

/** Puppeteer's own sessions on a page, on which it receives console events. Its type declarations omit a frame's `client`. */
export function puppeteerSessionsOf(page: Page): ReadonlySet<CDPSession> {
  const frames = page.frames() as unknown as readonly (Frame & { readonly client: CDPSession })[];
  return new Set([...frames, ...page.workers()].map(({ client }) => client));
}

/** Not `noop`, which other listeners of the page may be. */
function noopListener(): void {
  return undefined;
}
