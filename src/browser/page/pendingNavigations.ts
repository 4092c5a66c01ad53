import type { CDPSession, Protocol } from 'puppeteer-core';
import { systemClock, type Clock } from '../../clock.js';
import { noop } from '../../async.js';

/** How long a server may take to answer a navigation, unless the tool has its own limit. */
export const answerTimeoutMs = 15_000;

/** Navigations that an answer tells of. */
const maxStopped = 10;

/** A navigation that was stopped because no answer came. */
export interface StoppedNavigation {
  readonly url: string;
  readonly ms: number;
}

interface PendingNavigation {
  readonly session: CDPSession;
  readonly loaderId: string;
  /** The latest one, after redirects. */
  url: string;
  readonly startedAt: number;
  /** Whether a request was sent; without one the frame's own report ends the navigation. */
  isRequested: boolean;
  timer: unknown;
}

export interface PendingNavigationsOptions {
  /** The page's own session. */
  readonly root: CDPSession;
  /** While a dialog or a pause is open, the page waits for that and not for a server. */
  readonly isInterrupted: () => boolean;
  readonly clock?: Clock;
}

/**
 * The navigations of a page and of its out-of-process frames that wait for a server's answer. Until then Chrome holds
 * back every command for the renderer, such as Runtime.evaluate. One without an answer is therefore stopped at a limit
 * (CDP Page.stopLoading). Owned by its page, which disposes it; needs `Page.enable` and `Network.enable`.
 *
 *     Page.frameStartedNavigating ──> pending ── answer ──> Page.frameNavigated
 *                                        ├────── failure ──> Network.loadingFailed
 *                                        └────── limit ────> Page.stopLoading
 */
export class PendingNavigations {
  readonly #options: PendingNavigationsOptions;
  readonly #clock: Clock;
  /** By frame: the outermost frame of each session. */
  readonly #pending = new Map<string, PendingNavigation>();
  #limitMs = answerTimeoutMs;
  /** By loader id: one may be stopped again before Chrome reports its end. */
  readonly #stopped = new Map<string, StoppedNavigation>();
  #waiters: (() => void)[] = [];
  readonly #beginWatchers = new Set<() => void>();

  constructor(options: PendingNavigationsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Watches the outermost frame of a session. */
  watch(session: CDPSession, outermostFrame: () => string): void {
    session.on('Page.frameStartedNavigating', (event) => {
      if (event.frameId === outermostFrame()) this.#begin(session, event);
    });
    session.on('Network.requestWillBeSent', ({ requestId, frameId, request }) => {
      const pending = this.#pending.get(frameId ?? '');
      if (pending?.loaderId !== requestId) return;
      pending.isRequested = true;
      pending.url = request.url;
    });
    session.on('Page.frameNavigated', ({ frame }) =>
      this.#end(frame.id, ({ loaderId }) => loaderId === frame.loaderId),
    );
    session.on('Network.loadingFailed', ({ requestId }) => {
      for (const [frameId, { loaderId }] of this.#pending) if (loaderId === requestId) this.#end(frameId);
    });
    session.on('Page.frameStoppedLoading', ({ frameId }) => this.#end(frameId, ({ isRequested }) => !isRequested));
  }

  /** Forgets the frame of a session that is gone. */
  forget(frameId: string): void {
    this.#end(frameId);
  }

  /** Whether the page itself waits for an answer. */
  get isPending(): boolean {
    return this.#find(this.#options.root) !== undefined;
  }

  /** Whether commands for this session's renderer are held back. */
  blocks(session: CDPSession): boolean {
    return this.#find(session) !== undefined;
  }

  /** The result of `work`. Rejects as soon as the session's frame begins to wait, unless it is the page itself. */
  async unlessBlocked<T>(session: CDPSession, work: Promise<T>): Promise<T> {
    if (session === this.#options.root) return work;
    let onBlocked = (): void => undefined;
    const blocked = new Promise<never>((_, reject) => {
      onBlocked = () => {
        if (this.blocks(session)) reject(new Error('The frame waits for its server.'));
      };
    });
    this.#beginWatchers.add(onBlocked);
    try {
      onBlocked();
      return await Promise.race([work, blocked]);
    } finally {
      this.#beginWatchers.delete(onBlocked);
    }
  }

  /** Resolves when the page waits for no answer, at the latest when its navigation is stopped. */
  async ended(): Promise<void> {
    while (this.isPending) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Stops the page's navigation if one is pending. Never rejects. */
  async stop(): Promise<void> {
    const pending = this.#find(this.#options.root);
    if (pending !== undefined) await this.#stop(pending);
  }

  /** Uses another limit while `run` runs. Applies to navigations that start meanwhile. */
  async withLimit<T>(limitMs: number, run: () => Promise<T>): Promise<T> {
    const previous = this.#limitMs;
    this.#limitMs = limitMs;
    try {
      return await run();
    } finally {
      this.#limitMs = previous;
    }
  }

  /** Removes and returns the navigations that were stopped since the last call. */
  takeStopped(): readonly StoppedNavigation[] {
    const stopped = [...this.#stopped.values()];
    this.#stopped.clear();
    return stopped;
  }

  dispose(): void {
    for (const frameId of [...this.#pending.keys()]) this.#end(frameId);
  }

  #begin(session: CDPSession, { frameId, loaderId, url, navigationType }: Protocol.Page.FrameStartedNavigatingEvent) {
    if (navigationType === 'sameDocument' || navigationType === 'historySameDocument') return;
    this.#clock.clearTimeout(this.#pending.get(frameId)?.timer);
    const startedAt = this.#clock.now();
    const pending: PendingNavigation = { session, loaderId, url, startedAt, isRequested: false, timer: undefined };
    this.#pending.set(frameId, pending);
    this.#stopAt(pending, this.#limitMs);
    for (const onBegin of this.#beginWatchers) onBegin();
  }

  #stopAt(pending: PendingNavigation, ms: number): void {
    pending.timer = this.#clock.setTimeout(() => {
      if (this.#options.isInterrupted()) this.#stopAt(pending, ms);
      else void this.#stop(pending);
    }, ms);
  }

  async #stop({ session, loaderId, url, startedAt }: PendingNavigation): Promise<void> {
    const { root } = this.#options;
    if (session === root && this.#stopped.size < maxStopped && !this.#stopped.has(loaderId))
      this.#stopped.set(loaderId, { url, ms: this.#clock.now() - startedAt });
    // The page's own process stops all of its frames.
    await root.send('Page.stopLoading').catch(noop);
  }

  #end(frameId: string, isMeant: (pending: PendingNavigation) => boolean = () => true): void {
    const pending = this.#pending.get(frameId);
    if (pending === undefined || !isMeant(pending)) return;
    this.#clock.clearTimeout(pending.timer);
    this.#pending.delete(frameId);
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #find(session: CDPSession): PendingNavigation | undefined {
    return [...this.#pending.values()].find((pending) => pending.session === session);
  }
}
