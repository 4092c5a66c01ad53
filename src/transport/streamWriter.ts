import type { ServerResponse } from 'node:http';

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

/**
 * What carries a stream to a client, over one HTTP answer. `silent` until `open`, so that a refusal can still be answered
 * with its own status code; then `open`; then `closed`, after which nothing is written (S7). Owned by a transport, which
 * ends it; `onclose` fires exactly once, however it ends.
 */
export abstract class StreamWriter {
  /** Whether it can carry nothing but the answers to what was asked. */
  abstract readonly answersOnly: boolean;
  onclose: ((because: StreamEnd) => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  protected readonly response: ServerResponse;
  #state: 'pending' | 'open' | 'closed' = 'pending';

  constructor(response: ServerResponse) {
    this.response = response;
    // Gone before it got here: nobody will say so any more.
    if (response.destroyed) this.#state = 'closed';
    response.on('close', this.#onClientClosed);
    // An answer that waits for an earlier one on its connection (pipelining) never hears of its end.
    response.req.socket.on('close', this.#onClientClosed);
    response.on('error', (error) => this.onerror?.(error));
  }

  get state(): 'pending' | 'open' | 'closed' {
    return this.#state;
  }

  /** The head of the answer has these headers too. */
  open(headers: Readonly<Record<string, string>> = {}): void {
    if (this.#state !== 'pending') return;
    this.#state = 'open';
    this.begin(headers);
  }

  /** Ends the answer after what was written. */
  end(): void {
    const wasOpen = this.#state === 'open';
    this.#close('ended');
    if (wasOpen) this.finish();
  }

  /** Cuts the connection: the client is to notice. */
  terminate(): void {
    this.response.destroy();
    this.#close('slow-client');
  }

  /** Does nothing unless it is open. */
  abstract write(event: SseEvent): void;
  /** Lets the head leave if there is no event to take it along. */
  abstract flush(): void;

  protected abstract begin(headers: Readonly<Record<string, string>>): void;
  /** The last of an answer that was open; from here on it is closed. */
  protected abstract finish(): void;
  /** What holds on to it lets go. */
  protected abstract release(): void;

  readonly #onClientClosed = (): void => this.#close('client-closed');

  #close(because: StreamEnd): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.response.req.socket.off('close', this.#onClientClosed);
    this.release();
    this.onclose?.(because);
  }
}

/**
 * Writes what a stream carries as one JSON answer, when it is all there: for clients that would rather not read an event
 * stream (basic/transports, sending messages). It has no event ids, so that a connection that breaks takes its answer with
 * it.
 */
export class JsonWriter extends StreamWriter {
  readonly answersOnly = true;
  readonly #isBatch: boolean;
  readonly #messages: string[] = [];
  #headers: Readonly<Record<string, string>> = {};

  constructor(response: ServerResponse, isBatch: boolean) {
    super(response);
    this.#isBatch = isBatch;
  }

  write({ event, data }: SseEvent): void {
    if (this.state === 'open' && event === 'message' && data !== undefined) this.#messages.push(data);
  }

  /** Nothing leaves before the answer is whole. */
  flush(): void {
    return;
  }

  protected begin(headers: Readonly<Record<string, string>>): void {
    this.#headers = headers;
  }

  /** 202 when there is no answer, because the client cancelled what it asked. */
  protected finish(): void {
    const [first] = this.#messages;
    if (first === undefined) {
      this.response.writeHead(202, this.#headers).end();
      return;
    }
    const body = this.#isBatch ? `[${this.#messages.join(',')}]` : first;
    const length = Buffer.byteLength(body);
    this.response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': length, ...this.#headers })
      .end(body);
  }

  protected release(): void {
    return;
  }
}
