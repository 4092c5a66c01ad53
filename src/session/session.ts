import { createActor, type ActorRefFrom, type InspectionEvent, type SnapshotFrom } from 'xstate';
import type { ClosedBecause, Failure } from '../../machines/events.js';
import type { sessionMachine } from '../../machines/index.js';
import type { BrowserLease } from '../browser/lease/lease.js';
import type { Clock } from '../clock.js';
import { isReason, Refusal } from '../errors.js';
import { shortId, type Log } from '../log.js';
import { McpServer, type McpHost } from '../mcp/mcpServer.js';
import { kindOf, type JSONRPCMessage } from '../mcp/protocol.js';
import { ResourceStore } from '../mcp/resourceStore.js';
import type { Principal } from '../tenancy/principal.js';
import type { ToolSet } from '../tools/catalogue.js';
import type { SessionFacts } from '../tools/defineTool.js';
import type { Channel, Ending } from './channel.js';
import { topLevel } from './observer.js';
import { SessionHost } from './sessionHost.js';

/** Requests of one session that may be in flight at once (S10). */
const maxInFlight = 256;
const retryAfterMs = 500;

/** The session chart with its implementations provided (see sessionActor.ts). */
export type SessionLogic = typeof sessionMachine;

/** What all sessions of a server share. */
export interface SessionParts {
  readonly logic: SessionLogic;
  readonly serverInfo: McpHost['serverInfo'];
  readonly offer: McpHost['offer'];
  readonly workspace: readonly string[];
  readonly lease: 'eager' | 'lazy';
  readonly clock: Clock;
  readonly log: Log;
  /** The one inspection stream (see observer.ts). */
  inspect(event: InspectionEvent): void;
}

export interface SessionRequest {
  readonly id: string;
  readonly principal: Principal;
  readonly toolSet: ToolSet;
  /** Absent for a warm session, which waits in `tools-registered` for one. */
  readonly channel: Channel;
}

/**
 * One client session: the actor that decides, and the handles that it owns. The registry opens and forgets it; the chart
 * alone says what may happen when. Everything it owned is released when `ended` resolves (S5).
 */
export class Session {
  readonly id: string;
  readonly principal: Principal;
  readonly createdAt: Date;
  readonly lease: 'eager' | 'lazy';
  readonly actor: ActorRefFrom<SessionLogic>;
  readonly channel: Channel;
  readonly server: McpServer;
  readonly resources = new ResourceStore();
  /** Resolves, never rejects, on entry to `closed`. */
  readonly closed: Promise<void>;
  /** Resolves, never rejects, once the session is closed and what it owned is released. */
  readonly ended: Promise<void>;
  #inbox: JSONRPCMessage[] = [];
  #browserLease: BrowserLease | undefined;
  #release: Promise<void> = Promise.resolve();

  constructor(parts: SessionParts, request: SessionRequest) {
    this.id = request.id;
    this.principal = request.principal;
    this.channel = request.channel;
    this.lease = parts.lease;
    this.createdAt = new Date(parts.clock.now());
    this.server = new McpServer(new SessionHost(this, parts, request.toolSet));
    this.actor = createActor(parts.logic, {
      id: this.id,
      clock: parts.clock,
      inspect: parts.inspect,
      input: {
        id: this.id,
        issuer: this.principal.issuer,
        user: this.principal.user,
        lease: parts.lease,
        resumable: request.channel.resumable,
      },
    });
    this.closed = new Promise<void>((resolve) => {
      this.actor.subscribe({
        complete: resolve,
        error: (error) => {
          parts.log.error('session actor failed', { session: shortId(this.id), error: String(error) });
          this.dismiss('setup-failed', { reason: 'internal', message: new Refusal('internal').message });
          resolve();
        },
      });
    });
    this.ended = this.closed.then(async () => {
      await Promise.all([this.#release, this.resources.close()]);
    });
  }

  get user(): string {
    return this.principal.user;
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

  /** Starts the actor and attaches the channel. Called once, after the session is in the directory. */
  start(): void {
    this.actor.start();
    this.actor.send({ type: 'transport.attached' });
  }

  /**
   * Hands one message over, in the order of arrival (S4). Throws `not_ready`, `closed`, `draining`, `queue_full` or, for an
   * id that is in flight already, `invalid_message`; then nothing has happened (S3).
   */
  receive(message: JSONRPCMessage): void {
    const snapshot = this.checkOpen();
    const kind = kindOf(message);
    if (kind === 'request') this.#admit(message, snapshot.hasTag('draining'), snapshot.context.inFlight);
    this.#inbox.push(message);
    this.actor.send({ type: 'message.received', kind });
  }

  /** Throws `closed` or `not_ready` if nothing can be said to it now. */
  checkOpen(): SnapshotFrom<SessionLogic> {
    const snapshot = this.actor.getSnapshot();
    if (snapshot.status !== 'active') throw closedRefusal(snapshot.context.closedBecause);
    if (snapshot.hasTag('early')) throw new Refusal('not_ready', { state: this.state, retryAfterMs });
    return snapshot;
  }

  #admit(message: JSONRPCMessage, draining: boolean, inFlight: number): void {
    if (draining) throw new Refusal('draining', { retryAfterMs });
    if (inFlight >= maxInFlight) {
      throw new Refusal('queue_full', { retryAfterMs, limit: `${maxInFlight} requests in flight` });
    }
    if ('id' in message && message.id !== undefined && this.server.isInFlight(message.id)) {
      throw new Refusal('invalid_message', { detail: `A request with the id ${message.id} is still in flight.` });
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
    const messages = this.#inbox;
    this.#inbox = [];
    for (const message of messages) this.server.receive(message);
  }

  /** The chart's `dismiss`: ends requests in flight, says why, then closes the channel. */
  dismiss(because: ClosedBecause, failure: Failure | null): void {
    const ending = endingOf(because, failure);
    if (because === 'server-draining') this.server.log('notice', 'The server is shutting down.');
    this.server.close(ending.refusal);
    this.channel.end(ending);
  }

  /** The chart's `browserLease`: from here on the session owns the lease. */
  holdLease(lease: BrowserLease): void {
    this.#browserLease = lease;
  }

  releaseLease(): void {
    this.#release = this.#browserLease?.release() ?? Promise.resolve();
  }
}

export function closedRefusal(closedBecause: ClosedBecause | null): Refusal {
  return new Refusal('closed', closedBecause === null ? {} : { closedBecause });
}

/** What a client that never got its session id is told: the cause, by the error catalogue. */
function endingOf(closedBecause: ClosedBecause, failure: Failure | null): Ending {
  if (failure !== null) {
    const reason = isReason(failure.reason) ? failure.reason : 'setup_failed';
    return { closedBecause, refusal: new Refusal(reason, { detail: failure.message }) };
  }
  if (closedBecause === 'setup-timeout') return { closedBecause, refusal: new Refusal('setup_timeout') };
  if (closedBecause === 'server-draining') return { closedBecause, refusal: new Refusal('draining', { retryAfterMs }) };
  return { closedBecause, refusal: closedRefusal(closedBecause) };
}
