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
export class Flood {
  readonly #page: Page;
  readonly #clock: Clock;
  #windowFrom = 0;
  #count = 0;
  #timer: unknown;

  constructor(page: Page, clock: Clock = systemClock) {
    this.#page = page;
    this.#clock = clock;
  }

  /** A message came. */
  readonly note = (): void => {
    const now = this.#clock.now();
    if (this.#timer === undefined && now - this.#windowFrom >= windowMs) this.#begin(now);
    this.#count += 1;
    if (this.#count <= floodLimit || this.#timer !== undefined) return;
    this.#page.on('console', listen);
    this.#timer = this.#clock.setTimeout(this.#look, windowMs);
  };

  /** Idempotent. */
  dispose(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#page.off('console', listen);
  }

  readonly #look = (): void => {
    for (const session of sessionsOf(this.#page)) {
      void session.send('Runtime.releaseObjectGroup', { objectGroup: 'console' }).catch(ignoreGone);
    }
    const goesOn = this.#count > floodLimit;
    this.#begin(this.#clock.now());
    if (goesOn) this.#timer = this.#clock.setTimeout(this.#look, windowMs);
    else this.dispose();
  };

  #begin(now: number): void {
    this.#windowFrom = now;
    this.#count = 0;
  }
}

/** Those on which puppeteer hears of a page, its frames and its workers. Its declarations leave out that of a frame. */
function sessionsOf(page: Page): ReadonlySet<CDPSession> {
  const frames = page.frames() as unknown as readonly (Frame & { readonly client: CDPSession })[];
  return new Set([...frames, ...page.workers()].map(({ client }) => client));
}

function listen(): void {
  return undefined;
}

/** What is gone holds on to nothing. */
function ignoreGone(): void {
  return undefined;
}
