import type { CreationWindow } from '../../machines/events.js';

/** Parts that a window slides on by. */
const parts = 12;

interface Part {
  readonly index: number;
  creations: number;
  readonly failures: Map<string, number>;
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
    part.creations += 1;
    if (cause !== null) part.failures.set(cause, (part.failures.get(cause) ?? 0) + 1);
  }

  measure(at: number): CreationWindow {
    this.#slide(at);
    const causes = new Map<string, number>();
    for (const [cause, count] of this.#parts.flatMap((part) => [...part.failures]))
      causes.set(cause, (causes.get(cause) ?? 0) + count);
    const [commonest] = [...causes].toSorted(([, one], [, other]) => other - one);
    const creations = this.#parts.reduce((sum, part) => sum + part.creations, 0);
    const failures = [...causes.values()].reduce((sum, count) => sum + count, 0);
    return { creations, failures, rate: failures / Math.max(1, creations), cause: commonest?.[0] ?? null };
  }

  #partAt(at: number): Part {
    this.#slide(at);
    const index = Math.floor(at / this.partMs);
    const last = this.#parts.at(-1);
    if (last?.index === index) return last;
    const part: Part = { index, creations: 0, failures: new Map() };
    this.#parts.push(part);
    return part;
  }

  /** Forgets what is past, and what lies ahead when the machine's clock was set back. */
  #slide(at: number): void {
    const now = Math.floor(at / this.partMs);
    this.#parts = this.#parts.filter(({ index }) => index > now - parts && index <= now);
  }
}
