import { untilAborted } from '../../async.js';

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
