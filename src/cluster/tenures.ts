import type { ClosedBecause } from '../../machines/events.js';
import { messageOf, Refusal } from '../errors.js';
import type { Log } from '../log.js';
import type { Claim, Directory } from './directory.js';
import type { EventLog, Replay, StreamAddress } from './eventLog.js';
import type { Store, Tenure } from './store.js';

export interface TenuresOptions {
  readonly store: Store;
  readonly node: string;
  readonly log: Log;
  /** Whether others find this node. */
  isReady(): boolean;
  /** The session is another node's now: what is left of it here is to go. */
  onLost(sessionId: string): void;
}

/** Entries that are renewed at once. */
const renewals = 64;

/**
 * The sessions that this node owns, each with its epoch: what it may write in the store. The directory and the event log
 * of its sessions go through it. A write that is fenced off ends the tenure (S11). Owned by the node.
 */
export class Tenures implements Directory, EventLog {
  readonly #options: TenuresOptions;
  readonly #held = new Map<string, Tenure>();
  readonly #releasing = new Set<Promise<void>>();
  /** Those that can be restored elsewhere. */
  readonly #kept = new Set<string>();
  /** Other nodes' by now, for as long as something is left of them here. */
  readonly #lost = new Set<string>();
  /** Ends that are not written down yet. */
  readonly #owed = new Map<Tenure, ClosedBecause>();
  #isLeaving = false;

  constructor(options: TenuresOptions) {
    this.#options = options;
  }

  get(sessionId: string): Tenure | undefined {
    return this.#held.get(sessionId);
  }

  /** Without its lease a node cannot know whether its sessions are still its own. */
  get isOurs(): boolean {
    return this.#options.isReady();
  }

  /** Whether sessions are left to the other nodes: none is taken over any more. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Whether this node has a session, or has yet to write down that it ended. */
  has(sessionId: string): boolean {
    return this.#held.has(sessionId) || [...this.#owed.keys()].some((tenure) => tenure.sessionId === sessionId);
  }

  /** It was claimed, or taken over from another node. What this node may have of it from before is over. */
  hold(tenure: Tenure): void {
    this.drop(tenure.sessionId);
    this.#lost.delete(tenure.sessionId);
    this.#held.set(tenure.sessionId, tenure);
  }

  async claim(claim: Claim, signal: AbortSignal): Promise<void> {
    const { store, node, isReady } = this.#options;
    if (!isReady()) throw new Refusal('store_unreachable');
    const epoch = await store.directory.claim({ ...claim, node });
    if (epoch === null) throw new Refusal('store_unreachable', { detail: 'This session is claimed already.' });
    const tenure = { sessionId: claim.sessionId, epoch };
    this.hold(tenure);
    // Its client left meanwhile: nobody will say so again.
    if (signal.aborted) await this.release(tenure, 'client-closed');
  }

  keep(sessionId: string, stored: string): void {
    const tenure = this.#held.get(sessionId);
    if (tenure === undefined) return;
    this.#kept.add(sessionId);
    this.#options.store.snapshots
      .put(tenure, stored)
      .then((put) => put === 'fenced' && this.fenced(tenure))
      .catch(this.#failed);
  }

  goesOn(sessionId: string): boolean {
    return this.#lost.has(sessionId) || this.#isLeft(sessionId);
  }

  releaseAfter(sessionId: string, ended: Promise<ClosedBecause>): void {
    const tenure = this.#held.get(sessionId);
    if (tenure === undefined) return;
    const releasing = ended.then((closedBecause) => this.release(tenure, closedBecause)).catch(this.#failed);
    this.#releasing.add(releasing);
    void releasing.finally(() => this.#releasing.delete(releasing));
  }

  /** Resolves when every session that was held is released. */
  async released(): Promise<void> {
    await Promise.all(this.#releasing);
  }

  /** A write was refused: the session is another node's now, unless this one has taken it back since. */
  fenced(tenure: Tenure): void {
    if (this.#held.get(tenure.sessionId) === tenure) this.drop(tenure.sessionId);
  }

  /** Lets go of a session that others have, or may go on with. */
  drop(sessionId: string): void {
    this.#kept.delete(sessionId);
    if (!this.#held.delete(sessionId)) return;
    this.#lost.add(sessionId);
    this.#options.onLost(sessionId);
  }

  /** Keeps every entry; drops those that are another node's by now. Rejects when the store cannot be reached. */
  async renew(): Promise<void> {
    const all = [...this.#held.values()];
    while (all.length > 0) await Promise.all(all.splice(0, renewals).map((tenure) => this.#renewOne(tenure)));
  }

  async append(stream: StreamAddress, data: string): Promise<string> {
    const { sessionId } = stream;
    const tenure = this.#held.get(sessionId);
    const id = await this.#options.store.events.append(tenure?.epoch ?? 0, stream, data);
    if (id !== null) return id;
    if (tenure !== undefined) this.fenced(tenure);
    throw new Error('Another node owns this session now.');
  }

  after(stream: StreamAddress, eventId: string | null): Promise<Replay> {
    return this.#options.store.events.after(stream, eventId);
  }

  async forget(sessionId: string, streamId?: string): Promise<void> {
    const tenure = this.#held.get(sessionId);
    if (this.#isLeft(sessionId) || tenure === undefined) return;
    await this.#options.store.events.forget(tenure, streamId);
  }

  /** From here on sessions that can be restored are left to the other nodes as they end here. */
  handOver(): void {
    this.#isLeaving = true;
  }

  /** Writes down why it ended. Rejects when the store cannot be reached: then `settleEnds` tries again. */
  async release(tenure: Tenure, closedBecause: ClosedBecause): Promise<void> {
    const { sessionId } = tenure;
    // What was lost is another tenure's by now, maybe of this very node.
    if (this.#held.get(sessionId) !== tenure) {
      if (!this.#held.has(sessionId)) this.#lost.delete(sessionId);
      return;
    }
    this.#held.delete(sessionId);
    if (this.#isLeft(sessionId) && closedBecause === 'server-draining') return;
    this.#kept.delete(sessionId);
    this.#owed.set(tenure, closedBecause);
    await this.#settleEnd(tenure, closedBecause);
  }

  /** Writes down the ends that could not be written when they came. Rejects when the store cannot be reached. */
  async settleEnds(): Promise<void> {
    await Promise.all([...this.#owed].map(([tenure, because]) => this.#settleEnd(tenure, because)));
  }

  async #settleEnd(tenure: Tenure, because: ClosedBecause): Promise<void> {
    await this.#options.store.directory.close(tenure, because);
    this.#owed.delete(tenure);
  }

  #isLeft(sessionId: string): boolean {
    return this.#isLeaving && this.#kept.has(sessionId);
  }

  async #renewOne(tenure: Tenure): Promise<void> {
    const renewed = await this.#options.store.directory.renew(tenure);
    if (renewed === 'fenced') this.fenced(tenure);
  }

  readonly #failed = (error: unknown): void => this.#options.log.warn('store failed', { error: messageOf(error) });
}
