import { Refusal } from '../errors/errors.js';

/** Bodies of the largest size that one caller may be sending at once, and how many callers may do so. */
const bodiesPerCaller = 8;
const callers = 4;

/**
 * The memory for bodies that are being received: bounded for each caller and over all of them (S10). A client that sends
 * slowly holds only what it has sent.
 */
export class BodyMemory {
  readonly #perCaller: number;
  readonly #total: number;
  readonly #held = new Map<string, number>();
  #sum = 0;

  /** @param bodyLimit bytes of one body. */
  constructor(bodyLimit: number) {
    this.#perCaller = bodiesPerCaller * bodyLimit;
    this.#total = callers * this.#perCaller;
  }

  /** A share of it for one body, empty at first. The caller releases it. */
  open(owner: string): BodyShare {
    let size = 0;
    return {
      grow: (bytes) => {
        const held = (this.#held.get(owner) ?? 0) + bytes;
        if (held > this.#perCaller || this.#sum + bytes > this.#total) throw tooManyBytes();
        this.#held.set(owner, held);
        this.#sum += bytes;
        size += bytes;
      },
      release: () => {
        const held = (this.#held.get(owner) ?? 0) - size;
        if (held > 0) this.#held.set(owner, held);
        else this.#held.delete(owner);
        this.#sum -= size;
        size = 0;
      },
    };
  }
}

export interface BodyShare {
  /** Throws `queue_full` when there is no memory left. */
  grow(bytes: number): void;
  release(): void;
}

function tooManyBytes(): Refusal {
  const detail = 'Too many bytes of request bodies are being received. Send again when the others have been read.';
  return new Refusal('queue_full', { detail, limit: 'bytes of request bodies that are being received' });
}
