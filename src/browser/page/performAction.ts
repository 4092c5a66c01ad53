import type { CDPEvents, CDPSession, Protocol } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { untilAborted } from '../../async.js';
import { untilQuiet } from '../cdp/injectedFunctions.js';
import type { OpenDialog } from './dialogs.js';
import type { SessionPage } from './sessionPage.js';

/** A page without changes for this long is settled: longer than the timers that scripts use to defer rendering. */
const quietMs = 60;
const settleTimeoutMs = 3_000;
const maxRounds = 50;

/** The consequences of an action. */
export interface ActionOutcome {
  /** URL of the new document. */
  readonly navigated: string | undefined;
  /** The open dialog, which blocks the action and the page until it is handled. */
  readonly dialog: OpenDialog | undefined;
  readonly opened: readonly string[];
  readonly download: string | undefined;
  /** False when the page was still busy at the limit. */
  readonly settled: boolean;
  /** The page is closed, by the action or because its browser died. */
  readonly closed: boolean;
}

export interface ActionResult<T> {
  /** Undefined when a dialog opened first. */
  readonly value: T | undefined;
  readonly outcome: ActionOutcome;
}

export interface SettleOptions {
  readonly limitMs?: number;
  /** Waits only if a load or a request has started when `work` is done: for actions that rarely have consequences. */
  readonly onlyIfStarted?: boolean;
}

/**
 * Runs `work` and waits until the page has settled: the loads and requests that started have ended and the documents
 * did not change for a moment, bounded by `limitMs`. Driven by events only. A dialog ends the wait immediately, and
 * `work` stops at its next step. Rejects with the signal's reason when aborted, otherwise with the error of `work`.
 *
 *     work ──> loads and requests idle ──> documents quiet ──> nothing new started? ──yes──> settled
 *                    ^                                               │
 *                    └──────────────────────no───────────────────────┘
 *     at any time: dialog ──> outcome.dialog   limit ──> settled: false   page closed ──> closed: true
 */
export async function performAction<T>(
  page: SessionPage,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
  { limitMs = settleTimeoutMs, onlyIfStarted = false }: SettleOptions = {},
): Promise<ActionResult<T>> {
  const activity = new PageActivity(page.frames.sessions(), page.frames.mainId);
  const finished = new AbortController();
  const cancelled = AbortSignal.any([signal, finished.signal]);
  // A closed page or dead browser never reports the end of what it started.
  const stopped = AbortSignal.any([cancelled, page.closedSignal]);
  let value: T | undefined;
  const outcome = (settled: boolean, dialog?: OpenDialog): ActionOutcome => ({
    navigated: activity.navigated,
    dialog,
    opened: activity.opened,
    download: activity.download,
    settled,
    closed: page.isClosed,
  });
  const steps = async (): Promise<ActionOutcome> => {
    try {
      value = await work(stopped);
    } catch (error) {
      // A page that closes itself does not answer its last commands.
      if (cancelled.aborted || !page.isClosed) throw error;
    }
    if (onlyIfStarted && activity.changes === 0) return outcome(true);
    return outcome(await settle(page, activity, cancelled, limitMs));
  };
  try {
    const end = await page.dialogs.runUntilDialog(
      () => untilAborted(steps(), signal),
      (dialog) => outcome(false, dialog),
    );
    return { value, outcome: end };
  } finally {
    // Not an error: it cancels the remaining steps.
    finished.abort();
    activity.dispose();
  }
}

/** Whether the page settled within the limit. Rejects with the signal's reason only. */
async function settle(
  page: SessionPage,
  activity: PageActivity,
  signal: AbortSignal,
  limitMs: number,
): Promise<boolean> {
  const limit = timeLimit(limitMs);
  // A closed page or dead browser never reports the end of what it started.
  const cancelled = AbortSignal.any([signal, limit, page.closedSignal]);
  try {
    for (let round = 0; round < maxRounds && !page.isClosed; round++) {
      await untilAborted(activity.idle(), cancelled);
      const before = activity.changes;
      const quiet = await untilAborted(areDocumentsQuiet(page, limitMs), cancelled);
      if (quiet && !activity.busy && activity.changes === before) return true;
    }
    return page.isClosed;
  } catch (error) {
    signal.throwIfAborted();
    if (page.isClosed) return true;
    if (limit.aborted) return false;
    throw error;
  }
}

/** False when a document was replaced meanwhile: the next round waits for the new one. */
async function areDocumentsQuiet(page: SessionPage, limitMs: number): Promise<boolean> {
  try {
    await Promise.all(
      page.frames.frameSessions().map((root) => page.callInIsolatedWorld(untilQuiet, [quietMs, limitMs], root)),
    );
    return true;
  } catch {
    return false;
  }
}

/** The resource types that a result may depend on. Not streams, beacons and images. */
const awaitedTypes: ReadonlySet<Protocol.Network.ResourceType> = new Set(['Stylesheet', 'Script', 'XHR', 'Fetch']);

interface PendingRequest {
  /** The document of the request. */
  readonly loaderId: string;
  readonly session: CDPSession;
}

/**
 * Tracks the pending loads and requests of a page and its present out-of-process frames. Owned by its action, which
 * disposes it. Needs `Page.enable` and `Network.enable` on the sessions; the first one is the page's own.
 */
export class PageActivity {
  /** URLs of windows that the page opened. */
  readonly opened: string[] = [];
  /** URL of a download that the page started. */
  download: string | undefined;
  #navigated: string | undefined;
  #changes = 0;
  readonly #loading = new Set<string>();
  /** By request id. */
  readonly #requests = new Map<string, PendingRequest>();
  #idleWaiters: (() => void)[] = [];
  readonly #removeListeners: (() => void)[] = [];

  constructor(sessions: readonly CDPSession[], mainFrameId: string) {
    for (const session of sessions) {
      this.#watchLoads(session, mainFrameId);
      this.#watchRequests(session);
      this.#on(session, 'Target.detachedFromTarget', ({ sessionId }) => this.#onSessionDetached(sessionId));
    }
  }

  /** URL of the page's new document, if any. */
  get navigated(): string | undefined {
    return this.#navigated;
  }

  /** The number of loads, requests and navigations that started. */
  get changes(): number {
    return this.#changes;
  }

  get busy(): boolean {
    return this.#loading.size > 0 || this.#requests.size > 0;
  }

  /** Resolves when no load or request is pending. */
  idle(): Promise<void> {
    return this.busy ? new Promise((resolve) => this.#idleWaiters.push(resolve)) : Promise.resolve();
  }

  dispose(): void {
    for (const stop of this.#removeListeners) stop();
    for (const resolve of this.#idleWaiters) resolve();
  }

  #watchLoads(cdp: CDPSession, mainFrameId: string): void {
    // The load starts later, unless it is cancelled.
    this.#on(cdp, 'Page.frameRequestedNavigation', () => this.#changes++);
    this.#on(cdp, 'Page.frameStartedLoading', ({ frameId }) => {
      this.#changes++;
      this.#loading.add(frameId);
    });
    this.#on(cdp, 'Page.frameStoppedLoading', ({ frameId }) => this.#endLoad(frameId));
    this.#on(cdp, 'Page.frameDetached', ({ frameId }) => this.#endLoad(frameId));
    this.#on(cdp, 'Page.frameNavigated', ({ frame }) => this.#onNavigated(frame));
    this.#on(cdp, 'Page.navigatedWithinDocument', ({ frameId, url }) => {
      if (frameId === mainFrameId) this.#navigated = url;
    });
    this.#on(cdp, 'Page.windowOpen', ({ url }) => this.opened.push(url));
    this.#on(cdp, 'Page.downloadWillBegin', ({ url }) => (this.download = url));
  }

  #watchRequests(cdp: CDPSession): void {
    this.#on(cdp, 'Network.requestWillBeSent', ({ requestId, loaderId, type }) => {
      if (type === undefined || !awaitedTypes.has(type)) return;
      this.#changes++;
      this.#requests.set(requestId, { loaderId, session: cdp });
    });
    this.#on(cdp, 'Network.responseReceived', ({ requestId, response }) => {
      if (response.mimeType === 'text/event-stream') this.#endRequest(requestId);
    });
    this.#on(cdp, 'Network.loadingFinished', ({ requestId }) => this.#endRequest(requestId));
    this.#on(cdp, 'Network.loadingFailed', ({ requestId }) => this.#endRequest(requestId));
  }

  #on<E extends keyof CDPEvents>(cdp: CDPSession, event: E, listener: (event: CDPEvents[E]) => void): void {
    cdp.on(event, listener);
    this.#removeListeners.push(() => cdp.off(event, listener));
  }

  #endLoad(frameId: string): void {
    this.#loading.delete(frameId);
    this.#resolveIfIdle();
  }

  #endRequest(requestId: string): void {
    this.#requests.delete(requestId);
    this.#resolveIfIdle();
  }

  #onNavigated(frame: Protocol.Page.Frame): void {
    this.#changes++;
    if (frame.parentId !== undefined) return;
    this.#navigated = frame.url;
    // Requests of the previous document are obsolete, and their end is not always reported.
    this.#dropRequests(({ loaderId }) => loaderId !== frame.loaderId);
  }

  /** A detached frame receives no responses any more. */
  #onSessionDetached(sessionId: string): void {
    this.#dropRequests(({ session }) => session.id() === sessionId);
  }

  #dropRequests(isObsolete: (request: PendingRequest) => boolean): void {
    for (const [requestId, request] of this.#requests) if (isObsolete(request)) this.#requests.delete(requestId);
    this.#resolveIfIdle();
  }

  #resolveIfIdle(): void {
    if (this.busy) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }
}
