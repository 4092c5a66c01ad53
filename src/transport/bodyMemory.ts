import { Refusal } from '../errors/errors.js';

/** Bodies of the maximum size that one caller may send at once. */
const bodiesPerCaller = 8;
/** Callers that may use their full share at once. */
const callers = 4;

/**
 * The memory for request bodies that are being received, bounded for each caller and in total (S10). A slow client occupies
 * only the bytes that it has sent.
 */
export class BodyMemory {
  readonly #maxBytesPerCaller: number;
  readonly #maxBytes: number;
  readonly #bytesByCaller = new Map<string, number>();
  #totalBytes = 0;

  /** @param bodyLimit bytes of one body. */
  constructor(bodyLimit: number) {
    this.#maxBytesPerCaller = bodiesPerCaller * bodyLimit;
    this.#maxBytes = callers * this.#maxBytesPerCaller;
  }

  /** Opens an empty share for one body. The caller releases it. */
  open(caller: string): BodyShare {
    let size = 0;
    return {
      grow: (bytes) => {
        const callerBytes = (this.#bytesByCaller.get(caller) ?? 0) + bytes;
        if (callerBytes > this.#maxBytesPerCaller || this.#totalBytes + bytes > this.#maxBytes) throw tooManyBytes();
        this.#bytesByCaller.set(caller, callerBytes);
        this.#totalBytes += bytes;
        size += bytes;
      },
      release: () => {
        const callerBytes = (this.#bytesByCaller.get(caller) ?? 0) - size;
        if (callerBytes > 0) this.#bytesByCaller.set(caller, callerBytes);
        else this.#bytesByCaller.delete(caller);
        this.#totalBytes -= size;
        size = 0;
      },
    };
  }
}

export interface BodyShare {
  /** Throws `queue_full` when no memory is left. */
  grow(bytes: number): void;
  release(): void;
}

function tooManyBytes(): Refusal {
  const detail = 'Too many bytes of request bodies are being received. Send again when the others have been read.';
  return new Refusal('queue_full', { detail, limit: 'bytes of request bodies that are being received' });
}
