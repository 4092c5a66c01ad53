/** A door in the way of asynchronous work: whoever passes waits until the test opens it or fails it. */
export class Gate {
  #state: 'shut' | 'open' | Error;
  #waiting: (() => void)[] = [];
  #arrivals: (() => void)[] = [];
  #arrivalCount = 0;

  constructor(state: 'shut' | 'open' = 'shut') {
    this.#state = state;
  }

  /** How many came to the door so far. */
  get arrivalCount(): number {
    return this.#arrivalCount;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Resolves when `count` have come to the door. */
  async whenReached(count = 1): Promise<void> {
    while (this.#arrivalCount < count) await new Promise<void>((resolve) => this.#arrivals.push(resolve));
  }

  async pass(): Promise<void> {
    this.#arrivalCount += 1;
    for (const arrived of this.#arrivals.splice(0)) arrived();
    if (this.#state === 'shut') await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#state instanceof Error) throw this.#state;
  }

  open(): void {
    this.#settle('open');
  }

  fail(error: Error): void {
    this.#settle(error);
  }

  #settle(state: 'open' | Error): void {
    this.#state = state;
    for (const resume of this.#waiting.splice(0)) resume();
  }
}

/** Lets everything that is ready to run do so: one turn of the event loop, with its input and its microtasks. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
