import type { CreationWindow } from '../../machines/events.js';

/** Parts that a window slides on by. */
const parts = 12;

interface Part {
  readonly index: number;
  /** By why they failed; those that did not below ''. */
  readonly counts: Map<string, number>;
}

/** What was counted, by why it failed; what did not stands below ''. */
export function windowOf(counts: ReadonlyMap<string, number>): CreationWindow {
  const causes = [...counts].filter(([cause]) => cause !== '').toSorted(([, one], [, other]) => other - one);
  const failures = causes.reduce((sum, [, count]) => sum + count, 0);
  const creations = failures + (counts.get('') ?? 0);
  return { creations, failures, rate: failures / Math.max(1, creations), cause: causes[0]?.[0] ?? null };
}

/** Counts the creations of the last `windowMs`, in twelve parts: what it holds does not grow with their number. */
export class CreationCounter {
  readonly partMs: number;
  #parts: Part[] = [];

  constructor(windowMs: number) {
    this.partMs = windowMs / parts;
  }

  /** One creation that ended at `at`; `cause` says why it failed, null that it did not. */
  add(at: number, cause: string | null): void {
    const part = this.#partAt(at);
    part.counts.set(cause ?? '', (part.counts.get(cause ?? '') ?? 0) + 1);
  }

  measure(at: number): CreationWindow {
    this.#slide(at);
    const counts = new Map<string, number>();
    for (const [cause, count] of this.#parts.flatMap((part) => [...part.counts]))
      counts.set(cause, (counts.get(cause) ?? 0) + count);
    return windowOf(counts);
  }

  #partAt(at: number): Part {
    this.#slide(at);
    const index = Math.floor(at / this.partMs);
    const last = this.#parts.at(-1);
    if (last?.index === index) return last;
    const part: Part = { index, counts: new Map() };
    this.#parts.push(part);
    return part;
  }

  /** Forgets what is past, and what lies ahead when the machine's clock was set back. */
  #slide(at: number): void {
    const now = Math.floor(at / this.partMs);
    this.#parts = this.#parts.filter(({ index }) => index > now - parts && index <= now);
  }
}
