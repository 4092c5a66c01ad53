import { atOnce, decodedText } from '../patterns/slices.js';
import type { Protocol } from 'puppeteer-core';
import { stackFramesOf, type KeyOfScript, type StackFrame } from './consoleMessage.js';
import { truncateText } from './remoteObject.js';
import { withoutCredentials } from '../policy/credentials.js';
import type { TargetSessionKind } from '../cdp/cdpSessions.js';

export type HttpHeaders = Readonly<Record<string, string>>;

/** Milliseconds; a phase that did not happen (a reused connection) is absent. */
export interface RequestTiming {
  readonly queued?: number;
  readonly dns?: number;
  readonly connect?: number;
  readonly tls?: number;
  readonly send?: number;
  readonly wait?: number;
  readonly download?: number;
}

/** The body that a request sent: text, or base64 of bytes that are not text. */
export interface PostData {
  readonly content: string;
  readonly isText: boolean;
}

export interface RequestFailure {
  /** `net::ERR_…`. */
  readonly error: string;
  readonly canceled: boolean;
  /** Why the browser blocked it: `csp`, `mixed-content`, `inspector`, … */
  readonly blockedReason: string | undefined;
  readonly corsError: string | undefined;
}

/** One request, or one hop of a redirect chain. `undefined`: not known yet, or absent. */
export interface NetworkRequest {
  /** Network.RequestId; the hops of a redirect chain share it. */
  readonly cdpId: string;
  readonly source: TargetSessionKind;
  readonly method: string;
  readonly url: string;
  /** Lower case: `document`, `xhr`, `fetch`, `script`, `websocket`, `preflight`, … */
  readonly type: string;
  /** The URL of the document that sent it. */
  readonly documentUrl: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Seconds on the browser's monotonic clock. */
  readonly startTick: number;
  /** `left`: its document was left while it was open, and its end is not known. */
  readonly state: 'pending' | 'finished' | 'failed' | 'left';
  readonly status: number | undefined;
  readonly statusText: string;
  readonly mimeType: string;
  readonly protocol: string;
  readonly remoteAddress: string;
  readonly requestHeaders: HttpHeaders;
  readonly responseHeaders: HttpHeaders;
  readonly postData: PostData | undefined;
  readonly hasPostData: boolean;
  /** An answer whose body the page did not read, or that had none: the browser reports its end as cancelled. */
  readonly isUnread: boolean;
  readonly cache: 'memory' | 'disk' | 'prefetch' | undefined;
  readonly fromServiceWorker: boolean;
  /** Bytes on the wire, and of the decoded body. */
  readonly transferBytes: number;
  readonly bodyBytes: number;
  readonly durationMs: number | undefined;
  readonly timing: RequestTiming | undefined;
  readonly failure: RequestFailure | undefined;
  readonly initiator: {
    readonly type: string;
    readonly url: string;
    readonly line: number | undefined;
    readonly stack: readonly StackFrame[];
  };
  readonly redirectedFrom: number | undefined;
  readonly redirectedTo: number | undefined;
  /** The rule of mock_network that answered, delayed or aborted it. */
  readonly mockedBy: number | undefined;
}

const maxUrlChars = 4_000;
const maxHeaderChars = 4_000;
const maxHeaders = 100;
/** Post data up to this size is part of the event; larger data is fetched on demand. */
export const maxPostDataBytes = 64 * 1024;

type RequestStart = Pick<NetworkRequest, 'cdpId' | 'source' | 'method' | 'url' | 'type' | 'documentUrl'> &
  Pick<NetworkRequest, 'startedAt' | 'startTick' | 'initiator'>;

function pendingRequest(started: RequestStart): NetworkRequest {
  return {
    ...started,
    state: 'pending',
    status: undefined,
    statusText: '',
    mimeType: '',
    protocol: '',
    remoteAddress: '',
    requestHeaders: {},
    responseHeaders: {},
    postData: undefined,
    hasPostData: false,
    isUnread: false,
    cache: undefined,
    fromServiceWorker: false,
    transferBytes: 0,
    bodyBytes: 0,
    durationMs: undefined,
    timing: undefined,
    failure: undefined,
    redirectedFrom: undefined,
    redirectedTo: undefined,
    mockedBy: undefined,
  };
}

export function createRequest(
  event: Protocol.Network.RequestWillBeSentEvent,
  source: TargetSessionKind,
  keyOf?: KeyOfScript,
): NetworkRequest {
  const { request } = event;
  const base = pendingRequest({
    cdpId: event.requestId,
    source,
    method: request.method,
    url: truncateText(withoutCredentials(request.url) + (request.urlFragment ?? ''), maxUrlChars),
    type: (event.type ?? 'Other').toLowerCase(),
    documentUrl: truncateText(withoutCredentials(event.documentURL), maxUrlChars),
    startedAt: event.wallTime * 1000,
    startTick: event.timestamp,
    initiator: initiatorOf(event.initiator, keyOf),
  });
  return {
    ...base,
    requestHeaders: normalizeHeaders(request.headers),
    postData: postDataOf(request),
    hasPostData: request.hasPostData ?? false,
  };
}

function postDataOf({ postDataEntries = [] }: Protocol.Network.Request): PostData | undefined {
  // An entry without bytes is a file.
  if (postDataEntries.length === 0 || postDataEntries.some(({ bytes }) => bytes === undefined)) return undefined;
  const bytes = Buffer.concat(postDataEntries.map((entry) => Buffer.from(entry.bytes ?? '', 'base64')));
  return atOnce(postDataIn(bytes.subarray(0, maxPostDataBytes)));
}

const controlCharacter = /[\0-\x08\x0e-\x1f]/;

/** Bytes as text, if they are valid text. */
export function* postDataIn(bytes: Buffer): Generator<undefined, PostData> {
  try {
    const content = yield* decodedText(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }), bytes);
    if (!controlCharacter.test(content)) return { content, isText: true };
  } catch {
    // Not UTF-8.
  }
  return { content: bytes.toString('base64'), isText: false };
}

/** The opening request of a WebSocket, which has CDP events of its own. */
export function createWebSocketRequest(
  event: Protocol.Network.WebSocketCreatedEvent,
  source: TargetSessionKind,
  keyOf?: KeyOfScript,
): NetworkRequest {
  return pendingRequest({
    cdpId: event.requestId,
    source,
    method: 'GET',
    url: truncateText(event.url, maxUrlChars),
    type: 'websocket',
    documentUrl: '',
    startedAt: Date.now(),
    startTick: 0,
    initiator: event.initiator === undefined ? initiatorOf({ type: 'other' }) : initiatorOf(event.initiator, keyOf),
  });
}

function initiatorOf(initiator: Protocol.Network.Initiator, keyOf?: KeyOfScript): NetworkRequest['initiator'] {
  const stack = stackFramesOf(initiator.stack, keyOf);
  const line = initiator.lineNumber === undefined ? undefined : initiator.lineNumber + 1;
  return {
    type: initiator.type,
    url: truncateText(initiator.url ?? stack[0]?.url ?? '', 500),
    line: line ?? stack[0]?.line,
    stack,
  };
}

export function withResponse(request: NetworkRequest, response: Protocol.Network.Response): NetworkRequest {
  return {
    ...request,
    status: response.status,
    statusText: response.statusText,
    mimeType: response.mimeType,
    protocol: response.protocol ?? '',
    remoteAddress: response.remoteIPAddress ? `${response.remoteIPAddress}:${response.remotePort ?? 0}` : '',
    // ExtraInfo events that arrived first have the headers as sent on the wire.
    responseHeaders: { ...normalizeHeaders(response.headers), ...request.responseHeaders },
    cache: cacheOf(response) ?? request.cache,
    fromServiceWorker: response.fromServiceWorker ?? false,
    transferBytes: Math.max(0, response.encodedDataLength),
    timing: response.timing === undefined ? request.timing : timingOf(response.timing, request.startTick),
  };
}

function cacheOf(response: Protocol.Network.Response): NetworkRequest['cache'] {
  if (response.fromPrefetchCache === true) return 'prefetch';
  return response.fromDiskCache === true ? 'disk' : undefined;
}

function timingOf(timing: Protocol.Network.ResourceTiming, startTick: number): RequestTiming {
  const phase = (name: keyof RequestTiming, from: number, to: number): RequestTiming =>
    from < 0 || to < from ? {} : { [name]: round(to - from) };
  return {
    ...phase('queued', 0, (timing.requestTime - startTick) * 1000),
    ...phase('dns', timing.dnsStart, timing.dnsEnd),
    ...phase('connect', timing.connectStart, timing.connectEnd),
    ...phase('tls', timing.sslStart, timing.sslEnd),
    ...phase('send', timing.sendStart, timing.sendEnd),
    ...phase('wait', timing.sendEnd, timing.receiveHeadersEnd),
  };
}

/** Ends a request at `tick`: a redirect hop, or a finished or failed request. */
export function endRequest(
  request: NetworkRequest,
  tick: number,
  outcome: { readonly transferBytes?: number; readonly failure?: RequestFailure } = {},
): NetworkRequest {
  const durationMs = round((tick - request.startTick) * 1000);
  const { queued = 0, dns = 0, connect = 0, send = 0, wait = 0 } = request.timing ?? {};
  const download = Math.max(0, round(durationMs - queued - dns - connect - send - wait));
  return {
    ...request,
    state: outcome.failure === undefined ? 'finished' : 'failed',
    failure: outcome.failure,
    transferBytes: Math.max(0, outcome.transferBytes ?? request.transferBytes),
    durationMs,
    timing: request.timing === undefined ? undefined : { ...request.timing, download },
  };
}

/**
 * Ends a request that Network.loadingFailed reports, as it also does for an answer without a body, or with one that the
 * page does not read.
 */
export function failRequest(request: NetworkRequest, event: Protocol.Network.LoadingFailedEvent): NetworkRequest {
  const { canceled = false, blockedReason, corsErrorStatus, errorText, timestamp } = event;
  const isRefused = blockedReason !== undefined || corsErrorStatus !== undefined;
  const hasAnswer = request.status !== undefined && request.bodyBytes === 0 && !isRefused;
  if (hasAnswer && (canceled || errorText === 'net::ERR_HTTP_RESPONSE_CODE_FAILURE')) {
    return { ...endRequest(request, timestamp), isUnread: true };
  }
  return endRequest(request, timestamp, { failure: requestFailureOf(event) });
}

/** Whether the answer cannot have a body. */
export function isBodiless({ method, status = 0, responseHeaders }: NetworkRequest): boolean {
  return method === 'HEAD' || [204, 205, 304].includes(status) || responseHeaders['content-length'] === '0';
}

function requestFailureOf(event: Protocol.Network.LoadingFailedEvent): RequestFailure {
  return {
    error: event.errorText,
    canceled: event.canceled ?? false,
    blockedReason: event.blockedReason,
    corsError: event.corsErrorStatus?.corsError,
  };
}

/** Lower-cases the names, so that duplicates are merged. */
export function normalizeHeaders(headers: Protocol.Network.Headers): HttpHeaders {
  const entries = Object.entries(headers).slice(0, maxHeaders);
  return Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), truncateText(value, maxHeaderChars)]));
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}

/** An upper bound: two bytes per character, and the object's overhead. */
export function sizeOfRequest(request: NetworkRequest): number {
  const headers = { ...request.requestHeaders, ...request.responseHeaders };
  const chars =
    request.url.length +
    request.documentUrl.length +
    (request.postData?.content.length ?? 0) +
    Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  return 2 * chars + 1_000 + request.initiator.stack.length * 200;
}
