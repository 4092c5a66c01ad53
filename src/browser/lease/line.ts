import { untilAborted } from '../protocol/abort.js';
import type { OnQueued, Queue } from './queuedWork.js';

interface Waiting<Taken> {
  readonly take: () => Taken | undefined;
  readonly onQueued: OnQueued;
  served(taken: Taken): void;
}

/** Those who wait for something that is taken just now, in the order of asking. Owned by whoever gives it out. */
export class Line<Taken> {
  readonly #giveBack: (taken: Taken) => void;
  #waiting: readonly Waiting<Taken>[] = [];

  /** `giveBack` takes what came too late for the one who waited. */
  constructor(giveBack: (taken: Taken) => void) {
    this.#giveBack = giveBack;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves with what `take` gave, which is asked again whenever the line is served. Throws the signal's reason: then the
   * line has been left.
   */
  async wait(take: () => Taken | undefined, { signal, onQueued }: Queue): Promise<Taken> {
    let leave = (): void => undefined;
    const served = new Promise<Taken>((resolve) => {
      const waiting: Waiting<Taken> = { take, onQueued, served: resolve };
      leave = () => this.#moveUp(this.#waiting.filter((other) => other !== waiting));
      this.#moveUp([...this.#waiting, waiting]);
    });
    try {
      return await untilAborted(served, signal, this.#giveBack);
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Something was given back: whoever can take it leaves the line, the first one first. */
  serve(): void {
    const left = this.#waiting.filter((waiting) => {
      const taken = waiting.take();
      if (taken !== undefined) waiting.served(taken);
      return taken === undefined;
    });
    this.#moveUp(left);
  }

  /** Tells everyone who has another position now. */
  #moveUp(waiting: readonly Waiting<Taken>[]): void {
    const before = this.#waiting;
    this.#waiting = waiting;
    for (const [index, one] of waiting.entries()) if (before[index] !== one) one.onQueued(index + 1);
  }
}
