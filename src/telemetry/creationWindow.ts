import type { CreationWindow } from '../../machines/events.js';

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
