import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import { chunkOf, type MessageText } from '../mcp/messageText.js';
import type { SessionMemory } from '../mcp/responseMemory.js';
import { StreamWriter, type SseEvent } from './streamWriter.js';

export interface SseWriterOptions {
  readonly clock: Clock;
  /** Time between keep-alive comments: without them proxies close a silent stream. */
  readonly keepAliveMs?: number;
  /** Bytes that may wait for a slow client before its connection is closed (S10). */
  readonly maxPendingBytes?: number;
  /** After the end of the stream: how long a client may read nothing of the rest before its socket is destroyed (S5). */
  readonly closeTimeoutMs?: number;
  /** Counts the bytes that wait. */
  readonly memory?: SessionMemory;
}

/** Writes an event stream (HTML, server-sent events) to one HTTP response. */
export class SseWriter extends StreamWriter {
  readonly answersOnly = false;
  readonly #options: Required<Omit<SseWriterOptions, 'memory'>>;
  /** The next keep-alive; after the end, the close timeout. */
  #timer: unknown;
  #hasWritten = false;

  constructor(response: ServerResponse, options: SseWriterOptions) {
    super(response, options.memory);
    this.#options = { keepAliveMs: 15_000, maxPendingBytes: 16 * 1024 ** 2, closeTimeoutMs: 5_000, ...options };
  }

  write({ event, id, retry, data }: SseEvent): void {
    if (this.state !== 'open') return;
    const named = `${fieldOf('event', event)}${fieldOf('id', id)}${fieldOf('retry', retry)}`;
    if (data === undefined) this.#writeText(`${named}\n`);
    else this.#writeText(`${named}data: `, data, '\n\n');
  }

  /** Sends a first byte of the body too: many proxies hold the head until one comes. */
  flush(): void {
    if (this.state === 'open' && !this.#hasWritten) this.#writeText(': connected\n\n');
  }

  /** Writes the head. Node sends it together with the first event, or with `flush`. */
  protected begin(headers: Readonly<Record<string, string>>): void {
    this.response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      ...headers,
    });
    this.#armKeepAlive();
  }

  /** Ends the response. A client that does not read the rest is disconnected after the close timeout. */
  protected finish(): void {
    const { response } = this;
    response.end();
    if (response.writableFinished || response.destroyed) return;
    this.#armCloseTimeout();
    const clearCloseTimeout = (): void => this.#options.clock.clearTimeout(this.#timer);
    response.once('finish', clearCloseTimeout).once('close', clearCloseTimeout);
  }

  protected release(): void {
    this.#options.clock.clearTimeout(this.#timer);
  }

  #writeText(before: string, text: MessageText = '', after = ''): void {
    if (this.response.writableLength > this.#options.maxPendingBytes) {
      this.onerror?.(new Error(`The client does not read: ${this.response.writableLength} bytes are waiting.`));
      this.terminate();
      return;
    }
    this.#hasWritten = true;
    // One chunk: there are clients that take each chunk for an event.
    this.response.write(chunkOf(text, before, after), this.hold(before.length + text.length + after.length));
  }

  #armKeepAlive(): void {
    const { clock, keepAliveMs } = this.#options;
    this.#timer = clock.setTimeout(() => {
      this.#writeText(': keep-alive\n\n');
      if (this.state === 'open') this.#armKeepAlive();
    }, keepAliveMs);
  }

  #armCloseTimeout(): void {
    const { clock, closeTimeoutMs } = this.#options;
    const unwrittenBytes = this.response.writableLength;
    this.#timer = clock.setTimeout(() => {
      if (this.response.writableLength < unwrittenBytes) this.#armCloseTimeout();
      else this.response.destroy();
    }, closeTimeoutMs);
  }
}

const fieldOf = (name: string, value: string | number | undefined): string =>
  value === undefined ? '' : `${name}: ${value}\n`;
