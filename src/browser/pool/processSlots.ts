import { Refusal } from '../../errors/errors.js';
import { WaitQueue, type QueueOptions } from './waitQueue.js';

export interface ProcessSlotLimits {
  readonly maxBrowsers: number;
  /** Places that are kept for the browser of all sessions. */
  readonly reserved: number;
  /** Leases that may wait for a place. */
  readonly browserQueue: number;
}

/** The right to run one browser process. Given back by whoever took it; giving it back twice is giving it back once. */
export interface ProcessSlot {
  release(): void;
}

/** The places for the browser processes of one pool: bounded, and given in the order of asking (S10). */
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
   * Resolves with a place, at once or after the others who wait. Throws `browsers_busy` when nobody more may wait, or the
   * signal's reason: then the queue has been left.
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
      ? 'This needs a browser process of its own, and --max-browsers allows none beside the shared one.'
      : 'Every browser process is taken, and no more sessions may wait for one. Try again in a moment.';
  const limit = `--max-browsers ${maxBrowsers}, --browser-queue ${browserQueue}`;
  return new Refusal('browsers_busy', { detail, limit });
}
