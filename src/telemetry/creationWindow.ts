import type { CreationWindow } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { AlertEpisodeStore } from '../cluster/clusterStore.js';

/** Buckets of a window: it slides by one at a time. */
const bucketCount = 12;

interface Bucket {
  readonly index: number;
  /** Creations by cause of failure; '' counts the successful ones. */
  readonly counts: Map<string, number>;
}

/** Sums up counts by cause of failure; '' counts the successful creations. */
export function windowFromCounts(counts: ReadonlyMap<string, number>): CreationWindow {
  const causes = [...counts].filter(([cause]) => cause !== '').toSorted(([, first], [, second]) => second - first);
  const failures = causes.reduce((sum, [, count]) => sum + count, 0);
  const creations = failures + (counts.get('') ?? 0);
  return { creations, failures, rate: failures / Math.max(1, creations), cause: causes[0]?.[0] ?? null };
}

/** Counts the creations of the last `windowMs` in twelve buckets, so that its memory is bounded. */
export class CreationCounter {
  readonly bucketMs: number;
  #buckets: Bucket[] = [];

  constructor(windowMs: number) {
    this.bucketMs = windowMs / bucketCount;
  }

  /** Counts a creation that settled at `at` (ms); `cause` is null if it succeeded. */
  add(at: number, cause: string | null): void {
    const bucket = this.#bucketAt(at);
    bucket.counts.set(cause ?? '', (bucket.counts.get(cause ?? '') ?? 0) + 1);
  }

  measure(at: number): CreationWindow {
    this.#dropExpired(at);
    const counts = new Map<string, number>();
    for (const [cause, count] of this.#buckets.flatMap((bucket) => [...bucket.counts]))
      counts.set(cause, (counts.get(cause) ?? 0) + count);
    return windowFromCounts(counts);
  }

  #bucketAt(at: number): Bucket {
    this.#dropExpired(at);
    const index = Math.floor(at / this.bucketMs);
    const last = this.#buckets.at(-1);
    if (last?.index === index) return last;
    const bucket: Bucket = { index, counts: new Map() };
    this.#buckets.push(bucket);
    return bucket;
  }

  /** Drops expired buckets, and future ones after the machine's clock was set back. */
  #dropExpired(at: number): void {
    const now = Math.floor(at / this.bucketMs);
    this.#buckets = this.#buckets.filter(({ index }) => index > now - bucketCount && index <= now);
  }
}

export interface SharedCreationCounterOptions {
  readonly store: AlertEpisodeStore;
  readonly windowMs: number;
  readonly clock: Clock;
  /** Called after each measurement. */
  onMeasured(): void;
  /** Whether the alert fires at this node. */
  isFiring(): boolean;
}

/**
 * Counts the creations of all nodes; falls back to this node's while the store is unreachable. Refreshes periodically, since
 * other nodes' creations count too. Owned and closed by the alert.
 */
export class SharedCreationCounter {
  readonly #options: SharedCreationCounterOptions;
  readonly #localCounter: CreationCounter;
  #sharedWindow: CreationWindow | undefined;
  #timer: unknown;

  constructor(options: SharedCreationCounterOptions) {
    this.#options = options;
    this.#localCounter = new CreationCounter(options.windowMs);
    this.#scheduleRefresh();
  }

  get bucketMs(): number {
    return this.#localCounter.bucketMs;
  }

  add(at: number, cause: string | null): void {
    this.#localCounter.add(at, cause);
    void this.#refresh(cause ?? '');
  }

  measure(at: number): CreationWindow {
    return this.#sharedWindow ?? this.#localCounter.measure(at);
  }

  close(): void {
    this.#options.clock.clearTimeout(this.#timer);
  }

  #scheduleRefresh(): void {
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#scheduleRefresh();
      void this.#refresh();
    }, this.bucketMs);
  }

  /** Never rejects. */
  async #refresh(cause?: string): Promise<void> {
    const { store, windowMs, onMeasured, isFiring } = this.#options;
    try {
      if (isFiring()) await store.extend(windowMs);
      this.#sharedWindow = windowFromCounts(await store.countCreations(windowMs, cause));
    } catch {
      // The store is unreachable: fall back to the local counts.
      this.#sharedWindow = undefined;
    }
    onMeasured();
  }
}
