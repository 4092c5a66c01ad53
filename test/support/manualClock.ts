import type { Clock } from '../../src/clock.js';

interface Timer {
  readonly id: number;
  readonly at: number;
  callback(): void;
}

/** A clock that stands still until the test advances it. Timers that are due run in their order, synchronously. */
export class ManualClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #count = 0;
  #jump = 0;
  #timers: Timer[] = [];

  now(): number {
    return this.#now + this.#jump;
  }

  elapsed(): number {
    return this.#now;
  }

  /** Somebody sets the time of the machine. */
  jump(ms: number): void {
    this.#jump += ms;
  }

  /** Timers that are set and neither fired nor cleared. */
  get pending(): number {
    return this.#timers.length;
  }

  setTimeout(callback: (...args: unknown[]) => void, ms: number): number {
    this.#count += 1;
    this.#timers.push({ id: this.#count, at: this.#now + ms, callback });
    return this.#count;
  }

  clearTimeout(id: unknown): void {
    this.#timers = this.#timers.filter((timer) => timer.id !== id);
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (let timer = this.#next(end); timer; timer = this.#next(end)) {
      this.#now = timer.at;
      this.clearTimeout(timer.id);
      timer.callback();
    }
    this.#now = end;
  }

  #next(end: number): Timer | undefined {
    const due = this.#timers.filter(({ at }) => at <= end);
    return due.toSorted((one, other) => one.at - other.at || one.id - other.id)[0];
  }
}
