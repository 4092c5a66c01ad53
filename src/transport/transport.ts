import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import type { Channel, CloseNotice, TransportKind } from '../session/channel.js';
import { type JSONRPCMessage, replyIdOf, parseMessage } from '../mcp/protocol.js';
import type { Session, SessionDeps, SessionRequest } from '../session/session.js';
import type { SessionRegistry } from '../session/registry.js';
import { toPrincipal, type Credentials } from '../tenancy/auth.js';
import type { ChooseBrowser } from '../tenancy/userBrowsers.js';
import type { RateLimits } from '../tenancy/rateLimits.js';
import type { BodyMemory } from './bodyMemory.js';
import type { Admit } from './admission.js';
import { readJson } from './jsonBody.js';
import { principalKey, type Caller } from '../tenancy/principal.js';
import type { ToolSet } from '../tools/catalogue.js';
import { endSessionAtExpiry } from './tokenExpiry.js';
import { messageOf, Refusal, type JsonRpcErrorResponse, type RequestId } from '../errors/errors.js';

/**
 * The contract of every transport: the session's `Channel`, and a way to report what goes wrong and to be ended. Opening
 * one tells the client nothing; `announce()` does.
 *
 * Owned by whoever accepted the connection; ended by its session (`end`) or by either side closing it (`close`). Nothing
 * is written afterwards (S7).
 */
export interface SessionTransport extends Channel {
  sessionId?: string;
  /** Hears of each error: a client that is given up, a broken frame, a message that failed here. */
  onerror?: (error: Error) => void;
  /** Ends it, after what was written. Idempotent. */
  close(): Promise<void>;
}

/** Takes a message of the client's. */
export type MessageHandler = (message: JSONRPCMessage) => void | Promise<void>;

/** What the routes of every transport need. */
export interface TransportDeps {
  readonly registry: SessionRegistry;
  readonly parts: SessionDeps;
  /** Asked before anything else of a request that opens a session or talks to one. */
  readonly admit: Admit;
  /** Counts what comes over a connection that was admitted once. */
  readonly rateLimits: Pick<RateLimits, 'countMessages'>;
  /** The tools of `?tools=`, or the server's default without it. Throws a Refusal on an unknown group. */
  selectTools(groups: string | null): ToolSet;
  /** The browser of `?browser=`, or the user's own without it; undefined is the server's. Throws a Refusal. */
  chooseBrowser: ChooseBrowser;
  /** Bytes of one message. */
  readonly bodyLimit: number;
  /** For the bodies of all requests. */
  readonly bodyMemory: BodyMemory;
  readonly clock: Clock;
}

/** Answers one request. Rejects with a Refusal, or with a defect, as long as nothing is answered. */
export type AsyncRequestListener = (request: MountedRequest, response: ServerResponse) => Promise<void>;

/** A request as a router passes it on: its path begins where the router is mounted. */
export interface MountedRequest extends IncomingMessage {
  /** The path that the router is mounted at. */
  readonly baseUrl?: string;
}

/**
 * Everything that a new session is opened with but its channel: for whom, with which tools, in whose browser. The one way
 * in, for every transport. Throws a Refusal, and then nothing was opened.
 */
export async function resolveSessionRequest(
  { admit, selectTools, chooseBrowser }: TransportDeps,
  request: IncomingMessage,
): Promise<Omit<SessionRequest, 'channel'>> {
  const principal = toPrincipal(await admit(request, 'connection'));
  const { query } = readCredentials(request);
  const groups = query.get('tools');
  const toolSet = selectTools(groups);
  const browserUrl = await chooseBrowser(principal, query.get('browser'));
  return { principal, toolSet, ...(groups !== null && { groups }), ...(browserUrl !== undefined && { browserUrl }) };
}

/** Opens a session over a transport and ties the two together. Throws what `registry.open` throws: nothing was created. */
export function openConnectionSession(
  { registry, parts }: OpenSessionDeps,
  request: ConnectionSessionRequest,
): Session {
  return bindTransport(registry.open(parts, request), request, parts.log);
}

/** The same, where nodes count together what is open. A client that leaves meanwhile is noticed. */
export async function openWithClusterQuota(
  { registry, parts, clock }: OpenSessionDeps & Pick<TransportDeps, 'clock'>,
  request: ConnectionSessionRequest,
): Promise<Session> {
  const { channel } = request;
  const client = { isGone: false };
  channel.onclose = () => (client.isGone = true);
  logErrors(channel, parts.log);
  const session = bindTransport(await registry.openWithClusterQuota(parts, request), request, parts.log);
  if (client.isGone) session.detach(channel.closedBecause);
  endSessionAtExpiry(request.principal, session, clock);
  return session;
}

type OpenSessionDeps = Pick<TransportDeps, 'registry' | 'parts'>;
type ConnectionSessionRequest = SessionRequest & { readonly channel: ConnectionTransport };

function bindTransport(session: Session, { channel }: ConnectionSessionRequest, log: Log): Session {
  channel.onclose = () => session.detach(channel.closedBecause);
  channel.onmessage = (message) => session.receive(message);
  logErrors(channel, log, session);
  return session;
}

/** The JSON body of a request that was let in. Rejects as {@link readJson} does. */
export function bodyOf(
  { bodyLimit, bodyMemory }: Pick<TransportDeps, 'bodyLimit' | 'bodyMemory'>,
  request: IncomingMessage,
  caller: Caller,
): Promise<unknown> {
  return readJson(request, bodyLimit, bodyMemory.open(principalKey(toPrincipal(caller))));
}

/** Writes each error of a transport to the log: a client that is given up, a broken frame, a message that failed here. */
export function logErrors(channel: SessionTransport, log: Log, session?: Session): void {
  const source = { transport: channel.kind, ...(session && { session: session.id.slice(0, 8) }) };
  channel.onerror = ({ message: error }) => log.warn('transport failed', { ...source, error });
}

/** Who asks, of a request or an upgrade. No URL is parsed: a request target may be anything, and this must not fail. */
export function readCredentials({ headers, url = '' }: Pick<IncomingMessage, 'headers' | 'url'>): Credentials {
  const start = url.includes('?') ? url.indexOf('?') : url.length;
  return { headers, path: url.slice(0, start), query: new URLSearchParams(url.slice(start + 1)) };
}

interface TextReceiver {
  /** Takes the message, or throws the Refusal that it is answered with. */
  readonly receive: MessageHandler;
  /** Hears of an error that is no Refusal: a defect of ours. */
  readonly failed: (error: Error) => void;
}

/**
 * Delivers one message that came as text, for transports whose messages have no status of their own. It is delivered
 * before this returns. Resolves, never rejects, with the error to answer; null if the message was taken, or if what failed
 * here is no request, which has no answer.
 */
export async function receiveText(
  text: string,
  { receive, failed }: TextReceiver,
): Promise<JsonRpcErrorResponse | null> {
  let id: RequestId = null;
  try {
    const value = parseJson(text);
    id = replyIdOf(value);
    await receive(parseMessage(value));
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.toJsonRpc(id);
    failed(new Error(`A message could not be handled: ${messageOf(error)}`, { cause: error }));
    return id === null ? null : new Refusal('internal').toJsonRpc(id);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal('parse_error');
  }
}

/**
 * A transport of one connection, whose end is the end of its session: it has nothing by which to resume. `onclose` fires
 * exactly once, however it ends.
 */
export abstract class ConnectionTransport implements SessionTransport {
  abstract readonly kind: TransportKind;
  readonly resumable = false;
  sessionId?: string;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  /** Takes a message of the client's; a session's throws its refusal. */
  onmessage?: MessageHandler;
  /** Why `onclose` fired. */
  closedBecause: 'client-closed' | 'slow-client' = 'client-closed';

  abstract announce(sessionId: string): void;
  abstract deliver(message: JSONRPCMessage): void;
  abstract end(ending: CloseNotice): void;
  abstract close(): Promise<void>;
}
