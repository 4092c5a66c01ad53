import { dirname } from 'node:path';
import { timeLimit } from '../../clock.js';
import type { Failure } from '../../../machines/events.js';
import { toFailureData, ToolError, messageOf, Refusal } from '../../errors/errors.js';
import { LateAbort, untilAborted } from '../../async.js';
import type { BrowserConnection, BrowserObserver } from '../process/browserConnection.js';
import type { ResumeState, BrowserLease, BrowserBinding, LeaseDeps, LeaseUsage } from './browserLease.js';
import { LeaseActor, type LeaseActions } from './leaseActor.js';
import { LeasedBrowser } from './leasedBrowser.js';
import {
  createSessionPageState,
  describeRecovery,
  describeMove,
  withContextClosed,
  type PlacementRecord,
  type PageRecord,
  type SessionPageState,
} from './recovery.js';
import { QueuedWork, type OnQueued, type QueueOptions } from './waitQueue.js';
import {
  hasExtensions,
  openPlacement,
  type BrowserPlacement,
  type PlacementIsolation,
  type PlacementOptions,
} from './browserPlacement.js';

/** How long a browser may take to answer CDP Browser.getVersion, the cheapest command. */
const livenessTimeoutMs = 1_000;
const maxOpenAttempts = 3;
/** A page may kill the browser: after this many losses of one session its pages are reported, not reopened. */
const maxRestores = 3;

/**
 * The `BrowserLease` of one session. Made by the pool. It promises that concurrent calls share one opening, that a lost
 * browser is replaced by the next call, and that everything opened under it is closed when `release()` resolves. Its chart
 * (`machines/leaseMachine.ts`) decides what is opened and closed when; a lease that nobody uses runs none.
 */
export class SessionLease implements BrowserLease {
  readonly #deps: LeaseDeps;
  readonly #released = new LateAbort();
  /** Made at first use: most lazy leases are released without. */
  #usedPageState: SessionPageState | undefined;
  /** Closings under way: placements of lost browsers, hung processes. */
  readonly #closing = new Set<Promise<void>>();
  readonly #actor: LeaseActor;
  #opening: QueuedWork<LeasedBrowser> | undefined;
  #browser: LeasedBrowser | undefined;
  /** What to restore with the next browser. */
  #lost: PlacementRecord | undefined;
  #binding: BrowserBinding | undefined;
  #moving: QueuedWork<void> | undefined;
  /** From `release()` on. */
  #done: Promise<void> | undefined;
  #usedAt = 0;

  constructor(deps: LeaseDeps) {
    this.#deps = deps;
    this.#lost = deps.request.resume?.lost;
    this.#actor = new LeaseActor({ request: deps.request, inspect: deps.inspect, actions: () => this.#actions });
  }

  get current(): LeasedBrowser | undefined {
    return this.#browser;
  }

  get resumeState(): ResumeState | undefined {
    const lost = this.#browser?.placement.record() ?? this.#lost;
    const endpoint = this.#binding?.endpoint ?? this.#deps.request.resume?.endpoint;
    return lost && { endpoint, lost };
  }

  get usage(): LeaseUsage {
    const placement = this.#browser?.placement;
    const { isolation, connection, folder } = placement ?? {};
    const hasOwnProcess = isolation === 'process' && connection !== undefined;
    return {
      keptBytes: this.#usedPageState?.kept.bytes ?? 0,
      downloadBytes: placement?.downloads?.bytes ?? 0,
      process: hasOwnProcess ? connection.pid : undefined,
      // The temporary folder is beside the profile.
      folder: hasOwnProcess ? dirname(connection.temporaryFolder) : folder?.existing,
    };
  }

  get browserId(): string | undefined {
    return this.#binding?.browser.id;
  }

  async browser(signal?: AbortSignal, onQueued?: OnQueued): Promise<LeasedBrowser> {
    const browser = await this.#ensureOpen(signal, onQueued);
    this.#usedAt = this.#deps.clock.now();
    await untilAborted(browser.placement.pages.restoreDiscarded(), signal);
    return browser;
  }

  /** Closes pages that come back as they are with the next `browser()`, if that was called last before `time`. */
  async discardPages(time: number): Promise<void> {
    const placement = this.current?.placement;
    const isUnused = (): boolean => this.#usedAt < time;
    if (placement === undefined || !isUnused()) return;
    // Extensions receive events of tabs that close.
    if (placement.isolation === 'process' && (await hasExtensions(placement.connection.browser))) return;
    await placement.pages.discard(isUnused);
  }

  async #ensureOpen(signal?: AbortSignal, onQueued?: OnQueued): Promise<LeasedBrowser> {
    signal?.throwIfAborted();
    this.#released.signal.throwIfAborted();
    if (this.#browser !== undefined) return this.#ensureConnected(this.#browser, signal);
    if (this.#opening?.isAbandoned === true) {
      await untilAborted(this.#opening.settled, signal);
      return this.#ensureOpen(signal, onQueued);
    }
    if (this.#opening === undefined) this.#actor.want();
    if (this.#opening === undefined) throw leaseReleasedError();
    return this.#opening.wait(signal, onQueued);
  }

  async check(signal: AbortSignal): Promise<void> {
    const open = this.#browser;
    if (open === undefined) throw new Error('No browser is open.');
    try {
      await untilAborted(open.browser.version(), AbortSignal.any([signal, timeLimit(livenessTimeoutMs)]));
    } catch (error) {
      if (this.#browser === open) this.#actor.send({ type: 'browser.hung' });
      // A process of the session's own would hang again. A shared one stays: other sessions use it.
      if (open.isolation === 'process') this.#releaseBinding();
      throw error;
    }
  }

  release({ keepOpen } = { keepOpen: false }): Promise<void> {
    if (this.#done !== undefined) return this.#done;
    this.#released.abort(leaseReleasedError);
    this.#done = this.#releaseAll(keepOpen);
    this.#actor.send({ type: 'session.ended' });
    return this.#done;
  }

  get #pageState(): SessionPageState {
    return (this.#usedPageState ??= createSessionPageState(this.#deps.request.resume?.lost, this.#deps.sessionMemory));
  }

  get #actions(): LeaseActions {
    const { listener } = this.#deps;
    return {
      startOpening: () => (this.#opening = new QueuedWork((queue) => this.#open(queue))),
      startMove: () => (this.#moving = new QueuedWork((queue) => this.#move(queue))),
      keepRecord: () => (this.#lost = this.#close()?.record()),
      keepPages: () => {
        const record = this.#close({ keepOpen: true })?.record();
        this.#lost = record && withContextClosed(record);
      },
      dropPlacement: () => this.#close(),
      reportLost: () => listener.lost(),
      reportReady: () => listener.ready(),
      closeAll: () => this.#done ?? Promise.resolve(),
    };
  }

  #close(end?: { readonly keepOpen: boolean }): BrowserPlacement | undefined {
    const placement = this.#browser?.placement;
    this.#browser = undefined;
    if (placement !== undefined) this.#trackClosing(placement.close(end));
    return placement;
  }

  get #isolation(): PlacementIsolation {
    const { isolation } = this.#deps.request;
    if (isolation !== 'auto') return isolation;
    return this.#actor.isSettled ? 'process' : 'context';
  }

  /** A connection breaks before `disconnected` is reported: wait for that and return the replacement. */
  async #ensureConnected(browser: LeasedBrowser, signal: AbortSignal | undefined): Promise<LeasedBrowser> {
    if (browser.browser.connected) return browser;
    await untilAborted(browser.placement.connection.disconnected, signal);
    this.#onLost();
    return this.#ensureOpen(signal);
  }

  async #open(queue: QueueOptions): Promise<LeasedBrowser> {
    const lost = this.#lost;
    try {
      const placement = await this.#openPlacement(lost, queue);
      if (this.#released.signal.aborted) {
        await placement.close();
        throw leaseReleasedError();
      }
      if (lost !== undefined) this.#pageState.notices.unshift(describeRecovery(lost, placement.recovery));
      const browser = new LeasedBrowser(placement, this.#pageState, (...args) => this.#ensureProcess(...args));
      [this.#browser, this.#lost, this.#opening] = [browser, undefined, undefined];
      this.#actor.send({ type: 'placement.opened' });
      return browser;
    } catch (error) {
      this.#opening = undefined;
      this.#actor.send({ type: 'placement.failed' });
      throw this.#released.signal.aborted ? this.#released.signal.reason : asRefusal(error);
    }
  }

  /** A browser may die while the placement is opened in it: wait for its replacement and retry. */
  async #openPlacement(lost: PlacementRecord | undefined, queue: QueueOptions): Promise<BrowserPlacement> {
    const { signal } = this.#released;
    for (let attempt = 1; ; attempt += 1) {
      const connection = await this.#connect(lost, queue);
      // A page may be what killed the browser.
      const mayReopen = (record: PageRecord): boolean => attempt === 1 && this.#mayReopen(record);
      const { contextId, contexts, pages: restore = [] } = lost ?? {};
      const registerContext = this.#binding?.registerContext;
      const options = {
        isolation: this.#isolation,
        contextId,
        contexts,
        restore,
        mayReopen,
        registerContext: this.#contextRegistrar(registerContext),
      };
      try {
        const placement = await openPlacement({ ...this.#placementOptions, connection, ...options });
        if (connection.browser.connected && !signal.aborted) return placement;
        await placement.close();
        throw new Error('it exited while the session was set up');
      } catch (error) {
        if (signal.aborted || connection.browser.connected || attempt === maxOpenAttempts) throw error;
        await untilAborted(connection.disconnected, signal);
      }
    }
  }

  /** An unavailable browser is exchanged for another where the binding is replaceable. */
  async #connect(lost: PlacementRecord | undefined, queue: QueueOptions): Promise<BrowserConnection> {
    for (;;) {
      this.#binding ??= await this.#acquire(queue);
      const binding = this.#binding;
      try {
        return await binding.browser.connection(this.#released.signal);
      } catch (error) {
        if (binding.isReplaceable !== true || this.#released.signal.aborted) throw error;
        this.#binding = undefined;
        await binding.release(lost?.contextId);
      }
    }
  }

  #contextRegistrar(registerContext: BrowserBinding['registerContext']): PlacementOptions['registerContext'] {
    return registerContext && ((contextId) => registerContext(contextId, () => this.#onContextClosed(contextId)));
  }

  /** The tabs of a profile are the user's own affair; pages of extensions are gone with their extensions. */
  #mayReopen({ url }: PageRecord): boolean {
    return this.#isolation !== 'profile' && this.#actor.losses <= maxRestores && !url.startsWith('chrome-extension://');
  }

  get #placementOptions(): Pick<PlacementOptions, 'pageState' | 'ledger' | 'downloadRefusal'> {
    const { ledger, request } = this.#deps;
    return { pageState: this.#pageState, ledger, downloadRefusal: request.downloadRefusal };
  }

  #acquire(queue: QueueOptions): Promise<BrowserBinding> {
    if (this.#isolation === 'process') return this.#acquireProcess(queue);
    const signal = AbortSignal.any([queue.signal, this.#released.signal]);
    return this.#acquireObserved((observer) => this.#deps.acquireShared(observer, { ...queue, signal }));
  }

  #acquireProcess(queue: QueueOptions): Promise<BrowserBinding> {
    const signal = AbortSignal.any([queue.signal, this.#released.signal]);
    return this.#acquireObserved((observer) => this.#deps.acquireProcess(observer, { ...queue, signal }));
  }

  /** Observes only the current binding: not one that is being moved to or was released. */
  async #acquireObserved(acquire: (observer: BrowserObserver) => Promise<BrowserBinding>): Promise<BrowserBinding> {
    const acquired: { binding?: BrowserBinding } = {};
    const whenInUse = (notify: () => unknown) => (): void => {
      if (acquired.binding !== undefined && this.#binding === acquired.binding) notify();
    };
    acquired.binding = await acquire({
      lost: whenInUse(() => this.#onLost()),
      ready: whenInUse(() => this.#actor.isRestorable && this.#deps.listener.ready()),
      // When the first opening fails, the caller gets the error, not the listener.
      failed: (failure) => whenInUse(() => this.#actor.isRestorable && this.#onFailed(failure))(),
    });
    return acquired.binding;
  }

  /** If replaceable, another browser is opened immediately; the session continues with it or fails. */
  #onFailed(failure: Failure): void {
    const { listener } = this.#deps;
    if (this.#binding?.isReplaceable !== true) {
      listener.failed(failure);
      return;
    }
    const unlessReleased = (notify: () => void): void => (this.#released.signal.aborted ? undefined : notify());
    this.browser().then(
      () => unlessReleased(() => listener.ready()),
      (error: unknown) => unlessReleased(() => listener.failed(toFailureData(error, 'browser_failed'))),
    );
  }

  #onLost(): void {
    if (this.#browser !== undefined) this.#actor.send({ type: 'browser.lost' });
  }

  /** Another node closed the context. The browser itself is alive. */
  #onContextClosed(contextId: string): void {
    if (this.#browser?.context.id === contextId) this.#actor.send({ type: 'context.closed' });
  }

  #releaseBinding(): void {
    const releasing = this.#binding?.release();
    this.#binding = undefined;
    if (releasing !== undefined) this.#trackClosing(releasing);
  }

  /** `release()` waits for it. */
  #trackClosing(closing: Promise<void>): void {
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
  }

  async #ensureProcess(signal: AbortSignal, onQueued?: OnQueued): Promise<void> {
    if (this.#isolation !== 'context') return;
    if (this.#deps.request.isolation !== 'auto') throw new ToolError(describeRefusedMove(this.#deps.mode));
    if (this.#moving?.isAbandoned === true) {
      await untilAborted(this.#moving.settled, signal);
      return this.#ensureProcess(signal, onQueued);
    }
    if (this.#moving === undefined) this.#actor.send({ type: 'move.wanted' });
    if (this.#moving === undefined) throw leaseReleasedError();
    await this.#moving.wait(signal, onQueued);
  }

  async #move(queue: QueueOptions): Promise<void> {
    try {
      await this.#openProcess(queue);
    } catch (error) {
      this.#actor.send({ type: 'move.failed' });
      throw error;
    } finally {
      this.#moving = undefined;
    }
  }

  async #openProcess(queue: QueueOptions): Promise<void> {
    const browser = this.current;
    if (browser === undefined) throw new ToolError('The browser was lost. Call the tool again.');
    const binding = await this.#acquireProcess(queue);
    try {
      const connection = await binding.browser.connection(this.#released.signal);
      const restore = browser.placement.pages.records();
      const placement = await openPlacement({ ...this.#placementOptions, connection, isolation: 'process', restore });
      if (this.current !== browser) {
        await placement.close();
        throw new ToolError('The browser was lost while the session moved. Call the tool again.');
      }
      await this.#completeMove(browser, placement, binding);
    } catch (error) {
      if (this.#binding !== binding) await binding.release();
      throw error;
    }
  }

  async #completeMove(browser: LeasedBrowser, placement: BrowserPlacement, binding: BrowserBinding): Promise<void> {
    const [oldPlacement, oldBinding] = [browser.placement, this.#binding];
    this.#binding = binding;
    this.#actor.send({ type: 'move.completed' });
    browser.moveTo(placement);
    this.#pageState.notices.push(describeMove(oldPlacement.pages.records()));
    await oldPlacement.close();
    await oldBinding?.release();
  }

  async #releaseAll(keepOpen: boolean): Promise<void> {
    const [opening, browser, lost] = [this.#opening, this.#browser, this.#lost];
    this.#browser = undefined;
    // Both settle soon, since their signal is aborted, and close what they opened.
    await opening?.settled;
    await this.#moving?.settled;
    await browser?.placement.close({ keepOpen });
    await Promise.all(this.#closing);
    await this.#binding?.release(keepOpen ? undefined : lost?.contextId);
    this.#deps.onReleased();
  }
}

const leaseReleasedError = (): Error => new Error('The session has ended and its browser is released.');

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  return new Refusal('browser_failed', { detail: `The browser failed: ${messageOf(error)}` }, { cause: error });
}

function describeRefusedMove(mode: 'launch' | 'attach'): string {
  const flag = mode === 'launch' ? '--isolation auto (or process)' : '--isolation profile';
  return `This tool needs a browser process or profile of its own, and the server runs with --isolation context. Start it with ${flag}.`;
}
