import { LRUCache } from 'lru-cache';
import type { CDPSession, Protocol } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';
import { inSlices } from '../patterns/slices.js';
import { NetworkMocks } from './requestMocks.js';
import {
  endRequest,
  failRequest,
  normalizeHeaders,
  maxPostDataBytes,
  createWebSocketRequest,
  sizeOfRequest,
  createRequest,
  postDataIn,
  withResponse,
  type NetworkRequest,
  type PostData,
} from './requestRecord.js';
import { RingBuffer, type KeptPart, type RingBufferReading } from './ringBuffer.js';
import {
  followSessions,
  unlessGone,
  type FollowedSessions,
  type CdpHandlers,
  type TargetSession,
} from '../cdp/cdpSessions.js';
import type { Credentials } from '../policy/credentials.js';
import { noKey, type ScriptKeyOf } from './consoleMessage.js';
import { bodyBytes, missingBody, readArrived, readBody, type ResponseBody } from './responseBody.js';
import { WebSocketFrameLog } from './webSocketFrameLog.js';

export type { HttpHeaders, NetworkRequest } from './requestRecord.js';
export type { ActiveMock, MockRule } from './requestMocks.js';
export type { WebSocketFrame } from './webSocketFrameLog.js';

const maxEntries = 2_000;
const maxBytes = 4 * 1024 ** 2;
/** Bytes of response bodies that the browser keeps, per page and per response, across navigations. */
const bodyBuffers = { maxTotalBufferSize: 32 * 1024 ** 2, maxResourceBufferSize: 8 * 1024 ** 2 };

type RequestChange = (request: NetworkRequest) => NetworkRequest;

/** The state of one Network.RequestId, which the hops of a redirect chain share. */
interface RedirectChain {
  /** The session of the last event, from which the body can be read. */
  session: CDPSession;
  /** The newest hop. */
  current: number | undefined;
  /** The document that sent it. */
  sentBy: { readonly frameId: string; readonly loaderId: string } | undefined;
  /** Hops with ExtraInfo events: the n-th event belongs to the n-th hop. */
  readonly hops: number[];
  readonly extraInfoCounts: { request: number; response: number };
  /** Changes that arrived before their hop, by its index. */
  readonly pendingChanges: Map<number, RequestChange[]>;
  mockedBy: number | undefined;
  /** What had arrived of an open response when it was read last. */
  arrived: ResponseBody | undefined;
}

interface NetworkSources {
  /** Other sessions of the page, which have what arrived of open responses. */
  readonly plainSessions?: () => Iterable<CDPSession>;
  readonly keyOf?: ScriptKeyOf;
  readonly kept?: KeptPart;
}

/**
 * Records the requests of a page, its frames and workers (CDP domain Network) from its construction on and across
 * navigations: the newest 2,000 requests within 4 MiB. Bodies stay in the browser until they are read. Requests are
 * intercepted only while there are mocks. `data:` URLs are not recorded. Owned by the page, which disposes it.
 */
export class NetworkCollector {
  /** Resolves when recording has started. Never rejects. */
  readonly ready: Promise<void>;
  readonly webSocketFrames: WebSocketFrameLog;
  readonly mocks: NetworkMocks;
  readonly #cdp: CDPSession;
  readonly #plainSessions: () => Iterable<CDPSession>;
  readonly #keyOf: ScriptKeyOf;
  readonly #ring: RingBuffer<NetworkRequest>;
  readonly #chains = new LRUCache<string, RedirectChain>({ max: maxEntries });
  /** Cache, so that reading a body in parts fetches it once. */
  readonly #bodies = new LRUCache<number, ResponseBody>({
    maxSize: bodyBuffers.maxResourceBufferSize,
    sizeCalculation: (body) => bodyBytes(body) + 1,
  });
  readonly #kept: KeptPart | undefined;
  readonly #followed: FollowedSessions;

  constructor(
    cdp: CDPSession,
    credentials: Credentials,
    { plainSessions = () => [], keyOf = noKey, kept }: NetworkSources = {},
  ) {
    this.#kept = kept;
    this.#ring = new RingBuffer<NetworkRequest>({ maxEntries, maxBytes, sizeOf: sizeOfRequest, kept });
    this.#cdp = cdp;
    this.#plainSessions = plainSessions;
    this.#keyOf = keyOf;
    this.webSocketFrames = new WebSocketFrameLog((cdpId) => this.#requestOf(cdpId), kept);
    this.mocks = new NetworkMocks(
      () => this.#followed.sessions().map(({ session }) => session),
      (cdpId, rule) => this.#markMocked(cdpId, rule),
      credentials,
    );
    kept?.held.add(this.mocks);
    const bodies = this.#bodies;
    kept?.recordings.add({
      get bytes() {
        return bodies.calculatedSize;
      },
      shrink: () => void bodies.pop(),
    });
    this.#followed = followSessions(cdp, {
      handlers: (source) => ({
        ...this.#lifecycleHandlers(source),
        ...this.#extraInfoHandlers(source),
        ...mergeHandlers(this.#webSocketHandlers(source), this.webSocketFrames.handlers()),
        ...this.mocks.handlers(source.session),
      }),
      enable: ({ session }) => [
        unlessGone(session.send('Network.enable', { ...bodyBuffers, maxPostDataSize: maxPostDataBytes })),
        unlessGone(session.send('Network.configureDurableMessages', bodyBuffers)),
        this.mocks.enable(session),
      ],
    });
    this.ready = this.#followed.ready;
  }

  /** The requests that are new or changed since the cursor. Throws a ToolError for an invalid cursor. */
  read(since?: string): RingBufferReading<NetworkRequest> {
    return this.#ring.read(since);
  }

  get(id: number): NetworkRequest | undefined {
    return this.#ring.get(id);
  }

  /** The body of a response, or the part that has arrived. Throws a ToolError that says why it is not available. */
  async responseBody(id: number): Promise<ResponseBody> {
    const cached = this.#bodies.get(id);
    if (cached !== undefined) return cached;
    const request = this.#ring.get(id);
    if (request === undefined) throw new ToolError(`Request ${id} is not kept any more.`);
    if (request.redirectedTo !== undefined) throw new ToolError('A redirect has no body.');
    const chain = this.#chains.peek(request.cdpId);
    if (request.state === 'pending') return this.#arrivedBody(request, chain);
    const body = (await readBody(request, chain?.session ?? this.#cdp)) ?? chain?.arrived;
    if (body === undefined) throw new ToolError(missingBody(request));
    if (body.isPartial !== true) {
      this.#bodies.set(id, body);
      this.#kept?.grew(bodyBytes(body));
    }
    return body;
  }

  async #arrivedBody(request: NetworkRequest, chain: RedirectChain | undefined): Promise<ResponseBody> {
    if (request.status === undefined) throw new ToolError('The server has not answered yet. Ask again later.');
    const arrived = await readArrived(request, this.#plainSessions());
    if (arrived === undefined) throw new ToolError('The response has not arrived in full yet. Ask again later.');
    if (chain !== undefined) chain.arrived = arrived;
    return arrived;
  }

  /** The full post data (CDP Network.getRequestPostData), or undefined if there is none or it is no longer kept. */
  async postData(id: number): Promise<PostData | undefined> {
    const request = this.#ring.get(id);
    if (request?.postData !== undefined || request?.hasPostData !== true) return request?.postData;
    const session = this.#chains.peek(request.cdpId)?.session ?? this.#cdp;
    const answer = await unlessGone(session.send('Network.getRequestPostData', { requestId: request.cdpId }));
    if (answer === undefined) return undefined;
    return inSlices(postDataIn(Buffer.from(answer.postData, answer.base64Encoded ? 'base64' : 'utf8')));
  }

  /** Records a worker that several pages use, until the returned function is called. */
  followWorker(worker: TargetSession): () => void {
    return this.#followed.follow(worker);
  }

  /**
   * Marks the open requests of the former document of a frame, or of all frames: Chrome, which may keep the document to go
   * back to, reports no end.
   */
  documentChanged(frameId: string, loaderId: string | undefined, { isMain }: { readonly isMain: boolean }): void {
    for (const { current, sentBy } of this.#chains.values()) {
      if (current === undefined || sentBy === undefined || sentBy.loaderId === loaderId) continue;
      if ((isMain || sentBy.frameId === frameId) && this.#ring.get(current)?.state === 'pending')
        this.#ring.update(current, (request) => ({ ...request, state: 'left' }));
    }
  }

  /** Stops recording and mocking. The recorded requests stay readable. Idempotent. */
  dispose(): void {
    this.mocks.dispose();
    this.#followed.stop();
    this.#bodies.clear();
  }

  #lifecycleHandlers(source: TargetSession): CdpHandlers {
    return {
      'Network.requestWillBeSent': (event) => this.#recordRequest(event, source),
      'Network.requestServedFromCache': ({ requestId }) =>
        this.#updateCurrent(requestId, (request) => ({ ...request, cache: 'memory' })),
      'Network.responseReceived': ({ requestId, response, hasExtraInfo, type }) => {
        const chain = this.#chainOf(requestId, source);
        if (!hasExtraInfo) skipExtraInfo(chain);
        this.#updateCurrent(requestId, (request) => withResponse({ ...request, type: type.toLowerCase() }, response));
      },
      'Network.dataReceived': ({ requestId, dataLength }) => {
        const id = this.#chains.get(requestId)?.current;
        if (id !== undefined) {
          this.#ring.amend(id, (request) => ({ ...request, bodyBytes: request.bodyBytes + dataLength }));
        }
      },
      'Network.loadingFinished': ({ requestId, timestamp, encodedDataLength }) => {
        this.#chainOf(requestId, source);
        // Of a document that has failed, Chrome tells the end of its own error page.
        this.#updateCurrent(requestId, (request) =>
          request.state === 'failed' ? request : endRequest(request, timestamp, { transferBytes: encodedDataLength }),
        );
      },
      'Network.loadingFailed': (event) =>
        this.#updateCurrent(event.requestId, (request) => failRequest(request, event)),
    };
  }

  /** Headers as sent on the wire, with cookies. May arrive before the event that they complete. */
  #extraInfoHandlers(source: TargetSession): CdpHandlers {
    return {
      'Network.requestWillBeSentExtraInfo': ({ requestId, headers }) =>
        this.#applyExtraInfo(this.#chainOf(requestId, source), 'request', (request) => ({
          ...request,
          requestHeaders: { ...request.requestHeaders, ...normalizeHeaders(headers) },
        })),
      'Network.responseReceivedExtraInfo': ({ requestId, headers, statusCode }) =>
        this.#applyExtraInfo(this.#chainOf(requestId, source), 'response', (request) => ({
          ...request,
          // A worker's own script has no responseReceived event.
          status: request.status ?? statusCode,
          responseHeaders: { ...request.responseHeaders, ...normalizeHeaders(headers) },
        })),
    };
  }

  #webSocketHandlers(source: TargetSession): CdpHandlers {
    return {
      'Network.webSocketCreated': (event) => {
        this.#chainOf(event.requestId, source).current = this.#ring.push(
          createWebSocketRequest(event, source.kind, this.#keysIn(source)),
        );
      },
      'Network.webSocketWillSendHandshakeRequest': ({ requestId, request, timestamp, wallTime }) =>
        this.#updateCurrent(requestId, (entry) => ({
          ...entry,
          requestHeaders: normalizeHeaders(request.headers),
          startedAt: wallTime * 1000,
          startTick: timestamp,
        })),
      'Network.webSocketHandshakeResponseReceived': ({ requestId, response }) =>
        this.#updateCurrent(requestId, (entry) => ({
          ...entry,
          status: response.status,
          statusText: response.statusText,
          responseHeaders: normalizeHeaders(response.headers),
        })),
      'Network.webSocketFrameError': ({ requestId, timestamp, errorMessage }) =>
        this.#updateCurrent(requestId, (entry) =>
          endRequest(entry, timestamp, {
            failure: { error: errorMessage, canceled: false, blockedReason: undefined, corsError: undefined },
          }),
        ),
      'Network.webSocketClosed': ({ requestId, timestamp }) =>
        this.#updateCurrent(requestId, (entry) => (entry.state === 'pending' ? endRequest(entry, timestamp) : entry)),
    };
  }

  #recordRequest(event: Protocol.Network.RequestWillBeSentEvent, source: TargetSession): void {
    if (event.request.url.startsWith('data:') || isOwnScript(event, source)) return;
    const chain = this.#chainOf(event.requestId, source);
    const redirectedFrom = this.#endRedirect(chain, event);
    const { mockedBy } = chain;
    chain.mockedBy = undefined;
    const id = this.#ring.push({
      ...createRequest(event, source.kind, this.#keysIn(source)),
      redirectedFrom,
      mockedBy,
    });
    if (redirectedFrom !== undefined) {
      this.#ring.update(redirectedFrom, (request) => ({ ...request, redirectedTo: id }));
    }
    chain.current = id;
    chain.sentBy = senderOf(event, source);
    const index = chain.hops.push(id) - 1;
    for (const change of chain.pendingChanges.get(index) ?? []) this.#ring.amend(id, change);
    chain.pendingChanges.delete(index);
  }

  #keysIn({ session }: TargetSession): (scriptId: string) => number | undefined {
    return (scriptId) => this.#keyOf(session, scriptId);
  }

  /** Ends the hop that redirected and returns its id. */
  #endRedirect(chain: RedirectChain, event: Protocol.Network.RequestWillBeSentEvent): number | undefined {
    const { redirectResponse } = event;
    if (redirectResponse === undefined || chain.current === undefined) return undefined;
    if (!event.redirectHasExtraInfo) skipExtraInfo(chain);
    this.#ring.update(chain.current, (request) => endRequest(withResponse(request, redirectResponse), event.timestamp));
    return chain.current;
  }

  #applyExtraInfo(chain: RedirectChain, kind: keyof RedirectChain['extraInfoCounts'], change: RequestChange): void {
    const index = chain.extraInfoCounts[kind]++;
    const id = chain.hops[index];
    if (id !== undefined) this.#ring.amend(id, change);
    else chain.pendingChanges.set(index, [...(chain.pendingChanges.get(index) ?? []), change]);
  }

  #updateCurrent(cdpId: string, change: RequestChange): void {
    const id = this.#chains.get(cdpId)?.current;
    if (id !== undefined) this.#ring.update(id, change);
  }

  #chainOf(cdpId: string, { session }: TargetSession): RedirectChain {
    const known = this.#chains.get(cdpId);
    if (known !== undefined) {
      known.session = session;
      return known;
    }
    const chain: RedirectChain = {
      session,
      current: undefined,
      sentBy: undefined,
      hops: [],
      extraInfoCounts: { request: 0, response: 0 },
      pendingChanges: new Map(),
      mockedBy: undefined,
      arrived: undefined,
    };
    this.#chains.set(cdpId, chain);
    return chain;
  }

  /** A request is paused before or after it is reported; a hop that was reported already is still pending. */
  #markMocked(cdpId: string, rule: number): void {
    const chain = this.#chainOf(cdpId, { kind: 'page', session: this.#cdp });
    const isReported = chain.current !== undefined && this.#ring.get(chain.current)?.status === undefined;
    if (isReported) this.#updateCurrent(cdpId, (request) => ({ ...request, mockedBy: rule }));
    else chain.mockedBy = rule;
  }

  #requestOf(cdpId: string): { request: number | undefined; url: string } {
    const request = this.#chains.get(cdpId)?.current;
    return { request, url: request === undefined ? '' : (this.#ring.get(request)?.url ?? '') };
  }
}

/** The newest hop has no ExtraInfo events (cached, or answered by a service worker): they belong to the next one. */
function skipExtraInfo(chain: RedirectChain): void {
  if (chain.hops.length > chain.extraInfoCounts.response) chain.hops.pop();
}

/** Combines two sets of handlers; `first` runs before `second`. */
function mergeHandlers(first: CdpHandlers, second: CdpHandlers): CdpHandlers {
  const names = new Set([...Object.keys(first), ...Object.keys(second)]) as Set<keyof CdpHandlers>;
  return Object.fromEntries(
    [...names].map((name) => [
      name,
      (event: never) => {
        first[name]?.(event);
        second[name]?.(event);
      },
    ]),
  );
}

/** The load of a document has an end of its own, and so have the requests of a worker. */
function senderOf(event: Protocol.Network.RequestWillBeSentEvent, { kind }: TargetSession): RedirectChain['sentBy'] {
  const { requestId, loaderId, frameId } = event;
  return kind === 'worker' || frameId === undefined || requestId === loaderId ? undefined : { frameId, loaderId };
}

/** The script of a service worker, whose end is not reported to it. */
function isOwnScript({ request }: Protocol.Network.RequestWillBeSentEvent, { target }: TargetSession): boolean {
  return target?.type === 'service_worker' && request.url === target.url;
}
