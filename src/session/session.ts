import { createActor, type ActorRefFrom, type SnapshotFrom } from 'xstate';
import type { CloseReason, Failure, SettledRequest } from '../../machines/events.js';
import type { ResumeState, BrowserLease } from '../browser/pool/browserLease.js';
import type { UrlLists, UrlRules } from '../browser/policy/urlRules.js';
import type { Clock } from '../clock.js';
import { Refusal, messageOf } from '../errors/errors.js';
import { shortId, type Log } from '../log.js';
import { parseProfileChoice } from '../mcp/clientProfiles.js';
import { McpServer } from '../mcp/mcpServer.js';
import type { BrowserHandles, HandleRequest, McpSession } from '../mcp/methodContext.js';
import { messageKind, shownId, type JSONRPCMessage, type RequestId } from '../mcp/protocol.js';
import type { Secrets } from '../mcp/secrets.js';
import type { SessionMemory } from '../mcp/responseMemory.js';
import { ResourceStore } from '../mcp/resourceStore.js';
import type { Principal } from '../tenancy/principal.js';
import type { ToolSet } from '../tools/catalogue.js';
import type { SessionFacts, Tool } from '../tools/defineTool.js';
import { type Channel, refusalAfterEnd, closeNotice, type SessionEnd } from './channel.js';
import {
  failureEventOf,
  releaseOf,
  requireLease,
  toSessionClient,
  workspaceOf,
  type Leasing,
  type MessageTap,
  type SessionDeps,
  type SessionLogic,
  type SessionRequest,
} from './sessionDeps.js';
import { EarlyMessageQueue } from './earlyMessages.js';
import { HandleRequests } from './handleRequests.js';
import { detachedSnapshot, type SessionSnapshot } from './persistence.js';
import { noop } from '../async.js';
import { BrowserTime } from './browserTime.js';
import { topLevelState } from '../telemetry/observer.js';
import type { Workspace } from '../tools/workspace.js';

/** Requests of one session that may be in flight at once (S10). */
const maxInFlight = 256;

/**
 * One client session: its actor and the handles that it owns. The registry opens and removes it; the chart alone decides
 * what may happen when (`machines/sessionMachine.ts`). Everything it owned is released when `ended` resolves (S5).
 *
 *     start -> created -> tools-registered -> (client assigned) -> connected: announce -> active: deliver
 *     -> closed: terminate -> `closed` resolves -> lease and resources are released -> `ended` resolves
 *
 * A warm session has no client yet: it waits in `tools-registered` until one is assigned.
 */
export class Session implements McpSession {
  readonly id: string;
  readonly lease: 'eager' | 'lazy';
  readonly actor: ActorRefFrom<SessionLogic>;
  readonly server: McpServer;
  readonly resources: ResourceStore;
  readonly browserTime: BrowserTime;
  /** Resolves, never rejects, on entry to `closed`. */
  readonly closed: Promise<void>;
  /** Resolves, never rejects, once the session is closed and what it owned is released. */
  readonly ended: Promise<void>;
  /** Set by the inspector while it records this session's messages; null otherwise. */
  tap: MessageTap | null = null;
  /** For a session restored from another node: the placement of its pages. */
  readonly resumeFrom: ResumeState | undefined;
  readonly #deps: SessionDeps;
  #createdAt: Date;
  #request: SessionRequest | null;
  #inbox: JSONRPCMessage[] = [];
  #leasing: Leasing = { kind: 'none' };
  // Created at the first use: most sessions have neither.
  #earlyMessages: EarlyMessageQueue | undefined;
  #handleRequests: HandleRequests | undefined;
  #urls: UrlRules | undefined;

  /** Without a request it is warm. With `stored` it is restored from a snapshot. */
  constructor(deps: SessionDeps, id: string, request: SessionRequest | null, stored?: SessionSnapshot) {
    this.id = id;
    this.lease = deps.lease;
    this.#deps = deps;
    this.browserTime = new BrowserTime(deps.clock);
    this.#urls = deps.workspace.urls?.with(request?.urlLists);
    this.#request = request;
    this.#createdAt = stored?.createdAt ?? new Date(deps.clock.now());
    this.resumeFrom = stored?.browser ?? undefined;
    this.resources = new ResourceStore(undefined, undefined, () => deps.quotas?.admit(this.principal, 'store', noop));
    this.server = new McpServer(this);
    if (stored !== undefined) this.server.restore(stored.server);
    const client = toSessionClient(request);
    this.actor = createActor(deps.logic, {
      id,
      clock: deps.clock,
      inspect: deps.inspect,
      input: { id, ...client, lease: deps.lease, queueLimit: deps.queueLimit, setup: deps.setup },
      ...(stored && { snapshot: detachedSnapshot(stored) }),
    });
    this.closed = new Promise<void>((resolve) => {
      this.actor.subscribe({
        complete: resolve,
        error: (error) => {
          deps.log.error('session actor failed', { session: shortId(this.id), error: String(error) });
          this.terminate('setup-failed', { reason: 'internal', message: new Refusal('internal').message });
          // XState neither stops the invoked actors of a failed actor nor reports the failure to its inspector.
          this.releaseLease();
          deps.inspect(failureEventOf(this.actor, deps.logic));
          resolve();
        },
      });
    });
    this.ended = this.closed.then(() => Promise.all([releaseOf(this.#leasing), this.resources.close()])).then(noop);
  }

  /** No client is assigned: no caller may find it. */
  get isWarm(): boolean {
    return this.#request === null;
  }

  get principal(): Principal {
    return this.#clientRequest.principal;
  }

  get user(): string {
    return this.principal.user;
  }

  /** The address of the user's own browser, if the session uses it. */
  get browserUrl(): string | undefined {
    return this.#request?.browserUrl;
  }

  get isolation(): SessionRequest['isolation'] {
    return this.#request?.isolation;
  }

  get groups(): string | undefined {
    return this.#request?.groups;
  }

  get profile(): string | undefined {
    return this.#request?.profile;
  }

  get profileChoices(): McpSession['profileChoices'] {
    return { operator: this.#deps.profileChoice, connection: parseProfileChoice(this.profile ?? '') };
  }

  get toolSet(): ToolSet {
    return this.#clientRequest.toolSet;
  }

  get channel(): Channel {
    return this.#clientRequest.channel;
  }

  get memory(): SessionMemory {
    return this.channel.memory;
  }

  /** Whether its browser is a process of its own from the start. */
  get hasOwnProcess(): boolean {
    return (this.isolation ?? this.#deps.isolation) === 'process' && this.browserUrl === undefined;
  }

  checkQuotas(tool: Pick<Tool, 'name' | 'needs'>): Promise<void> | undefined {
    return this.#deps.quotas?.checkCall(this, tool);
  }

  get createdAt(): Date {
    return this.#createdAt;
  }

  get #clientRequest(): SessionRequest {
    if (this.#request === null) throw new Error(`Session ${shortId(this.id)} has no client yet: it is warm.`);
    return this.#request;
  }

  /** The top-level state of the chart. */
  get state(): string {
    return topLevelState(this.actor.getSnapshot().value);
  }

  /** The current facts, for tools and operators. */
  facts(): SessionFacts {
    const { client, protocolVersion, toolCalls } = this.server;
    const { id, user, channel, state, createdAt, lease, actor } = this;
    const { browser: browserState } = actor.getSnapshot().context;
    const own = { id, user, transport: channel.kind, state, createdAt, lease, browserState };
    return { ...own, client, protocolVersion, toolCalls };
  }

  /** Starts the actor and attaches the channel, if there is one. Called once, after the session is in the registry. */
  start(): void {
    this.actor.start();
    if (this.#request === null) return;
    this.#countKept(this.#request);
    this.actor.send({ type: 'transport.attached' });
  }

  /** Assigns a client to a warm session. Called once, by the registry. */
  assignClient(request: SessionRequest): void {
    this.#request = request;
    this.#createdAt = new Date(this.clock.now());
    this.browserTime.restart();
    this.#countKept(request);
    this.actor.send({ type: 'transport.attached', client: toSessionClient(request) });
  }

  #countKept({ channel }: SessionRequest): void {
    channel.memory.countKept(() => this.browserLease?.usage?.keptBytes ?? 0);
  }

  /**
   * Accepts one message, in the order of arrival (S4): delivers it, queues it until the session is connected, or refuses it.
   * Throws `not_ready`, `closed`, `draining`, `queue_full` or, for an id that is in flight already, `invalid_message`; then
   * the message had no effect (S3). Returns a promise only for a queued message: it resolves on delivery, and rejects with
   * the cause if the session is never connected.
   */
  receive(message: JSONRPCMessage): Promise<void> | undefined {
    const snapshot = this.actor.getSnapshot();
    const kind = messageKind(message);
    if (snapshot.status !== 'active') throw refusalAfterEnd(this.end);
    const isEarly = snapshot.hasTag('early');
    if (isEarly) this.#checkEarly(message, snapshot.can({ type: 'message.received', kind }));
    if (kind === 'request' || kind === 'initialize')
      this.#checkRequest(message, snapshot.hasTag('draining'), snapshot.context.inFlight);
    const queued = isEarly ? (this.#earlyMessages ??= new EarlyMessageQueue()).enqueue(message) : undefined;
    if (!isEarly) this.#inbox.push(message);
    this.tap?.('client', message);
    this.actor.send({ type: 'message.received', kind });
    return queued;
  }

  /** The chart limits the count of early messages, the queue their size. */
  #checkEarly(message: JSONRPCMessage, canQueue: boolean): void {
    const { queueLimit } = this.actor.getSnapshot().context;
    if (queueLimit === 0) throw new Refusal('not_ready', { state: this.state });
    if (canQueue && (this.#earlyMessages ??= new EarlyMessageQueue()).hasRoomFor(message)) return;
    throw new Refusal('queue_full', { limit: `--queue-limit ${queueLimit}` });
  }

  /** Throws `closed` or `not_ready` if the session takes no messages. */
  checkOpen(): SnapshotFrom<SessionLogic> {
    const snapshot = this.actor.getSnapshot();
    if (snapshot.status !== 'active') throw refusalAfterEnd(this.end);
    if (snapshot.hasTag('early')) throw new Refusal('not_ready', { state: this.state });
    return snapshot;
  }

  #checkRequest(message: JSONRPCMessage, draining: boolean, inFlight: number): void {
    if (draining) throw new Refusal('draining');
    this.memory.checkRoom();
    if (inFlight >= maxInFlight) {
      throw new Refusal('queue_full', { limit: `${maxInFlight} requests in flight` });
    }
    const id = 'id' in message ? message.id : undefined;
    if (id !== undefined && (this.server.isInFlight(id) || this.#earlyMessages?.hasRequest(id) === true)) {
      throw new Refusal('invalid_message', { detail: `A request with the id ${shownId(id)} is still in flight.` });
    }
  }

  detach(because: 'client-closed' | 'slow-client'): void {
    this.actor.send({ type: 'transport.detached', because });
  }

  close(because: CloseReason): void {
    this.actor.send({ type: 'session.close', because });
  }

  /** Undefined only before the actor is started. */
  get browserLease(): BrowserLease | undefined {
    return this.#leasing.kind === 'none' ? undefined : this.#leasing.lease;
  }

  /** The chart's `deliver`. */
  deliver(): void {
    this.#earlyMessages?.deliver((message) => this.server.receive(message));
    this.#earlyMessages = undefined;
    const messages = this.#inbox;
    this.#inbox = [];
    for (const message of messages) this.server.receive(message);
  }

  /** The chart's `terminate`: answers the requests in flight, refuses the queued messages, then ends the channel. */
  terminate(because: CloseReason, failure: Failure | null): void {
    const ending = closeNotice(because, failure);
    if (because === 'server-draining') this.server.log('notice', 'The server is shutting down.');
    this.server.close(() => ending.refusal);
    this.#earlyMessages?.refuse(ending.refusal);
    this.#request?.channel.end(ending);
  }

  /** The URL patterns of the server and of its user. */
  get urls(): UrlRules | undefined {
    return this.#urls;
  }

  /** Adds the URL patterns of the user to those of the server. Called for a session that is restored. */
  useUrlLists(lists: UrlLists | undefined): void {
    this.#urls = this.#deps.workspace.urls?.with(lists);
  }

  /** Called by the chart's `browserLease`: the session owns the lease from here on. */
  setBrowserLease(lease: BrowserLease): void {
    this.#leasing = { kind: 'held', lease };
  }

  /** How the session ended; valid once it is closed. */
  get end(): SessionEnd {
    const { closedBecause } = this.actor.getSnapshot().context;
    return { closedBecause, isHandedOff: this.#leasing.kind === 'released' && this.#leasing.isHandedOff };
  }

  /** `keepOpen`: the pages stay open for the node that restores the session. */
  releaseLease(end?: { readonly keepOpen: boolean }): void {
    if (this.#leasing.kind === 'none') return;
    const { lease } = this.#leasing;
    this.#leasing = { kind: 'released', lease, isHandedOff: end?.keepOpen === true, done: lease.release(end) };
  }

  get serverFeatures(): McpSession['serverFeatures'] {
    return this.#deps.serverFeatures;
  }

  get prepareBrowser(): McpSession['prepareBrowser'] {
    return this.#deps.prepareBrowser;
  }

  get secrets(): Secrets {
    return this.#deps.secrets;
  }

  get browsers(): BrowserHandles {
    return this.#deps.browsersOf(this);
  }

  senderOf(request: RequestId): HandleRequest | undefined {
    return this.#handleRequests?.senderOf(request);
  }

  /** The requests that come by the id of this session, from wherever. */
  get handleRequests(): HandleRequests {
    return (this.#handleRequests ??= new HandleRequests(this));
  }

  get serverInfo(): McpSession['serverInfo'] {
    return this.#deps.serverInfo;
  }

  get clock(): Clock {
    return this.#deps.clock;
  }

  get log(): Log {
    return this.#deps.log;
  }

  get workspace(): Workspace {
    return workspaceOf(this, this.#deps.workspace);
  }

  requireBrowserLease(): BrowserLease {
    return requireLease(this.#leasing);
  }

  /** A message that cannot be written is replaced by an error response if it is a response, and dropped otherwise. */
  send(message: JSONRPCMessage, relatedTo?: RequestId): void {
    try {
      const shown = this.secrets.hideInMessage(message);
      this.tap?.('session', shown);
      if (this.#handleRequests?.deliver(shown, relatedTo) !== true) this.channel.deliver(shown, relatedTo);
    } catch (error) {
      this.#logSendFailure(error);
      if (!('method' in message) && message.id !== undefined) this.#sendInternalError(message.id);
    }
  }

  #sendInternalError(id: RequestId): void {
    try {
      this.channel.deliver(new Refusal('internal').toJsonRpc(id), id);
    } catch (error) {
      this.#logSendFailure(error);
    }
  }

  #logSendFailure(error: unknown): void {
    this.log.error('message not written', { session: shortId(this.id), error: messageOf(error) });
  }

  requestCancelled(request: RequestId): void {
    if (this.#handleRequests?.cancelled(request) !== true) this.channel.requestCancelled?.(request);
  }

  suspend(request: RequestId, retryMs: number): void {
    this.channel.suspend?.(request, retryMs);
  }

  requestSettled(request: SettledRequest): void {
    this.actor.send({ type: 'request.settled', request });
  }
}
