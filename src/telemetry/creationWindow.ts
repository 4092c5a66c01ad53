import type { CreationWindow } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { AlertEpisodeStore } from '../cluster/clusterStore.js';

/** Parts that a window slides on by. */
const bucketCount = 12;

interface Bucket {
  readonly index: number;
  /** By why they failed; those that did not below ''. */
  readonly counts: Map<string, number>;
}

/** What was counted, by why it failed; what did not stands below ''. */
export function windowFromCounts(counts: ReadonlyMap<string, number>): CreationWindow {
  const causes = [...counts].filter(([cause]) => cause !== '').toSorted(([, one], [, other]) => other - one);
  const failures = causes.reduce((sum, [, count]) => sum + count, 0);
  const creations = failures + (counts.get('') ?? 0);
  return { creations, failures, rate: failures / Math.max(1, creations), cause: causes[0]?.[0] ?? null };
}

/** Counts the creations of the last `windowMs`, in twelve parts: what it holds does not grow with their number. */
export class CreationCounter {
  readonly bucketMs: number;
  #buckets: Bucket[] = [];

  constructor(windowMs: number) {
    this.bucketMs = windowMs / bucketCount;
  }

  /** One creation that ended at `at`; `cause` says why it failed, null that it did not. */
  add(at: number, cause: string | null): void {
    const part = this.#bucketAt(at);
    part.counts.set(cause ?? '', (part.counts.get(cause ?? '') ?? 0) + 1);
  }

  measure(at: number): CreationWindow {
    this.#dropExpired(at);
    const counts = new Map<string, number>();
    for (const [cause, count] of this.#buckets.flatMap((part) => [...part.counts]))
      counts.set(cause, (counts.get(cause) ?? 0) + count);
    return windowFromCounts(counts);
  }

  #bucketAt(at: number): Bucket {
    this.#dropExpired(at);
    const index = Math.floor(at / this.bucketMs);
    const last = this.#buckets.at(-1);
    if (last?.index === index) return last;
    const part: Bucket = { index, counts: new Map() };
    this.#buckets.push(part);
    return part;
  }

  /** Forgets what is past, and what lies ahead when the machine's clock was set back. */
  #dropExpired(at: number): void {
    const now = Math.floor(at / this.bucketMs);
    this.#buckets = this.#buckets.filter(({ index }) => index > now - bucketCount && index <= now);
  }
}

export interface SharedCreationCounterOptions {
  readonly store: AlertEpisodeStore;
  readonly windowMs: number;
  readonly clock: Clock;
  /** Told of each new measurement. */
  onMeasured(): void;
  /** Whether the alarm rings at this node. */
  isFiring(): boolean;
}

/**
 * Counts the creations of all nodes. While they cannot be asked it measures those of this one. Looks by itself too, since
 * the others' creations raise the alarm here as well. Owned by the alarm.
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
      // What cannot be asked is told of by the node itself.
      this.#sharedWindow = undefined;
    }
    onMeasured();
  }
}
