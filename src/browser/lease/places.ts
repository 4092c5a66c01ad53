import { Refusal } from '../../errors.js';
import { Line } from './line.js';
import type { Queue } from './queuedWork.js';

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

/** The places for the browser processes of one pool: bounded, and given in the order of asking (S10). */
export class Places {
  readonly #limits: PlaceLimits;
  #free: number;
  readonly #line = new Line<Place>((late) => late.leave());

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
    this.#free = limits.maxBrowsers - limits.shared;
  }

  get isFull(): boolean {
    return this.#free <= 0;
  }

  get waiting(): number {
    return this.#line.length;
  }

  /**
   * Resolves with a place, at once or after the others who wait. Throws `browsers_busy` when nobody more may wait, or the
   * signal's reason: then the queue has been left.
   */
  async take(queue: Queue): Promise<Place> {
    queue.signal.throwIfAborted();
    const place = this.#grant();
    if (place !== undefined) return place;
    const { maxBrowsers, shared, browserQueue } = this.#limits;
    if (maxBrowsers === shared || this.waiting >= browserQueue) throw busy(this.#limits);
    return this.#line.wait(() => this.#grant(), queue);
  }

  #grant(): Place | undefined {
    if (this.#free === 0) return undefined;
    this.#free -= 1;
    let isLeft = false;
    const leave = (): void => {
      if (isLeft) return;
      isLeft = true;
      this.#free += 1;
      this.#line.serve();
    };
    return { leave };
  }
}

function busy({ maxBrowsers, shared, browserQueue }: PlaceLimits): Refusal {
  const detail =
    maxBrowsers === shared
      ? 'This needs a browser process of its own, and --max-browsers allows none beside the shared one.'
      : 'Every browser process is taken, and no more sessions may wait for one. Try again in a moment.';
  const limit = `--max-browsers ${maxBrowsers}, --browser-queue ${browserQueue}`;
  return new Refusal('browsers_busy', { detail, limit });
}
