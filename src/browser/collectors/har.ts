import { packageInfo } from '../../packageInfo.js';
import type { HttpHeaders, NetworkRequest, PostData } from './requestRecord.js';
import { bodyBytes, type ResponseBody } from './responseBody.js';

/** One request, its body as far as it is known, and the messages of a WebSocket. */
export interface RecordedRequest {
  readonly request: NetworkRequest;
  readonly postData: PostData | undefined;
  /** Undefined: not available, or not requested. */
  readonly body: ResponseBody | undefined;
  readonly messages: readonly HarMessage[];
}

interface HarMessage {
  readonly type: 'send' | 'receive';
  /** Seconds since 1970. */
  readonly time: number;
  readonly opcode: 1 | 2;
  readonly data: string;
}

interface HarPage {
  readonly url: string;
  readonly title: string;
}

/**
 * What DevTools exports and imports: HTTP Archive 1.2, with its `_` fields for what the format lacks. A part for each request:
 * together they may be too long to be written at once.
 */
export function* harParts(page: HarPage, requests: readonly RecordedRequest[]): Generator<string> {
  const [first] = requests;
  const startedAt = first?.request.startedAt ?? Date.now();
  const head = {
    version: '1.2',
    creator: { name: packageInfo.name, version: packageInfo.version },
    pages: [{ id: 'page_1', title: page.title || page.url, startedDateTime: dateOf(startedAt), pageTimings: {} }],
  };
  yield `{"log":${JSON.stringify(head).slice(0, -1)},"entries":[`;
  for (const [index, recorded] of requests.entries())
    yield `${index === 0 ? '' : ','}${JSON.stringify(entryOf(recorded))}`;
  yield ']}}';
}

const dateOf = (milliseconds: number): string => new Date(milliseconds).toISOString();

function entryOf(recorded: RecordedRequest): object {
  const { request, messages } = recorded;
  const timings = timingsOf(request);
  return {
    pageref: 'page_1',
    startedDateTime: dateOf(request.startedAt),
    time: sumOf(timings),
    request: requestOf(recorded),
    response: responseOf(recorded),
    cache: {},
    timings,
    ...(request.remoteAddress !== '' && { serverIPAddress: request.remoteAddress.replace(/:\d+$/, '') }),
    _resourceType: request.type,
    _initiator: { type: request.initiator.type, url: request.initiator.url, lineNumber: request.initiator.line },
    ...(request.cache !== undefined && { _fromCache: request.cache }),
    ...(request.fromServiceWorker && { _fetchedViaServiceWorker: true }),
    ...(messages.length > 0 && { _webSocketMessages: messages }),
  };
}

function requestOf({ request, postData }: RecordedRequest): object {
  const { method, url, requestHeaders } = request;
  const mimeType = requestHeaders['content-type'] ?? '';
  const size = postData === undefined ? 0 : Buffer.byteLength(postData.content, postData.isText ? 'utf8' : 'base64');
  return {
    method,
    url,
    httpVersion: versionOf(request),
    headers: headersOf(requestHeaders),
    queryString: queryOf(url),
    cookies: cookiesOf(requestHeaders['cookie']),
    headersSize: -1,
    bodySize: size,
    ...(postData !== undefined && {
      postData: { mimeType, text: postData.content, ...(!postData.isText && { _encoding: 'base64' }) },
    }),
  };
}

function responseOf({ request, body }: RecordedRequest): object {
  const { status = 0, statusText, mimeType, responseHeaders, transferBytes, failure } = request;
  return {
    status,
    statusText,
    httpVersion: versionOf(request),
    headers: headersOf(responseHeaders),
    cookies: [],
    content: {
      size: body === undefined ? request.bodyBytes : bodyBytes(body),
      mimeType,
      ...(body !== undefined &&
        (body.isText ? { text: body.content } : { text: body.content.toString('base64'), encoding: 'base64' })),
    },
    redirectURL: responseHeaders['location'] ?? '',
    headersSize: -1,
    bodySize: -1,
    _transferSize: transferBytes,
    _error: failure?.error ?? null,
  };
}

/** HAR counts the TLS handshake within `connect`; -1 is a phase that did not happen. */
function timingsOf({ timing = {}, durationMs }: NetworkRequest) {
  const { queued = -1, dns = -1, connect = -1, tls = -1, send = 0, wait, download } = timing;
  return { blocked: queued, dns, connect, ssl: tls, send, wait: wait ?? durationMs ?? 0, receive: download ?? 0 };
}

function sumOf({ ssl: _, ...phases }: ReturnType<typeof timingsOf>): number {
  return Object.values(phases).reduce((sum, ms) => sum + Math.max(0, ms), 0);
}

/** ALPN names to those of the format. */
const versionOf = ({ protocol }: NetworkRequest): string =>
  protocol === 'h2' ? 'HTTP/2' : protocol === 'h3' ? 'HTTP/3' : protocol.toUpperCase() || 'HTTP/1.1';

function headersOf(headers: HttpHeaders): object[] {
  // Headers of one name arrive as lines of one value.
  return Object.entries(headers).flatMap(([name, value]) => value.split('\n').map((line) => ({ name, value: line })));
}

function queryOf(url: string): object[] {
  const query = URL.canParse(url) ? new URL(url).searchParams : [];
  return [...query].map(([name, value]) => ({ name, value }));
}

function cookiesOf(header = ''): object[] {
  return header
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.includes('='))
    .map((pair) => ({ name: pair.slice(0, pair.indexOf('=')), value: pair.slice(pair.indexOf('=') + 1) }));
}
