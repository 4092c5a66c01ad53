import type { Clock } from '../clock.js';

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
