import type { CloseReason } from '../../machines/events.js';
import { messageOf, Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { EventLog, Replay, StreamAddress } from './eventLog.js';
import type { ClusterStore, OwnershipTerm } from './clusterStore.js';
import type { Principal } from '../tenancy/principal.js';

export interface SessionOwnershipDeps {
  readonly store: ClusterStore;
  readonly node: string;
  readonly log: Log;
  /** Whether the node holds its lease and receives hints. */
  isReady(): boolean;
  /** Another node owns the session now: its resources here must be released. */
  onSessionLost(sessionId: string): void;
}

/** Entries that are renewed in parallel. */
const renewalBatchSize = 64;

/**
 * The sessions that this node owns, each with its ownership term: the epoch that its writes to the store carry. The
 * directory and the event log of these sessions go through this class. A write that is fenced off ends the term (S11).
 * Owned by the node.
 *
 * ```
 *   claim ──▶ owned ──── the session ends ──▶ release: the end is recorded, retried with each heartbeat
 *  takeover ──▶ │ └───── it ends in a handoff, with a snapshot ──▶ left in the directory for a takeover
 *               └─────── fenced, by any write or renewal ──▶ lost: onSessionLost, then the session ends here only
 * ```
 */
export class SessionOwnership implements Directory, EventLog {
  readonly #options: SessionOwnershipDeps;
  readonly #terms = new Map<string, OwnershipTerm>();
  readonly #pendingReleases = new Set<Promise<void>>();
  /** Sessions with a stored snapshot: another node can restore them. */
  readonly #restorable = new Set<string>();
  /** Sessions that another node owns now, until their resources here are released. */
  readonly #lostSessions = new Set<string>();
  /** Ends that the store has not acknowledged yet. */
  readonly #unrecordedEnds = new Map<OwnershipTerm, CloseReason>();
  #isHandingOff = false;

  constructor(options: SessionOwnershipDeps) {
    this.#options = options;
  }

  termOf(sessionId: string): OwnershipTerm | undefined {
    return this.#terms.get(sessionId);
  }

  /** Without its lease a node cannot know whether it still owns its sessions. */
  get isWritable(): boolean {
    return this.#options.isReady();
  }

  /** Whether `beginHandoff` was called: this node takes over no session any more. */
  get isHandingOff(): boolean {
    return this.#isHandingOff;
  }

  /** Whether this node owns the session, or has yet to record its end. */
  has(sessionId: string): boolean {
    return this.#terms.has(sessionId) || [...this.#unrecordedEnds.keys()].some((term) => term.sessionId === sessionId);
  }

  /** The session was claimed or taken over. Any earlier term of this node ends. */
  acquire(term: OwnershipTerm): void {
    this.relinquish(term.sessionId);
    this.#lostSessions.delete(term.sessionId);
    this.#terms.set(term.sessionId, term);
  }

  async claim(claim: Claim, signal: AbortSignal): Promise<void> {
    const { store, node, isReady } = this.#options;
    if (!isReady()) throw new Refusal('store_unreachable');
    const epoch = await store.directory.claim({ ...claim, node });
    if (epoch === null) throw new Refusal('store_unreachable', { detail: 'This session is already claimed.' });
    const term = { sessionId: claim.sessionId, epoch };
    this.acquire(term);
    // The client left during the claim, and no other event will release the session.
    if (signal.aborted) await this.release(term, 'client-closed');
  }

  saveSnapshot(sessionId: string, stored: string): void {
    const term = this.#terms.get(sessionId);
    if (term === undefined) return;
    this.#restorable.add(sessionId);
    this.#options.store.snapshots
      .put(term, stored)
      .then((outcome) => outcome === 'fenced' && this.onFenced(term))
      .catch((error: unknown) => this.#warn('snapshot write failed', sessionId, error));
  }

  isHandedOff(sessionId: string): boolean {
    return this.#lostSessions.has(sessionId) || this.#isLeftForTakeover(sessionId);
  }

  releaseWhenEnded(sessionId: string, ended: Promise<CloseReason>): void {
    const term = this.#terms.get(sessionId);
    if (term === undefined) {
      // Lost while it was being restored.
      void ended.then(() => !this.#terms.has(sessionId) && this.#lostSessions.delete(sessionId));
      return;
    }
    const release = ended
      .then((closedBecause) => this.release(term, closedBecause))
      .catch((error: unknown) => this.#warn('session end not recorded', sessionId, error));
    this.#pendingReleases.add(release);
    void release.finally(() => this.#pendingReleases.delete(release));
  }

  /** Resolves when the end of every session is recorded, or could not be. Never rejects. */
  async whenReleased(): Promise<void> {
    await Promise.all(this.#pendingReleases);
  }

  /** A write was fenced off: another node owns the session, unless this node has taken it back since. */
  onFenced(term: OwnershipTerm): void {
    if (this.#terms.get(term.sessionId) === term) this.relinquish(term.sessionId);
  }

  /** Drops a session that another node owns or may take over. */
  relinquish(sessionId: string): void {
    this.#restorable.delete(sessionId);
    if (!this.#terms.delete(sessionId)) return;
    this.#lostSessions.add(sessionId);
    this.#options.onSessionLost(sessionId);
  }

  /** Renews the directory entries, and drops sessions that another node owns. Rejects when the store is unreachable. */
  async renewAll(): Promise<void> {
    const all = [...this.#terms.values()];
    while (all.length > 0) await Promise.all(all.splice(0, renewalBatchSize).map((term) => this.#renewTerm(term)));
  }

  async append(stream: StreamAddress, data: string): Promise<string> {
    const { sessionId } = stream;
    const term = this.#terms.get(sessionId);
    const id = await this.#options.store.events.append(term?.epoch ?? 0, stream, data);
    if (id !== null) return id;
    if (term !== undefined) this.onFenced(term);
    throw new Error('Another node owns this session now.');
  }

  replayAfter(stream: StreamAddress, eventId: string | null): Promise<Replay> {
    return this.#options.store.events.after(stream, eventId);
  }

  async discard(sessionId: string, streamId?: string): Promise<void> {
    const term = this.#terms.get(sessionId);
    if (this.#isLeftForTakeover(sessionId) || term === undefined) return;
    await this.#options.store.events.forget(term, streamId);
  }

  /** From now on restorable sessions that end here are left for other nodes to take over. */
  beginHandoff(): void {
    this.#isHandingOff = true;
  }

  /** Records the end of a session. Rejects when the store is unreachable: `recordPendingEnds` retries. */
  async release(term: OwnershipTerm, closedBecause: CloseReason): Promise<void> {
    const { sessionId } = term;
    // A lost session may have a newer term, possibly of this same node.
    if (this.#terms.get(sessionId) !== term) {
      if (!this.#terms.has(sessionId)) this.#lostSessions.delete(sessionId);
      return;
    }
    this.#terms.delete(sessionId);
    if (this.#isLeftForTakeover(sessionId) && closedBecause === 'server-draining') return;
    this.#restorable.delete(sessionId);
    this.#unrecordedEnds.set(term, closedBecause);
    await this.#recordEnd(term, closedBecause);
  }

  /** Records the ends that failed before. Rejects when the store is unreachable. */
  async recordPendingEnds(): Promise<void> {
    await Promise.all([...this.#unrecordedEnds].map(([term, because]) => this.#recordEnd(term, because)));
  }

  async #recordEnd(term: OwnershipTerm, because: CloseReason): Promise<void> {
    await this.#options.store.directory.close(term, because);
    this.#unrecordedEnds.delete(term);
  }

  #isLeftForTakeover(sessionId: string): boolean {
    return this.#isHandingOff && this.#restorable.has(sessionId);
  }

  async #renewTerm(term: OwnershipTerm): Promise<void> {
    const renewed = await this.#options.store.directory.renew(term);
    if (renewed === 'fenced') this.onFenced(term);
  }

  #warn(message: string, sessionId: string, error: unknown): void {
    this.#options.log.warn(message, { session: sessionId.slice(0, 8), error: messageOf(error) });
  }
}

/** The session to claim: it is ready, and not announced yet. */
export interface Claim {
  readonly sessionId: string;
  readonly principal: Principal;
  /** The transport of the client. */
  readonly transport: string;
}

/** Records which node and user each session belongs to. The set-up, changes and end of every session call it. */
export interface Directory {
  /**
   * Claims the session, before it is announced (S1). A rejection, preferably with a `Refusal`, closes the session
   * unannounced (S12). `signal` aborts when the session ends first.
   */
  claim(claim: Claim, signal: AbortSignal): Promise<void>;
  /** Stores the snapshot from which another node can restore the session; replaces the last one. Never throws. */
  saveSnapshot?(sessionId: string, stored: string): void;
  /** Whether another node owns the session or may restore it: then it ends on this node only. */
  isHandedOff?(sessionId: string): boolean;
  /** Called for each claimed session: `ended` resolves with the close reason after its last write. */
  releaseWhenEnded?(sessionId: string, ended: Promise<CloseReason>): void;
}

/** For a single process, whose session registry is the directory: a session is in it before its actor starts. */
export const memoryDirectory: Directory = { claim: () => Promise.resolve() };
