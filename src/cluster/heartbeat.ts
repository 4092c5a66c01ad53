import type { Clock } from '../clock.js';
import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { ClusterStore } from './clusterStore.js';

export interface HeartbeatDeps {
  readonly store: ClusterStore;
  readonly node: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** There was no lease for a while: others may have taken what was this node's. Comes before it counts as there again. */
  onLeaseAcquired(): Promise<void>;
  /** After each beat that got through. */
  onHeartbeat(): Promise<void>;
}

/** Beats in the time of one lease. */
const heartbeatsPerLease = 3;

/** What says to the others that this node is there. Owned by the node: `start` once, `stop` once. */
export class Heartbeat {
  readonly #options: HeartbeatDeps;
  #timer: unknown;
  #leaseUntil = 0;
  #isStopped = false;

  constructor(options: HeartbeatDeps) {
    this.#options = options;
  }

  /** Whether the others can know that this node is there. */
  get isLeaseHeld(): boolean {
    return this.#leaseUntil > this.#options.clock.now();
  }

  /** Resolves after the first beat, whether it got through or not. */
  async start(): Promise<void> {
    const { clock, leaseMs } = this.#options;
    await this.#renewLease();
    if (!this.#isStopped) this.#timer = clock.setTimeout(() => void this.start(), leaseMs / heartbeatsPerLease);
  }

  /** From here on others may take what is left. */
  async stop(): Promise<void> {
    const { clock, store, node } = this.#options;
    this.#isStopped = true;
    this.#leaseUntil = 0;
    clock.clearTimeout(this.#timer);
    await store.nodes.releaseLease(node).catch(this.#logFailure);
  }

  async #renewLease(): Promise<void> {
    const { clock, leaseMs, store, node, onLeaseAcquired, onHeartbeat } = this.#options;
    // Counted from before the question: the store counts from later.
    const until = clock.now() + leaseMs;
    // The store alone does not know it: the answer to an earlier beat, which said so, may have been lost.
    const wasLeaseHeld = this.isLeaseHeld;
    try {
      const hadLease = await store.nodes.renewLease(node, leaseMs);
      if (!hadLease || !wasLeaseHeld) await onLeaseAcquired();
      if (this.#isStopped) return;
      this.#leaseUntil = until;
      await onHeartbeat();
    } catch (error) {
      this.#logFailure(error);
    }
  }

  readonly #logFailure = (error: unknown): void =>
    this.#options.log.warn('store failed', { node: this.#options.node, error: messageOf(error) });
}
