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
  /** Whether others find this node. */
  isReady(): boolean;
  /** The session is another node's now: what is left of it here is to go. */
  onSessionLost(sessionId: string): void;
}

/** Entries that are renewed at once. */
const renewalBatchSize = 64;

/**
 * The sessions that this node owns, each with its epoch: what it may write in the store. The directory and the event log
 * of its sessions go through it. A write that is fenced off ends the tenure (S11). Owned by the node.
 */
export class SessionOwnership implements Directory, EventLog {
  readonly #options: SessionOwnershipDeps;
  readonly #terms = new Map<string, OwnershipTerm>();
  readonly #pendingReleases = new Set<Promise<void>>();
  /** Those that can be restored elsewhere. */
  readonly #restorable = new Set<string>();
  /** Other nodes' by now, for as long as something is left of them here. */
  readonly #lostSessions = new Set<string>();
  /** Ends that are not written down yet. */
  readonly #unrecordedEnds = new Map<OwnershipTerm, CloseReason>();
  #isHandingOff = false;

  constructor(options: SessionOwnershipDeps) {
    this.#options = options;
  }

  termOf(sessionId: string): OwnershipTerm | undefined {
    return this.#terms.get(sessionId);
  }

  /** Without its lease a node cannot know whether its sessions are still its own. */
  get isWritable(): boolean {
    return this.#options.isReady();
  }

  /** Whether sessions are left to the other nodes: none is taken over any more. */
  get isHandingOff(): boolean {
    return this.#isHandingOff;
  }

  /** Whether this node has a session, or has yet to write down that it ended. */
  has(sessionId: string): boolean {
    return this.#terms.has(sessionId) || [...this.#unrecordedEnds.keys()].some((term) => term.sessionId === sessionId);
  }

  /** It was claimed, or taken over from another node. What this node may have of it from before is over. */
  acquire(term: OwnershipTerm): void {
    this.relinquish(term.sessionId);
    this.#lostSessions.delete(term.sessionId);
    this.#terms.set(term.sessionId, term);
  }

  async claim(claim: Claim, signal: AbortSignal): Promise<void> {
    const { store, node, isReady } = this.#options;
    if (!isReady()) throw new Refusal('store_unreachable');
    const epoch = await store.directory.claim({ ...claim, node });
    if (epoch === null) throw new Refusal('store_unreachable', { detail: 'This session is claimed already.' });
    const term = { sessionId: claim.sessionId, epoch };
    this.acquire(term);
    // Its client left meanwhile: nobody will say so again.
    if (signal.aborted) await this.release(term, 'client-closed');
  }

  saveSnapshot(sessionId: string, stored: string): void {
    const term = this.#terms.get(sessionId);
    if (term === undefined) return;
    this.#restorable.add(sessionId);
    this.#options.store.snapshots
      .put(term, stored)
      .then((outcome) => outcome === 'fenced' && this.onFenced(term))
      .catch(this.#logFailure);
  }

  isHandedOff(sessionId: string): boolean {
    return this.#lostSessions.has(sessionId) || this.#isLeftForTakeover(sessionId);
  }

  releaseWhenEnded(sessionId: string, ended: Promise<CloseReason>): void {
    const term = this.#terms.get(sessionId);
    if (term === undefined) return;
    const release = ended.then((closedBecause) => this.release(term, closedBecause)).catch(this.#logFailure);
    this.#pendingReleases.add(release);
    void release.finally(() => this.#pendingReleases.delete(release));
  }

  /** Resolves when every session that was held is released. */
  async whenReleased(): Promise<void> {
    await Promise.all(this.#pendingReleases);
  }

  /** A write was refused: the session is another node's now, unless this one has taken it back since. */
  onFenced(term: OwnershipTerm): void {
    if (this.#terms.get(term.sessionId) === term) this.relinquish(term.sessionId);
  }

  /** Lets go of a session that others have, or may go on with. */
  relinquish(sessionId: string): void {
    this.#restorable.delete(sessionId);
    if (!this.#terms.delete(sessionId)) return;
    this.#lostSessions.add(sessionId);
    this.#options.onSessionLost(sessionId);
  }

  /** Keeps every entry; drops those that are another node's by now. Rejects when the store cannot be reached. */
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

  /** From here on sessions that can be restored are left to the other nodes as they end here. */
  beginHandoff(): void {
    this.#isHandingOff = true;
  }

  /** Writes down why it ended. Rejects when the store cannot be reached: then `settleEnds` tries again. */
  async release(term: OwnershipTerm, closedBecause: CloseReason): Promise<void> {
    const { sessionId } = term;
    // What was lost is another tenure's by now, maybe of this very node.
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

  /** Writes down the ends that could not be written when they came. Rejects when the store cannot be reached. */
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

  readonly #logFailure = (error: unknown): void => this.#options.log.warn('store failed', { error: messageOf(error) });
}

/** What is claimed: a session that is ready, for the user it will be announced to. */
export interface Claim {
  readonly sessionId: string;
  readonly principal: Principal;
  /** By which transport its client came. */
  readonly transport: string;
}

/** Where it is written down whose each session is. */
export interface Directory {
  /**
   * Claims the session; only then is it announced (S1). A rejection, best a `Refusal`, closes the session unannounced
   * (S12). Aborted when the session ends first.
   */
  claim(claim: Claim, signal: AbortSignal): Promise<void>;
  /** Keeps what the session can be restored from at another node. Never throws; what comes later takes its place. */
  saveSnapshot?(sessionId: string, stored: string): void;
  /** Whether another node has the session by now, or may go on with it: it only ends here. */
  isHandedOff?(sessionId: string): boolean;
  /** Told of each session that was claimed: `ended` resolves with why it ended, when nothing of it is written any more. */
  releaseWhenEnded?(sessionId: string, ended: Promise<CloseReason>): void;
}

/** One process: the registry of sessions is the directory, and a session is in it before its actor starts. */
export const memoryDirectory: Directory = { claim: () => Promise.resolve() };
