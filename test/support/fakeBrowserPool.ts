import type { Failure } from '../../machines/events.js';
import type { BrowserLease, BrowserPool, LeaseListener, LeaseRequest } from '../../src/browser/pool/browserLease.js';
import type { SessionBrowser } from '../../src/browser/pool/sessionBrowser.js';
import { AddressPolicy } from '../../src/browser/policy/addressPolicy.js';
import { Refusal, type Reason } from '../../src/errors/errors.js';

interface PendingLease {
  readonly sessionId: string;
  releaseLeases(): void;
  fail(reason: Reason, detail: string): void;
}

/**
 * A browser pool whose doors the test holds: with `hold()` leases wait until `open()` or `fail()`. Counts what it opened and
 * closed, also what opened late, so that a test can compare the two.
 */
export class FakeBrowserPool implements BrowserPool {
  readonly opened: string[] = [];
  readonly closed: string[] = [];
  readonly #loseCallbacks = new Map<string, () => void>();
  /** What a session's lease says of its browser's actor. */
  readonly browserIds = new Map<string, string>();
  readonly listeners = new Map<string, LeaseListener>();
  /** What becomes of asking a browser for a sign of life; without it, it gives one. */
  onCheck: ((sessionId: string) => Promise<void>) | undefined;
  /** Whether `close()` was called: the last thing that an orchestrator does. */
  isClosed = false;
  isFull = false;
  #holding = false;
  #waiting: PendingLease[] = [];
  #arrivals: (() => void)[] = [];

  holdLeases(): void {
    this.#holding = true;
  }

  get waiting(): readonly PendingLease[] {
    return this.#waiting;
  }

  /** Resolves when `count` leases wait at the held door. */
  async whenWaiting(count = 1): Promise<void> {
    while (this.#waiting.length < count) await new Promise<void>((resolve) => this.#arrivals.push(resolve));
  }

  releaseLeases(): void {
    this.#holding = false;
    for (const lease of this.#waiting.splice(0)) lease.releaseLeases();
  }

  failLeases(reason: Reason, detail: string): void {
    for (const lease of this.#waiting.splice(0)) lease.fail(reason, detail);
  }

  loseBrowser(sessionId: string): void {
    this.#loseCallbacks.get(sessionId)?.();
    this.listeners.get(sessionId)?.lost();
  }

  /** A browser is there again after `lose`. */
  recoverBrowser(sessionId: string): void {
    this.listeners.get(sessionId)?.ready();
  }

  failBrowser(sessionId: string, failure: Failure): void {
    this.listeners.get(sessionId)?.failed(failure);
  }

  lease(request: LeaseRequest, listener: LeaseListener): BrowserLease {
    const { sessionId } = request;
    const { browserIds } = this;
    this.listeners.set(sessionId, listener);
    let opening: Promise<SessionBrowser> | undefined;
    let released = false;
    let isOpen = false;
    const open = (): SessionBrowser => {
      this.opened.push(sessionId);
      isOpen = true;
      // Released while it was being opened: a late arrival is closed, not handed out.
      if (released) close();
      return fakeBrowser;
    };
    const close = (): void => {
      if (isOpen) this.closed.push(sessionId);
      isOpen = false;
      opening = undefined;
    };
    this.#loseCallbacks.set(sessionId, close);
    return {
      current: undefined,
      get browserId() {
        return isOpen ? browserIds.get(sessionId) : undefined;
      },
      browser: () => (opening ??= this.#holding ? this.#wait(sessionId, open) : Promise.resolve(open())),
      check: () =>
        (this.onCheck?.(sessionId) ?? Promise.resolve()).catch((error: unknown) => {
          close();
          throw error;
        }),
      release: () => {
        released = true;
        close();
        this.listeners.delete(sessionId);
        return Promise.resolve();
      },
    };
  }

  health() {
    const total = this.opened.length - this.closed.length;
    return { total, ready: total, connecting: this.#waiting.length, lost: 0, failed: 0, contexts: total, queued: 0 };
  }

  memory(): Promise<number | null> {
    return Promise.resolve(null);
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }

  #wait(sessionId: string, open: () => SessionBrowser): Promise<SessionBrowser> {
    return new Promise((resolve, reject) => {
      const failLeases = (reason: Reason, detail: string): void => reject(new Refusal(reason, { detail }));
      this.#waiting.push({ sessionId, releaseLeases: () => resolve(open()), fail: failLeases });
      for (const arrived of this.#arrivals.splice(0)) arrived();
    });
  }
}

/** A session without pages, so without anything that it may not see or that could be paused. */
export const noPages = {
  addresses: new AddressPolicy(),
  pages: () => [],
  debugger: { unlessStalled: (signal: AbortSignal, work: (signal: AbortSignal) => unknown) => work(signal) },
};

const fakeBrowser: SessionBrowser = new Proxy({} as SessionBrowser, {
  get: (_target, name) => {
    // A promise asks every value it resolves with for `then`.
    if (name === 'then') return undefined;
    if (name === 'isAlive') return true;
    if (name === 'ensureFirstPage') return () => Promise.resolve();
    if (name in noPages) return Reflect.get(noPages, name);
    throw new Error(`The fake browser has no ${String(name)}.`);
  },
});
