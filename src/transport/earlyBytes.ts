import type { Readable } from 'node:stream';

/**
 * Reads a stream ahead of the one who will read it, so that its end is noticed meanwhile and nothing that came is lost.
 * Past the bound it stops reading, and the sender waits (S10). Owned by whoever made it, who calls `take` or `drop` once.
 */
export class EarlyBytes {
  readonly #stream: Readable;
  readonly #limit: number;
  readonly #chunks: Buffer[] = [];
  #length = 0;

  /** @param limit in bytes. */
  constructor(stream: Readable, limit: number) {
    this.#stream = stream;
    this.#limit = limit;
    stream.on('data', this.#onData);
  }

  /** Hands over what came. The stream is paused, and read no more from here. */
  take(): Buffer {
    this.#stream.off('data', this.#onData);
    this.#stream.pause();
    return Buffer.concat(this.#chunks.splice(0));
  }

  /** Forgets what came and reads on without keeping anything, so that the end is still noticed. */
  drop(): void {
    this.#stream.off('data', this.#onData);
    this.#chunks.length = 0;
    this.#stream.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length >= this.#limit) this.#stream.pause();
  };
}
