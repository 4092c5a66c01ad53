import type { Readable, Writable } from 'node:stream';
import { BrowserTransport } from './browserTransport.js';

/**
 * CDP over the two pipes of a Chrome started with `--remote-debugging-pipe`: JSON messages, each terminated by a zero
 * byte. Chrome exits when this end of the pipes closes.
 */
export class PipeTransport extends BrowserTransport {
  readonly #toBrowser: Writable;
  readonly #fromBrowser: Readable;
  #unwritten = '';
  #partial: Buffer[] = [];
  #partialBytes = 0;
  /** Whether the rest of the current message is left out. */
  #isLeftOut = false;
  readonly #onData = (chunk: Buffer): void => this.#readMessages(chunk);
  readonly #onClose = (): void => this.onclose?.();

  /** @param maxMessageBytes default 64 MiB. */
  constructor(toBrowser: Writable, fromBrowser: Readable, maxMessageBytes?: number) {
    super(maxMessageBytes);
    this.#toBrowser = toBrowser;
    this.#fromBrowser = fromBrowser;
    fromBrowser.on('data', this.#onData);
    fromBrowser.once('close', this.#onClose);
    // A dead browser breaks both pipes. The close of the reading one is reported.
    for (const pipe of [toBrowser, fromBrowser]) pipe.on('error', () => fromBrowser.destroy());
  }

  /** What is sent in one turn is written at once: each write wakes the browser. */
  send(message: string): void {
    if (this.#unwritten === '') process.nextTick(() => this.#write());
    this.#unwritten += `${message}\0`;
  }

  #write(): void {
    if (this.#toBrowser.writable) this.#toBrowser.write(this.#unwritten);
    this.#unwritten = '';
  }

  close(): void {
    this.#fromBrowser.destroy();
    this.#toBrowser.destroy();
  }

  terminate(): void {
    this.#fromBrowser.off('data', this.#onData);
    this.#partial = [];
    this.close();
  }

  #readMessages(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(0); end !== -1; end = chunk.indexOf(0, start)) {
      if (!this.#append(chunk.subarray(start, end))) return;
      const message = Buffer.concat(this.#partial).toString('utf8');
      const isWhole = !this.#isLeftOut;
      this.#isLeftOut = false;
      this.#partial = [];
      this.#partialBytes = 0;
      start = end + 1;
      if (!isWhole) continue;
      // One message per turn of the event loop, as over a socket: code that awaits a response runs before the next
      // event.
      setImmediate(() => void this.receive(message));
    }
    if (start < chunk.length) this.#append(chunk.subarray(start));
  }

  /** Appends a chunk to the current message; false if the message is too long. */
  #append(chunk: Buffer): boolean {
    if (this.#isLeftOut) return true;
    this.#partialBytes += chunk.length;
    if (this.#partialBytes > this.maxMessageBytes) {
      const beginning = this.#partial[0] ?? chunk;
      if (isScriptEvent(beginning)) {
        this.#isLeftOut = true;
        this.#partial = [];
        return true;
      }
      this.drop(this.tooLongCause);
      return false;
    }
    this.#partial.push(chunk);
    return true;
  }
}

/** It has the whole source map of a script that contains it. A script that nobody hears of costs its places alone. */
const scriptEvent = Buffer.from('{"method":"Debugger.script');

const isScriptEvent = (beginning: Buffer): boolean => beginning.subarray(0, scriptEvent.length).equals(scriptEvent);
