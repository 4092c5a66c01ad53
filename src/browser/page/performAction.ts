import type { CDPEvents, CDPSession, Protocol } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { untilAborted } from '../../async.js';
import { untilQuiet } from '../cdp/injectedFunctions.js';
import type { OpenDialog } from './dialogs.js';
import type { SessionPage } from './sessionPage.js';

/** How long a page must be still to count as settled: longer than the timers that scripts use to render "later". */
const quietMs = 60;
const settleTimeoutMs = 3_000;
const maxRounds = 50;

/** What became of an action. */
export interface ActionOutcome {
  /** Address of the new document. */
  readonly navigated: string | undefined;
  /** Open now; the action and everything else on the page waits for its answer. */
  readonly dialog: OpenDialog | undefined;
  readonly opened: readonly string[];
  readonly download: string | undefined;
  /** False when the page was still busy at the limit. */
  readonly settled: boolean;
  /** The page is gone: the action closed it, or its browser died. */
  readonly closed: boolean;
}

export interface ActionResult<T> {
  /** Undefined when a dialog came first. */
  readonly value: T | undefined;
  readonly outcome: ActionOutcome;
}

export interface SettleOptions {
  readonly limitMs?: number;
  /** Waits only if a load or a request has begun when `work` is done: for what seldom changes anything. */
  readonly onlyIfStarted?: boolean;
}

/**
 * Does `work` and waits until the page has dealt with it: loads and requests that began have ended and nothing changed
 * for a moment, bounded by `limitMs`. All by events; nothing is waited for that did not begin. A dialog ends the wait at
 * once, and `work` stops at its next step. Rejects with the signal's reason when aborted, with what `work` throws else.
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
  // What begins in a page that is gone, or whose browser died, is never told to have ended.
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
      // A page that closes itself takes the answers of its last commands with it.
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
    // Not an error of anybody's: it only tells the steps that are left not to begin.
    finished.abort();
    activity.dispose();
  }
}

/** Whether the page came to rest within the limit. Rejects with the signal's reason only. */
async function settle(
  page: SessionPage,
  activity: PageActivity,
  signal: AbortSignal,
  limitMs: number,
): Promise<boolean> {
  const limit = timeLimit(limitMs);
  // A page that is gone, and a browser that died, never tell the end of what they began.
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

/** False when a document was left meanwhile: a new one is coming, and is waited for in its turn. */
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

/** What a page waits for before it shows a result. Streams, beacons and pictures are not among it. */
const awaitedTypes: ReadonlySet<Protocol.Network.ResourceType> = new Set(['Stylesheet', 'Script', 'XHR', 'Fetch']);

interface PendingRequest {
  /** The document that asked. */
  readonly loaderId: string;
  readonly session: CDPSession;
}

/**
 * What a page, and the frames that other processes render now, do from now on: loads and requests that began and did not
 * end. Owned by the action it watches, which disposes it. Needs `Page.enable` and `Network.enable` on the sessions, of
 * which the page's own is the first.
 */
export class PageActivity {
  /** Windows that the page opened meanwhile. */
  readonly opened: string[] = [];
  /** Address of a download that the page began. */
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

  /** Address of the page's new document, if there was one. */
  get navigated(): string | undefined {
    return this.#navigated;
  }

  /** Grows with everything that began. */
  get changes(): number {
    return this.#changes;
  }

  get busy(): boolean {
    return this.#loading.size > 0 || this.#requests.size > 0;
  }

  /** Resolves when nothing that began is still under way. */
  idle(): Promise<void> {
    return this.busy ? new Promise((resolve) => this.#idleWaiters.push(resolve)) : Promise.resolve();
  }

  dispose(): void {
    for (const stop of this.#removeListeners) stop();
    for (const resolve of this.#idleWaiters) resolve();
  }

  #watchLoads(cdp: CDPSession, mainFrameId: string): void {
    // Only asked for: the load begins in a moment, if nothing stands against it.
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
    // What the left document asked for is nobody's any more, and not always reported as ended.
    this.#dropRequests(({ loaderId }) => loaderId !== frame.loaderId);
  }

  /** A frame that went away hears no answers any more. */
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
