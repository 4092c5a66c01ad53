import { shortenText } from '../../text.js';
import type { CDPEvents, CDPSession, Protocol } from 'puppeteer-core';
import { isExternal } from './userPrompts.js';

/** The resource types that a result may depend on. Not streams, beacons and images. */
const awaitedTypes: ReadonlySet<Protocol.Network.ResourceType> = new Set(['Stylesheet', 'Script', 'XHR', 'Fetch']);

/** Where a request names its document, a request for a worker's script has this. */
const workerLoaderId = '';

interface PendingRequest {
  /** The document of the request. */
  readonly loaderId: string;
  readonly session: CDPSession;
  readonly name: string;
  readonly isOfScript: boolean;
}

/** The answer that a document came with. */
export interface DocumentResponse {
  readonly url: string;
  readonly status: number;
  readonly statusText: string;
  readonly mimeType: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The number of requests, or of challenges, that an answer names. */
const maxNamed = 3;
const maxNameLength = 120;
const maxDocuments = 10;

/**
 * Tracks the pending loads and requests of a page and its present out-of-process frames. Owned by its action, which
 * disposes it. Needs `Page.enable` and `Network.enable` on the sessions; the first one is the page's own.
 */
export class PageActivity {
  /** URLs of windows that the page opened. */
  readonly opened: string[] = [];
  /** URL of a download that the page started. */
  download: string | undefined;
  /** An address that only another program opens, such as a mail program. */
  external: string | undefined;
  /** Requests, other than the page's own, whose server asks for credentials. */
  readonly challenges: DocumentResponse[] = [];
  /** The answer to the latest navigation of the page. */
  response: DocumentResponse | undefined;
  /** Why its document was not loaded, or ended before its end: `net::ERR_…`. */
  loadError: string | undefined;
  #navigated: string | undefined;
  #documentUrl = '';
  #unreachable = false;
  #changes = 0;
  /** How many documents each frame has shown. */
  readonly #documents = new Map<string, number>();
  readonly #mainFrameId: string;
  readonly #loading = new Set<string>();
  /** By request id. */
  readonly #requests = new Map<string, PendingRequest>();
  /** How often each request was sent since `beginRest`. */
  readonly #sent = new Map<string, number>();
  #isParsed = true;
  #idleWaiters: (() => void)[] = [];
  #progressWaiters: (() => void)[] = [];
  readonly #removeListeners: (() => void)[] = [];

  constructor(sessions: readonly CDPSession[], mainFrameId: string) {
    this.#mainFrameId = mainFrameId;
    const [root] = sessions;
    for (const session of sessions) {
      this.#watchLoads(session);
      if (session === root) this.#watchDocument(session);
      this.#watchRequests(session);
      this.#on(session, 'Target.detachedFromTarget', ({ sessionId }) => this.#onSessionDetached(sessionId));
    }
  }

  /** URL of the page's new document, if any. */
  get navigated(): string | undefined {
    return this.#navigated;
  }

  /** Whether the browser shows an error instead of the document. */
  get isUnreachable(): boolean {
    return this.#unreachable;
  }

  /** The number of loads, requests and navigations that started. */
  get changes(): number {
    return this.#changes;
  }

  /** Of a frame that goes to one document after another by itself: more than any chain of logins does. */
  get loop(): { readonly isOfPage: boolean; readonly documents: number } | undefined {
    const [most] = [...this.#documents].sort(([, one], [, other]) => other - one);
    if (most === undefined || most[1] <= maxDocuments) return undefined;
    return { isOfPage: most[0] === this.#mainFrameId, documents: most[1] };
  }

  get busy(): boolean {
    return this.#loading.size > 0 || this.#requests.size > 0;
  }

  /** Whether a frame is being loaded. */
  get loading(): boolean {
    return this.#loading.size > 0;
  }

  /** Whether the page's own document has been read completely; its pictures and frames may be missing. */
  get isParsed(): boolean {
    return this.#isParsed;
  }

  /** Resolves when no load or request is pending. */
  idle(): Promise<void> {
    return this.busy ? new Promise((resolve) => this.#idleWaiters.push(resolve)) : Promise.resolve();
  }

  /** Resolves when a load begins, advances or ends; not for the requests of scripts. */
  nextProgress(): Promise<void> {
    return new Promise((resolve) => this.#progressWaiters.push(resolve));
  }

  /** Begins to count sent requests. */
  beginRest(): void {
    this.#sent.clear();
  }

  /** What keeps the page from rest, for people. */
  describe(): string {
    if (this.loop !== undefined) {
      const { isOfPage, documents } = this.loop;
      const what = `loads one document after another by itself (${documents} so far)`;
      return isOfPage ? `it ${what}, and loading was stopped` : `a frame in it ${what}`;
    }
    const pending = [...new Set([...this.#requests.values()].map(({ name }) => name))];
    if (this.#loading.has(this.#mainFrameId) && !this.#isParsed) {
      const awaited = pending.length === 0 ? '' : ` (no answer yet: ${listOf(pending)})`;
      return `its document is still being loaded${awaited}`;
    }
    const repeated = [...this.#sent].filter(([, count]) => count > 2).sort(([, a], [, b]) => b - a);
    if (repeated.length > 0) {
      return `it keeps sending requests (${listOf(repeated.map(([name, count]) => `${name} ${count} times`))})`;
    }
    if (pending.length > 0) return `requests have no answer yet (${listOf(pending)})`;
    return this.loading ? 'pictures or frames are still being loaded' : 'its document keeps changing';
  }

  dispose(): void {
    for (const stop of this.#removeListeners) stop();
    for (const resolve of this.#idleWaiters) resolve();
    this.#advance();
  }

  #watchLoads(cdp: CDPSession): void {
    // The load starts later, unless it is cancelled.
    this.#on(cdp, 'Page.frameRequestedNavigation', ({ url }) => {
      this.#changes++;
      if (isExternal(url)) this.external = url;
    });
    this.#on(cdp, 'Page.frameStartedLoading', ({ frameId }) => {
      this.#changes++;
      this.#loading.add(frameId);
      this.#advance();
    });
    this.#on(cdp, 'Page.frameStoppedLoading', ({ frameId }) => this.#endLoad(frameId));
    this.#on(cdp, 'Page.frameDetached', ({ frameId }) => this.#endLoad(frameId));
    this.#on(cdp, 'Page.frameNavigated', ({ frame }) => this.#onNavigated(frame));
    this.#on(cdp, 'Page.navigatedWithinDocument', ({ frameId, url }) => {
      if (frameId === this.#mainFrameId) this.#navigated = url;
    });
    this.#on(cdp, 'Page.windowOpen', ({ url }) => this.opened.push(url));
    this.#on(cdp, 'Page.downloadWillBegin', ({ url }) => (this.download = url));
  }

  /** The page's own document: its answer, and whether it has been read. */
  #watchDocument(root: CDPSession): void {
    let documentRequest = '';
    this.#on(root, 'Network.requestWillBeSent', ({ requestId, type, frameId, request }) => {
      if (type !== 'Document' || frameId !== this.#mainFrameId) return;
      documentRequest = requestId;
      if (isExternal(request.url)) this.external = request.url;
      this.response = undefined;
      this.loadError = undefined;
      this.#documentUrl = request.url;
    });
    this.#on(root, 'Network.loadingFailed', ({ requestId, errorText, canceled }) => {
      const hasFailed = requestId === documentRequest && canceled !== true && errorText !== 'net::ERR_ABORTED';
      if (hasFailed) this.loadError = errorText;
    });
    // The only report of an answer that keeps the present document, such as 204.
    this.#on(root, 'Network.responseReceivedExtraInfo', ({ requestId, statusCode, headers }) => {
      if (requestId !== documentRequest || this.response !== undefined) return;
      this.response = { url: this.#documentUrl, status: statusCode, statusText: '', mimeType: '', headers };
    });
    this.#on(root, 'Network.responseReceived', ({ requestId, response }) => {
      if (requestId === documentRequest) this.response = response;
    });
    this.#on(root, 'Page.domContentEventFired', () => {
      this.#isParsed = true;
      this.#advance();
    });
  }

  #watchRequests(cdp: CDPSession): void {
    this.#on(cdp, 'Network.requestWillBeSent', ({ requestId, loaderId, type, request }) => {
      if (type === undefined || !awaitedTypes.has(type) || isLocalWorkerScript(loaderId, request)) return;
      this.#changes++;
      const name = nameOf(request);
      this.#sent.set(name, (this.#sent.get(name) ?? 0) + 1);
      this.#requests.set(requestId, { loaderId, session: cdp, name, isOfScript: type === 'XHR' || type === 'Fetch' });
    });
    this.#on(cdp, 'Network.responseReceived', ({ requestId, response }) => {
      if (response.mimeType === 'text/event-stream') this.#endRequest(requestId);
      if ([401, 407].includes(response.status) && this.challenges.length < maxNamed) this.challenges.push(response);
    });
    // The end of a worker's script is reported to the worker: here come its headers and, by the same id, its target.
    this.#on(cdp, 'Network.responseReceivedExtraInfo', ({ requestId }) => {
      if (this.#requests.get(requestId)?.loaderId === workerLoaderId) this.#endRequest(requestId);
    });
    this.#on(cdp, 'Target.attachedToTarget', ({ targetInfo }) => this.#endRequest(targetInfo.targetId));
    this.#on(cdp, 'Network.loadingFinished', ({ requestId }) => this.#endRequest(requestId));
    this.#on(cdp, 'Network.loadingFailed', ({ requestId }) => this.#endRequest(requestId));
  }

  #on<E extends keyof CDPEvents>(cdp: CDPSession, event: E, listener: (event: CDPEvents[E]) => void): void {
    cdp.on(event, listener);
    this.#removeListeners.push(() => cdp.off(event, listener));
  }

  #endLoad(frameId: string): void {
    this.#loading.delete(frameId);
    this.#advance();
    this.#resolveIfIdle();
  }

  #endRequest(requestId: string): void {
    const isOfScript = this.#requests.get(requestId)?.isOfScript === true;
    this.#requests.delete(requestId);
    if (!isOfScript) this.#advance();
    this.#resolveIfIdle();
  }

  #onNavigated(frame: Protocol.Page.Frame): void {
    this.#changes++;
    this.#documents.set(frame.id, (this.#documents.get(frame.id) ?? 0) + 1);
    if (frame.parentId !== undefined) return;
    this.#navigated = frame.unreachableUrl ?? frame.url;
    this.#unreachable = frame.unreachableUrl !== undefined;
    this.#isParsed = false;
    // The frames and requests of the previous document are obsolete, and their end is not always reported.
    for (const frameId of this.#loading) if (frameId !== frame.id) this.#loading.delete(frameId);
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

  #advance(): void {
    for (const resolve of this.#progressWaiters.splice(0)) resolve();
  }

  #resolveIfIdle(): void {
    if (this.busy) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }
}

/** A worker's script from the page's own memory: it loads at once, and its end is not reported to the page. */
function isLocalWorkerScript(loaderId: string, { url }: Protocol.Network.Request): boolean {
  return loaderId === workerLoaderId && /^(blob|data):/.test(url);
}

/** Without the query, which often differs from request to request. */
function nameOf({ method, url }: Protocol.Network.Request): string {
  const [address = ''] = url.split('?', 1);
  return `${method} ${shortenText(address, maxNameLength)}`;
}

function listOf(names: readonly string[]): string {
  const more = names.length > maxNamed ? ` and ${names.length - maxNamed} more` : '';
  return names.slice(0, maxNamed).join(', ') + more;
}
