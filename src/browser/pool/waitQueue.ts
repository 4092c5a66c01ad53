import { untilAborted } from '../../async.js';

interface Waiter<Taken> {
  readonly take: () => Taken | undefined;
  readonly onQueued: OnQueued;
  resolve(taken: Taken): void;
}

/** Those who wait for something that is taken just now, in the order of asking. Owned by whoever gives it out. */
export class WaitQueue<Taken> {
  readonly #release: (taken: Taken) => void;
  #waiting: readonly Waiter<Taken>[] = [];

  /** `giveBack` takes what came too late for the one who waited. */
  constructor(release: (taken: Taken) => void) {
    this.#release = release;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves with what `take` gave, which is asked again whenever the line is served. Throws the signal's reason: then the
   * line has been left.
   */
  async wait(take: () => Taken | undefined, { signal, onQueued }: QueueOptions): Promise<Taken> {
    let remove = (): void => undefined;
    const served = new Promise<Taken>((resolve) => {
      const waiting: Waiter<Taken> = { take, onQueued, resolve: resolve };
      remove = () => this.#updatePositions(this.#waiting.filter((other) => other !== waiting));
      this.#updatePositions([...this.#waiting, waiting]);
    });
    try {
      return await untilAborted(served, signal, this.#release);
    } catch (error) {
      remove();
      throw error;
    }
  }

  /** Something was given back: whoever can take it leaves the line, the first one first. */
  dispatch(): void {
    const remaining = this.#waiting.filter((waiting) => {
      const taken = waiting.take();
      if (taken !== undefined) waiting.resolve(taken);
      return taken === undefined;
    });
    this.#updatePositions(remaining);
  }

  /** Tells everyone who has another position now. */
  #updatePositions(waiting: readonly Waiter<Taken>[]): void {
    const before = this.#waiting;
    this.#waiting = waiting;
    for (const [index, waiter] of waiting.entries()) if (before[index] !== waiter) waiter.onQueued(index + 1);
  }
}

/** Told the position in a queue, from 1, whenever it changes. */
export type OnQueued = (position: number) => void;

/** How work stands in a queue: whom it tells its position, and when to leave. */
export interface QueueOptions {
  readonly signal: AbortSignal;
  readonly onQueued: OnQueued;
}

/**
 * Work that may have to queue first, and that several calls wait for. When the last of them has given up, it leaves the
 * queue; work that is through the queue goes on. Owned by whoever starts it, who waits for `settled`.
 */
export class QueuedWork<T> {
  /** Resolves when the work is done or has failed. Never rejects. */
  readonly settled: Promise<void>;
  readonly #work: Promise<T>;
  readonly #abandoned = new AbortController();
  readonly #waiting = new Set<{ readonly tell: OnQueued }>();
  #position: number | undefined;

  constructor(start: (queue: QueueOptions) => Promise<T>) {
    this.#work = start({ signal: this.#abandoned.signal, onQueued: (position) => this.#setPosition(position) });
    this.settled = this.#work.then(noop, noop);
  }

  /** Nobody waits any more, and the work may end for that: whoever comes now waits for its end and starts anew. */
  get isAbandoned(): boolean {
    return this.#abandoned.signal.aborted;
  }

  /** Waits as long as the signal allows. Throws what the work throws, or the signal's reason. */
  async wait(signal?: AbortSignal, onQueued: OnQueued = noop): Promise<T> {
    const waiting = { tell: onQueued };
    this.#waiting.add(waiting);
    if (this.#position !== undefined) onQueued(this.#position);
    try {
      return await untilAborted(this.#work, signal);
    } finally {
      this.#waiting.delete(waiting);
      if (this.#waiting.size === 0) this.#abandoned.abort(new Error('Nobody waits for a browser process any more.'));
    }
  }

  #setPosition(position: number): void {
    this.#position = position;
    for (const { tell } of this.#waiting) tell(position);
  }
}

function noop(): void {
  return undefined;
}
