import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import type { Channel, CloseNotice, TransportKind } from '../session/channel.js';
import { parseProfileChoice, UnknownProfileError } from '../mcp/clientProfiles.js';
import { inSlices } from '../browser/patterns/slices.js';
import { messageIn } from '../mcp/messageText.js';
import { type JSONRPCMessage, replyIdOf, parseMessage } from '../mcp/protocol.js';
import { ResponseMemory, type SessionMemory } from '../mcp/responseMemory.js';
import type { Session } from '../session/session.js';
import type { SessionDeps, SessionRequest } from '../session/sessionDeps.js';
import type { SessionRegistry } from '../session/registry.js';
import { toPrincipal } from '../tenancy/auth.js';
import { readCredentials } from '../tenancy/bearerToken.js';
import type { ChooseBrowser } from '../tenancy/userBrowsers.js';
import type { RateLimits } from '../tenancy/rateLimits.js';
import type { BodyMemory } from './bodyMemory.js';
import type { Admit } from './admission.js';
import { readJson } from './jsonBody.js';
import { principalKey, type Caller, type Principal } from '../tenancy/principal.js';
import type { ToolSet } from '../tools/catalogue.js';
import { endSessionAtExpiry } from './tokenExpiry.js';
import { messageOf, Refusal, type JsonRpcErrorResponse, type RequestId } from '../errors/errors.js';

/**
 * The contract of every transport: the session's `Channel`, an error callback, and `close`. Opening a transport writes
 * nothing to the client; `announce()` is the first write. Owned by its session, which ends it with `end`; either side may
 * `close` it. Nothing is written afterwards (S7).
 */
export interface SessionTransport extends Channel {
  sessionId?: string;
  /** Called for each error: a client that does not read, a broken frame, a message whose handling failed. */
  onerror?: (error: Error) => void;
  /** Closes the transport after the last write. Idempotent. */
  close(): Promise<void>;
}

export type MessageHandler = (message: JSONRPCMessage) => void | Promise<void>;

/** The dependencies of the routes of every transport. */
export interface TransportDeps {
  readonly registry: SessionRegistry;
  readonly parts: SessionDeps;
  /** Called first for every request that opens a session or sends it messages. */
  readonly admit: Admit;
  /** Counts the messages of a connection that was admitted once. */
  readonly rateLimits: Pick<RateLimits, 'countMessages'>;
  /** The tools of `?tools=`, or the server's default without it. Throws a Refusal on an unknown group. */
  selectTools(groups: string | null): ToolSet;
  /** The address of the browser of `?browser=`, or of the user's own; undefined for one of the server's. Throws a Refusal. */
  chooseBrowser: ChooseBrowser;
  /** Bytes of one message. */
  readonly bodyLimit: number;
  readonly bodyMemory: BodyMemory;
  readonly responseMemory: ResponseMemory;
  readonly clock: Clock;
}

/** Answers one request. Rejects, with a Refusal or an unexpected error, only before anything is written. */
export type AsyncRequestListener = (request: MountedRequest, response: ServerResponse) => Promise<void>;

/** A request as an Express router passes it on: `url` is relative to the mount path. */
export interface MountedRequest extends IncomingMessage {
  /** The mount path. */
  readonly baseUrl?: string;
}

/**
 * Resolves everything a new session needs except its channel: principal, tool set, browser. Used by every transport.
 * Throws a Refusal; nothing is opened then.
 */
export async function resolveSessionRequest(
  { admit, selectTools, chooseBrowser }: TransportDeps,
  request: IncomingMessage,
): Promise<Omit<SessionRequest, 'channel'>> {
  const principal = toPrincipal(await admit(request, 'connection'));
  return { principal, ...(await resolveChoices({ selectTools, chooseBrowser }, principal, request)) };
}

/** What the address of a request chooses: tool set, profile, browser. Throws a Refusal. */
export async function resolveChoices(
  { selectTools, chooseBrowser }: Pick<TransportDeps, 'selectTools' | 'chooseBrowser'>,
  principal: Principal,
  request: IncomingMessage,
): Promise<Pick<SessionRequest, 'toolSet' | 'groups' | 'profile' | 'browserUrl'>> {
  const { query } = readCredentials(request);
  const groups = query.get('tools');
  const toolSet = selectTools(groups);
  const browserUrl = await chooseBrowser(principal, query.get('browser'));
  const profile = readProfile(query);
  const choices = { ...(groups !== null && { groups }), ...(profile !== undefined && { profile }) };
  return { toolSet, ...choices, ...(browserUrl !== undefined && { browserUrl }) };
}

/** `?structured=1` and `?profile=…` as one text; undefined without them. Throws a Refusal on an unknown profile. */
function readProfile(query: URLSearchParams): string | undefined {
  const structured = query.get('structured');
  const words = [...(structured === null ? [] : [`structured=${structured || '1'}`]), ...query.getAll('profile')];
  if (words.length === 0) return undefined;
  const profile = words.join(',');
  try {
    parseProfileChoice(profile);
  } catch (error) {
    throw error instanceof UnknownProfileError ? new Refusal('invalid_parameter', { detail: error.message }) : error;
  }
  return profile;
}

/** Opens a session and binds it to its transport. Throws what `registry.open` throws: nothing was created. */
export function openConnectionSession(
  { registry, parts }: OpenSessionDeps,
  request: ConnectionSessionRequest,
): Session {
  return bindTransport(registry.open(parts, request), request, parts.log);
}

/** The same with the quota that all nodes share. A client that disconnects meanwhile is detected. */
export async function openWithClusterQuota(
  { registry, parts, clock }: OpenSessionDeps & Pick<TransportDeps, 'clock'>,
  request: ConnectionSessionRequest,
): Promise<Session> {
  const { channel } = request;
  const client = { hasDisconnected: false };
  channel.onclose = () => (client.hasDisconnected = true);
  logErrors(channel, parts.log);
  const session = bindTransport(await registry.openWithClusterQuota(parts, request), request, parts.log);
  if (client.hasDisconnected) session.detach(channel.closedBecause);
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

/** The JSON body of an admitted request. Rejects as {@link readJson} does. */
export function bodyOf(
  { bodyLimit, bodyMemory }: Pick<TransportDeps, 'bodyLimit' | 'bodyMemory'>,
  request: IncomingMessage,
  caller: Caller,
): Promise<unknown> {
  return readJson(request, bodyLimit, bodyShareOf({ bodyMemory }, caller));
}

/** The share of a caller in the memory for bodies. */
export const bodyShareOf = ({ bodyMemory }: Pick<TransportDeps, 'bodyMemory'>, caller: Caller) =>
  bodyMemory.open(principalKey(toPrincipal(caller)));

/** The share of a new session in the memory for answers. */
export const openMemory = (
  { responseMemory }: Pick<TransportDeps, 'responseMemory'>,
  { principal }: Pick<SessionRequest, 'principal'>,
): SessionMemory => responseMemory.open(principalKey(principal));

/** Logs every error of a transport. */
export function logErrors(channel: SessionTransport, log: Log, session?: Session): void {
  const source = { transport: channel.kind, ...(session && { session: session.id.slice(0, 8) }) };
  channel.onerror = ({ message: error }) => log.warn('transport failed', { ...source, error });
}

interface TextReceiver {
  /** Handles the message, or throws the Refusal to answer with. */
  readonly receive: MessageHandler;
  /** Called for an error that is not a Refusal: an internal error. */
  readonly failed: (error: Error) => void;
  /** The refusal of a text that is not JSON, where the transport has more to say. */
  readonly unreadable?: () => Refusal;
}

/** Returns the value of a JSON text, or throws what parsing it threw. */
export type JsonText = () => unknown;

/** Parses a text of any length without holding the event loop. Never rejects. */
export async function parsedInSlices(text: string): Promise<JsonText> {
  try {
    const value = await inSlices(messageIn(text));
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/**
 * Delivers one message in text form, for transports whose messages have no status of their own. `receive` is called before
 * this returns. Never rejects. Resolves with the error response to send; null if the message was handled, or if it is not a
 * request and its handling failed.
 */
export async function receiveText(
  json: JsonText,
  { receive, failed, unreadable = () => new Refusal('parse_error') }: TextReceiver,
): Promise<JsonRpcErrorResponse | null> {
  let id: RequestId = null;
  try {
    const value = parseJson(json, unreadable);
    id = replyIdOf(value);
    await receive(parseMessage(value));
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.toJsonRpc(id);
    failed(new Error(`A message could not be handled: ${messageOf(error)}`, { cause: error }));
    return id === null ? null : new Refusal('internal').toJsonRpc(id);
  }
}

function parseJson(json: JsonText, unreadable: () => Refusal): unknown {
  try {
    return json();
  } catch (error) {
    throw error instanceof Refusal ? error : unreadable();
  }
}

/**
 * A transport over one connection. It cannot be resumed: the end of the connection ends the session. `onclose` fires
 * exactly once, however the transport closes.
 */
export abstract class ConnectionTransport implements SessionTransport {
  abstract readonly kind: TransportKind;
  readonly resumable = false;
  readonly memory: SessionMemory;
  sessionId?: string;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  /** Handles a message of the client. The session's handler throws its refusal. */
  onmessage?: MessageHandler;
  /** Why `onclose` fired. */
  closedBecause: 'client-closed' | 'slow-client' = 'client-closed';

  constructor(memory = new ResponseMemory().open('')) {
    this.memory = memory;
  }

  abstract announce(sessionId: string): void;
  abstract deliver(message: JSONRPCMessage): void;
  abstract end(notice: CloseNotice): void;
  abstract close(): Promise<void>;
}
