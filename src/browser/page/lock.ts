import { untilAborted } from '../../async.js';

/** One at a time, in order of arrival. */
export class Lock {
  #last: Promise<void> = Promise.resolve();

  /** Runs `work` when everyone who came earlier is done. While waiting, an abort rejects with the signal's reason. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const previous = this.#last;
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    // A place given up early must not let the next one overtake whoever is still working.
    this.#last = previous.then(() => released);
    try {
      await untilAborted(previous, signal);
      return await work();
    } finally {
      release();
    }
  }
}
