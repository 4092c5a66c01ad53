import type { ServerResponse } from 'node:http';
import { noop } from '../async.js';
import type { Clock } from '../clock.js';
import { chunkOf, type MessageText } from '../mcp/messageText.js';
import type { SessionMemory } from '../mcp/responseMemory.js';

/** One event of a stream (HTML, server-sent events). No field contains a line break: data is JSON. */
export interface SseEvent {
  readonly event?: string;
  readonly id?: string;
  /** Milliseconds until a client that lost the stream reconnects. */
  readonly retry?: number;
  readonly data?: MessageText;
}

/** Why a writer closed. `ended`: by this server. */
export type StreamEnd = 'ended' | 'client-closed' | 'slow-client';

/**
 * Writes the events of one stream to one HTTP response. States: `pending`, in which nothing is written, so that a refusal
 * can still get its own status; `open`; `closed`, after which nothing is written (S7). Owned by a transport, which ends it.
 * `onclose` fires exactly once, however the writer closes.
 */
export abstract class StreamWriter {
  /** Whether the response carries nothing but JSON-RPC responses. */
  abstract readonly answersOnly: boolean;
  onclose: ((because: StreamEnd) => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  protected readonly response: ServerResponse;
  readonly #memory: SessionMemory | undefined;
  /** Releases the bytes of the messages that the client has not taken. */
  #held: Set<() => void> | undefined;
  #state: 'pending' | 'open' | 'closed' = 'pending';

  /** @param memory counts what the client has not taken, until its connection is closed. */
  constructor(response: ServerResponse, memory?: SessionMemory) {
    this.response = response;
    this.#memory = memory;
    // Closed before this listener was added: no event will follow.
    if (response.destroyed) this.#state = 'closed';
    response.once('close', this.#onGone);
    // A response that waits for an earlier one on its connection (pipelining) emits no `close`.
    response.req.socket.once('close', this.#onGone);
    response.on('error', (error) => this.onerror?.(error));
  }

  get state(): 'pending' | 'open' | 'closed' {
    return this.#state;
  }

  /** Begins the response, with these extra headers. */
  open(headers: Readonly<Record<string, string>> = {}): void {
    if (this.#state !== 'pending') return;
    this.#state = 'open';
    this.begin(headers);
  }

  /** Ends the response after the last event. */
  end(): void {
    const wasOpen = this.#state === 'open';
    this.#close('ended');
    if (wasOpen) this.finish();
  }

  /** Destroys the connection, so that the client notices the loss. */
  terminate(): void {
    this.response.destroy();
    this.#close('slow-client');
  }

  /** Does nothing unless the writer is open. */
  abstract write(event: SseEvent): void;
  /** Sends the head, and what makes proxies pass it on, if no event has sent it. */
  abstract flush(): void;

  protected abstract begin(headers: Readonly<Record<string, string>>): void;
  /** Completes the response of an open writer. The state is already `closed`. */
  protected abstract finish(): void;
  /** Releases timers and other resources. */
  protected abstract release(): void;

  /** Counts bytes that the client is owed, until the returned function is called or the connection is closed. */
  protected hold(bytes: number): () => void {
    const releaseBytes = this.#memory?.hold(bytes);
    if (releaseBytes === undefined) return noop;
    const release = (): void => {
      this.#held?.delete(release);
      releaseBytes();
    };
    (this.#held ??= new Set()).add(release);
    return release;
  }

  readonly #onGone = (): void => {
    this.response.req.socket.off('close', this.#onGone);
    this.#close('client-closed');
    for (const release of this.#held ?? []) release();
  };

  #close(because: StreamEnd): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.release();
    this.onclose?.(because);
  }
}

export interface JsonWriterOptions {
  readonly clock: Clock;
  /** Whether the requests came as a batch. */
  readonly isBatch: boolean;
  /** Time between the blanks of a response that takes long: without them proxies close a silent connection. */
  readonly keepAliveMs?: number;
  /** Counts the bytes that wait. */
  readonly memory?: SessionMemory;
}

/**
 * Writes the messages of a stream as one JSON response, once all are there, for clients that prefer it to an event stream
 * (basic/transports, sending messages). Without event ids, the response is lost with its connection.
 */
export class JsonWriter extends StreamWriter {
  readonly answersOnly = true;
  readonly #options: Required<Omit<JsonWriterOptions, 'memory'>>;
  readonly #messages: MessageText[] = [];
  #headers: Readonly<Record<string, string>> = {};
  #timer: unknown;

  constructor(response: ServerResponse, { memory, ...options }: JsonWriterOptions) {
    super(response, memory);
    this.#options = { keepAliveMs: 15_000, ...options };
  }

  write({ event, data }: SseEvent): void {
    if (this.state !== 'open' || event !== 'message' || data === undefined) return;
    this.hold(data.length);
    this.#messages.push(data);
  }

  /** Does nothing: the response is written as a whole. */
  flush(): void {
    return;
  }

  protected begin(headers: Readonly<Record<string, string>>): void {
    this.#headers = { 'content-type': 'application/json', ...headers };
    this.#armKeepAlive();
  }

  /** 202 without messages: the client cancelled its requests. */
  protected finish(): void {
    const [first = ''] = this.#messages;
    const text = this.#options.isBatch && first !== '' ? `[${this.#messages.map(String).join(',')}]` : first;
    const body = chunkOf(text);
    if (!this.response.headersSent) {
      const { 'content-type': _type, ...extra } = this.#headers;
      if (body.length === 0) this.response.writeHead(202, extra);
      else this.response.writeHead(200, { ...this.#headers, 'content-length': Buffer.byteLength(body) });
    }
    this.response.end(body);
  }

  protected release(): void {
    this.#options.clock.clearTimeout(this.#timer);
  }

  /** Blanks may stand before a JSON text (RFC 8259, section 2). */
  #armKeepAlive(): void {
    const { clock, keepAliveMs } = this.#options;
    this.#timer = clock.setTimeout(() => {
      if (!this.response.headersSent) this.response.writeHead(200, this.#headers);
      this.response.write(' ');
      this.#armKeepAlive();
    }, keepAliveMs);
  }
}
