import type { Readable, Writable } from 'node:stream';
import { cutText } from '../../text.js';
import { BrowserTransport } from './browserTransport.js';
import { IncomingMessage, shortBytes } from './incomingMessage.js';

/**
 * CDP over the two pipes of a Chrome started with `--remote-debugging-pipe`: JSON messages, each terminated by a zero
 * byte. Chrome exits when this end of the pipes closes.
 */
export class PipeTransport extends BrowserTransport {
  readonly #toBrowser: Writable;
  readonly #fromBrowser: Readable;
  #unwritten = '';
  #incoming: IncomingMessage | undefined;
  readonly #onData = (chunk: Buffer): void => this.#readMessages(chunk);

  /** @param maxMessageBytes default 64 MiB. */
  constructor(toBrowser: Writable, fromBrowser: Readable, maxMessageBytes?: number) {
    super(maxMessageBytes);
    this.#toBrowser = toBrowser;
    this.#fromBrowser = fromBrowser;
    fromBrowser.on('data', this.#onData);
    fromBrowser.once('close', () => this.ended());
    // A dead browser breaks both pipes. The close of the reading one is reported.
    for (const pipe of [toBrowser, fromBrowser]) pipe.on('error', () => fromBrowser.destroy());
  }

  /** Messages of one turn are written together: each write wakes the browser. */
  protected write(message: string): void {
    if (this.#unwritten === '') process.nextTick(() => this.#flush());
    this.#unwritten += `${message}\0`;
  }

  /** A long text in parts, each after the one before: a client may send megabytes. */
  #flush(): void {
    const part = this.#toBrowser.writable ? cutText(this.#unwritten, maxPartLength) : '';
    this.#unwritten = part === '' ? '' : this.#unwritten.slice(part.length);
    if (part === '') return;
    if (this.#unwritten === '') this.#toBrowser.write(part);
    else this.#toBrowser.write(part, () => this.#flush());
  }

  close(): void {
    this.#fromBrowser.destroy();
    this.#toBrowser.destroy();
  }

  protected cut(): void {
    this.#fromBrowser.off('data', this.#onData);
    this.#incoming = undefined;
    this.close();
  }

  protected pause(): void {
    this.#fromBrowser.pause();
  }

  protected resume(): void {
    if (this.#fromBrowser.isPaused()) this.#fromBrowser.resume();
  }

  #readMessages(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(0); end !== -1; end = chunk.indexOf(0, start)) {
      const isWhole = this.#incoming === undefined && end - start <= Math.min(shortBytes, this.maxMessageBytes);
      if (!isWhole && !this.#append(chunk.subarray(start, end))) return;
      const message = isWhole ? chunk.toString('utf8', start, end) : this.#incoming?.end();
      this.#incoming = undefined;
      start = end + 1;
      this.enqueue(message);
    }
    if (start < chunk.length) this.#append(chunk.subarray(start));
  }

  /** Appends a chunk to the current message; false if the message is too long. */
  #append(chunk: Buffer): boolean {
    this.#incoming ??= new IncomingMessage(this.maxMessageBytes);
    if (this.#incoming.append(chunk)) return true;
    this.drop(this.tooLongCause);
    return false;
  }
}

/** Characters written at once. */
const maxPartLength = 256 * 1024;
