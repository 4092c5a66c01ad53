import { noop, untilAborted } from '../../async.js';
import { Refusal } from '../../errors/errors.js';

interface Waiter<Taken> {
  readonly take: () => Taken | undefined;
  readonly onQueued: OnQueued;
  resolve(taken: Taken): void;
}

/** A FIFO queue of waiters for a resource that is in use. Owned by the class that hands the resource out. */
export class WaitQueue<Taken> {
  readonly #release: (taken: Taken) => void;
  #waiting: readonly Waiter<Taken>[] = [];

  /** `release` receives an item that was granted after its waiter had given up. */
  constructor(release: (taken: Taken) => void) {
    this.#release = release;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves with what `take` returned; `take` is retried at each `dispatch`. Rejects with the signal's reason and
   * removes the waiter.
   */
  async wait(take: () => Taken | undefined, { signal, onQueued }: QueueOptions): Promise<Taken> {
    let remove = noop;
    const served = new Promise<Taken>((resolve) => {
      const waiter: Waiter<Taken> = { take, onQueued, resolve };
      remove = () => this.#updatePositions(this.#waiting.filter((other) => other !== waiter));
      this.#updatePositions([...this.#waiting, waiter]);
    });
    try {
      return await untilAborted(served, signal, this.#release);
    } catch (error) {
      remove();
      throw error;
    }
  }

  /** An item was released: every waiter whose `take` succeeds leaves the queue, in FIFO order. */
  dispatch(): void {
    const remaining = this.#waiting.filter((waiter) => {
      const taken = waiter.take();
      if (taken !== undefined) waiter.resolve(taken);
      return taken === undefined;
    });
    this.#updatePositions(remaining);
  }

  /** Notifies every waiter whose position changed. */
  #updatePositions(waiting: readonly Waiter<Taken>[]): void {
    const before = this.#waiting;
    this.#waiting = waiting;
    for (const [index, waiter] of waiting.entries()) if (before[index] !== waiter) waiter.onQueued(index + 1);
  }
}

/** Called with the position in the queue, from 1, whenever it changes. */
export type OnQueued = (position: number) => void;

/** How work waits in a queue: the signal that cancels it and the listener for its position. */
export interface QueueOptions {
  readonly signal: AbortSignal;
  readonly onQueued: OnQueued;
}

/**
 * Work that may have to queue first and that several callers await. It leaves the queue when the last caller gives up;
 * work that has left the queue continues. Owned by its creator, which awaits `settled`.
 */
export class QueuedWork<T> {
  /** Resolves when the work is done or has failed. Never rejects. */
  readonly settled: Promise<void>;
  readonly #work: Promise<T>;
  readonly #abandoned = new AbortController();
  readonly #callers = new Set<{ readonly onQueued: OnQueued }>();
  #position: number | undefined;

  constructor(start: (queue: QueueOptions) => Promise<T>) {
    this.#work = start({ signal: this.#abandoned.signal, onQueued: (position) => this.#setPosition(position) });
    this.settled = this.#work.then(noop, noop);
  }

  /** No caller waits any more and the work may be cancelled: a new caller awaits `settled` and starts new work. */
  get isAbandoned(): boolean {
    return this.#abandoned.signal.aborted;
  }

  /** Waits as long as the signal allows. Throws what the work throws, or the signal's reason. */
  async wait(signal?: AbortSignal, onQueued: OnQueued = noop): Promise<T> {
    const caller = { onQueued };
    this.#callers.add(caller);
    if (this.#position !== undefined) onQueued(this.#position);
    try {
      return await untilAborted(this.#work, signal);
    } finally {
      this.#callers.delete(caller);
      if (this.#callers.size === 0) this.#abandoned.abort(new Error('No call waits for a browser process any more.'));
    }
  }

  #setPosition(position: number): void {
    this.#position = position;
    for (const { onQueued } of this.#callers) onQueued(position);
  }
}

export interface ProcessSlotLimits {
  readonly maxBrowsers: number;
  /** Slots reserved for the browser that all sessions share. */
  readonly reserved: number;
  /** Leases that may wait for a slot. */
  readonly browserQueue: number;
}

/**
 * The right to run one browser process. Owned by the lease that acquired it, which releases it. Releasing is
 * idempotent.
 */
export interface ProcessSlot {
  release(): void;
}

/** The process slots of one pool: bounded, and granted in FIFO order (S10). */
export class ProcessSlots {
  readonly #limits: ProcessSlotLimits;
  #free: number;
  readonly #queue = new WaitQueue<ProcessSlot>((late) => late.release());

  constructor(limits: ProcessSlotLimits) {
    this.#limits = limits;
    this.#free = limits.maxBrowsers - limits.reserved;
  }

  get isFull(): boolean {
    return this.#free <= 0;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Resolves with a slot, immediately or after the leases that wait already. Throws `browsers_busy` when the queue is
   * full, or the signal's reason, which removes the caller from the queue.
   */
  async acquire(queue: QueueOptions): Promise<ProcessSlot> {
    queue.signal.throwIfAborted();
    const slot = this.#tryAcquire();
    if (slot !== undefined) return slot;
    const { maxBrowsers, reserved, browserQueue } = this.#limits;
    if (maxBrowsers === reserved || this.waiting >= browserQueue) throw browsersBusy(this.#limits);
    return this.#queue.wait(() => this.#tryAcquire(), queue);
  }

  #tryAcquire(): ProcessSlot | undefined {
    if (this.#free === 0) return undefined;
    this.#free -= 1;
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      this.#free += 1;
      this.#queue.dispatch();
    };
    return { release };
  }
}

function browsersBusy({ maxBrowsers, reserved, browserQueue }: ProcessSlotLimits): Refusal {
  const detail =
    maxBrowsers === reserved
      ? 'This needs a browser process of its own, and --max-browsers allows only the shared one.'
      : 'Every browser process is in use and the queue is full. Try again in a moment.';
  const limit = `--max-browsers ${maxBrowsers}, --browser-queue ${browserQueue}`;
  return new Refusal('browsers_busy', { detail, limit });
}
