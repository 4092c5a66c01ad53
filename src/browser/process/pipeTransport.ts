import type { Readable, Writable } from 'node:stream';
import { BrowserTransport, IncomingMessage, shortBytes } from './browserTransport.js';

/**
 * CDP over the two pipes of a Chrome started with `--remote-debugging-pipe`: JSON messages, each terminated by a zero
 * byte. Chrome exits when this end of the pipes closes.
 */
export class PipeTransport extends BrowserTransport {
  readonly #toBrowser: Writable;
  readonly #fromBrowser: Readable;
  #unwritten = '';
  #incoming: IncomingMessage | undefined;
  /** Texts that were not handed over yet, in order, and their length. */
  #waiting: string[] = [];
  #waitingLength = 0;
  #isClosed = false;
  #isClosingTold = false;
  readonly #onData = (chunk: Buffer): void => this.#readMessages(chunk);
  readonly #onClose = (): void => {
    this.#isClosed = true;
    if (this.#waiting.length === 0) this.#handOver();
  };

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

  /** Messages of one turn are written together: each write wakes the browser. */
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
    this.#incoming = undefined;
    this.#waiting = [];
    this.close();
  }

  #readMessages(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(0); end !== -1; end = chunk.indexOf(0, start)) {
      const isWhole = this.#incoming === undefined && end - start <= Math.min(shortBytes, this.maxMessageBytes);
      if (!isWhole && !this.#append(chunk.subarray(start, end))) return;
      const message = isWhole ? chunk.toString('utf8', start, end) : this.#incoming?.end();
      this.#incoming = undefined;
      start = end + 1;
      if (message !== undefined) this.#enqueue(message);
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

  #enqueue(message: string): void {
    if (this.#waiting.push(message) === 1) setImmediate(this.#handOver);
    this.#waitingLength += message.length;
    // A browser that says more than can be heard waits.
    if (this.#waitingLength > maxWaitingLength || this.#waiting.length > maxWaiting) this.#fromBrowser.pause();
  }

  /**
   * One message per turn of the event loop, as over a socket: code that awaits a response runs before the next event,
   * and a busy browser leaves turns to others.
   */
  readonly #handOver = (): void => {
    const message = this.#waiting.shift();
    if (message === undefined) {
      if (this.#isClosed && !this.#isClosingTold) this.onclose?.();
      this.#isClosingTold = this.#isClosed;
      return;
    }
    this.#waitingLength -= message.length;
    if (this.#waiting.length > 0 || this.#isClosed) setImmediate(this.#handOver);
    const isRead = this.#waitingLength < maxWaitingLength / 2 && this.#waiting.length < maxWaiting / 2;
    if (isRead && this.#fromBrowser.isPaused()) this.#fromBrowser.resume();
    void this.receive(message);
  };
}

/** Messages, and their characters, that wait before the browser is no longer read. */
const maxWaiting = 2_000;
const maxWaitingLength = 16 * 1024 ** 2;
