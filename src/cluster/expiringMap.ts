import type { Clock } from '../clock.js';

/** At most this often, what has expired is looked for. Milliseconds. */
const sweepEveryMs = 1_000;

/**
 * Values that expire, each after its own time. What nobody asks for again is dropped by a later `set`, so that no more is
 * kept than what lives and what expired within the last sweep's second (S10). Not an LRU cache: nothing that lives may be
 * evicted to make room.
 */
export class ExpiringMap<T> {
  readonly #values = new Map<string, { readonly value: T; readonly until: number }>();
  readonly #clock: Pick<Clock, 'now'>;
  #nextSweep = 0;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** How many are kept, with those that have expired since the last sweep. */
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
    this.#nextSweep = now + sweepEveryMs;
    for (const [expired, { until }] of this.#values) if (until <= now) this.#values.delete(expired);
  }

  delete(key: string): void {
    this.#values.delete(key);
  }
}
