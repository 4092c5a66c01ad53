import { untilAborted } from '../async.js';
import type { Clock } from '../clock.js';

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
