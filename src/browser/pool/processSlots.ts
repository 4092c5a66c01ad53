import { Refusal } from '../../errors/errors.js';
import { WaitQueue, type QueueOptions } from './waitQueue.js';

export interface ProcessSlotLimits {
  readonly maxBrowsers: number;
  /** Slots reserved for the browser that all sessions share. */
  readonly reserved: number;
  /** Leases that may wait for a slot. */
  readonly browserQueue: number;
}

/**
 * The right to run one browser process. Owned by the lease that acquired it, which releases it. Releasing is
 * idempotent.
 */
export interface ProcessSlot {
  release(): void;
}

/** The process slots of one pool: bounded, and granted in FIFO order (S10). */
export class ProcessSlots {
  readonly #limits: ProcessSlotLimits;
  #free: number;
  readonly #queue = new WaitQueue<ProcessSlot>((late) => late.release());

  constructor(limits: ProcessSlotLimits) {
    this.#limits = limits;
    this.#free = limits.maxBrowsers - limits.reserved;
  }

  get isFull(): boolean {
    return this.#free <= 0;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Resolves with a slot, immediately or after the leases that wait already. Throws `browsers_busy` when the queue is
   * full, or the signal's reason, which removes the caller from the queue.
   */
  async acquire(queue: QueueOptions): Promise<ProcessSlot> {
    queue.signal.throwIfAborted();
    const slot = this.#tryAcquire();
    if (slot !== undefined) return slot;
    const { maxBrowsers, reserved, browserQueue } = this.#limits;
    if (maxBrowsers === reserved || this.waiting >= browserQueue) throw browsersBusy(this.#limits);
    return this.#queue.wait(() => this.#tryAcquire(), queue);
  }

  #tryAcquire(): ProcessSlot | undefined {
    if (this.#free === 0) return undefined;
    this.#free -= 1;
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      this.#free += 1;
      this.#queue.dispatch();
    };
    return { release };
  }
}

function browsersBusy({ maxBrowsers, reserved, browserQueue }: ProcessSlotLimits): Refusal {
  const detail =
    maxBrowsers === reserved
      ? 'This needs a browser process of its own, and --max-browsers allows only the shared one.'
      : 'Every browser process is in use and the queue is full. Try again in a moment.';
  const limit = `--max-browsers ${maxBrowsers}, --browser-queue ${browserQueue}`;
  return new Refusal('browsers_busy', { detail, limit });
}
