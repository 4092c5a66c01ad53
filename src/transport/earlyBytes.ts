import type { Readable } from 'node:stream';

/**
 * Buffers a stream before its consumer is ready, so that no byte is lost and the end of the stream is noticed. Past the
 * limit it stops reading, and the sender waits (S10). Owned by its creator, which calls `take` or `drop` once.
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

  /** Returns the buffered bytes and leaves the stream paused. */
  take(): Buffer {
    this.#stream.off('data', this.#onData);
    this.#stream.pause();
    return Buffer.concat(this.#chunks.splice(0));
  }

  /** Discards the buffered bytes and all later ones, so that the end of the stream is still noticed. */
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
