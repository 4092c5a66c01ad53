/** The source of time and timers, injected so that tests can drive it. Compatible with XState's `clock` option. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds for durations: no change of the machine's time moves them. */
  elapsed(): number;
  setTimeout(callback: (...args: unknown[]) => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** A timer of the system clock: armed, or expired and waiting for its turn. */
class SystemTimer {
  #turn: NodeJS.Immediate | undefined;
  readonly #timeout: NodeJS.Timeout;

  constructor(callback: () => void, ms: number) {
    this.#timeout = setTimeout(() => (this.#turn = setImmediate(callback)), ms);
  }

  clear(): void {
    clearTimeout(this.#timeout);
    clearImmediate(this.#turn);
  }
}

/**
 * The clock of the machine. Node runs expired timers before it reads sockets. Here an expired timer waits for that read, so
 * that a message which arrived before the deadline of a busy server is handled before the timeout.
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  setTimeout: (callback, ms) => new SystemTimer(callback, ms),
  clearTimeout: (timer) => {
    if (timer instanceof SystemTimer) timer.clear();
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

const watchIntervalMs = 15_000;
const leastJumpMs = 5_000;

/**
 * Reports by how many milliseconds the clock of the machine jumped, because it was set or the machine slept: checks
 * every 15 s until the returned function is called.
 */
export function watchTime(clock: Clock, onJump: (ms: number) => void): () => void {
  const offsetNow = (): number => clock.now() - clock.elapsed();
  let offset = offsetNow();
  const look = (): void => {
    const jump = offsetNow() - offset;
    offset += jump;
    if (Math.abs(jump) >= leastJumpMs) onJump(jump);
    timer = clock.setTimeout(look, watchIntervalMs);
  };
  let timer = clock.setTimeout(look, watchIntervalMs);
  return () => clock.clearTimeout(timer);
}

const sweepIntervalMs = 1_000;

/**
 * Values that expire, each after its own time to live. `set` sweeps out expired values, at most once a second, so that the
 * size is bounded (S10). Not an LRU cache: a value is never evicted before it expires.
 */
export class ExpiringMap<T> {
  readonly #values = new Map<string, { readonly value: T; readonly until: number }>();
  readonly #clock: Pick<Clock, 'now'>;
  #nextSweep = 0;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** The number of values, including those that expired since the last sweep. */
  get size(): number {
    return this.#values.size;
  }

  get(key: string): T | undefined {
    const found = this.#values.get(key);
    if (found !== undefined && found.until > this.#clock.now()) return found.value;
    this.#values.delete(key);
    return undefined;
  }

  set(key: string, value: T, ms: number): void {
    const now = this.#clock.now();
    this.#values.set(key, { value, until: now + ms });
    if (now < this.#nextSweep) return;
    this.#nextSweep = now + sweepIntervalMs;
    for (const [expired, { until }] of this.#values) if (until <= now) this.#values.delete(expired);
  }

  delete(key: string): void {
    this.#values.delete(key);
  }
}
