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
  #isLeaving = false;

  constructor(options: TenuresOptions) {
    this.#options = options;
  }

  get(sessionId: string): Tenure | undefined {
    return this.#held.get(sessionId);
  }

  /** It was taken over from another node. */
  hold(tenure: Tenure): void {
    this.#held.set(tenure.sessionId, tenure);
  }

  async claim(claim: Claim, signal: AbortSignal): Promise<void> {
    const { store, node, isReady } = this.#options;
    if (!isReady()) throw new Refusal('store_unreachable');
    const epoch = await store.directory.claim({ ...claim, node });
    if (epoch === null) throw new Refusal('store_unreachable', { detail: 'This session is claimed already.' });
    this.hold({ sessionId: claim.sessionId, epoch });
    // Its client left meanwhile: nobody will say so again.
    if (signal.aborted) await this.release(claim.sessionId, 'client-closed');
  }

  keep(sessionId: string, stored: string): void {
    const tenure = this.#held.get(sessionId);
    if (tenure === undefined) return;
    this.#kept.add(sessionId);
    this.#options.store.snapshots
      .put(tenure, stored)
      .then((put) => put === 'fenced' && this.#held.get(sessionId) === tenure && this.drop(sessionId))
      .catch(this.#failed);
  }

  goesOn(sessionId: string): boolean {
    return this.#lost.has(sessionId) || this.#isLeft(sessionId);
  }

  releaseAfter(sessionId: string, ended: Promise<ClosedBecause>): void {
    const releasing = ended.then((closedBecause) => this.release(sessionId, closedBecause)).catch(this.#failed);
    this.#releasing.add(releasing);
    void releasing.finally(() => this.#releasing.delete(releasing));
  }

  /** Resolves when every session that was held is released. */
  async released(): Promise<void> {
    await Promise.all(this.#releasing);
  }

  /** What is fenced off is another node's now. */
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
    const id = await this.#options.store.events.append(this.#held.get(sessionId)?.epoch ?? 0, stream, data);
    if (id !== null) return id;
    this.drop(sessionId);
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

  /** Writes down why it ended. Rejects when the store cannot be reached: then the entry is gone when nobody renews it. */
  async release(sessionId: string, closedBecause: ClosedBecause): Promise<void> {
    const tenure = this.#held.get(sessionId);
    this.#held.delete(sessionId);
    this.#lost.delete(sessionId);
    if (this.#isLeft(sessionId) && closedBecause === 'server-draining') return;
    this.#kept.delete(sessionId);
    if (tenure !== undefined) await this.#options.store.directory.close(tenure, closedBecause);
  }

  #isLeft(sessionId: string): boolean {
    return this.#isLeaving && this.#kept.has(sessionId);
  }

  async #renewOne(tenure: Tenure): Promise<void> {
    const renewed = await this.#options.store.directory.renew(tenure);
    if (renewed === 'fenced' && this.#held.get(tenure.sessionId) === tenure) this.drop(tenure.sessionId);
  }

  readonly #failed = (error: unknown): void => this.#options.log.warn('store failed', { error: messageOf(error) });
}
