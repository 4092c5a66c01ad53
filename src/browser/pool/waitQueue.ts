import { untilAborted } from '../../async.js';
import type { OnQueued, QueueOptions } from '../lease/queuedWork.js';

interface Waiter<Taken> {
  readonly take: () => Taken | undefined;
  readonly onQueued: OnQueued;
  resolve(taken: Taken): void;
}

/** Those who wait for something that is taken just now, in the order of asking. Owned by whoever gives it out. */
export class WaitQueue<Taken> {
  readonly #release: (taken: Taken) => void;
  #waiting: readonly Waiter<Taken>[] = [];

  /** `giveBack` takes what came too late for the one who waited. */
  constructor(release: (taken: Taken) => void) {
    this.#release = release;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves with what `take` gave, which is asked again whenever the line is served. Throws the signal's reason: then the
   * line has been left.
   */
  async wait(take: () => Taken | undefined, { signal, onQueued }: QueueOptions): Promise<Taken> {
    let remove = (): void => undefined;
    const served = new Promise<Taken>((resolve) => {
      const waiting: Waiter<Taken> = { take, onQueued, resolve: resolve };
      remove = () => this.#updatePositions(this.#waiting.filter((other) => other !== waiting));
      this.#updatePositions([...this.#waiting, waiting]);
    });
    try {
      return await untilAborted(served, signal, this.#release);
    } catch (error) {
      remove();
      throw error;
    }
  }

  /** Something was given back: whoever can take it leaves the line, the first one first. */
  dispatch(): void {
    const remaining = this.#waiting.filter((waiting) => {
      const taken = waiting.take();
      if (taken !== undefined) waiting.resolve(taken);
      return taken === undefined;
    });
    this.#updatePositions(remaining);
  }

  /** Tells everyone who has another position now. */
  #updatePositions(waiting: readonly Waiter<Taken>[]): void {
    const before = this.#waiting;
    this.#waiting = waiting;
    for (const [index, waiter] of waiting.entries()) if (before[index] !== waiter) waiter.onQueued(index + 1);
  }
}
