import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';

export interface SseWriterOptions {
  readonly clock: Clock;
  /** Time between comments that keep proxies from closing a silent stream. */
  readonly keepAliveMs?: number;
  /** Bytes that may wait for a slow client before it is given up (S10). */
  readonly maxPendingBytes?: number;
  /** When the stream has ended: how long a client that reads nothing of what is left keeps its socket (S5). */
  readonly farewellMs?: number;
}

/** One event of a stream (HTML, server-sent events). No field has a line break: data is JSON. */
export interface SseEvent {
  readonly event?: string;
  readonly id?: string;
  /** Milliseconds after which a client that lost the stream comes again. */
  readonly retry?: number;
  readonly data?: string;
}

/** `ended`: by us. */
export type StreamEnd = 'ended' | 'client-closed' | 'slow-client';

/** What carries a stream to a client, over one HTTP answer. */
export interface StreamWriter {
  /** Whether it can carry nothing but the answers to what was asked. */
  readonly answersOnly: boolean;
  readonly state: 'silent' | 'open' | 'closed';
  onclose: ((because: StreamEnd) => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  open(headers?: Readonly<Record<string, string>>): void;
  flush(): void;
  write(event: SseEvent): void;
  end(): void;
  cut(): void;
}

/**
 * The one writer of an event stream to one HTTP answer. `silent` until `open`, so that a refusal can still be answered
 * with its own status code; then `open`; then `closed`, after which nothing is written (S7). Owned by a transport, which
 * ends it; `onclose` fires exactly once, however it ends.
 */
export class SseWriter implements StreamWriter {
  readonly answersOnly = false;
  onclose: ((because: StreamEnd) => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  readonly #response: ServerResponse;
  readonly #options: Required<SseWriterOptions>;
  #state: 'silent' | 'open' | 'closed' = 'silent';
  /** The next keep-alive; once the stream has ended, the farewell. */
  #timer: unknown;

  constructor(response: ServerResponse, options: SseWriterOptions) {
    this.#response = response;
    // Gone before it got here: nobody will say so any more.
    if (response.destroyed) this.#state = 'closed';
    this.#options = { keepAliveMs: 15_000, maxPendingBytes: 16 * 1024 ** 2, farewellMs: 5_000, ...options };
    response.on('close', this.#gone);
    // An answer that waits for an earlier one on its connection (pipelining) never hears of its end.
    response.req.socket.on('close', this.#gone);
    response.on('error', (error) => this.onerror?.(error));
  }

  get state(): 'silent' | 'open' | 'closed' {
    return this.#state;
  }

  /** Writes the head, which leaves with the first event: a client that has one has the other. */
  open(headers: Readonly<Record<string, string>> = {}): void {
    if (this.#state !== 'silent') return;
    this.#state = 'open';
    this.#response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      connection: 'keep-alive',
      'x-accel-buffering': 'no',
      ...headers,
    });
    this.#armKeepAlive();
  }

  /** Lets the head leave if there is no event to take it along. */
  flush(): void {
    if (this.#state === 'open') this.#response.flushHeaders();
  }

  write(event: SseEvent): void {
    const fields = Object.entries(event).map(([name, value]) => `${name}: ${String(value)}\n`);
    if (this.#state === 'open') this.#put(`${fields.join('')}\n`);
  }

  /** Ends the stream. A client that does not read would hold socket and bytes for ever: it is cut off after a while. */
  end(): void {
    const response = this.#response;
    const wasOpen = this.#state === 'open';
    this.#closed('ended');
    if (!wasOpen) return;
    response.end();
    if (response.writableFinished || response.destroyed) return;
    this.#armFarewell();
    const said = (): void => this.#options.clock.clearTimeout(this.#timer);
    response.once('finish', said).once('close', said);
  }

  /** Cuts the connection: the client is to notice. */
  cut(): void {
    this.#response.destroy();
    this.#closed('slow-client');
  }

  #put(text: string): void {
    if (this.#response.writableLength > this.#options.maxPendingBytes) {
      this.onerror?.(new Error(`The client does not read: ${this.#response.writableLength} bytes are waiting.`));
      this.cut();
      return;
    }
    this.#response.write(text);
  }

  #armKeepAlive(): void {
    const { clock, keepAliveMs } = this.#options;
    this.#timer = clock.setTimeout(() => {
      this.#put(': keep-alive\n\n');
      if (this.#state === 'open') this.#armKeepAlive();
    }, keepAliveMs);
  }

  #armFarewell(): void {
    const { clock, farewellMs } = this.#options;
    const left = this.#response.writableLength;
    this.#timer = clock.setTimeout(() => {
      if (this.#response.writableLength < left) this.#armFarewell();
      else this.#response.destroy();
    }, farewellMs);
  }

  readonly #gone = (): void => this.#closed('client-closed');

  #closed(because: StreamEnd): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#response.req.socket.off('close', this.#gone);
    this.#options.clock.clearTimeout(this.#timer);
    this.onclose?.(because);
  }
}
