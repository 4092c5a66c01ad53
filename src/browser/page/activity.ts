import type { CDPEvents, CDPSession, Protocol } from 'puppeteer-core';

/** What a page waits for before it shows a result. Streams, beacons and pictures are not among it. */
const awaitedTypes: ReadonlySet<Protocol.Network.ResourceType> = new Set(['Stylesheet', 'Script', 'XHR', 'Fetch']);

interface Request {
  /** The document that asked. */
  readonly loaderId: string;
  readonly session: CDPSession;
}

/**
 * What a page, and the frames that other processes render now, do from now on: loads and requests that began and did not
 * end. Owned by the action it watches, which disposes it. Needs `Page.enable` and `Network.enable` on the sessions, of
 * which the page's own is the first.
 */
export class Activity {
  /** Windows that the page opened meanwhile. */
  readonly opened: string[] = [];
  /** Address of a download that the page began. */
  download: string | undefined;
  #navigated: string | undefined;
  #changes = 0;
  readonly #loading = new Set<string>();
  /** By request id. */
  readonly #requests = new Map<string, Request>();
  #idle: (() => void)[] = [];
  readonly #stops: (() => void)[] = [];

  constructor(sessions: readonly CDPSession[], mainFrameId: string) {
    for (const session of sessions) {
      this.#watchLoads(session, mainFrameId);
      this.#watchRequests(session);
      this.#on(session, 'Target.detachedFromTarget', ({ sessionId }) => this.#leave(sessionId));
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
    return this.busy ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
    for (const resolve of this.#idle) resolve();
  }

  #watchLoads(cdp: CDPSession, mainFrameId: string): void {
    // Only asked for: the load begins in a moment, if nothing stands against it.
    this.#on(cdp, 'Page.frameRequestedNavigation', () => this.#changes++);
    this.#on(cdp, 'Page.frameStartedLoading', ({ frameId }) => {
      this.#changes++;
      this.#loading.add(frameId);
    });
    this.#on(cdp, 'Page.frameStoppedLoading', ({ frameId }) => this.#loaded(frameId));
    this.#on(cdp, 'Page.frameDetached', ({ frameId }) => this.#loaded(frameId));
    this.#on(cdp, 'Page.frameNavigated', ({ frame }) => this.#arrive(frame));
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
      if (response.mimeType === 'text/event-stream') this.#answered(requestId);
    });
    this.#on(cdp, 'Network.loadingFinished', ({ requestId }) => this.#answered(requestId));
    this.#on(cdp, 'Network.loadingFailed', ({ requestId }) => this.#answered(requestId));
  }

  #on<E extends keyof CDPEvents>(cdp: CDPSession, event: E, listener: (event: CDPEvents[E]) => void): void {
    cdp.on(event, listener);
    this.#stops.push(() => cdp.off(event, listener));
  }

  #loaded(frameId: string): void {
    this.#loading.delete(frameId);
    this.#wakeIfIdle();
  }

  #answered(requestId: string): void {
    this.#requests.delete(requestId);
    this.#wakeIfIdle();
  }

  #arrive(frame: Protocol.Page.Frame): void {
    this.#changes++;
    if (frame.parentId !== undefined) return;
    this.#navigated = frame.url;
    // What the left document asked for is nobody's any more, and not always reported as ended.
    this.#forget(({ loaderId }) => loaderId !== frame.loaderId);
  }

  /** A frame that went away hears no answers any more. */
  #leave(sessionId: string): void {
    this.#forget(({ session }) => session.id() === sessionId);
  }

  #forget(isNobodys: (request: Request) => boolean): void {
    for (const [requestId, request] of this.#requests) if (isNobodys(request)) this.#requests.delete(requestId);
    this.#wakeIfIdle();
  }

  #wakeIfIdle(): void {
    if (this.busy) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
