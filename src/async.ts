import type { Clock } from './clock.js';

/** Does nothing. */
export function noop(): void {
  return undefined;
}

/**
 * Waits for `work` no longer than the signal allows: rejects with the signal's reason as soon as it aborts. What `work`
 * yields after that is handed to `release`, so that nothing that opens late is left open (S8).
 */
export async function untilAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  release: (late: T) => void = () => undefined,
): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => {
      // Whatever the reason is, it is handed on as it is.
      reject(signal.reason as Error);
      work.then(release, () => undefined);
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        if (!signal.aborted) resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}

/** A mutex: runs work one at a time, in FIFO order. */
export class Lock {
  #last: Promise<void> = Promise.resolve();

  /** Runs `work` when everyone who came earlier is done. While waiting, an abort rejects with the signal's reason. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const previous = this.#last;
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    // A waiter that gives up must not let its successor start before the current holder is done.
    this.#last = previous.then(() => released);
    try {
      await untilAborted(previous, signal);
      return await work();
    } finally {
      release();
    }
  }
}

/** The reason of a signal whose time is up. */
export class DeadlineError extends Error {}

export interface Deadline {
  readonly clock: Clock;
  readonly ms: number;
  /** Ends it earlier. */
  readonly cancelled: AbortSignal;
}

/** Runs `work` until it is done, its time is up (rejects with a DeadlineError) or it is cancelled (with that reason). */
export async function withinDeadline<T>(
  { clock, ms, cancelled }: Deadline,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const timer = clock.setTimeout(() => deadline.abort(new DeadlineError()), ms);
  const signal = AbortSignal.any([cancelled, deadline.signal]);
  try {
    return await untilAborted(work(signal), signal);
  } finally {
    clock.clearTimeout(timer);
  }
}
