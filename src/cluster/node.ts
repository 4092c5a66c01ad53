import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import type { Clock } from '../clock.js';
import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { Caller } from '../tenancy/principal.js';
import { RemoteRequests, type RemoteRequest } from './remoteRequests.js';
import { Heartbeat } from './heartbeat.js';
import type { WakeHint, ClusterStore, OwnershipTerm } from './clusterStore.js';
import { SessionOwnership } from './ownership.js';
import { OwnerTunnel } from './forwardingTunnel.js';

export interface ClusterNodeDeps {
  readonly store: ClusterStore;
  /** What operators call this node. */
  readonly id: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** A request for a session of this node came through another one: `socket` is the connection. */
  serveRequest(socket: Duplex, caller: Caller): void;
  /** The session is another node's now. */
  onSessionLost(sessionId: string): void;
  /**
   * Goes on with a session whose node is gone, from what was kept of it; false if that cannot be. It is this node's.
   * Rejects if it cannot be now.
   */
  restoreSession(sessionId: string, stored: string): Promise<boolean>;
  readonly hooks: NodeHooks;
}

/** What a node keeps up beside its sessions. */
export interface NodeHooks {
  /** The others know that this node is there. Returns at once: the next beat does not wait for it. */
  onHeartbeat(): void;
  /** Its sessions have ended, and the store can still be told. Must not reject. */
  onLeave(): Promise<void>;
}

/** How many offers an owner takes at once. */
const inboxBatchSize = 32;
/** Well within the time for which an entry is kept. */
const entryRenewalMs = 120_000;
/** The pause before a subscription that failed is tried again. */
const subscribeRetryMs = 250;

const inboxMessageSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('request'),
    id: z.string(),
    node: z.string(),
    caller: z.union([z.literal('anyone'), z.object({ issuer: z.string(), user: z.string() })]),
    /** In base64. */
    bytes: z.string(),
  }),
  z.object({ kind: z.literal('hangUp'), id: z.string() }),
]);

/**
 * One of the nodes that share a store: a process, for as long as it runs. It owns the sessions that it claims, serves what
 * comes for them through other nodes, and asks the others for theirs. Owned by the orchestrator: `join` once, `leave` once.
 */
export class ClusterNode {
  readonly name: string;
  /** The directory and the event log of the sessions of this node. */
  readonly ownership: SessionOwnership;
  readonly #options: ClusterNodeDeps;
  readonly #heartbeat: Heartbeat;
  readonly #remoteRequests: RemoteRequests;
  /** What comes through other nodes, by the id of its offer. */
  readonly #servedTunnels = new Map<string, { readonly tunnel: OwnerTunnel; readonly node: string }>();
  /** Sessions whose inbox is being read; true: it is to be read once more. */
  readonly #inboxReads = new Map<string, boolean>();
  /** Sessions that are being taken over. */
  readonly #takeovers = new Set<string>();
  #isSubscribed = false;
  #hasLeft = false;
  #entriesRenewedAt = 0;

  constructor(options: ClusterNodeDeps) {
    const { store, id, clock, leaseMs, log } = options;
    this.#options = options;
    // A process that comes again under its name is another owner: what was the first one's it does not have.
    this.name = `${id}.${randomBytes(6).toString('base64url')}`;
    const isReady = (): boolean => this.isReady;
    this.ownership = new SessionOwnership({
      store,
      node: this.name,
      log,
      isReady,
      onSessionLost: options.onSessionLost,
    });
    const [onLeaseAcquired, onHeartbeat] = [() => this.#renewEntries(), () => this.#onHeartbeat()];
    this.#heartbeat = new Heartbeat({ store, node: this.name, leaseMs, clock, log, onLeaseAcquired, onHeartbeat });
    const isOwnerGone = (sessionId: string, owner: string): Promise<boolean> => this.#isOwnerGone(sessionId, owner);
    this.#remoteRequests = new RemoteRequests({
      store,
      node: this.name,
      clock,
      isOwnerGone,
      takeOver: (term, owner) => this.#takeOver(term, owner),
    });
  }

  /** Whether others find this node, and it hears of what waits for it. */
  get isReady(): boolean {
    return this.#isSubscribed && this.#heartbeat.isLeaseHeld;
  }

  /** Resolves when it is ready, however long the store takes, or has left. */
  async join(): Promise<void> {
    try {
      await this.#options.store.open();
      await this.#subscribe();
      if (!this.#hasLeft) await this.#heartbeat.start();
    } catch (error) {
      // Closed while it was being opened.
      if (!this.#hasLeft) throw error;
    }
  }

  /** Resolves when the ends of its sessions are written down, and nothing is open any more. Comes after their ends. */
  async leave(): Promise<void> {
    await this.ownership.whenReleased();
    this.#hasLeft = true;
    await this.#options.hooks.onLeave();
    this.#isSubscribed = false;
    await this.#heartbeat.stop();
    for (const { tunnel } of this.#servedTunnels.values()) tunnel.destroy();
    this.#remoteRequests.close();
    await this.#options.store.close();
  }

  /** A connection to the owner of a session; see `ActiveTrace`. */
  openRemoteRequest(sessionId: string, caller: Caller): RemoteRequest {
    return this.#remoteRequests.open(sessionId, caller);
  }

  /** A store that was there a moment ago may be gone again: it is tried until it is told. */
  async #subscribe(): Promise<void> {
    const { store, clock, log } = this.#options;
    while (!this.#isSubscribed && !this.#hasLeft) {
      try {
        await store.nodes.subscribe(this.name, (hint) => this.#onHint(hint));
        this.#isSubscribed = !this.#hasLeft;
      } catch (error) {
        log.warn('store failed', { node: this.name, error: messageOf(error) });
        await new Promise<void>((resolve) => clock.setTimeout(() => resolve(), subscribeRetryMs));
      }
    }
  }

  #onHint(hint: WakeHint): void {
    if (hint.kind === 'reply') this.#remoteRequests.onReplyPiece(hint.offerId, hint.piece);
    else void this.#readInbox(hint.sessionId);
  }

  /** One after the other, so that what was offered is served in its order (S4). Never rejects. */
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
      // Whoever waits for the answer wakes this node once more.
      this.#options.log.warn('store failed', { session: sessionId.slice(0, 8), error: messageOf(error) });
    } finally {
      this.#inboxReads.delete(sessionId);
    }
  }

  /** Whether there may be more. */
  async #serveBatch(sessionId: string): Promise<boolean> {
    const term = this.ownership.termOf(sessionId);
    // Until a takeover has come to its end nobody is here who could answer.
    if (term === undefined || this.#takeovers.has(sessionId)) return false;
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
        throw new Error(outcome === 'full' ? 'The client does not read.' : 'The session is not here.');
    });
    this.#servedTunnels.set(message.id, { tunnel, node: message.node });
    tunnel.once('close', () => this.#servedTunnels.delete(message.id));
    tunnel.on('error', (error) => this.#options.log.debug('connection lost', { error: error.message }));
    this.#options.serveRequest(tunnel, message.caller);
  }

  /** Whether the owner of a session is not there, or is this node, which has begun to take it over and did not get there. */
  async #isOwnerGone(sessionId: string, owner: string): Promise<boolean> {
    if (owner === this.name) return !this.#takeovers.has(sessionId) && !this.ownership.has(sessionId);
    return !(await this.#options.store.nodes.isAlive(owner));
  }

  /**
   * It is asked for a session that it does not have. If it is the owner all the same, a command whose answer it did not get
   * was carried out later: it goes on with the session as it would with that of another node.
   */
  async #reclaimIfOwner(sessionId: string): Promise<void> {
    const found = await this.#options.store.directory.find(sessionId, 'anyone');
    const isOwner = (found.kind === 'owned' || found.kind === 'not_ready') && found.node === this.name;
    if (isOwner && (await this.#isOwnerGone(sessionId, found.node))) {
      await this.#takeOver({ sessionId, epoch: found.epoch }, found.node);
    }
  }

  /** The owner is gone. Of those who notice one goes on with the session, or says that it is over. */
  async #takeOver(previousTerm: OwnershipTerm, owner: string): Promise<void> {
    const { directory, nodes } = this.#options.store;
    const { sessionId } = previousTerm;
    // Who is about to leave leaves it to the others, and what cannot be claimed cannot be taken over either.
    if (this.ownership.isHandingOff || !this.isReady || this.#takeovers.has(sessionId)) return;
    this.#takeovers.add(sessionId);
    try {
      const epoch = await directory.takeOver(previousTerm, this.name);
      if (epoch === null) return;
      // It may have come back just after it was found gone, and look for its sessions just before this one was taken.
      nodes.wake(owner, sessionId).catch(() => undefined);
      await this.#restoreSession({ sessionId, epoch });
    } finally {
      this.#takeovers.delete(sessionId);
    }
    await this.#readInbox(sessionId);
  }

  /** Rejects when the store cannot be reached: then nobody has the session, and whoever asks for it next begins anew. */
  async #restoreSession(term: OwnershipTerm): Promise<void> {
    const { store, restoreSession, log } = this.#options;
    const { sessionId, epoch } = term;
    this.ownership.acquire(term);
    try {
      const stored = await store.snapshots.get(sessionId);
      const isRestored = stored !== null && (await restoreSession(sessionId, stored));
      log.info('took over', { session: sessionId.slice(0, 8), epoch, restored: isRestored });
      if (!isRestored) await this.ownership.release(term, 'node-lost');
      else if ((await store.directory.completeTakeover(term)) === 'fenced') this.ownership.onFenced(term);
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
