import type { ServerResponse } from 'node:http';
import { StreamWriter, type SseEvent } from './streamWriter.js';

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
