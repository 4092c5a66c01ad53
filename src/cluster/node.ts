import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { createActor, fromPromise, waitFor, type ActorRefFrom, type InspectionEvent } from 'xstate';
import { z } from 'zod';
import { nodeMachine } from '../../machines/index.js';
import type { NodeEvent } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import { messageOf } from '../errors/errors.js';
import { shortId, type Log } from '../log.js';
import type { Caller } from '../tenancy/principal.js';
import { RemoteRequests, type RemoteRequest } from './remoteRequests.js';
import type { WakeHint, ClusterStore, OwnershipTerm } from './clusterStore.js';
import { SessionOwnership } from './ownership.js';
import { OwnerTunnel } from './forwardingTunnel.js';

export interface ClusterNodeDeps {
  readonly store: ClusterStore;
  /** The `--node-id`. */
  readonly id: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Serves a request that another node forwarded. `socket` is the connection; the callee ends or destroys it. */
  serveRequest(socket: Duplex, caller: Caller): void;
  /** Another node owns the session now, if it is here at all. May be called more than once. */
  onSessionLost(sessionId: string): void;
  /**
   * Restores a session from the snapshot `stored`; this node has already acquired it. False: the session cannot be
   * restored. Rejects if a later attempt may succeed.
   */
  restoreSession(sessionId: string, stored: string): Promise<boolean>;
  readonly hooks: NodeHooks;
  /** Receives the inspection events of the node's actors. */
  readonly inspect?: (event: InspectionEvent) => void;
}

/** What a node maintains besides its sessions. */
export interface NodeHooks {
  /** Runs after each successful heartbeat. Returns at once: the next heartbeat does not wait for it. */
  onHeartbeat(): void;
  /** Runs when the sessions of the node have ended, before the store is closed. Must not reject. */
  onLeave(): Promise<void>;
}

/** Messages that an owner takes from an inbox in one step. */
const inboxBatchSize = 32;
/** Well below `entryTtlMs` of the store. */
const entryRenewalMs = 120_000;
const subscribeRetryMs = 250;
/** Renewals in the time of one lease. */
const heartbeatsPerLease = 3;

const inboxMessageSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('request'),
    id: z.string(),
    node: z.string(),
    caller: z.union([z.literal('anyone'), z.object({ issuer: z.string(), user: z.string() })]),
    /** The whole HTTP request, in base64. */
    bytes: z.string(),
  }),
  z.object({ kind: z.literal('hangUp'), id: z.string() }),
]);

/**
 * One of the nodes that share a store: a process, for as long as it runs. It owns the sessions that it claims, serves the
 * requests that other nodes forward for them, and forwards requests for sessions of other nodes. Owned by the orchestrator:
 * `join` once, `leave` once.
 *
 * ```
 *  join                      store.open ▶ subscribe to hints ▶ first heartbeat ▶ ready (machines/nodeMachine.ts)
 *  hint "inbox"              read the inbox ▶ serve each request through an OwnerTunnel
 *  each heartbeat            renew the lease ▶ record pending ends ▶ hooks.onHeartbeat ▶ drop tunnels of dead nodes
 *  takeover of a dead owner  directory.takeOver (new epoch) ▶ acquire ▶ restore from the snapshot
 *                            ▶ completeTakeover ▶ read the inbox
 *  leave                     ends are recorded ▶ hooks.onLeave ▶ release the lease ▶ destroy tunnels ▶ store.close
 * ```
 *
 * At most one node completes a takeover: `takeOver` succeeds for one epoch once, and every later write of the previous owner
 * is fenced off.
 */
export class ClusterNode {
  readonly name: string;
  /** The directory and the event log of the sessions of this node. */
  readonly ownership: SessionOwnership;
  readonly #options: ClusterNodeDeps;
  readonly #actor: ActorRefFrom<typeof nodeMachine>;
  readonly #remoteRequests: RemoteRequests;
  /** Forwarded requests that are being served, by message id. */
  readonly #servedTunnels = new Map<string, { readonly tunnel: OwnerTunnel; readonly node: string }>();
  /** Sessions whose inbox is being read. True: another read follows. */
  readonly #inboxReads = new Map<string, boolean>();
  #heartbeat: unknown;
  #entriesRenewedAt = 0;
  /** Why the store could not be opened. */
  #openError: unknown;

  constructor(options: ClusterNodeDeps) {
    const { store, id, clock, log } = options;
    this.#options = options;
    // A restarted process gets a new name: it does not own the sessions of its predecessor.
    this.name = `${id}.${randomBytes(6).toString('base64url')}`;
    const isReady = (): boolean => this.isReady;
    this.ownership = new SessionOwnership({
      store,
      node: this.name,
      log,
      isReady,
      onSessionLost: options.onSessionLost,
      ...(options.inspect && { inspect: options.inspect }),
    });
    this.#actor = createActor(this.#logic(), {
      ...{ id: this.name, clock },
      ...(options.inspect && { inspect: options.inspect }),
    });
    const isOwnerGone = (sessionId: string, owner: string): Promise<boolean> => this.#isOwnerGone(sessionId, owner);
    this.#remoteRequests = new RemoteRequests({
      store,
      node: this.name,
      clock,
      isOwnerGone,
      takeOver: (term, owner) => this.#takeOver(term, owner),
    });
  }

  /** The node chart with its implementations. */
  #logic(): typeof nodeMachine {
    const { store } = this.#options;
    return nodeMachine.provide({
      actors: {
        openStore: fromPromise(() => store.open().catch((error: unknown) => this.#onOpenFailed(error))),
        subscribe: fromPromise(() => this.#subscribe()),
      },
      actions: {
        startHeartbeat: () => void this.#beat(),
        handOff: () => this.ownership.beginHandoff(),
      },
      delays: { subscribeRetry: subscribeRetryMs },
    });
  }

  /**
   * Whether hints are received and the lease is held. A process that was suspended does not know that its lease
   * expired: the clock decides.
   */
  get isReady(): boolean {
    const state = this.#actor.getSnapshot();
    return state.hasTag('leased') && state.context.leaseUntil > this.#options.clock.now();
  }

  /** Whether it takes over no session any more: it may be gone before the reply. */
  get isLeaving(): boolean {
    return this.#actor.getSnapshot().hasTag('leaving');
  }

  /** Resolves after the first heartbeat, successful or not, however long the store takes, or when the node stops. */
  async join(): Promise<void> {
    this.#actor.start();
    const { value } = await waitFor(
      this.#actor,
      (state) => !state.matches('joining') || state.matches({ joining: 'failed' }),
    );
    if (typeof value === 'object' && 'joining' in value) throw this.#openError;
  }

  /** From now on restorable sessions that end here are left for other nodes to take over. */
  drain(): void {
    this.#send({ type: 'node.drain' });
  }

  /** Call after the sessions have ended. Resolves when their ends are recorded and every connection is closed. */
  async leave(): Promise<void> {
    const { store, hooks, clock } = this.#options;
    await this.ownership.whenReleased();
    this.#send({ type: 'node.leave' });
    await hooks.onLeave();
    this.#send({ type: 'node.left' });
    clock.clearTimeout(this.#heartbeat);
    // Other nodes may take over the remaining sessions.
    await store.nodes.releaseLease(this.name).catch((error: unknown) => this.#warn('node lease release failed', error));
    for (const { tunnel } of this.#servedTunnels.values()) tunnel.destroy();
    this.#remoteRequests.close();
    await store.close();
  }

  /** Opens a connection to the owner of a session; see `RemoteRequest`. */
  openRemoteRequest(sessionId: string, caller: Caller): RemoteRequest {
    return this.#remoteRequests.open(sessionId, caller);
  }

  #send(event: NodeEvent): void {
    if (this.#actor.getSnapshot().status === 'active') this.#actor.send(event);
  }

  #onOpenFailed(error: unknown): never {
    this.#openError = error;
    throw error;
  }

  /** The actor `subscribe` of the chart, which retries it: the store may fail in between. */
  async #subscribe(): Promise<void> {
    try {
      await this.#options.store.nodes.subscribe(this.name, (hint) => this.#onHint(hint));
    } catch (error) {
      this.#warn('hint subscription failed', error);
      throw error;
    }
  }

  /** The action `startHeartbeat` of the chart: renewals follow each other until the node has left. */
  async #beat(): Promise<void> {
    const { clock, leaseMs } = this.#options;
    await this.#renewLease();
    if (this.#actor.getSnapshot().status === 'active')
      this.#heartbeat = clock.setTimeout(() => void this.#beat(), leaseMs / heartbeatsPerLease);
  }

  async #renewLease(): Promise<void> {
    const { clock, leaseMs, store } = this.#options;
    // Measured from before the request: the store's expiry is later than this.
    const until = clock.now() + leaseMs;
    // The store's answer is not enough: the reply that reported an expired lease may have been lost.
    const wasLeaseHeld = this.isReady;
    try {
      const hadLease = await store.nodes.renewLease(this.name, leaseMs);
      // Other nodes may have taken over sessions: that is known before the lease counts as held again.
      if (!hadLease || !wasLeaseHeld) await this.#renewEntries();
      this.#send({ type: 'lease.renewed', until });
      if (this.#actor.getSnapshot().status === 'active') await this.#onHeartbeat();
    } catch (error) {
      if (!this.isReady) this.#send({ type: 'lease.expired' });
      this.#warn('node lease renewal failed', error);
    }
  }

  #warn(message: string, error: unknown): void {
    this.#options.log.warn(message, { node: this.name, error: messageOf(error) });
  }

  #onHint(hint: WakeHint): void {
    if (hint.kind === 'reply') this.#remoteRequests.onReplyPiece(hint.offerId, hint.piece);
    else void this.#readInbox(hint.sessionId);
  }

  /** Reads of one inbox run one after the other, so that messages are served in order (S4). Never rejects. */
  async #readInbox(sessionId: string): Promise<void> {
    const isReading = this.#inboxReads.has(sessionId);
    this.#inboxReads.set(sessionId, isReading);
    if (isReading) return;
    try {
      do {
        this.#inboxReads.set(sessionId, false);
        if (this.ownership.termOf(sessionId) === undefined) await this.#reclaimIfOwner(sessionId);
        if (await this.#serveBatch(sessionId)) this.#inboxReads.set(sessionId, true);
      } while (this.#inboxReads.get(sessionId) === true);
    } catch (error) {
      // The requesting node polls and wakes this node again.
      this.#options.log.warn('inbox read failed', { session: shortId(sessionId), error: messageOf(error) });
    } finally {
      this.#inboxReads.delete(sessionId);
    }
  }

  /** True: the inbox may hold more messages. */
  async #serveBatch(sessionId: string): Promise<boolean> {
    const term = this.ownership.servingTermOf(sessionId);
    if (term === undefined) return false;
    const messages = await this.#options.store.inbox.take(term, inboxBatchSize);
    if (messages === 'fenced') {
      this.ownership.onFenced(term);
      return false;
    }
    for (const data of messages) this.#serveMessage(term, data);
    return messages.length === inboxBatchSize;
  }

  #serveMessage(term: OwnershipTerm, data: string): void {
    const { sessionId, epoch } = term;
    const message = inboxMessageSchema.parse(JSON.parse(data));
    if (message.kind === 'hangUp') {
      this.#servedTunnels.get(message.id)?.tunnel.destroy();
      return;
    }
    const address = { sessionId, messageId: message.id, node: message.node };
    const tunnel = new OwnerTunnel(Buffer.from(message.bytes, 'base64'), epoch, async (piece, isLast) => {
      const outcome = await this.#options.store.replies.put(term, address, piece, isLast);
      if (outcome !== 'put')
        throw new Error(
          outcome === 'full' ? 'The requesting node does not read the reply.' : 'This node no longer owns the session.',
        );
    });
    this.#servedTunnels.set(message.id, { tunnel, node: message.node });
    tunnel.once('close', () => this.#servedTunnels.delete(message.id));
    tunnel.on('error', (error) => this.#options.log.debug('forwarded connection closed', { error: error.message }));
    this.#options.serveRequest(tunnel, message.caller);
  }

  /** Whether the owner is dead, or is this node after a failed takeover. */
  async #isOwnerGone(sessionId: string, owner: string): Promise<boolean> {
    if (owner === this.name) return !this.ownership.has(sessionId);
    return !(await this.#options.store.nodes.isAlive(owner));
  }

  /**
   * A hint arrived for a session that this node does not hold. If the directory names this node as the owner, a command
   * whose reply was lost has been executed after all: the node takes the session over as it would from a dead node.
   */
  async #reclaimIfOwner(sessionId: string): Promise<void> {
    const found = await this.#options.store.directory.find(sessionId, 'anyone');
    const isOwner = (found.kind === 'owned' || found.kind === 'not_ready') && found.node === this.name;
    if (isOwner && (await this.#isOwnerGone(sessionId, found.node))) {
      await this.#takeOver({ sessionId, epoch: found.epoch }, found.node);
    }
  }

  /** The owner is dead. One of the nodes that notice restores the session, or records its end. */
  async #takeOver(previousTerm: OwnershipTerm, owner: string): Promise<void> {
    const { sessionId } = previousTerm;
    // A draining node takes nothing over, nor does a node without a lease.
    if (this.isLeaving || !this.isReady) return;
    const term = await this.ownership.takeOver(previousTerm);
    if (term === null) return;
    // The old owner may have renewed its sessions just before this takeover: wake it, so that it notices the loss.
    this.#options.store.nodes.wake(owner, sessionId).catch(() => undefined);
    await this.#restoreSession(term);
    await this.#readInbox(sessionId);
  }

  /** Rejects when the store is unreachable: the session then has no owner, and the next request starts another takeover. */
  async #restoreSession(term: OwnershipTerm): Promise<void> {
    const { store, restoreSession, log } = this.#options;
    const { sessionId, epoch } = term;
    try {
      const stored = await store.snapshots.get(sessionId);
      const isRestored = stored !== null && (await restoreSession(sessionId, stored));
      log.info('session takeover', { session: shortId(sessionId), epoch, restored: isRestored });
      if (isRestored) await this.ownership.completeTakeover(term);
      else await this.ownership.release(term, 'node-lost');
    } catch (error) {
      this.ownership.relinquish(sessionId);
      throw error;
    }
  }

  async #renewEntries(): Promise<void> {
    this.#entriesRenewedAt = this.#options.clock.now();
    await this.ownership.renewAll();
  }

  async #onHeartbeat(): Promise<void> {
    const { clock, store } = this.#options;
    if (clock.now() - this.#entriesRenewedAt >= entryRenewalMs) await this.#renewEntries();
    await this.ownership.recordPendingEnds();
    this.#options.hooks.onHeartbeat();
    const originNodes = new Set([...this.#servedTunnels.values()].map(({ node }) => node));
    for (const originNode of originNodes) {
      if (await store.nodes.isAlive(originNode)) continue;
      for (const { tunnel, node } of this.#servedTunnels.values()) if (node === originNode) tunnel.destroy();
    }
  }
}
