import type { CDPEvents, CDPSession, Protocol } from 'puppeteer-core';

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
