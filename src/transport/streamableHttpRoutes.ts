import type { IncomingMessage, ServerResponse } from 'node:http';
import Negotiator from 'negotiator';
import type { EventLog } from '../cluster/eventLog.js';
import { Refusal } from '../errors.js';
import { idOf, parseMessage, protocolVersions, type JSONRPCMessage } from '../mcp/protocol.js';
import type { Log } from '../log.js';
import type { Session } from '../session/session.js';
import { principalOf } from '../tenancy/auth.js';
import type { Caller } from '../tenancy/principal.js';
import { JsonWriter } from './jsonWriter.js';
import type { OpenAnswers } from './openAnswers.js';
import { sendRefusal } from './refuse.js';
import { SseWriter } from './sseWriter.js';
import type { StreamWriter } from './streamWriter.js';
import { StreamableHttpTransport } from './streamableHttp.js';
import { cutAtExpiry } from './tokenExpiry.js';
import { askedOf, bodyOf, logErrors, type Listener, type TransportDeps } from './transport.js';

/** Messages that one batch may have (S10). Only revision 2025-03-26 has batches. */
const maxBatch = 100;
const batchRevision = '2025-03-26';
/** Clients of this revision and later know an event that has an id and no data. */
const primedSince = '2025-11-25';

export interface StreamableHttpDeps extends TransportDeps {
  readonly eventLog: EventLog;
  readonly answers: OpenAnswers;
}

/**
 * `POST /mcp`: `initialize` without a session's id opens a session; everything else goes to the session that the header
 * `Mcp-Session-Id` names. What asks something is answered by a stream, so that the answer outlives its connection, or as JSON
 * for who prefers it; all else by 202.
 */
export function postToSession(deps: StreamableHttpDeps): Listener {
  return async (request, response) => {
    const opens = namedSession(request) === '';
    const caller = await deps.admit(request, opens ? 'connection' : 'message');
    const body = await bodyOf(deps, request, caller);
    const id = idOf(body);
    try {
      const posted = { request, response, body, preferred: requireAccept(request, mediaTypes) };
      if (opens) await openSession(deps, posted);
      else await handOver(deps, caller, posted);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      sendRefusal(response, error, id);
    }
  };
}

/** `GET /mcp`: the stream for what belongs to no request, or, with `Last-Event-ID`, the one that this event is of. */
export function listenToSession(deps: StreamableHttpDeps): Listener {
  return async (request, response) => {
    const caller = await deps.admit(request, 'message');
    requireAccept(request, [eventStream]);
    const { session, channel } = findOpen(deps, caller, request);
    deps.answers.add(caller, response);
    cutAtExpiry(caller, response, deps.clock);
    const writer = new SseWriter(response, deps);
    const lastEventId = headerOf(request, 'last-event-id');
    const primed = isPrimed(session.server.protocolVersion);
    if (lastEventId === '') await channel.listen(writer, primed);
    // 204 tells an event source not to come again (HTML, server-sent events).
    else if ((await channel.resume(writer, lastEventId, primed)) === 'over') response.writeHead(204).end();
  };
}

/** `DELETE /mcp`: the client is done. 204 once the session is closed. */
export function leaveSession(deps: StreamableHttpDeps): Listener {
  return async (request, response) => {
    const caller = await deps.admit(request, 'message');
    findOpen(deps, caller, request).session.close('client-closed');
    response.writeHead(204).end();
  };
}

interface Posted {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: unknown;
  /** What the client would rather be answered with. */
  readonly preferred: MediaType;
}

async function openSession(deps: StreamableHttpDeps, posted: Posted): Promise<void> {
  const { registry, parts } = deps;
  const { request, response, body } = posted;
  const asked = await askedOf(deps, request);
  if (!isInitialize(body)) throw new Refusal('missing_session');
  const message = parseMessage(body);
  const channel = new StreamableHttpTransport(deps);
  const writer = writerFor(deps, posted);
  const session = await registry.openAmongAll(parts, { ...asked, channel });
  const leave = (): void => session.detach('client-closed');
  writer.onclose = leave;
  tie(session, channel, parts.log);
  if (response.destroyed) leave();
  await channel.ready;
  const revision = 'params' in message ? message.params?.['protocolVersion'] : undefined;
  await channel.open(writer, {
    requests: requestsOf([message]),
    hand: () => void session.receive(message),
    primed: isPrimed(revision),
  });
}

/** From here on the session hears of its client. */
export function tie(session: Session, channel: StreamableHttpTransport, log: Log): void {
  channel.onabsent = (because) => session.detach(because);
  channel.onpresent = () => session.actor.send({ type: 'transport.attached' });
  logErrors(channel, log, session);
}

async function handOver(deps: StreamableHttpDeps, caller: Caller, posted: Posted): Promise<void> {
  const { request, response, body } = posted;
  const { session, channel } = findOpen(deps, caller, request);
  const messages = messagesOf(body, session.server.protocolVersion);
  // One was counted as the request was let in.
  if (messages.length > 1) {
    await deps.limits.message(principalOf(caller), messages.length - 1);
    session.checkOpen();
  }
  if (messages.some(isInitialize)) throw new Refusal('already_initialized');
  const requests = requestsOf(messages);
  if (requests.length > 0) {
    deps.answers.add(caller, response);
    const primed = isPrimed(session.server.protocolVersion);
    await channel.ask(writerFor(deps, posted), { requests, hand: () => handAll(session, messages), primed });
    return;
  }
  channel.contact();
  handAll(session, messages);
  response.writeHead(202).end();
}

/** A batch is refused with its first message; after that each request is answered for itself. */
function handAll(session: Session, messages: readonly JSONRPCMessage[]): void {
  for (const [index, message] of messages.entries()) {
    try {
      // The session is open: nothing is held.
      void session.receive(message);
    } catch (error) {
      if (index === 0 || !(error instanceof Refusal)) throw error;
      for (const id of requestsOf([message])) session.channel.deliver(error.toJsonRpc(id), id);
    }
  }
}

/**
 * Throws `missing_session`, `unknown`, also for a session of another transport, `store_unreachable`, `closed`, `draining`,
 * `not_ready` or `unsupported_version`.
 */
function findOpen({ registry, eventLog }: StreamableHttpDeps, caller: Caller, request: IncomingMessage) {
  const sessionId = namedSession(request);
  if (sessionId === '') throw new Refusal('missing_session');
  const session = registry.find(sessionId, caller);
  const { channel } = session;
  if (!(channel instanceof StreamableHttpTransport)) throw new Refusal('unknown');
  // What is done here now could not be answered, and may be another node's to do (S11).
  if (eventLog.isOurs === false) throw new Refusal('store_unreachable');
  session.checkOpen();
  const revision = headerOf(request, 'mcp-protocol-version');
  if (revision !== '' && !protocolVersions.some((known) => known === revision)) {
    throw new Refusal('unsupported_version');
  }
  return { session, channel };
}

/** The session that a request is for; empty if it names none. */
export const namedSession = (request: IncomingMessage): string => headerOf(request, 'mcp-session-id');

/** Empty without one. Node joins what is sent twice. */
const headerOf = ({ headers }: IncomingMessage, name: string): string => String(headers[name] ?? '');

/** By what was negotiated: the header of a request may be missing. */
const isPrimed = (revision: unknown): boolean => typeof revision === 'string' && revision >= primedSince;

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
function writerFor(deps: StreamableHttpDeps, { preferred, response, body }: Posted): StreamWriter {
  return preferred === json ? new JsonWriter(response, Array.isArray(body)) : new SseWriter(response, deps);
}

function messagesOf(body: unknown, revision: string | null): JSONRPCMessage[] {
  if (!Array.isArray(body) || revision !== batchRevision) return [parseMessage(body)];
  if (body.length === 0 || body.length > maxBatch) {
    throw new Refusal('invalid_message', { detail: `A batch has 1 to ${maxBatch} messages.` });
  }
  const messages = body.map(parseMessage);
  const ids = requestsOf(messages);
  if (new Set(ids).size < ids.length) throw new Refusal('invalid_message', { detail: 'An id is there twice.' });
  return messages;
}

function requestsOf(messages: readonly JSONRPCMessage[]) {
  return messages.flatMap((message) => ('id' in message && 'method' in message ? [message.id] : []));
}

function isInitialize(message: unknown): boolean {
  return typeof message === 'object' && message !== null && 'method' in message && message.method === 'initialize';
}
