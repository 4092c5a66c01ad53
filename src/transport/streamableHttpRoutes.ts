import type { IncomingMessage, ServerResponse } from 'node:http';
import Negotiator from 'negotiator';
import type { EventLog } from '../cluster/eventLog.js';
import { Refusal } from '../errors/errors.js';
import { replyIdOf, parseMessage, protocolVersions, type JSONRPCMessage } from '../mcp/protocol.js';
import type { Log } from '../log.js';
import type { Session } from '../session/session.js';
import { toPrincipal } from '../tenancy/auth.js';
import type { Caller } from '../tenancy/principal.js';
import { JsonWriter, type StreamWriter } from './streamWriter.js';
import type { OpenResponses } from './openResponses.js';
import { sendRefusal } from './sendRefusal.js';
import { SseWriter } from './sseWriter.js';
import { StreamableHttpTransport } from './streamableHttp.js';
import { cutAtExpiry } from './tokenExpiry.js';
import {
  resolveSessionRequest,
  bodyOf,
  logErrors,
  type AsyncRequestListener,
  type TransportDeps,
} from './transport.js';

/** Messages that one batch may have (S10). Only revision 2025-03-26 has batches. */
const maxBatchSize = 100;
const batchRevision = '2025-03-26';
/** Clients of this revision and later know an event that has an id and no data. */
const primingEventSince = '2025-11-25';

export interface StreamableHttpDeps extends TransportDeps {
  readonly eventLog: EventLog;
  readonly openResponses: OpenResponses;
}

/**
 * `POST /mcp`: `initialize` without a session's id opens a session; everything else goes to the session that the header
 * `Mcp-Session-Id` names. What asks something is answered by a stream, so that the answer outlives its connection, or as JSON
 * for who prefers it; all else by 202.
 */
export function postToSession(deps: StreamableHttpDeps): AsyncRequestListener {
  return async (request, response) => {
    const opensSession = sessionIdFromHeader(request) === '';
    const caller = await deps.admit(request, opensSession ? 'connection' : 'message');
    const body = await bodyOf(deps, request, caller);
    const id = replyIdOf(body);
    try {
      const post = { request, response, body, preferred: requireAccept(request, mediaTypes) };
      if (opensSession) await openStreamableSession(deps, post);
      else await deliverToSession(deps, caller, post);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      sendRefusal(response, error, id);
    }
  };
}

/** `GET /mcp`: the stream for what belongs to no request, or, with `Last-Event-ID`, the one that this event is of. */
export function listenToSession(deps: StreamableHttpDeps): AsyncRequestListener {
  return async (request, response) => {
    const caller = await deps.admit(request, 'message');
    requireAccept(request, [eventStream]);
    const { session, channel } = findOpenSession(deps, caller, request);
    deps.openResponses.track(caller, response);
    cutAtExpiry(caller, response, deps.clock);
    const writer = new SseWriter(response, deps);
    const lastEventId = headerValue(request, 'last-event-id');
    const sendPrimingEvent = needsPrimingEvent(session.server.protocolVersion);
    if (lastEventId === '') await channel.attachStandalone(writer, sendPrimingEvent);
    // 204 tells an event source not to come again (HTML, server-sent events).
    else if ((await channel.resume(writer, lastEventId, sendPrimingEvent)) === 'finished')
      response.writeHead(204).end();
  };
}

/** `DELETE /mcp`: the client is done. 204 once the session is closed. */
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
  /** What the client would rather be answered with. */
  readonly preferred: MediaType;
}

async function openStreamableSession(deps: StreamableHttpDeps, posted: PostedBody): Promise<void> {
  const { registry, parts } = deps;
  const { request, response, body } = posted;
  const sessionRequest = await resolveSessionRequest(deps, request);
  if (!isInitialize(body)) throw new Refusal('missing_session');
  const message = parseMessage(body);
  const channel = new StreamableHttpTransport(deps);
  const writer = createWriter(deps, posted);
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

/** From here on the session hears of its client. */
export function bindStreamableTransport(session: Session, channel: StreamableHttpTransport, log: Log): void {
  channel.onabsent = (because) => session.detach(because);
  channel.onpresent = () => session.actor.send({ type: 'transport.attached' });
  logErrors(channel, log, session);
}

async function deliverToSession(deps: StreamableHttpDeps, caller: Caller, posted: PostedBody): Promise<void> {
  const { request, response, body } = posted;
  const { session, channel } = findOpenSession(deps, caller, request);
  const messages = parseMessages(body, session.server.protocolVersion);
  // One was counted as the request was let in.
  if (messages.length > 1) {
    await deps.rateLimits.countMessages(toPrincipal(caller), messages.length - 1);
    session.checkOpen();
  }
  if (messages.some(isInitialize)) throw new Refusal('already_initialized');
  const requests = requestIdsOf(messages);
  if (requests.length > 0) {
    deps.openResponses.track(caller, response);
    const sendPrimingEvent = needsPrimingEvent(session.server.protocolVersion);
    await channel.answerRequests(createWriter(deps, posted), {
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

/** A batch is refused with its first message; after that each request is answered for itself. */
function receiveAll(session: Session, messages: readonly JSONRPCMessage[]): void {
  for (const [index, message] of messages.entries()) {
    try {
      // The session is open: nothing is held.
      void session.receive(message);
    } catch (error) {
      if (index === 0 || !(error instanceof Refusal)) throw error;
      for (const id of requestIdsOf([message])) session.channel.deliver(error.toJsonRpc(id), id);
    }
  }
}

/**
 * Throws `missing_session`, `unknown`, also for a session of another transport, `store_unreachable`, `closed`, `draining`,
 * `not_ready` or `unsupported_version`.
 */
function findOpenSession({ registry, eventLog }: StreamableHttpDeps, caller: Caller, request: IncomingMessage) {
  const sessionId = sessionIdFromHeader(request);
  if (sessionId === '') throw new Refusal('missing_session');
  const session = registry.find(sessionId, caller);
  const { channel } = session;
  if (!(channel instanceof StreamableHttpTransport)) throw new Refusal('unknown');
  // What is done here now could not be answered, and may be another node's to do (S11).
  if (eventLog.isWritable === false) throw new Refusal('store_unreachable');
  session.checkOpen();
  const revision = headerValue(request, 'mcp-protocol-version');
  if (revision !== '' && !protocolVersions.some((known) => known === revision)) {
    throw new Refusal('unsupported_version');
  }
  return { session, channel };
}

/** The session that a request is for; empty if it names none. */
export const sessionIdFromHeader = (request: IncomingMessage): string => headerValue(request, 'mcp-session-id');

/** Empty without one. Node joins what is sent twice. */
const headerValue = ({ headers }: IncomingMessage, name: string): string => String(headers[name] ?? '');

/** By what was negotiated: the header of a request may be missing. */
const needsPrimingEvent = (revision: unknown): boolean => typeof revision === 'string' && revision >= primingEventSince;

const eventStream = 'text/event-stream';
const json = 'application/json';
const mediaTypes = [eventStream, json] as const;

type MediaType = (typeof mediaTypes)[number];

/**
 * Answers with the type that the client prefers, or refuses it. A client MUST name what it accepts, so one that names
 * nothing is refused; beyond that, wildcards and weights count.
 */
function requireAccept({ headers }: IncomingMessage, required: readonly MediaType[]): MediaType {
  const accepted = acceptedTypes(headers.accept ?? '');
  const [preferred] = accepted;
  if (preferred !== undefined && required.every((type) => accepted.includes(type))) return preferred;
  throw new Refusal('not_acceptable', { detail: `Send Accept: ${required.join(', ')}.` });
}

/** The types that an `Accept` header allows (RFC 9110, section 12.5.1), the preferred one first; the stream wins a tie. */
function acceptedTypes(accept: string): readonly MediaType[] {
  const ranges = accept.toLowerCase().split(',');
  // Of equal weights the range that comes first wins.
  const streamFirst = ranges.toSorted((a, b) => Number(b.includes(eventStream)) - Number(a.includes(eventStream)));
  const negotiator = new Negotiator({ headers: { accept: streamFirst.join(',') } });
  const weighed = negotiator.mediaTypes([`${eventStream};charset=utf-8`, `${json};charset=utf-8`]);
  // A range with parameters that say nothing here (`application/json;version=1`) still names its type.
  const allowed = [...weighed, ...negotiator.mediaTypes()];
  return [...new Set(allowed.flatMap((type) => mediaTypes.filter((known) => type.startsWith(known))))];
}

/** An event stream, which can be resumed, unless one JSON answer is preferred. */
function createWriter(deps: StreamableHttpDeps, { preferred, response, body }: PostedBody): StreamWriter {
  return preferred === json ? new JsonWriter(response, Array.isArray(body)) : new SseWriter(response, deps);
}

function parseMessages(body: unknown, revision: string | null): JSONRPCMessage[] {
  if (!Array.isArray(body) || revision !== batchRevision) return [parseMessage(body)];
  if (body.length === 0 || body.length > maxBatchSize) {
    throw new Refusal('invalid_message', { detail: `A batch has 1 to ${maxBatchSize} messages.` });
  }
  const messages = body.map(parseMessage);
  const ids = requestIdsOf(messages);
  if (new Set(ids).size < ids.length) throw new Refusal('invalid_message', { detail: 'An id is there twice.' });
  return messages;
}

function requestIdsOf(messages: readonly JSONRPCMessage[]) {
  return messages.flatMap((message) => ('id' in message && 'method' in message ? [message.id] : []));
}

function isInitialize(message: unknown): boolean {
  return typeof message === 'object' && message !== null && 'method' in message && message.method === 'initialize';
}
