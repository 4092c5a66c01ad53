import type { Readable, Writable } from 'node:stream';
import type { ConnectionTransport } from 'puppeteer-core';

/**
 * The DevTools protocol over the two extra pipes of a Chrome started with `--remote-debugging-pipe`: JSON messages, each
 * ended by a zero byte. Chrome ends itself when our end of the pipe closes.
 */
export class PipeTransport implements ConnectionTransport {
  onmessage?: (message: string) => void;
  onclose?: () => void;
  readonly #toBrowser: Writable;
  readonly #fromBrowser: Readable;
  #partial: Buffer[] = [];
  readonly #onData = (chunk: Buffer): void => this.#split(chunk);
  readonly #onClose = (): void => this.onclose?.();

  constructor(toBrowser: Writable, fromBrowser: Readable) {
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

  #split(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(0); end !== -1; end = chunk.indexOf(0, start)) {
      const message = Buffer.concat([...this.#partial, chunk.subarray(start, end)]).toString('utf8');
      this.#partial = [];
      start = end + 1;
      // One message at a time per turn, as over a socket: an answer's `await` runs before the next event is handed out.
      setImmediate(() => this.onmessage?.(message));
    }
    if (start < chunk.length) this.#partial.push(chunk.subarray(start));
  }
}
