import type { ServerResponse } from 'node:http';
import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { Ending } from '../session/channel.js';
import { sendRefusal } from './refuse.js';
import { SseWriter, type SseWriterOptions } from './sseWriter.js';
import type { ConnectionTransport, OnMessage } from './transport.js';

export interface SseOptions extends SseWriterOptions {
  /** The path that the client posts to; the session id is appended as `?sessionId=`. */
  readonly messagePath: string;
}

/**
 * The server's end of HTTP+SSE (MCP 2024-11-05, basic/transports): one GET whose answer is the stream. Until `announce`
 * not one byte is written, so a set-up that fails is still answered with its own status code.
 */
export class SseTransport implements ConnectionTransport {
  readonly kind = 'sse';
  /** A legacy stream has no event ids: its end is the end of the session. A client that comes again gets a new one. */
  readonly resumable = false;
  sessionId?: string;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: OnMessage;
  /** Why `onclose` fired. */
  closedBecause: 'client-closed' | 'slow-client' = 'client-closed';

  readonly #response: ServerResponse;
  readonly #messagePath: string;
  readonly #stream: SseWriter;

  constructor(response: ServerResponse, { messagePath, ...options }: SseOptions) {
    this.#response = response;
    this.#messagePath = messagePath;
    this.#stream = new SseWriter(response, options);
    this.#stream.onerror = (error) => this.onerror?.(error);
    this.#stream.onclose = (because) => {
      if (because === 'slow-client') this.closedBecause = because;
      this.onclose?.();
    };
  }

  /** Part of the SDK's contract. The stream is open as soon as the request is there; nothing is announced. */
  start(): Promise<void> {
    return Promise.resolve();
  }

  announce(sessionId: string): void {
    if (this.#stream.state !== 'silent') return;
    this.sessionId = sessionId;
    this.#stream.open();
    this.#stream.write({ event: 'endpoint', data: `${this.#messagePath}?sessionId=${sessionId}` });
  }

  deliver(message: JSONRPCMessage): void {
    this.#stream.write({ event: 'message', data: JSON.stringify(message) });
  }

  send(message: JSONRPCMessage): Promise<void> {
    if (this.#stream.state !== 'open') return Promise.reject(new Error(`The stream is ${this.#stream.state}.`));
    this.deliver(message);
    return Promise.resolve();
  }

  end({ refusal }: Ending): void {
    if (this.#stream.state === 'silent' && !this.#response.headersSent) sendRefusal(this.#response, refusal, null);
    void this.close();
  }

  close(): Promise<void> {
    this.#stream.end();
    return Promise.resolve();
  }
}
