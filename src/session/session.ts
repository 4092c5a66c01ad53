import { createActor, type ActorRefFrom, type InspectionEvent, type SnapshotFrom } from 'xstate';
import type { ClosedBecause, Failure, SessionClient } from '../../machines/events.js';
import type { Address, BrowserLease } from '../browser/lease/lease.js';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors.js';
import { shortId } from '../log.js';
import { McpServer } from '../mcp/mcpServer.js';
import { kindOf, type JSONRPCMessage } from '../mcp/protocol.js';
import { ResourceStore } from '../mcp/resourceStore.js';
import type { Principal } from '../tenancy/principal.js';
import type { ToolSet } from '../tools/catalogue.js';
import type { SessionFacts } from '../tools/defineTool.js';
import type { Channel } from './channel.js';
import { endedRefusal, endingOf, type Ended } from './ending.js';
import { HeldMessages } from './heldMessages.js';
import { detachedState, type StoredSession } from './storedSession.js';
import { topLevel } from './observer.js';
import { SessionHost } from './sessionHost.js';
import type { SessionLogic, SessionParts, SessionRequest, Tap } from './sessionParts.js';

/** Requests of one session that may be in flight at once (S10). */
const maxInFlight = 256;

/**
 * One client session: the actor that decides, and the handles that it owns. The registry opens and forgets it; the chart
 * alone says what may happen when. Everything it owned is released when `ended` resolves (S5).
 *
 * A warm session is one that nobody has asked for yet: it waits in `tools-registered` until it is handed over.
 */
export class Session {
  readonly id: string;
  readonly lease: 'eager' | 'lazy';
  readonly actor: ActorRefFrom<SessionLogic>;
  readonly server: McpServer;
  readonly resources = new ResourceStore();
  /** Resolves, never rejects, on entry to `closed`. */
  readonly closed: Promise<void>;
  /** Resolves, never rejects, once the session is closed and what it owned is released. */
  readonly ended: Promise<void>;
  /** The inspector's, while somebody looks at what this session says; null otherwise. */
  tap: Tap | null = null;
  /** Of a session that began at another node, which is gone: where its pages were. */
  readonly resume: Address | undefined;
  readonly #clock: Clock;
  #createdAt: Date;
  #request: SessionRequest | null;
  #inbox: JSONRPCMessage[] = [];
  /** Made at the first early message: most sessions have none. */
  #held: HeldMessages | undefined;
  #browserLease: BrowserLease | undefined;
  #release: Promise<void> = Promise.resolve();
  #isLeft = false;

  /** Without a request it is a warm session. With `stored` it goes on where another node stopped. */
  constructor(parts: SessionParts, id: string, request: SessionRequest | null, stored?: StoredSession) {
    this.id = id;
    this.lease = parts.lease;
    this.#clock = parts.clock;
    this.#request = request;
    this.#createdAt = stored?.createdAt ?? new Date(parts.clock.now());
    this.resume = stored?.browser ?? undefined;
    this.server = new McpServer(new SessionHost(this, parts));
    if (stored !== undefined) this.server.restore(stored.server);
    const client = request === null ? nobody : clientOf(request);
    this.actor = createActor(parts.logic, {
      id,
      clock: parts.clock,
      inspect: parts.inspect,
      input: { id, ...client, lease: parts.lease, queueLimit: parts.queueLimit },
      ...(stored && { snapshot: detachedState(stored) }),
    });
    this.closed = new Promise<void>((resolve) => {
      this.actor.subscribe({
        complete: resolve,
        error: (error) => {
          parts.log.error('session actor failed', { session: shortId(this.id), error: String(error) });
          this.dismiss('setup-failed', { reason: 'internal', message: new Refusal('internal').message });
          // XState neither stops what a failed actor has invoked nor tells its inspection stream.
          this.releaseLease();
          parts.inspect(this.#failed(parts.logic));
          resolve();
        },
      });
    });
    this.ended = this.closed.then(async () => {
      await Promise.all([this.#release, this.resources.close()]);
    });
  }

  /** Nobody's yet: no caller may find it. */
  get isWarm(): boolean {
    return this.#request === null;
  }

  get principal(): Principal {
    return this.#asked.principal;
  }

  get user(): string {
    return this.principal.user;
  }

  /** The user's own browser, where the session uses that one. */
  get browserUrl(): string | undefined {
    return this.#request?.browserUrl;
  }

  get groups(): string | undefined {
    return this.#request?.groups;
  }

  get toolSet(): ToolSet {
    return this.#asked.toolSet;
  }

  get channel(): Channel {
    return this.#asked.channel;
  }

  /** When its client came. */
  get createdAt(): Date {
    return this.#createdAt;
  }

  get #asked(): SessionRequest {
    if (this.#request === null) throw new Error(`Nobody has asked for session ${shortId(this.id)} yet.`);
    return this.#request;
  }

  /** The top-level state: one of the five. */
  get state(): string {
    return topLevel(this.actor.getSnapshot().value);
  }

  /** What tools and operators may know of it, as it is now. */
  facts(): SessionFacts {
    const { client, protocolVersion, toolCalls } = this.server;
    return {
      id: this.id,
      user: this.user,
      transport: this.channel.kind,
      state: this.state,
      createdAt: this.createdAt,
      client,
      protocolVersion,
      toolCalls,
      lease: this.lease,
      browserState: this.actor.getSnapshot().context.browser,
    };
  }

  /** Starts the actor and attaches the channel, if there is one. Called once, after the session is in the directory. */
  start(): void {
    this.actor.start();
    if (this.#request !== null) this.actor.send({ type: 'transport.attached' });
  }

  /** Gives a warm session that waits to whoever asks for one. Called once, by the registry. */
  handOver(request: SessionRequest): void {
    this.#request = request;
    this.#createdAt = new Date(this.#clock.now());
    this.actor.send({ type: 'transport.attached', client: clientOf(request) });
  }

  /**
   * Takes one message, in the order of arrival (S4): delivers it, holds it until the session is connected, or refuses it.
   * Throws `not_ready`, `closed`, `draining`, `queue_full` or, for an id that is in flight already, `invalid_message`; then
   * nothing has happened (S3). Returns a promise only for what is held: it resolves when that is delivered, and rejects
   * with the cause for which the session was never connected.
   */
  receive(message: JSONRPCMessage): Promise<void> | undefined {
    const snapshot = this.actor.getSnapshot();
    const kind = kindOf(message);
    if (snapshot.status !== 'active') throw endedRefusal(this.end);
    const isEarly = snapshot.hasTag('early');
    if (isEarly) this.#admitEarly(message, snapshot.can({ type: 'message.received', kind }));
    if (kind === 'request' || kind === 'initialize')
      this.#admit(message, snapshot.hasTag('draining'), snapshot.context.inFlight);
    const held = isEarly ? (this.#held ??= new HeldMessages()).hold(message) : undefined;
    if (!isEarly) this.#inbox.push(message);
    this.tap?.('client', message);
    this.actor.send({ type: 'message.received', kind });
    return held;
  }

  /** How many may be held, the chart knows; how large, the messages. */
  #admitEarly(message: JSONRPCMessage, mayHold: boolean): void {
    const { queueLimit } = this.actor.getSnapshot().context;
    if (queueLimit === 0) throw new Refusal('not_ready', { state: this.state });
    if (mayHold && (this.#held ??= new HeldMessages()).hasRoomFor(message)) return;
    throw new Refusal('queue_full', { limit: `--queue-limit ${queueLimit}` });
  }

  /** Throws `closed` or `not_ready` if nothing can be said to it now. */
  checkOpen(): SnapshotFrom<SessionLogic> {
    const snapshot = this.actor.getSnapshot();
    if (snapshot.status !== 'active') throw endedRefusal(this.end);
    if (snapshot.hasTag('early')) throw new Refusal('not_ready', { state: this.state });
    return snapshot;
  }

  #admit(message: JSONRPCMessage, draining: boolean, inFlight: number): void {
    if (draining) throw new Refusal('draining');
    if (inFlight >= maxInFlight) {
      throw new Refusal('queue_full', { limit: `${maxInFlight} requests in flight` });
    }
    const id = 'id' in message ? message.id : undefined;
    if (id !== undefined && (this.server.isInFlight(id) || this.#held?.hasRequest(id) === true)) {
      throw new Refusal('invalid_message', { detail: `A request with the id ${id} is still in flight.` });
    }
  }

  detach(because: 'client-closed' | 'slow-client'): void {
    this.actor.send({ type: 'transport.detached', because });
  }

  close(because: ClosedBecause): void {
    this.actor.send({ type: 'session.close', because });
  }

  /** Undefined only before the actor has started. */
  get browserLease(): BrowserLease | undefined {
    return this.#browserLease;
  }

  /** The chart's `deliver`. */
  deliver(): void {
    this.#held?.deliver((message) => this.server.receive(message));
    this.#held = undefined;
    const messages = this.#inbox;
    this.#inbox = [];
    for (const message of messages) this.server.receive(message);
  }

  /** The chart's `dismiss`: ends requests in flight, says why, then closes the channel. */
  dismiss(because: ClosedBecause, failure: Failure | null): void {
    const ending = endingOf(because, failure);
    if (because === 'server-draining') this.server.log('notice', 'The server is shutting down.');
    this.server.close(ending.refusal);
    this.#held?.refuse(ending.refusal);
    this.#request?.channel.end(ending);
  }

  /** What the inspection stream is told of an actor that has failed: the session is closed. */
  #failed(logic: SessionLogic): InspectionEvent {
    const { context } = this.actor.getSnapshot();
    const snapshot = logic.resolveState({ value: 'closed', context: { ...context, closedBecause: 'setup-failed' } });
    const { actor } = this;
    return { type: '@xstate.snapshot', actorRef: actor, rootId: actor.sessionId, event: { type: 'failed' }, snapshot };
  }

  /** The chart's `browserLease`: from here on the session owns the lease. */
  holdLease(lease: BrowserLease): void {
    this.#browserLease = lease;
  }

  /** How it ended, once it is closed. */
  get end(): Ended {
    return { closedBecause: this.actor.getSnapshot().context.closedBecause, isLeft: this.#isLeft };
  }

  /** `leftOpen`: another node goes on with it. */
  releaseLease(end?: { readonly leftOpen: boolean }): void {
    this.#isLeft = end?.leftOpen === true;
    this.#release = this.#browserLease?.release(end) ?? Promise.resolve();
  }
}

const nobody: SessionClient = { issuer: null, user: null, resumable: false };

function clientOf({ principal: { issuer, user }, channel: { resumable } }: SessionRequest): SessionClient {
  return { issuer, user, resumable };
}
