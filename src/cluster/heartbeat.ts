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
  /** The lease had expired: other nodes may have taken over sessions. Called before the lease counts as held again. */
  onLeaseAcquired(): Promise<void>;
  /** Called after each successful renewal. */
  onHeartbeat(): Promise<void>;
}

/** Renewals in the time of one lease. */
const heartbeatsPerLease = 3;

/** Keeps this node's lease alive. Owned by the node: `start` once, `stop` once. */
export class Heartbeat {
  readonly #options: HeartbeatDeps;
  #timer: unknown;
  #leaseUntil = 0;
  #isStopped = false;

  constructor(options: HeartbeatDeps) {
    this.#options = options;
  }

  /** Whether the lease is held. */
  get isLeaseHeld(): boolean {
    return this.#leaseUntil > this.#options.clock.now();
  }

  /** Resolves after the first renewal, successful or not. */
  async start(): Promise<void> {
    const { clock, leaseMs } = this.#options;
    await this.#renewLease();
    if (!this.#isStopped) this.#timer = clock.setTimeout(() => void this.start(), leaseMs / heartbeatsPerLease);
  }

  /** Releases the lease: other nodes may take over the remaining sessions. */
  async stop(): Promise<void> {
    const { clock, store, node } = this.#options;
    this.#isStopped = true;
    this.#leaseUntil = 0;
    clock.clearTimeout(this.#timer);
    await store.nodes.releaseLease(node).catch(this.#logFailure);
  }

  async #renewLease(): Promise<void> {
    const { clock, leaseMs, store, node, onLeaseAcquired, onHeartbeat } = this.#options;
    // Measured from before the request: the store's expiry is later than this.
    const until = clock.now() + leaseMs;
    // The store's answer is not enough: the reply that reported an expired lease may have been lost.
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
    this.#options.log.warn('node lease renewal failed', { node: this.#options.node, error: messageOf(error) });
}
