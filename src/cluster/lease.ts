import type { Clock } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Log } from '../log.js';
import type { Store } from './store.js';

export interface LeaseOptions {
  readonly store: Store;
  readonly node: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** There was no lease for a while: others may have taken what was this node's. Comes before it counts as there again. */
  onNew(): Promise<void>;
  /** After each beat that got through. */
  onBeat(): Promise<void>;
}

/** Beats in the time of one lease. */
const beats = 3;

/** What says to the others that this node is there. Owned by the node: `start` once, `stop` once. */
export class Lease {
  readonly #options: LeaseOptions;
  #timer: unknown;
  #until = 0;
  #isStopped = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Whether the others can know that this node is there. */
  get isHeld(): boolean {
    return this.#until > this.#options.clock.now();
  }

  /** Resolves after the first beat, whether it got through or not. */
  async start(): Promise<void> {
    const { clock, leaseMs } = this.#options;
    await this.#beat();
    if (!this.#isStopped) this.#timer = clock.setTimeout(() => void this.start(), leaseMs / beats);
  }

  /** From here on others may take what is left. */
  async stop(): Promise<void> {
    const { clock, store, node } = this.#options;
    this.#isStopped = true;
    this.#until = 0;
    clock.clearTimeout(this.#timer);
    await store.nodes.leave(node).catch(this.#failed);
  }

  async #beat(): Promise<void> {
    const { clock, leaseMs, store, node, onNew, onBeat } = this.#options;
    // Counted from before the question: the store counts from later.
    const until = clock.now() + leaseMs;
    // The store alone does not know it: the answer to an earlier beat, which said so, may have been lost.
    const wasHeld = this.isHeld;
    try {
      const had = await store.nodes.beat(node, leaseMs);
      if (!had || !wasHeld) await onNew();
      if (this.#isStopped) return;
      this.#until = until;
      await onBeat();
    } catch (error) {
      this.#failed(error);
    }
  }

  readonly #failed = (error: unknown): void =>
    this.#options.log.warn('store failed', { node: this.#options.node, error: messageOf(error) });
}
