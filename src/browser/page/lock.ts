import { untilAborted } from '../protocol/abort.js';

/** One at a time, in order of arrival. */
export class Lock {
  #last: Promise<void> = Promise.resolve();

  /** Runs `work` when everyone who came earlier is done. While waiting, an abort rejects with the signal's reason. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    let leave = (): void => undefined;
    const left = new Promise<void>((resolve) => (leave = resolve));
    // A place given up early must not let the next one overtake whoever is still working.
    this.#last = before.then(() => left);
    try {
      await untilAborted(before, signal);
      return await work();
    } finally {
      leave();
    }
  }
}
