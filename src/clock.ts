/** The source of time and timers, injected so that tests can drive it. Compatible with XState's `clock` option. */
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
 * Aborts with a `TimeoutError` after `ms` of real time. Does not keep the process alive. Replaces a bare
 * `AbortSignal.timeout`: a signal that `AbortSignal.any` derives from it does not reference it, so that Node may collect it
 * before it aborts (nodejs/node#57736).
 */
export function timeLimit(ms: number): AbortSignal {
  // eslint-disable-next-line no-restricted-properties -- the only use
  const limit = AbortSignal.timeout(ms);
  // A signal with a listener is not collected before it aborts.
  limit.addEventListener('abort', () => undefined, { once: true });
  return limit;
}
