import { Refusal } from '../../errors.js';
import { untilAborted } from '../protocol/abort.js';
import type { OnQueued, Queue } from './queuedWork.js';

export interface PlaceLimits {
  readonly maxBrowsers: number;
  /** Places that are kept for the browser of all sessions. */
  readonly shared: number;
  /** Leases that may wait for a place. */
  readonly browserQueue: number;
}

/** The right to run one browser process. Given back by whoever took it; giving it back twice is giving it back once. */
export interface Place {
  leave(): void;
}

interface Waiting {
  readonly onQueued: OnQueued;
  granted(place: Place): void;
}

const retryAfterMs = 5_000;

/** The places for the browser processes of one pool: bounded, and given in the order of asking (S10). */
export class Places {
  readonly #limits: PlaceLimits;
  #free: number;
  #queue: readonly Waiting[] = [];

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
    this.#free = limits.maxBrowsers - limits.shared;
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
  async take({ signal, onQueued }: Queue): Promise<Place> {
    signal.throwIfAborted();
    if (this.#free > 0) return this.#grant();
    const { maxBrowsers, shared, browserQueue } = this.#limits;
    if (maxBrowsers === shared || this.waiting >= browserQueue) throw busy(this.#limits);
    let leaveQueue = (): void => undefined;
    const granted = new Promise<Place>((resolve) => {
      const waiting: Waiting = { granted: resolve, onQueued };
      leaveQueue = () => this.#moveUp(this.#queue.filter((other) => other !== waiting));
      this.#moveUp([...this.#queue, waiting]);
    });
    try {
      return await untilAborted(granted, signal, (late) => late.leave());
    } catch (error) {
      leaveQueue();
      throw error;
    }
  }

  #grant(): Place {
    this.#free -= 1;
    let isLeft = false;
    const leave = (): void => {
      if (isLeft) return;
      isLeft = true;
      this.#free += 1;
      this.#admitNext();
    };
    return { leave };
  }

  #admitNext(): void {
    const [first, ...rest] = this.#queue;
    if (first === undefined) return;
    first.granted(this.#grant());
    this.#moveUp(rest);
  }

  /** Tells everyone who has another position now. */
  #moveUp(queue: readonly Waiting[]): void {
    const before = this.#queue;
    this.#queue = queue;
    for (const [index, waiting] of queue.entries()) if (before[index] !== waiting) waiting.onQueued(index + 1);
  }
}

function busy({ maxBrowsers, shared, browserQueue }: PlaceLimits): Refusal {
  const detail =
    maxBrowsers === shared
      ? 'This needs a browser process of its own, and --max-browsers allows none beside the shared one.'
      : 'Every browser process is taken, and no more sessions may wait for one. Try again in a moment.';
  const limit = `--max-browsers ${maxBrowsers}, --browser-queue ${browserQueue}`;
  return new Refusal('browsers_busy', { detail, limit, retryAfterMs });
}
