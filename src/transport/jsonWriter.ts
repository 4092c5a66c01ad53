import type { ServerResponse } from 'node:http';
import type { SseEvent, StreamEnd, StreamWriter } from './sseWriter.js';

/**
 * Writes what a stream carries as one JSON answer, when it is all there: for clients that would rather not read an event
 * stream (basic/transports, sending messages). It has no event ids, so that a connection that breaks takes its answer with
 * it. Owned by a transport, which ends it; `onclose` fires exactly once, however it ends.
 */
export class JsonWriter implements StreamWriter {
  readonly answersOnly = true;
  onclose: ((because: StreamEnd) => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  readonly #response: ServerResponse;
  readonly #isBatch: boolean;
  readonly #answers: string[] = [];
  #head: Readonly<Record<string, string>> = {};
  #state: 'silent' | 'open' | 'closed' = 'silent';

  constructor(response: ServerResponse, isBatch: boolean) {
    this.#response = response;
    this.#isBatch = isBatch;
    if (response.destroyed) this.#state = 'closed';
    response.on('close', this.#gone);
    response.req.socket.on('close', this.#gone);
    response.on('error', (error) => this.onerror?.(error));
  }

  get state(): 'silent' | 'open' | 'closed' {
    return this.#state;
  }

  /** Nothing leaves before the answer is whole. */
  open(headers: Readonly<Record<string, string>> = {}): void {
    if (this.#state !== 'silent') return;
    this.#state = 'open';
    this.#head = headers;
  }

  flush(): void {
    return;
  }

  write({ event, data }: SseEvent): void {
    if (this.#state === 'open' && event === 'message' && data !== undefined) this.#answers.push(data);
  }

  /** Sends the answer; 202 when there is none, because the client cancelled what it asked. */
  end(): void {
    const wasOpen = this.#state === 'open';
    this.#closed('ended');
    if (!wasOpen) return;
    const [first] = this.#answers;
    const body = this.#isBatch ? `[${this.#answers.join(',')}]` : first;
    if (first === undefined || body === undefined) {
      this.#response.writeHead(202, this.#head).end();
      return;
    }
    const length = Buffer.byteLength(body);
    this.#response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': length, ...this.#head })
      .end(body);
  }

  cut(): void {
    this.#response.destroy();
    this.#closed('slow-client');
  }

  readonly #gone = (): void => this.#closed('client-closed');

  #closed(because: StreamEnd): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#response.req.socket.off('close', this.#gone);
    this.onclose?.(because);
  }
}
