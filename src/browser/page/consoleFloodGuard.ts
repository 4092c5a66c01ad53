import type { CDPSession, Frame, Page } from 'puppeteer-core';
import { systemClock, type Clock } from '../../clock.js';

/** More messages than this in one window are a flood. */
const floodLimit = 100;
const windowMs = 1_000;

/**
 * Keeps floods of console messages cheap. Puppeteer hears of each message too, on sessions of its own, and unless somebody
 * listens it lets go of each value in it by a command (Runtime.releaseObject): a page that logs objects in a loop keeps
 * the pipe busy for minutes. While it floods, somebody listens, and the values go all at once, once a window. Owned by the
 * page, which disposes it.
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

  /** A message came. */
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

/** Those on which puppeteer hears of a page, its frames and its workers. Its declarations leave out that of a frame. */
function puppeteerSessionsOf(page: Page): ReadonlySet<CDPSession> {
  const frames = page.frames() as unknown as readonly (Frame & { readonly client: CDPSession })[];
  return new Set([...frames, ...page.workers()].map(({ client }) => client));
}

function noopListener(): void {
  return undefined;
}

/** What is gone holds on to nothing. */
function noop(): void {
  return undefined;
}
