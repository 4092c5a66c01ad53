/** Time as the program sees it: injected, so that tests drive it. Fits XState's `clock`. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  setTimeout(callback: (...args: unknown[]) => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
};

/**
 * Aborts with a `TimeoutError` after `ms` of real time. Keeps no process alive. In place of `AbortSignal.timeout`, which may
 * never abort: what is made of it by `AbortSignal.any` does not hold it, and Node collects it (nodejs/node#57736).
 */
export function timeLimit(ms: number): AbortSignal {
  // eslint-disable-next-line no-restricted-properties -- the one place
  const limit = AbortSignal.timeout(ms);
  // One that somebody listens to is held until it aborts.
  limit.addEventListener('abort', () => undefined, { once: true });
  return limit;
}
