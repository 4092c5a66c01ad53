import { z } from 'zod';
import { type Tool, type BrowserToolContext, definePageTool } from './defineTool.js';
import { mockNetworkTool } from './networkMockTool.js';
import { listWebSocketFramesTool } from './webSocketFrameTool.js';
import type { NetworkRequest, HttpHeaders, NetworkCollector } from '../browser/collectors/networkCollector.js';
import type { RingBufferEntry } from '../browser/collectors/ringBuffer.js';
import { findUrls } from '../browser/patterns/urlPattern.js';
import { bytesText, listingInput, listingOutput, pageOf, oneLine } from './pagination.js';
import { isBodiless } from '../browser/collectors/requestRecord.js';
import { describeChallenge, type Credentials } from '../browser/policy/credentials.js';
import { messageOf, ToolError } from '../errors/errors.js';
import { frameText, locationText } from './consoleTools.js';
import { OriginalPlaces } from './originalPlaces.js';
import { textPart } from '../text.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import { matchingRules, ruleText } from '../browser/extensions/requestRules.js';

const urlChars = 300;

const statusPattern = /^(\d{3}|[1-5]xx|pending|failed|error)$/;

const requestRow = {
  id: z.int(),
  method: z.string(),
  url: z.string(),
  type: z.string(),
  state: z.enum(['pending', 'finished', 'failed', 'left']),
  status: z.int().optional(),
  error: z.string().optional(),
  bytes: z.int(),
  durationMs: z.number().optional(),
  source: z.enum(['page', 'iframe', 'worker']),
  cache: z.enum(['memory', 'disk', 'prefetch', 'service-worker']).optional(),
  redirectedFrom: z.int().optional(),
  redirectedTo: z.int().optional(),
  mockedBy: z.int().optional(),
};

const listNetworkRequestsTool = definePageTool({
  name: 'list_network_requests',
  title: 'List network requests',
  group: 'network',
  description: 'Requests of a page, its frames and workers, a line each; also before navigating',
  input: z.object({
    types: z.array(z.string()).optional().describe('Any of document, fetch, xhr, script, image, …'),
    url: z.string().optional().describe('Text in the URL, glob or /regex/'),
    method: z.string().optional().describe('HTTP method'),
    status: z
      .string()
      .refine((status) => statusPattern.test(status), 'a status such as 404 or 4xx, or failed, pending, error')
      .optional()
      .describe('Such as 404, 4xx, failed, pending, error'),
    ...listingInput,
  }),
  output: z.object({ requests: z.array(z.object(requestRow)), ...listingOutput }),
  annotations: { readOnlyHint: true },
  lock: false,
  handler: async (args, { page, signal }) => {
    const reading = page.network.read(args.since);
    const urls = await findUrls(
      args.url,
      reading.entries.map(({ value }) => value.url),
      signal,
    );
    const listing = pageOf(
      reading,
      (request) =>
        urls.has(request.url) &&
        (args.types === undefined || args.types.includes(request.type)) &&
        (args.method === undefined || args.method.toUpperCase() === request.method) &&
        (args.status === undefined || hasStatus(request, args.status)),
      args,
    );
    const lines = listing.entries.map(({ id, value }) => requestLine(id, value));
    if (lines.length === 0) lines.push(args.since === undefined ? 'No such requests.' : 'Nothing new since then.');
    return {
      text: [...lines, '', listing.footer].join('\n'),
      structured: { requests: listing.entries.map(structuredRequest), ...listing.fields },
    };
  },
});

function hasStatus({ state, status = 0 }: NetworkRequest, wanted: string): boolean {
  if (wanted === 'pending' || wanted === 'failed') return state === wanted;
  if (wanted === 'error') return state === 'failed' || status >= 400;
  return wanted.endsWith('xx') ? Math.floor(status / 100) === Number(wanted[0]) : status === Number(wanted);
}

/** `#5 GET 404 fetch 1.2 kB 35 ms http://…`, with notes in brackets. */
export function requestLine(id: number, request: NetworkRequest): string {
  const { failure, redirectedFrom, redirectedTo, mockedBy } = request;
  const notes = [
    ...(failure === undefined ? [] : [failureText(failure)]),
    ...(request.state === 'left' ? ['open when its page was left'] : []),
    ...(cacheOf(request) === undefined ? [] : [`from ${cacheOf(request)}`]),
    ...(redirectedFrom === undefined ? [] : [`redirected from #${redirectedFrom}`]),
    ...(redirectedTo === undefined ? [] : [`redirects to #${redirectedTo}`]),
    ...(mockedBy === undefined ? [] : [`mocked by rule ${mockedBy}`]),
    ...(request.isUnread && !isBodiless(request) ? ['body empty or not read'] : []),
    ...challengeNote(request),
    ...(request.source === 'page' ? [] : [request.source]),
  ];
  return [
    `#${id} ${request.method}`,
    request.state === 'failed' ? 'failed' : (request.status ?? request.state),
    request.type,
    bytesText(request.transferBytes),
    ...(request.durationMs === undefined ? [] : [`${Math.round(request.durationMs)} ms`]),
    oneLine(request.url, urlChars),
    ...notes.map((note) => `[${note}]`),
  ].join(' ');
}

/** The server that asks for credentials. */
function challengeNote({ status = 0, responseHeaders: headers, url }: NetworkRequest): string[] {
  const challenge = describeChallenge({ status, headers, url });
  return challenge === undefined ? [] : [challenge];
}

function failureText({ error, canceled, blockedReason, corsError }: NonNullable<NetworkRequest['failure']>): string {
  return [
    error,
    ...(canceled ? ['cancelled'] : []),
    ...(blockedReason === undefined ? [] : [`blocked: ${blockedReason}`]),
    ...(corsError === undefined ? [] : [`CORS: ${corsError}`]),
  ].join(', ');
}

function cacheOf({ cache, fromServiceWorker }: NetworkRequest): z.infer<typeof requestRow.cache> {
  return fromServiceWorker ? 'service-worker' : cache;
}

function structuredRequest({
  id,
  value: request,
}: RingBufferEntry<NetworkRequest>): z.input<z.ZodObject<typeof requestRow>> {
  const { method, type, state, source, status, durationMs, redirectedFrom, redirectedTo, mockedBy } = request;
  const cache = cacheOf(request);
  return {
    ...{ id, method, type, state, source, url: oneLine(request.url, urlChars), bytes: request.transferBytes },
    ...(status === undefined ? {} : { status }),
    ...(request.failure === undefined ? {} : { error: failureText(request.failure) }),
    ...(durationMs === undefined ? {} : { durationMs }),
    ...(cache === undefined ? {} : { cache }),
    ...(redirectedFrom === undefined ? {} : { redirectedFrom }),
    ...(redirectedTo === undefined ? {} : { redirectedTo }),
    ...(mockedBy === undefined ? {} : { mockedBy }),
  };
}

const hiddenValue = '(hidden; includeSensitive shows it)';
const sensitiveNames = /^(?:cookie|set-cookie|authorization|proxy-authorization)$|token|api-?key|secret|csrf/;
const stackFrames = 10;

const bodyPart = z.object({
  content: z.string(),
  encoding: z.enum(['text', 'base64']),
  offset: z.int(),
  total: z.int(),
});

type BodyPart = z.infer<typeof bodyPart>;

const getNetworkRequestTool = definePageTool({
  name: 'get_network_request',
  title: 'Network request',
  group: 'network',
  description: 'One request in full: headers, timing, initiator, bodies',
  input: z.object({
    id: z.int().describe('From list_network_requests'),
    body: z.enum(['response', 'request', 'none']).default('response').describe('response: both bodies'),
    offset: z.int().min(0).default(0).describe('Where in the body to begin'),
    limit: z.int().min(1).max(100_000).default(4_000).describe('Characters of the body; bytes if binary'),
    includeSensitive: z.boolean().default(false).describe('Show cookies and credentials'),
  }),
  output: z.object({
    ...requestRow,
    statusText: z.string(),
    mimeType: z.string(),
    protocol: z.string(),
    remoteAddress: z.string(),
    startedAt: z.string(),
    documentUrl: z.string(),
    requestHeaders: z.record(z.string(), z.string()),
    responseHeaders: z.record(z.string(), z.string()),
    timing: z.record(z.string(), z.number()),
    initiator: z.object({ type: z.string(), place: z.string(), stack: z.array(z.string()) }),
    requestBody: bodyPart.optional(),
    responseBody: bodyPart.optional(),
    bodyNote: z.string().optional(),
    /** Rules of extensions that match a blocked request; one of them blocked it. */
    blockedBy: z.array(z.string()).optional(),
    /** Rules of extensions that redirect or change it, or let it pass. */
    changedBy: z.array(z.string()).optional(),
  }),
  annotations: { readOnlyHint: true },
  lock: false,
  handler: async (args, { browser, signal, page }) => {
    const { network } = page;
    const request = network.get(args.id);
    if (request === undefined) {
      throw new ToolError(
        `There is no request ${args.id} on this page, or it was dropped. list_network_requests shows the kept ones.`,
      );
    }
    const shown = visibleRequest(request, args.includeSensitive, browser.credentials);
    const requestBody = args.body === 'none' ? undefined : await requestPart(network, args);
    if (!(await browser.addresses.allowsPart(request.url))) {
      throw new ToolError(`Request ${args.id} is for ${request.url}, which this session may not load.`);
    }
    const response = args.body === 'response' ? await responsePart(network, args) : {};
    const rules = await rulesFor(request, { browser, signal });
    const isBlocked = request.failure?.error === 'net::ERR_BLOCKED_BY_CLIENT';
    const places = await OriginalPlaces.find({ browser, page }, { locations: request.initiator.stack }, signal);
    const details = requestDetails(shown, places);
    const text = describeRequest(args.id, shown, details, { requestBody, ...response });
    return {
      text: rules.length === 0 ? text : `${text}\n${isBlocked ? 'Blocked' : 'Changed'} by ${rules.join('; ')}.`,
      structured: {
        ...(rules.length > 0 && (isBlocked ? { blockedBy: rules } : { changedBy: rules })),
        ...structuredRequest({ id: args.id, value: shown }),
        ...details,
        ...(requestBody === undefined ? {} : { requestBody }),
        ...response,
      },
    };
  },
});

/** The rules of extensions that act on a request. A shared browser has none, and older ones do not report them. */
async function rulesFor(
  request: NetworkRequest,
  { browser, signal }: Pick<BrowserToolContext, 'browser' | 'signal'>,
): Promise<string[]> {
  if (browser.isolation === 'context' || !/^(?:https?|wss?):/.test(request.url)) return [];
  try {
    return await withCdpScope(browser.browser, signal, async (scope) =>
      (await matchingRules(scope, request)).map(ruleText),
    );
  } catch {
    signal.throwIfAborted();
    return [];
  }
}

interface BodyRange {
  readonly id: number;
  readonly body: 'response' | 'request' | 'none';
  readonly offset: number;
  readonly limit: number;
}

async function requestPart(
  network: NetworkCollector,
  { id, body, offset, limit }: BodyRange,
): Promise<BodyPart | undefined> {
  const data = await network.postData(id);
  if (data === undefined) return undefined;
  const from = body === 'request' ? offset : 0;
  return data.isText
    ? bodyTextPart(data.content, from, limit)
    : bytesPart(Buffer.from(data.content, 'base64'), from, limit);
}

async function responsePart(
  network: NetworkCollector,
  { id, offset, limit }: BodyRange,
): Promise<{ responseBody?: BodyPart; bodyNote?: string }> {
  try {
    const body = await network.responseBody(id);
    const responseBody = body.isText
      ? bodyTextPart(body.content, offset, limit)
      : bytesPart(body.content, offset, limit);
    return {
      responseBody,
      ...(body.isPartial === true && { bodyNote: 'what has arrived so far; ask again for more' }),
    };
  } catch (error) {
    // A body that cannot be read is a fact about the request, not a failure of the tool.
    return { bodyNote: messageOf(error) };
  }
}

function bodyTextPart(body: string, offset: number, limit: number): BodyPart {
  const { text, start } = textPart(body, offset, limit);
  return { content: text, encoding: 'text', offset: start, total: body.length };
}

function bytesPart(bytes: Buffer, offset: number, limit: number): BodyPart {
  const content = bytes.subarray(offset, offset + limit).toString('base64');
  return { content, encoding: 'base64', offset, total: bytes.length };
}

/** A request without its cookies and credentials; those that this session keeps are hidden in any case. */
export function visibleRequest(request: NetworkRequest, sensitive: boolean, credentials: Credentials): NetworkRequest {
  return sensitive ? withoutOwnCredentials(request, credentials) : withoutSecrets(request);
}

function withoutOwnCredentials(request: NetworkRequest, credentials: Credentials): NetworkRequest {
  if (credentials.headerFor(request.url) === undefined) return request;
  return { ...request, requestHeaders: { ...request.requestHeaders, authorization: '(hidden)' } };
}

function withoutSecrets(request: NetworkRequest): NetworkRequest {
  const hide = (headers: HttpHeaders): HttpHeaders =>
    Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, sensitiveNames.test(name) ? hiddenValue : value]),
    );
  return { ...request, requestHeaders: hide(request.requestHeaders), responseHeaders: hide(request.responseHeaders) };
}

function requestDetails(request: NetworkRequest, places: OriginalPlaces) {
  const { statusText, mimeType, protocol, remoteAddress, documentUrl, initiator } = request;
  const [sender] = initiator.stack;
  const place = initiator.url === '' ? '' : locationText({ ...initiator, column: undefined });
  return {
    ...{ statusText, mimeType, protocol, remoteAddress, documentUrl, url: request.url },
    startedAt: new Date(request.startedAt).toISOString(),
    requestHeaders: { ...request.requestHeaders },
    responseHeaders: { ...request.responseHeaders },
    timing: { ...request.timing },
    initiator: {
      type: initiator.type,
      place: sender === undefined ? place : places.text(sender, place),
      stack: initiator.stack.slice(0, stackFrames).map((frame) => frameText(frame, places)),
    },
  };
}

function describeRequest(
  id: number,
  request: NetworkRequest,
  { initiator, timing, requestHeaders, responseHeaders, startedAt }: ReturnType<typeof requestDetails>,
  bodies: { requestBody: BodyPart | undefined; responseBody?: BodyPart; bodyNote?: string },
): string {
  const { requestBody, responseBody, bodyNote } = bodies;
  const phases = Object.entries(timing).map(([name, ms]) => `${name} ${ms} ms`);
  return [
    requestLine(id, request),
    ...(request.url.length > 300 ? [request.url] : []),
    `Started ${startedAt} by ${[initiator.type, initiator.place].filter(Boolean).join(' ')}`,
    ...initiator.stack.map((frame) => `  at ${frame}`),
    ...(request.failure === undefined ? [] : [`Failure: ${failureText(request.failure)}`]),
    ...(phases.length === 0 ? [] : [`Timing: ${phases.join(', ')}`]),
    ...headerSection('Request headers', requestHeaders),
    ...bodySection('Request body', requestBody),
    ...headerSection(`Response headers (${request.status ?? 'none yet'} ${request.statusText})`, responseHeaders),
    ...bodySection('Response body', responseBody),
    ...(bodyNote === undefined ? [] : [`Response body: ${bodyNote}`]),
  ].join('\n');
}

function headerSection(title: string, headers: HttpHeaders): string[] {
  const lines = Object.entries(headers).map(([name, value]) => `  ${name}: ${value.replaceAll('\n', '\n    ')}`);
  return lines.length === 0 ? [] : [`${title}:`, ...lines];
}

function bodySection(title: string, body: BodyPart | undefined): string[] {
  if (body === undefined) return [];
  const size = Buffer.byteLength(body.content, body.encoding === 'base64' ? 'base64' : 'utf16le');
  const end = body.offset + (body.encoding === 'base64' ? size : body.content.length);
  const unit = body.encoding === 'base64' ? 'bytes, as base64' : 'characters';
  const rest = end < body.total ? [`(${body.offset} to ${end} of ${body.total}; continue with offset: ${end})`] : [];
  return [`${title} (${body.total} ${unit}):`, body.content, ...rest];
}

export const networkTools: readonly Tool[] = [
  listNetworkRequestsTool,
  getNetworkRequestTool,
  listWebSocketFramesTool,
  mockNetworkTool,
];
