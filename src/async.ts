import { timeLimit, type Clock } from './clock.js';

/** Does nothing: handles a rejection or an event that needs no reaction. */
export function noop(): void {
  return;
}

/**
 * Resolves with the result of `work`, or rejects with the signal's reason as soon as it aborts. A result that comes after
 * the abort is passed to `release`, so that a resource that opens late is closed (S8).
 */
export async function untilAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  release: (lateResult: T) => void = noop,
): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason as Error);
      work.then(release, noop);
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

/**
 * The same, but after the abort the work has `graceMs` to end by itself: what follows does not meet its last steps, nor wait
 * for a step that never ends.
 */
export async function untilGivenUp<T>(work: Promise<T>, signal: AbortSignal, graceMs: number): Promise<T> {
  try {
    return await untilAborted(work, signal);
  } catch (error) {
    if (signal.aborted) await untilAborted(work, timeLimit(graceMs)).catch(noop);
    throw error;
  }
}

/** An AbortController that is made when its signal is wanted: most ends have nothing to stop. */
export class LateAbort {
  #controller: AbortController | undefined;
  #reason: (() => Error) | undefined;

  get signal(): AbortSignal {
    const isNew = this.#controller === undefined;
    const { signal } = (this.#controller ??= new AbortController());
    if (isNew && this.#reason !== undefined) this.#controller.abort(this.#reason());
    return signal;
  }

  /** Idempotent: the first reason counts. */
  abort(reason: () => Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason());
  }
}

/** A mutex: runs work one at a time, in FIFO order. */
export class Lock {
  #last: Promise<void> = Promise.resolve();
  /** `onWanted` of the work that runs and of that which waits. */
  readonly #earlier = new Set<() => void>();

  get isHeld(): boolean {
    return this.#earlier.size > 0;
  }

  /**
   * Runs `work` when all earlier work is done. An abort while waiting rejects with the signal's reason. `onWanted` is called
   * whenever later work begins to wait for this.
   */
  async run<T>(signal: AbortSignal | undefined, work: () => Promise<T>, onWanted: () => void = noop): Promise<T> {
    for (const tell of this.#earlier) tell();
    this.#earlier.add(onWanted);
    const previous = this.#last;
    let release: () => void = noop;
    const released = new Promise<void>((resolve) => (release = resolve));
    // A waiter that gives up must not let its successor start before the current holder is done.
    this.#last = previous.then(() => released);
    try {
      await untilAborted(previous, signal);
      return await work();
    } finally {
      this.#earlier.delete(onWanted);
      release();
    }
  }
}

/** The abort reason of `withinDeadline` after its time. */
export class DeadlineError extends Error {}

export interface Deadline {
  readonly clock: Clock;
  readonly ms: number;
  /** Aborts the work before the deadline. */
  readonly cancelled: AbortSignal;
}

/** Resolves with the result of `work`. Rejects with a DeadlineError after `ms`, or with the reason of `cancelled`. */
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
