import { Refusal, ToolError } from '../errors/errors.js';
import { logLevels, type ClientCapabilities, type LogLevel } from '../tools/client.js';
import { noCapabilities } from './callClient.js';
import { ClientRequests, type ClientRequest } from './clientRequests.js';
import { profileOf, type ClientProfile } from './clientProfiles.js';
import { methods } from './methods.js';
import { extendFeatures, type Additions, type SessionFeatures } from './features.js';
import { HandleContext } from './handleContext.js';
import { describeSettled, dispatch, InFlight, type MethodTable } from './requests.js';
import {
  previewVersion,
  protocolVersions,
  type JSONRPCMessage,
  type JSONRPCNotification,
  type JSONRPCRequest,
  type RequestId,
} from './protocol.js';
import { wellFormedData } from '../text.js';
import type { ClientInfo, InitializingClient, McpSession, MethodContext } from './methodContext.js';

/** The client state that a server at another node needs to continue. */
export interface ServerSnapshot {
  readonly client: ClientInfo | null;
  readonly clientCapabilities: ClientCapabilities;
  readonly protocolVersion: string | null;
  readonly logLevel: LogLevel;
  readonly toolCalls: number;
  readonly subscriptions: readonly string[];
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
   * The client closed the connection of a request. If it cannot reconnect for the response, the request is stopped as
   * if the client had cancelled it; otherwise it continues until another one needs its resources.
   */
  connectionLost(id: RequestId, canResume: boolean): void {
    const inFlight = this.#inFlight?.get(id);
    if (canResume) inFlight?.setConnected(false);
    else inFlight?.abort(new Error('The client closed the connection of this request.'));
  }

  /** Stops a request as if its client had cancelled it. */
  cancel(id: RequestId, reason: Error): void {
    this.#inFlight?.get(id)?.abort(reason);
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

  /** Stops every call and answers it with the refusal; rejects the pending requests to the client. Idempotent. */
  close(refusal: () => Refusal): void {
    if (this.#closed) return;
    const open = [...(this.#inFlight ?? [])];
    for (const [id] of open) this.session.send(refusal().toJsonRpc(id), id);
    this.#closed = true;
    this.#clientRequests?.close(refusal());
    for (const [, inFlight] of open) inFlight.abort(refusal());
    this.#inFlight = undefined;
  }

  initialize({ requestedVersion, ...client }: InitializingClient): string {
    const known = [...protocolVersions, previewVersion];
    const protocolVersion = known.find((version) => version === requestedVersion) ?? protocolVersions[0];
    this.open({ ...client, protocolVersion });
    return protocolVersion;
  }

  /** Begins to serve a client without a handshake, or after it. */
  open(client: Omit<InitializingClient, 'requestedVersion'> & { readonly protocolVersion: string }): void {
    this.#handshake = { state: 'done', ...client };
    this.#profile = undefined;
  }

  /** Earlier revisions have no such protocol error: a tool that needs the capability fails. */
  missingCapability(action: string): Error {
    return new ToolError(`The client cannot ${action}: it did not declare that capability. Use a client that does.`);
  }

  /** The state of the handshake refuses methods that are known. */
  readonly #table: MethodTable = {
    methods,
    refusalOf: (method) => {
      if (method === 'ping') return null;
      if (method === 'initialize') return this.#handshake.state === 'done' ? new Refusal('already_initialized') : null;
      return this.#handshake.state === 'awaited' ? new Refusal('not_initialized') : null;
    },
  };

  async #handleRequest(request: JSONRPCRequest): Promise<void> {
    const { clock } = this.session;
    const inFlight = new InFlight(request.id);
    const startedAt = clock.now();
    (this.#inFlight ??= new Map()).set(request.id, inFlight);
    const sender = this.session.senderOf?.(request.id);
    const server = sender === undefined ? this : new HandleContext(this, sender);
    const answer = await dispatch(this.#table, server, request, inFlight);
    // From here on the message itself is counted.
    inFlight.releaseMemory();
    const answered = !this.#closed && this.#inFlight.delete(request.id);
    if (answered && answer.message !== null) this.session.send(answer.message, request.id);
    else if (answered) this.session.requestCancelled(request.id);
    this.session.requestSettled(describeSettled(request, { inFlight, answer, server, startedAt }));
  }

  #handleNotification(notification: JSONRPCNotification): void {
    if (notification.method !== 'notifications/cancelled') return;
    const id = notification.params?.['requestId'];
    if (typeof id !== 'string' && typeof id !== 'number') return;
    const clientReason = notification.params?.['reason'];
    const reason = typeof clientReason === 'string' ? clientReason : 'cancelled by the client';
    this.cancel(id, new Error(reason));
  }
}
