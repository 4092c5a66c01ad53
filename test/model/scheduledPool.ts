import type { BrowserLease, BrowserPool, LeaseListener, LeaseRequest } from '../../src/browser/pool/browserLease.js';
import type { SessionBrowser } from '../../src/browser/pool/sessionBrowser.js';

/** What a session waits for while it is set up and released. */
export type Step = 'tools' | 'check' | 'claim' | 'browser' | 'release';

/** A browser pool whose every step waits for its turn, and may fail there. Counts what it opened and closed. */
export class ScheduledPool implements BrowserPool {
  readonly opened: string[] = [];
  readonly closed: string[] = [];
  readonly isFull = false;
  readonly #listeners = new Map<string, LeaseListener>();
  readonly #lost = new Set<string>();
  readonly #losses = new Map<string, () => boolean>();
  readonly #step: (sessionId: string, name: Step) => Promise<void>;

  constructor(step: (sessionId: string, name: Step) => Promise<void>) {
    this.#step = step;
  }

  lease({ sessionId }: LeaseRequest, listener: LeaseListener): BrowserLease {
    this.#listeners.set(sessionId, listener);
    let isReleased = false;
    let isOpen = false;
    let opening: Promise<SessionBrowser> | undefined;
    const close = (): boolean => {
      const wasOpen = isOpen;
      if (wasOpen) this.closed.push(sessionId);
      isOpen = false;
      opening = undefined;
      return wasOpen;
    };
    const open = async (): Promise<SessionBrowser> => {
      await this.#step(sessionId, 'browser');
      this.opened.push(sessionId);
      this.#lost.delete(sessionId);
      isOpen = true;
      if (isReleased) close();
      return { ensureFirstPage: () => Promise.resolve() } as unknown as SessionBrowser;
    };
    const release = (): Promise<void> => {
      isReleased = true;
      close();
      this.#listeners.delete(sessionId);
      return this.#step(sessionId, 'release');
    };
    this.#losses.set(sessionId, close);
    const check = (): Promise<void> =>
      this.#step(sessionId, 'check').catch((error: unknown) => {
        close();
        throw error;
      });
    return { current: undefined, browserId: undefined, browser: () => (opening ??= open()), check, release };
  }

  /** Only what is open can be lost. */
  lose(sessionId: string): void {
    if (this.#losses.get(sessionId)?.() !== true) return;
    this.#lost.add(sessionId);
    this.#listeners.get(sessionId)?.lost();
  }

  /** A browser is there again after `lose`. */
  recover(sessionId: string): void {
    if (this.#lost.delete(sessionId)) this.#listeners.get(sessionId)?.ready();
  }

  health() {
    return { total: 0, ready: 0, connecting: 0, lost: 0, failed: 0, contexts: 0, queued: 0 };
  }

  memory(): Promise<null> {
    return Promise.resolve(null);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
