import type { IncomingMessage, ServerResponse } from 'node:http';
import { LRUCache } from 'lru-cache';
import Negotiator from 'negotiator';
import type { EventLog } from '../cluster/eventLog.js';
import { Refusal } from '../errors/errors.js';
import { methods } from '../mcp/methods.js';
import {
  asksForSession,
  isObject,
  replyIdOf,
  parseMessage,
  protocolVersions,
  type JSONRPCMessage,
} from '../mcp/protocol.js';
import type { SessionMemory } from '../mcp/responseMemory.js';
import type { Log } from '../log.js';
import type { Session } from '../session/session.js';
import { toPrincipal } from '../tenancy/auth.js';
import { cutText } from '../text.js';
import type { Caller } from '../tenancy/principal.js';
import { JsonWriter, type StreamWriter } from './streamWriter.js';
import { isStateless } from '../mcp/envelope.js';
import { namesStatelessVersion, repeatedHeadersOf } from './repeatedHeaders.js';
import { sendRefusal } from './sendRefusal.js';
import { SseWriter } from './sseWriter.js';
import { createStatelessHttp, type StatelessHttpDeps } from './statelessHttp.js';
import { StreamableHttpTransport } from './streamableHttp.js';
import { cutAtExpiry } from './tokenExpiry.js';
import { resolveSessionRequest, bodyOf, openMemory, logErrors, type AsyncRequestListener } from './transport.js';

/** Messages in one batch (S10). Only revision 2025-03-26 has batches. */
const maxBatchSize = 100;
const batchRevision = '2025-03-26';
/** The first revision whose clients accept an event with an id and no data. */
const primingEventSince = '2025-11-25';

export interface StreamableHttpDeps extends StatelessHttpDeps {
  readonly eventLog: EventLog;
}

/**
 * `POST /mcp`: `initialize` opens a session, also with the id of another one: clients send that of a session that they lost,
 * and it is never read. Everything else goes to the session in the header `Mcp-Session-Id`. Requests are answered by a stream, so that the responses can be resumed, or as JSON for clients that
 * prefer it; a POST without requests by 202. A message with the envelope of revision 2026-07-28 needs no session.
 */
export function postToSession(deps: StreamableHttpDeps): AsyncRequestListener {
  const answerStateless = createStatelessHttp(deps);
  return async (request, response) => {
    const hasSessionId = sessionIdFromHeader(request) !== '';
    const opensSession = !hasSessionId && !namesStatelessVersion(request);
    const caller = await deps.admit(request, opensSession ? 'connection' : 'message');
    const body = await bodyOf(deps, request, caller);
    const id = replyIdOf(body);
    try {
      const post = { request, response, body };
      if (isStateless(body, repeatedHeadersOf(request)))
        await answerStateless(caller, { ...post, accepted: acceptedTypes(request.headers.accept) });
      else if (!hasSessionId || asksForSession(body)) await openStreamableSession(deps, post);
      else await deliverToSession(deps, caller, post);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      sendRefusal(response, error, id);
    }
  };
}

/** `GET /mcp`: the standalone stream, or, with `Last-Event-ID`, the rest of the stream of that event. */
export function listenToSession(deps: StreamableHttpDeps): AsyncRequestListener {
  return async (request, response) => {
    const caller = await deps.admit(request, 'message');
    const { session, channel } = findOpenSession(deps, caller, request);
    requireStreamAccepted(request);
    deps.openResponses.track(caller, response);
    cutAtExpiry(caller, response, deps.clock);
    const writer = new SseWriter(response, { clock: deps.clock, memory: channel.memory });
    const lastEventId = singleHeader(request, 'last-event-id');
    const sendPrimingEvent = needsPrimingEvent(session.server.protocolVersion);
    if (lastEventId === '') await channel.attachStandalone(writer, sendPrimingEvent);
    // 204 tells an EventSource not to reconnect (HTML, server-sent events).
    else if ((await channel.resume(writer, lastEventId, sendPrimingEvent)) === 'finished')
      response.writeHead(204).end();
  };
}

/** `DELETE /mcp`: closes the session; 204. */
export function deleteSession(deps: StreamableHttpDeps): AsyncRequestListener {
  return async (request, response) => {
    const caller = await deps.admit(request, 'message');
    findOpenSession(deps, caller, request).session.close('client-closed');
    response.writeHead(204).end();
  };
}

interface PostedBody {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: unknown;
}

async function openStreamableSession(deps: StreamableHttpDeps, posted: PostedBody): Promise<void> {
  const { registry, parts } = deps;
  const { request, response, body } = posted;
  const sessionRequest = await resolveSessionRequest(deps, request);
  if (!asksForSession(body)) throw refusalWithoutSession(body);
  const message = parseMessage(body);
  const channel = new StreamableHttpTransport({ ...deps, memory: openMemory(deps, sessionRequest) });
  const writer = createWriter(deps, posted, channel.memory);
  const session = await registry.openWithClusterQuota(parts, { ...sessionRequest, channel });
  const detach = (): void => session.detach('client-closed');
  writer.onclose = detach;
  bindStreamableTransport(session, channel, parts.log);
  if (response.destroyed) detach();
  await channel.ready;
  const revision = 'params' in message ? message.params?.['protocolVersion'] : undefined;
  await channel.answerInitialize(writer, {
    requests: requestIdsOf([message]),
    dispatch: () => void session.receive(message),
    sendPrimingEvent: needsPrimingEvent(revision),
  });
}

/** A client that asks for a method of another revision, to learn which one is served, falls back on its code. */
function refusalWithoutSession(body: unknown): Refusal {
  const method = isObject(body) && replyIdOf(body) !== null ? body['method'] : undefined;
  if (typeof method !== 'string' || Object.hasOwn(methods, method)) return new Refusal('missing_session');
  return new Refusal('unknown_method', { detail: `Method not found: ${cutText(method, 200).toWellFormed()}` });
}

/** Connects what the transport notices of its client, and its errors, to the session. */
export function bindStreamableTransport(session: Session, channel: StreamableHttpTransport, log: Log): void {
  channel.onabsent = (because) => session.detach(because);
  channel.onpresent = () => session.actor.send({ type: 'transport.attached' });
  channel.onrequestlost = (request, canResume) => session.server.connectionLost(request, canResume);
  channel.onrequestresumed = (request) => session.server.connectionResumed(request);
  logErrors(channel, log, session);
}

async function deliverToSession(deps: StreamableHttpDeps, caller: Caller, posted: PostedBody): Promise<void> {
  const { request, response, body } = posted;
  const { session, channel } = findOpenSession(deps, caller, request);
  const messages = parseMessages(body, session.server.protocolVersion);
  // The admission has counted one message.
  if (messages.length > 1) {
    await deps.rateLimits.countMessages(toPrincipal(caller), messages.length - 1);
    session.checkOpen();
  }
  if (messages.some(asksForSession)) throw new Refusal('already_initialized');
  const requests = requestIdsOf(messages);
  if (requests.length > 0) {
    deps.openResponses.track(caller, response);
    const sendPrimingEvent = needsPrimingEvent(session.server.protocolVersion);
    await channel.answerRequests(createWriter(deps, posted, channel.memory), {
      requests,
      dispatch: () => receiveAll(session, messages),
      sendPrimingEvent,
    });
    return;
  }
  channel.markPresent();
  receiveAll(session, messages);
  response.writeHead(202).end();
}

/**
 * One message per turn of the event loop, which a long batch does not hold up. A refusal of the first message refuses the
 * whole batch; later messages are refused one by one.
 */
function receiveAll(session: Session, [first, ...later]: readonly JSONRPCMessage[]): void {
  // Not awaited: an open session holds no message.
  if (first !== undefined) void session.receive(first);
  const receiveNext = (): void => {
    const message = later.shift();
    if (message === undefined) return;
    setImmediate(receiveNext);
    try {
      void session.receive(message);
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal('internal', {}, { cause: error });
      for (const id of requestIdsOf([message])) session.channel.deliver(refusal.toJsonRpc(id), id);
    }
  };
  if (later.length > 0) setImmediate(receiveNext);
}

/**
 * The session of a request. Throws `missing_session`, `unknown` (also for a session of another transport),
 * `store_unreachable`, `closed`, `draining`, `not_ready` or `unsupported_version`.
 */
function findOpenSession({ registry, eventLog }: StreamableHttpDeps, caller: Caller, request: IncomingMessage) {
  const sessionId = singleHeader(request, 'mcp-session-id');
  if (sessionId === '') throw new Refusal('missing_session');
  const session = registry.find(sessionId, caller);
  const { channel } = session;
  if (!(channel instanceof StreamableHttpTransport)) throw new Refusal('unknown');
  // Without the lease another node may own the session, and responses could not be logged (S11).
  if (eventLog.isWritable === false) throw new Refusal('store_unreachable');
  session.checkOpen();
  const revision = singleHeader(request, 'mcp-protocol-version');
  const isSpoken = revision === session.server.protocolVersion || protocolVersions.some((each) => each === revision);
  if (revision !== '' && !isSpoken) {
    throw new Refusal('unsupported_version');
  }
  return { session, channel };
}

/** The session id of a request; empty without one, no id if there are different ones. */
export const sessionIdFromHeader = (request: IncomingMessage): string => valuesOf(request, 'mcp-session-id').join();

/** Empty without the header. Throws `invalid_parameter` for different values: a proxy and this server may read another. */
function singleHeader(request: IncomingMessage, name: string): string {
  const [value = '', ...others] = valuesOf(request, name);
  if (others.length === 0) return value;
  throw new Refusal('invalid_parameter', { detail: `The header ${name} has different values. Send one.` });
}

/** The different values of a header, whose values have no comma: Node joins repeated headers, and proxies repeat them. */
function valuesOf({ headers }: IncomingMessage, name: string): string[] {
  const value = String(headers[name] ?? '');
  return value.includes(',') ? [...new Set(value.split(',').map((part) => part.trim()))] : [value];
}

/** By the negotiated revision: a request may lack the header `MCP-Protocol-Version`. */
const needsPrimingEvent = (revision: unknown): boolean => typeof revision === 'string' && revision >= primingEventSince;

const eventStream = 'text/event-stream';
const json = 'application/json';
const mediaTypes = [eventStream, json] as const;

type MediaType = (typeof mediaTypes)[number];

/**
 * The media type that the client prefers for an answer. A client that names one of the two gets that one, and one that
 * names nothing takes both: MCP wants both named, and many clients do not. Wildcards and weights count.
 */
function preferredType({ headers }: IncomingMessage): MediaType {
  const [preferred] = acceptedTypes(headers.accept);
  if (preferred !== undefined) return preferred;
  throw new Refusal('not_acceptable', { detail: `Send Accept: ${mediaTypes.join(', ')}.` });
}

/** A stream can be answered as a stream only. */
function requireStreamAccepted({ headers }: IncomingMessage): void {
  if (acceptedTypes(headers.accept).includes(eventStream)) return;
  throw new Refusal('not_acceptable', { detail: `Send Accept: ${eventStream}.` });
}

/** The last headers that were read: the clients of a server send few different ones. */
const readAccepts = new LRUCache<string, readonly MediaType[]>({ max: 100 });
/** Longer ones are read each time. */
const maxKeptAccept = 200;

/** The types that an `Accept` header allows (RFC 9110, section 12.5.1), by preference; the event stream wins a tie. */
function acceptedTypes(accept: string | undefined): readonly MediaType[] {
  if (accept === undefined || accept.trim() === '') return mediaTypes;
  const known = readAccepts.get(accept) ?? readAccept(accept);
  if (accept.length <= maxKeptAccept) readAccepts.set(accept, known);
  return known;
}

function readAccept(accept: string): readonly MediaType[] {
  const ranges = accept.toLowerCase().split(',');
  // Of equal weights the first range wins.
  const streamFirst = ranges.toSorted((a, b) => Number(b.includes(eventStream)) - Number(a.includes(eventStream)));
  const negotiator = new Negotiator({ headers: { accept: streamFirst.join(',') } });
  const preferred = negotiator.mediaTypes([`${eventStream};charset=utf-8`, `${json};charset=utf-8`]);
  // A range with other parameters (`application/json;version=1`) still names its type.
  const allowed = [...preferred, ...negotiator.mediaTypes()];
  return [...new Set(allowed.flatMap((range) => mediaTypes.filter((type) => range.startsWith(type))))];
}

/** An event stream, which can be resumed, unless the client prefers one JSON response. */
function createWriter(
  { clock }: StreamableHttpDeps,
  { request, response, body }: PostedBody,
  memory: SessionMemory,
): StreamWriter {
  if (preferredType(request) === eventStream) return new SseWriter(response, { clock, memory });
  return new JsonWriter(response, { clock, memory, isBatch: Array.isArray(body) });
}

function parseMessages(body: unknown, revision: string | null): JSONRPCMessage[] {
  if (!Array.isArray(body) || revision !== batchRevision) return [parseMessage(body)];
  if (body.length === 0 || body.length > maxBatchSize) {
    throw new Refusal('invalid_message', { detail: `A batch has 1 to ${maxBatchSize} messages.` });
  }
  const messages = body.map(parseMessage);
  const ids = requestIdsOf(messages);
  if (new Set(ids).size < ids.length)
    throw new Refusal('invalid_message', { detail: 'Two requests of the batch have the same id.' });
  return messages;
}

function requestIdsOf(messages: readonly JSONRPCMessage[]) {
  return messages.flatMap((message) => ('id' in message && 'method' in message ? [message.id] : []));
}
