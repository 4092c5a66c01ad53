import { LRUCache } from 'lru-cache';
import type { CDPSession, Protocol } from 'puppeteer-core';
import { ToolError, messageOf } from '../../errors.js';
import { NetworkMocks } from './networkMocks.js';
import {
  ended,
  failureOf,
  headersOf,
  maxPostDataBytes,
  openedWebSocket,
  sizeOfRequest,
  startedRequest,
  withResponse,
  type NetworkRequest,
} from './networkRequest.js';
import { Ring, type RingReading } from './ring.js';
import { followSessions, unlessGone, type Following, type Handlers, type Source } from '../protocol/sessions.js';
import { WebSocketFrames } from './webSocketFrames.js';

export type { HttpHeaders, NetworkRequest } from './networkRequest.js';
export type { ActiveMock, MockRule } from './networkMocks.js';
export type { WebSocketFrame } from './webSocketFrames.js';

const maxEntries = 2_000;
const maxBytes = 4 * 1024 ** 2;
/** What the browser keeps of bodies for us, per page and per response; also across navigations. */
const bodyBuffers = { maxTotalBufferSize: 32 * 1024 ** 2, maxResourceBufferSize: 8 * 1024 ** 2 };

export interface ResponseBody {
  readonly content: Buffer;
  /** Whether the browser takes it for text. */
  readonly isText: boolean;
}

type Change = (request: NetworkRequest) => NetworkRequest;

/** What is known of one Network.RequestId: the hops of a redirect chain share it. */
interface Chain {
  /** The session that reported last, which is the one to ask for the body. */
  session: CDPSession;
  /** The newest hop. */
  current: number | undefined;
  /** Hops for which extra information is expected: the n-th extra event belongs to the n-th of them. */
  readonly hops: number[];
  readonly extras: { request: number; response: number };
  /** Changes that came before their hop, by its index. */
  readonly early: Map<number, Change[]>;
  mockedBy: number | undefined;
}

/**
 * The requests of a page, its frames and its workers (Network domain). Collects from its construction, across
 * navigations, the newest 2,000 requests within 4 MiB; bodies stay in the browser until they are asked for. Nothing is
 * intercepted unless there are mocks. `data:` addresses are left out. Owned by the page, which disposes it.
 */
export class NetworkCollector {
  /** Resolves when requests are being collected; never rejects. */
  readonly ready: Promise<void>;
  readonly frames: WebSocketFrames;
  readonly mocks: NetworkMocks;
  readonly #cdp: CDPSession;
  readonly #ring = new Ring<NetworkRequest>({ maxEntries, maxBytes, sizeOf: sizeOfRequest });
  readonly #chains = new LRUCache<string, Chain>({ max: maxEntries });
  /** So that reading a body in parts asks the browser once. */
  readonly #bodies = new LRUCache<number, ResponseBody>({
    maxSize: bodyBuffers.maxResourceBufferSize,
    sizeCalculation: ({ content }) => content.length + 1,
  });
  readonly #following: Following;

  constructor(cdp: CDPSession) {
    this.#cdp = cdp;
    this.frames = new WebSocketFrames((cdpId) => this.#connection(cdpId));
    this.mocks = new NetworkMocks(
      () => this.#following.sources().map(({ session }) => session),
      (cdpId, rule) => this.#markMocked(cdpId, rule),
    );
    this.#following = followSessions(cdp, {
      handlers: (source) => ({
        ...this.#lifeHandlers(source),
        ...this.#extraHandlers(source),
        ...joined(this.#webSocketHandlers(source), this.frames.handlers()),
        ...this.mocks.handlers(source.session),
      }),
      enable: ({ session }) => [
        unlessGone(session.send('Network.enable', { ...bodyBuffers, maxPostDataSize: maxPostDataBytes })),
        unlessGone(session.send('Network.configureDurableMessages', bodyBuffers)),
        this.mocks.enable(session),
      ],
    });
    this.ready = this.#following.ready;
  }

  /** What is new or changed since the cursor. Throws a ToolError on something that is no cursor. */
  read(since?: string): RingReading<NetworkRequest> {
    return this.#ring.read(since);
  }

  get(id: number): NetworkRequest | undefined {
    return this.#ring.get(id);
  }

  /** The body of an answer (Network.getResponseBody). Throws a ToolError that says why there is none. */
  async responseBody(id: number): Promise<ResponseBody> {
    const cached = this.#bodies.get(id);
    if (cached !== undefined) return cached;
    const request = this.#ring.get(id);
    if (request === undefined) throw new ToolError(`Request ${id} is not kept any more.`);
    if (request.redirectedTo !== undefined) throw new ToolError('A redirect has no body.');
    if (request.state === 'pending') throw new ToolError('The response has not arrived in full yet. Ask again later.');
    const requestId = request.cdpId;
    const session = this.#chains.peek(requestId)?.session ?? this.#cdp;
    try {
      const { body, base64Encoded } = await session.send('Network.getResponseBody', { requestId });
      const content = Buffer.from(body, base64Encoded ? 'base64' : 'utf8');
      const answer = { content, isText: !base64Encoded };
      this.#bodies.set(id, answer);
      return answer;
    } catch (cause) {
      throw new ToolError(`The browser does not keep this body (any more): ${messageOf(cause)}`, { cause });
    }
  }

  /** The post data in full (Network.getRequestPostData), or undefined if there is none or it is gone. */
  async postData(id: number): Promise<string | undefined> {
    const request = this.#ring.get(id);
    if (request?.postData !== undefined || request?.hasPostData !== true) return request?.postData;
    const session = this.#chains.peek(request.cdpId)?.session ?? this.#cdp;
    const answer = await unlessGone(session.send('Network.getRequestPostData', { requestId: request.cdpId }));
    return answer?.postData;
  }

  /** Stops collecting and mocking. What was collected stays readable. Idempotent. */
  dispose(): void {
    this.mocks.dispose();
    this.#following.stop();
    this.#bodies.clear();
  }

  #lifeHandlers(source: Source): Handlers {
    return {
      'Network.requestWillBeSent': (event) => this.#started(event, source),
      'Network.requestServedFromCache': ({ requestId }) =>
        this.#change(requestId, (request) => ({ ...request, cache: 'memory' })),
      'Network.responseReceived': ({ requestId, response, hasExtraInfo, type }) => {
        const chain = this.#chainOf(requestId, source);
        if (!hasExtraInfo) expectNoExtra(chain);
        this.#change(requestId, (request) => withResponse({ ...request, type: type.toLowerCase() }, response));
      },
      'Network.dataReceived': ({ requestId, dataLength }) => {
        const id = this.#chains.get(requestId)?.current;
        if (id !== undefined) {
          this.#ring.amend(id, (request) => ({ ...request, bodyBytes: request.bodyBytes + dataLength }));
        }
      },
      'Network.loadingFinished': ({ requestId, timestamp, encodedDataLength }) => {
        this.#chainOf(requestId, source);
        this.#change(requestId, (request) => ended(request, timestamp, { transferBytes: encodedDataLength }));
      },
      'Network.loadingFailed': (event) =>
        this.#change(event.requestId, (request) => ended(request, event.timestamp, { failure: failureOf(event) })),
    };
  }

  /** Headers as they were on the wire, cookies included; may come before the event they complete. */
  #extraHandlers(source: Source): Handlers {
    return {
      'Network.requestWillBeSentExtraInfo': ({ requestId, headers }) =>
        this.#applyExtra(this.#chainOf(requestId, source), 'request', (request) => ({
          ...request,
          requestHeaders: { ...request.requestHeaders, ...headersOf(headers) },
        })),
      'Network.responseReceivedExtraInfo': ({ requestId, headers, statusCode }) =>
        this.#applyExtra(this.#chainOf(requestId, source), 'response', (request) => ({
          ...request,
          // A worker's own script gets no responseReceived.
          status: request.status ?? statusCode,
          responseHeaders: { ...request.responseHeaders, ...headersOf(headers) },
        })),
    };
  }

  #webSocketHandlers(source: Source): Handlers {
    return {
      'Network.webSocketCreated': (event) => {
        this.#chainOf(event.requestId, source).current = this.#ring.push(openedWebSocket(event, source.kind));
      },
      'Network.webSocketWillSendHandshakeRequest': ({ requestId, request, timestamp, wallTime }) =>
        this.#change(requestId, (entry) => ({
          ...entry,
          requestHeaders: headersOf(request.headers),
          startedAt: wallTime * 1000,
          startTick: timestamp,
        })),
      'Network.webSocketHandshakeResponseReceived': ({ requestId, response }) =>
        this.#change(requestId, (entry) => ({
          ...entry,
          status: response.status,
          statusText: response.statusText,
          responseHeaders: headersOf(response.headers),
        })),
      'Network.webSocketFrameError': ({ requestId, timestamp, errorMessage }) =>
        this.#change(requestId, (entry) =>
          ended(entry, timestamp, {
            failure: { error: errorMessage, canceled: false, blockedReason: undefined, corsError: undefined },
          }),
        ),
      'Network.webSocketClosed': ({ requestId, timestamp }) =>
        this.#change(requestId, (entry) => (entry.state === 'pending' ? ended(entry, timestamp) : entry)),
    };
  }

  #started(event: Protocol.Network.RequestWillBeSentEvent, source: Source): void {
    if (event.request.url.startsWith('data:')) return;
    const chain = this.#chainOf(event.requestId, source);
    const redirectedFrom = this.#redirected(chain, event);
    const { mockedBy } = chain;
    chain.mockedBy = undefined;
    const id = this.#ring.push({ ...startedRequest(event, source.kind), redirectedFrom, mockedBy });
    if (redirectedFrom !== undefined) {
      this.#ring.update(redirectedFrom, (request) => ({ ...request, redirectedTo: id }));
    }
    chain.current = id;
    const index = chain.hops.push(id) - 1;
    for (const change of chain.early.get(index) ?? []) this.#ring.amend(id, change);
    chain.early.delete(index);
  }

  /** Ends the hop that redirected and answers its id. */
  #redirected(chain: Chain, event: Protocol.Network.RequestWillBeSentEvent): number | undefined {
    const { redirectResponse } = event;
    if (redirectResponse === undefined || chain.current === undefined) return undefined;
    if (!event.redirectHasExtraInfo) expectNoExtra(chain);
    this.#ring.update(chain.current, (request) => ended(withResponse(request, redirectResponse), event.timestamp));
    return chain.current;
  }

  #applyExtra(chain: Chain, kind: keyof Chain['extras'], change: Change): void {
    const index = chain.extras[kind]++;
    const id = chain.hops[index];
    if (id !== undefined) this.#ring.amend(id, change);
    else chain.early.set(index, [...(chain.early.get(index) ?? []), change]);
  }

  #change(cdpId: string, change: Change): void {
    const id = this.#chains.get(cdpId)?.current;
    if (id !== undefined) this.#ring.update(id, change);
  }

  #chainOf(cdpId: string, { session }: Source): Chain {
    const known = this.#chains.get(cdpId);
    if (known !== undefined) {
      known.session = session;
      return known;
    }
    const chain: Chain = {
      session,
      current: undefined,
      hops: [],
      extras: { request: 0, response: 0 },
      early: new Map(),
      mockedBy: undefined,
    };
    this.#chains.set(cdpId, chain);
    return chain;
  }

  /** The request is held before or after it is reported; a hop that is reported already is pending still. */
  #markMocked(cdpId: string, rule: number): void {
    const chain = this.#chainOf(cdpId, { kind: 'page', session: this.#cdp });
    const isReported = chain.current !== undefined && this.#ring.get(chain.current)?.status === undefined;
    if (isReported) this.#change(cdpId, (request) => ({ ...request, mockedBy: rule }));
    else chain.mockedBy = rule;
  }

  #connection(cdpId: string): { request: number | undefined; url: string } {
    const request = this.#chains.get(cdpId)?.current;
    return { request, url: request === undefined ? '' : (this.#ring.get(request)?.url ?? '') };
  }
}

/** The newest hop came without extra information (cached, or answered by a service worker): the next one counts. */
function expectNoExtra(chain: Chain): void {
  if (chain.hops.length > chain.extras.response) chain.hops.pop();
}

/** Handlers for the same events, one after the other. */
function joined(first: Handlers, second: Handlers): Handlers {
  const names = new Set([...Object.keys(first), ...Object.keys(second)]) as Set<keyof Handlers>;
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
