import type { Readable, Writable } from 'node:stream';
import { BrowserTransport } from './browserTransport.js';

/**
 * The DevTools protocol over the two extra pipes of a Chrome started with `--remote-debugging-pipe`: JSON messages, each
 * ended by a zero byte. Chrome ends itself when our end of the pipe closes.
 */
export class PipeTransport extends BrowserTransport {
  readonly #toBrowser: Writable;
  readonly #fromBrowser: Readable;
  #partial: Buffer[] = [];
  #partialBytes = 0;
  readonly #onData = (chunk: Buffer): void => this.#readMessages(chunk);
  readonly #onClose = (): void => this.onclose?.();

  /** @param maxMessageBytes default 64 MiB. */
  constructor(toBrowser: Writable, fromBrowser: Readable, maxMessageBytes?: number) {
    super(maxMessageBytes);
    this.#toBrowser = toBrowser;
    this.#fromBrowser = fromBrowser;
    fromBrowser.on('data', this.#onData);
    fromBrowser.once('close', this.#onClose);
    // A dead browser breaks both pipes; the end of the reading one is what counts.
    for (const pipe of [toBrowser, fromBrowser]) pipe.on('error', () => fromBrowser.destroy());
  }

  send(message: string): void {
    if (this.#toBrowser.writable) this.#toBrowser.write(`${message}\0`);
  }

  close(): void {
    this.#fromBrowser.destroy();
    this.#toBrowser.destroy();
  }

  cut(): void {
    this.#fromBrowser.off('data', this.#onData);
    this.#partial = [];
    this.close();
  }

  #readMessages(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(0); end !== -1; end = chunk.indexOf(0, start)) {
      if (!this.#keep(chunk.subarray(start, end))) return;
      const message = Buffer.concat(this.#partial).toString('utf8');
      this.#partial = [];
      this.#partialBytes = 0;
      start = end + 1;
      // One message at a time per turn, as over a socket: an answer's `await` runs before the next event is handed out.
      setImmediate(() => void this.receive(message));
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /** Keeps a piece of a message; false if the message is too long. */
  #keep(piece: Buffer): boolean {
    this.#partialBytes += piece.length;
    if (this.#partialBytes > this.maxMessageBytes) {
      this.drop(this.tooLong);
      return false;
    }
    this.#partial.push(piece);
    return true;
  }
}
