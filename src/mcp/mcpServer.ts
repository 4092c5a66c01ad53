import type { SettledRequest } from '../../machines/events.js';
import { noop } from '../async.js';
import { Refusal, ToolError } from '../errors/errors.js';
import { logLevels, type ClientCapabilities, type LogLevel } from '../tools/client.js';
import { noCapabilities } from './callClient.js';
import { ClientRequests, type ClientRequest } from './clientRequests.js';
import { profileOf, type ClientProfile } from './clientProfiles.js';
import { methods } from './methods.js';
import { withoutSecrets } from '../networkAddresses.js';
import { extendFeatures, type Additions, type SessionFeatures } from './features.js';
import {
  isObject,
  protocolVersions,
  rpcCodes,
  RpcError,
  type JSONRPCMessage,
  type JSONRPCNotification,
  type JSONRPCRequest,
  type RequestId,
} from './protocol.js';
import { cleanText, cutText, wellFormedData } from '../text.js';
import type { InitializingClient, McpSession, MethodContext, RequestInfo } from './methodContext.js';
import type { ToleranceKind } from './tolerantArguments.js';

/** The client state that a server at another node needs to continue. */
export interface ServerSnapshot {
  readonly client: ClientInfo | null;
  readonly clientCapabilities: ClientCapabilities;
  readonly protocolVersion: string | null;
  readonly logLevel: LogLevel;
  readonly toolCalls: number;
  readonly subscriptions: readonly string[];
}

export interface ClientInfo {
  readonly name: string;
  readonly version: string;
}

/** The handshake of basic/lifecycle: `initialize` once, before every other request but `ping`. */
type Handshake =
  | {
      readonly state: 'awaited';
      readonly client: null;
      readonly clientCapabilities: ClientCapabilities;
      readonly protocolVersion: null;
    }
  | ({ readonly state: 'done'; readonly protocolVersion: string } & Omit<InitializingClient, 'requestedVersion'>);

const awaited: Handshake = {
  state: 'awaited',
  client: null,
  clientCapabilities: noCapabilities,
  protocolVersion: null,
};

/**
 * The MCP server of one session (revisions 2024-11-05 to 2025-11-25). It holds only the state of this client: the methods
 * and the catalogue are shared by all sessions. Owned by its session, which calls `receive` in the order of arrival, only
 * in `connected` and `active`, and `close` once; after that nothing is sent (S7).
 *
 *     initialize -> requests and notifications … -> close: a refusal for each request in flight
 *
 * Requests run concurrently, so a long call delays neither `ping` nor `notifications/cancelled` (S4). Each request is
 * answered exactly once, or not at all when the client cancelled it. Requests to the client end with the call that sent
 * them.
 */
export class McpServer implements MethodContext {
  readonly session: McpSession;
  logLevel: LogLevel = 'info';
  toolCalls = 0;
  // Most sessions never need these: each is created on first use.
  #inFlight: Map<RequestId, InFlight> | undefined;
  #subscriptions: Set<string> | undefined;
  #clientRequests: ClientRequests | undefined;
  /** What an embedder added to this session, and the features including it. */
  #sessionFeatures: { readonly additions: Additions; readonly features: SessionFeatures } | undefined;
  #handshake: Handshake = awaited;
  #profile: ClientProfile | undefined;
  #closed = false;

  constructor(session: McpSession) {
    this.session = session;
  }

  snapshot(): ServerSnapshot {
    const { client, clientCapabilities, protocolVersion, logLevel, toolCalls } = this;
    const subscriptions = [...(this.#subscriptions ?? [])];
    return { client, clientCapabilities, protocolVersion, logLevel, toolCalls, subscriptions };
  }

  /** Restores the client state. Called before the first `receive`, if at all. */
  restore({ subscriptions, client, clientCapabilities, protocolVersion, ...fields }: ServerSnapshot): void {
    Object.assign(this, fields);
    if (protocolVersion !== null) this.#handshake = { state: 'done', client, clientCapabilities, protocolVersion };
    for (const uri of subscriptions) this.subscriptions.add(uri);
  }

  get client(): ClientInfo | null {
    return this.#handshake.client;
  }

  get clientCapabilities(): ClientCapabilities {
    return this.#handshake.clientCapabilities;
  }

  get profile(): ClientProfile {
    const { operator, connection } = this.session.profileChoices;
    return (this.#profile ??= profileOf(this.client?.name ?? '', operator, connection));
  }

  /** Null until the client has initialized. */
  get protocolVersion(): string | null {
    return this.#handshake.protocolVersion;
  }

  isInFlight(id: RequestId): boolean {
    return this.#inFlight?.has(id) ?? false;
  }

  receive(message: JSONRPCMessage): void {
    if (this.#closed) return;
    if (!('method' in message)) this.#clientRequests?.handleResponse(message);
    else if ('id' in message) void this.#handleRequest(message);
    else this.#handleNotification(message);
  }

  get subscriptions(): Set<string> {
    return (this.#subscriptions ??= new Set());
  }

  get features(): SessionFeatures {
    return this.#sessionFeatures?.features ?? this.session;
  }

  /**
   * Adds features to this session alone. Each given list replaces the one added before, and an initialized client is
   * notified. Throws, without a change, if a name is taken.
   */
  add(additions: Additions): void {
    const all = { ...this.#sessionFeatures?.additions, ...additions };
    this.#sessionFeatures = { additions: all, features: extendFeatures(this.session, all) };
    if (this.protocolVersion === null) return;
    for (const list of Object.keys(additions)) this.notify(`notifications/${list}/list_changed`, {});
  }

  /**
   * The client closed the connection of a request. If it cannot come back for the response, the request is stopped as if the
   * client had cancelled it; otherwise it goes on until another one wants what it holds.
   */
  connectionLost(id: RequestId, canResume: boolean): void {
    const inFlight = this.#inFlight?.get(id);
    if (canResume) inFlight?.setConnected(false);
    else inFlight?.abort(new Error('The client closed the connection of this request.'));
  }

  /** The client came back for the response of a request. */
  connectionResumed(id: RequestId): void {
    this.#inFlight?.get(id)?.setConnected(true);
  }

  /** Notifies the client that a resource changed, if it is subscribed to it. */
  resourceUpdated(uri: string): void {
    if (this.#subscriptions?.has(uri) === true) this.notify('notifications/resources/updated', { uri });
  }

  /** Sends `notifications/message`, if the client has initialized and its log level includes it. */
  log(level: LogLevel, data: unknown, relatedTo?: RequestId): void {
    if (this.protocolVersion === null) return;
    if (logLevels.indexOf(level) < logLevels.indexOf(this.logLevel)) return;
    this.notify('notifications/message', { level, logger: this.session.serverInfo.name, data }, relatedTo);
  }

  request(request: ClientRequest): Promise<Record<string, unknown>> {
    const send = (message: JSONRPCMessage, relatedTo: RequestId): void => {
      if (!this.#closed) this.session.send(message, relatedTo);
    };
    return (this.#clientRequests ??= new ClientRequests(send, this.session.clock)).send(request);
  }

  notify(method: string, params: Record<string, unknown>, relatedTo?: RequestId): void {
    if (!this.#closed) this.session.send({ jsonrpc: '2.0', method, params: wellFormedData(params) }, relatedTo);
  }

  /** Stops every call and answers it with `refusal`; rejects the pending requests to the client. Idempotent. */
  close(refusal: Refusal): void {
    if (this.#closed) return;
    const open = [...(this.#inFlight ?? [])];
    for (const [id] of open) this.session.send(refusal.toJsonRpc(id), id);
    this.#closed = true;
    this.#clientRequests?.close(refusal);
    for (const [, inFlight] of open) inFlight.abort(refusal);
    this.#inFlight = undefined;
  }

  initialize({ requestedVersion, ...client }: InitializingClient): string {
    const protocolVersion = protocolVersions.find((version) => version === requestedVersion) ?? protocolVersions[0];
    this.#handshake = { state: 'done', ...client, protocolVersion };
    this.#profile = undefined;
    return protocolVersion;
  }

  /** The refusal of a known method by the state of the handshake; null if it is served. */
  #refusalOf(method: string): Refusal | null {
    if (method === 'ping') return null;
    if (method === 'initialize') return this.#handshake.state === 'done' ? new Refusal('already_initialized') : null;
    return this.#handshake.state === 'awaited' ? new Refusal('not_initialized') : null;
  }

  async #handleRequest(request: JSONRPCRequest): Promise<void> {
    const { clock } = this.session;
    const inFlight = new InFlight(request.id);
    const startedAt = clock.now();
    (this.#inFlight ??= new Map()).set(request.id, inFlight);
    const answer = await this.#dispatch(request, inFlight);
    // From here on the message itself is counted.
    inFlight.releaseMemory();
    const answered = !this.#closed && this.#inFlight.delete(request.id);
    if (answered && answer.message !== null) this.session.send(answer.message, request.id);
    else if (answered) this.session.requestCancelled(request.id);
    this.session.requestSettled({
      id: request.id,
      method: cleanText(cutText(request.method, maxName)),
      tool: toolOf(request),
      outcome: inFlight.isAborted ? 'cancelled' : answer.outcome,
      durationMs: clock.now() - startedAt,
      ...targetOf(request),
      ...(inFlight.tolerances && { client: this.profile.name, tolerated: [...inFlight.tolerances] }),
      ...(answer.outcome === 'failed' && { error: this.session.secrets.hide(failureTextOf(answer.message)) }),
    });
  }

  async #dispatch(request: JSONRPCRequest, inFlight: InFlight): Promise<MethodOutcome> {
    const method = Object.hasOwn(methods, request.method) ? methods[request.method] : undefined;
    try {
      // Checked before the handshake: a client that probes for another revision falls back to initialize on this code.
      if (!method) throw new RpcError(rpcCodes.methodNotFound, `Method not found: ${request.method}`);
      const refusal = this.#refusalOf(request.method);
      if (refusal !== null) return { outcome: 'failed', message: refusal.toJsonRpc(request.id) };
      if (isNull(request.params)) inFlight.tolerated(['null']);
      const result = await method(this, request.params ?? {}, inFlight);
      const outcome = 'isError' in result && result['isError'] === true ? 'failed' : 'ok';
      return { outcome, message: { jsonrpc: '2.0', id: request.id, result } };
    } catch (error) {
      if (inFlight.isAborted) return { outcome: 'cancelled', message: null };
      return { outcome: 'failed', message: this.#errorResponse(request, error) };
    }
  }

  #errorResponse(request: JSONRPCRequest, error: unknown): JSONRPCMessage {
    if (error instanceof RpcError) {
      return { jsonrpc: '2.0', id: request.id, error: { code: error.code, message: error.message.toWellFormed() } };
    }
    if (error instanceof Refusal) return error.toJsonRpc(request.id);
    this.session.log.error('request failed', { method: request.method, error: String(error) });
    return new Refusal('internal').toJsonRpc(request.id);
  }

  #handleNotification(notification: JSONRPCNotification): void {
    if (notification.method !== 'notifications/cancelled') return;
    const id = notification.params?.['requestId'];
    if (typeof id !== 'string' && typeof id !== 'number') return;
    const clientReason = notification.params?.['reason'];
    const reason = typeof clientReason === 'string' ? clientReason : 'cancelled by the client';
    this.#inFlight?.get(id)?.abort(new Error(reason));
  }
}

/** The type of a request has no null; some clients send it. */
const isNull = (params: unknown): boolean => params === null;

/** The tool name of a `tools/call`, which need not exist; null for every other request. */
function toolOf({ method, params }: JSONRPCRequest): string | null {
  if (method !== 'tools/call') return null;
  const name = params?.['name'];
  return nameOf(name);
}

/** A name that the client chose, for logs and the inspector; empty if it may be anything but a name. */
const nameOf = (name: unknown): string => (typeof name === 'string' && /^[\w./$:-]{1,128}$/.test(name) ? name : '');

/** The address or path that a request names, as far as it may be logged. */
function targetOf({ params }: JSONRPCRequest): { readonly target?: string } {
  // Some clients send null.
  if (!isObject(params)) return {};
  const args = isObject(params['arguments']) ? params['arguments'] : params;
  const named = [args['url'], args['uri'], args['path'], args['file']].find((value) => typeof value === 'string');
  if (named === undefined) return {};
  const isPath = /^[/.~]/.test(named);
  const target = isPath
    ? named.slice(0, maxTarget)
    : withoutSecrets(/^[\w.-]+(:\d+)?(\/|$)/.test(named) ? `http://${named}` : named);
  return { target: target === '' ? named.split(':', 1).join().slice(0, 20) : target };
}

/** Longest method in the log. */
const maxName = 128;
/** Longest path in `target`. */
const maxTarget = 256;
const maxFailureText = 300;

/** What the client is told of a failure, in one short line. */
function failureTextOf(message: JSONRPCMessage | null): string {
  if (message === null) return '';
  if ('error' in message) return oneLine(message.error.message);
  const content = 'result' in message ? message.result['content'] : undefined;
  const items: readonly unknown[] = Array.isArray(content) ? content : [];
  const texts = items.map((item) => (typeof item === 'object' && item !== null && 'text' in item ? item.text : ''));
  return oneLine(texts.join(' '));
}

const oneLine = (text: string): string => text.slice(0, maxFailureText).split(/\s+/).join(' ').trim();

interface MethodOutcome {
  readonly outcome: SettledRequest['outcome'];
  /** Null: a cancelled request is not answered (2025-11-25, basic/utilities/cancellation). */
  readonly message: JSONRPCMessage | null;
}

const displacedText =
  'The connection of this call was closed before it was done, and another call needed the page: it was stopped. Call again.';

/** A request in flight. Its AbortController is created on first use: most methods need no signal. */
export class InFlight implements RequestInfo {
  readonly id: RequestId;
  releaseMemory: () => void = noop;
  /** Undefined: nothing was tolerated. */
  tolerances: Set<ToleranceKind> | undefined;
  #controller: AbortController | undefined;
  #displaced: AbortController | undefined;
  #isConnected = true;
  #isWanted = false;

  constructor(id: RequestId) {
    this.id = id;
  }

  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  get isAborted(): boolean {
    return this.#controller?.signal.aborted === true;
  }

  tolerated(kinds: Iterable<ToleranceKind>): void {
    for (const kind of kinds) (this.tolerances ??= new Set()).add(kind);
  }

  abort(reason: Error): void {
    (this.#controller ??= new AbortController()).abort(reason);
  }

  get displaced(): AbortSignal {
    return (this.#displaced ??= new AbortController()).signal;
  }

  wanted(): void {
    this.#isWanted = true;
    this.#displaceIfLost();
  }

  setConnected(isConnected: boolean): void {
    this.#isConnected = isConnected;
    this.#displaceIfLost();
  }

  #displaceIfLost(): void {
    if (this.#isWanted && !this.#isConnected) this.#displaced?.abort(new ToolError(displacedText));
  }
}
