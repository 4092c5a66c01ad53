import { dirname } from 'node:path';
import { timeLimit } from '../../clock.js';
import type { Failure } from '../../../machines/events.js';
import { toFailureData, ToolError, messageOf, Refusal } from '../../errors/errors.js';
import { untilAborted } from '../../async.js';
import type { BrowserConnection, BrowserObserver } from '../process/browserConnection.js';
import type { ResumeState, BrowserLease, BrowserBinding, LeaseDeps, LeaseUsage } from './browserLease.js';
import { LeasedBrowser } from './leasedBrowser.js';
import {
  describeRecovery,
  pagesReopenedNotice,
  withContextClosed,
  type PlacementRecord,
  type PageRecord,
} from './recovery.js';
import { createSessionPageState, type SessionPageState } from './sessionPageState.js';
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
/** A page may be what kills the browser: after this many losses of one session its pages are reported, not reopened. */
const maxRestores = 3;

/**
 * The `BrowserLease` of one session. Made by the pool. It promises that concurrent calls share one opening, that a lost
 * browser is replaced by the next call, and that everything opened under it is closed when `release()` resolves.
 *
 *     idle ──browser()──> opening ──> open ──lost──> lost ──browser()──> opening ──> …
 *       ^                   │          │
 *       └──opening failed───┘          └──auto: ensureProcess()──> open in a process of its own
 *
 *     release() from any state: abort what opens ─> close the placement ─> release the binding ─> released
 */
export class SessionLease implements BrowserLease {
  readonly #deps: LeaseDeps;
  readonly #pageState: SessionPageState;
  readonly #released = new AbortController();
  /** Closings under way: placements of lost browsers, hung processes. */
  readonly #closing = new Set<Promise<void>>();
  #state: LeaseState = { kind: 'idle' };
  #binding: BrowserBinding | undefined;
  #isolation: PlacementIsolation;
  #moving: QueuedWork<void> | undefined;
  #lossCount = 0;
  #usedAt = 0;

  constructor(deps: LeaseDeps) {
    this.#deps = deps;
    const { request, sessionMemory } = deps;
    const { isolation, resume } = request;
    this.#isolation = isolation === 'auto' ? 'context' : isolation;
    this.#pageState = createSessionPageState(resume?.lost, sessionMemory);
    if (resume !== undefined) this.#state = { kind: 'lost', lost: resume.lost };
  }

  get current(): LeasedBrowser | undefined {
    return this.#state.kind === 'open' ? this.#state.browser : undefined;
  }

  get resumeState(): ResumeState | undefined {
    const lost = this.#state.kind === 'open' ? this.#state.browser.placement.record() : recordToRestore(this.#state);
    const endpoint = this.#binding?.endpoint ?? this.#deps.request.resume?.endpoint;
    return lost && { endpoint, lost };
  }

  get usage(): LeaseUsage {
    const placement = this.current?.placement;
    const { isolation, connection, folder } = placement ?? {};
    const hasOwnProcess = isolation === 'process' && connection !== undefined;
    return {
      keptBytes: this.#pageState.kept.bytes,
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
    // What happens to tabs is told to extensions.
    if (placement.isolation === 'process' && (await hasExtensions(placement.connection.browser))) return;
    await placement.pages.discard(isUnused);
  }

  async #ensureOpen(signal?: AbortSignal, onQueued?: OnQueued): Promise<LeasedBrowser> {
    signal?.throwIfAborted();
    this.#released.signal.throwIfAborted();
    if (this.#state.kind === 'open') return this.#ensureConnected(this.#state.browser, signal);
    if (this.#state.kind === 'opening' && this.#state.opening.isAbandoned) {
      await untilAborted(this.#state.opening.settled, signal);
      return this.#ensureOpen(signal, onQueued);
    }
    if (this.#state.kind === 'idle' || this.#state.kind === 'lost') {
      const from = this.#state;
      this.#state = { kind: 'opening', from, opening: new QueuedWork((queue) => this.#open(from, queue)) };
    }
    if (this.#state.kind !== 'opening') throw leaseReleasedError();
    return this.#state.opening.wait(signal, onQueued);
  }

  async check(signal: AbortSignal): Promise<void> {
    const open = this.#state;
    if (open.kind !== 'open') throw new Error('No browser is open.');
    try {
      await untilAborted(open.browser.browser.version(), AbortSignal.any([signal, timeLimit(livenessTimeoutMs)]));
    } catch (error) {
      if (this.#state === open) this.#state = { kind: 'idle' };
      this.#trackClosing(open.browser.placement.close());
      // A process of the session's own would hang again. A shared one stays: other sessions use it.
      if (open.browser.isolation === 'process') this.#releaseBinding();
      throw error;
    }
  }

  release({ keepOpen } = { keepOpen: false }): Promise<void> {
    if (this.#state.kind === 'released') return this.#state.done;
    const previous = this.#state;
    this.#released.abort(leaseReleasedError());
    const done = this.#releaseAll(previous, keepOpen);
    this.#state = { kind: 'released', done };
    return done;
  }

  /** A connection breaks before `disconnected` is reported: wait for that and return the replacement. */
  async #ensureConnected(browser: LeasedBrowser, signal: AbortSignal | undefined): Promise<LeasedBrowser> {
    if (browser.browser.connected) return browser;
    await untilAborted(browser.placement.connection.disconnected, signal);
    this.#onLost();
    return this.#ensureOpen(signal);
  }

  /** Sets the state while it is `opening`; only `release()` may do so too. */
  async #open(from: UnopenedState, queue: QueueOptions): Promise<LeasedBrowser> {
    try {
      const placement = await this.#openPlacement(from.kind === 'lost' ? from.lost : undefined, queue);
      if (from.kind === 'lost') this.#pageState.notices.unshift(describeRecovery(from.lost, placement.recovery));
      const browser = new LeasedBrowser(placement, this.#pageState, (...args) => this.#ensureProcess(...args));
      this.#state = { kind: 'open', browser };
      return browser;
    } catch (error) {
      if (this.#state.kind === 'opening') this.#state = from;
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
    return this.#isolation !== 'profile' && this.#lossCount <= maxRestores && !url.startsWith('chrome-extension://');
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
      ready: whenInUse(() => this.#isLost() && this.#deps.listener.ready()),
      failed: (failure) => whenInUse(() => this.#isLost() && this.#onFailed(failure))(),
    });
    return acquired.binding;
  }

  /** When the first opening fails, the caller gets the error, not the listener. */
  #isLost(): boolean {
    return recordToRestore(this.#state) !== undefined;
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
    if (this.#state.kind !== 'open') return;
    const { browser } = this.#state;
    this.#lossCount += 1;
    this.#state = { kind: 'lost', lost: browser.placement.record() };
    this.#trackClosing(browser.placement.close());
    this.#deps.listener.lost();
  }

  /** Another node closed the context. The browser itself is alive. */
  #onContextClosed(contextId: string): void {
    if (this.#state.kind !== 'open' || this.#state.browser.context.id !== contextId) return;
    const { placement } = this.#state.browser;
    this.#state = { kind: 'lost', lost: withContextClosed(placement.record()) };
    this.#trackClosing(placement.close({ keepOpen: true }));
    this.#deps.listener.lost();
    this.#deps.listener.ready();
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
    this.#moving ??= new QueuedWork((queue) => this.#move(queue).finally(() => (this.#moving = undefined)));
    await this.#moving.wait(signal, onQueued);
  }

  async #move(queue: QueueOptions): Promise<void> {
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
    this.#isolation = 'process';
    browser.moveTo(placement);
    this.#pageState.notices.push(
      'The session moved to a browser process and profile of its own, which this tool needs.' +
        (oldPlacement.pages.list().length === 0 ? '' : ` ${pagesReopenedNotice}`),
    );
    await oldPlacement.close();
    await oldBinding?.release();
  }

  async #releaseAll(previous: LeaseState, keepOpen: boolean): Promise<void> {
    // Both settle soon, since their signal is aborted, and close what they opened.
    if (previous.kind === 'opening') await previous.opening.settled;
    await this.#moving?.settled;
    if (previous.kind === 'open') await previous.browser.placement.close({ keepOpen });
    await Promise.all(this.#closing);
    await this.#binding?.release(keepOpen ? undefined : recordToRestore(previous)?.contextId);
    this.#deps.onReleased();
  }
}

type UnopenedState =
  /** Nothing is open: not requested yet, or opening failed. */
  | { readonly kind: 'idle' }
  /** The session had a browser, and it died or cannot be reached. */
  | { readonly kind: 'lost'; readonly lost: PlacementRecord };

/** The state of a lease. */
type LeaseState =
  | UnopenedState
  | { readonly kind: 'opening'; readonly from: UnopenedState; readonly opening: QueuedWork<LeasedBrowser> }
  | { readonly kind: 'open'; readonly browser: LeasedBrowser }
  | { readonly kind: 'released'; readonly done: Promise<void> };

/** The placement to restore, if any. */
function recordToRestore(state: LeaseState): PlacementRecord | undefined {
  const from = state.kind === 'opening' ? state.from : state;
  return from.kind === 'lost' ? from.lost : undefined;
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
