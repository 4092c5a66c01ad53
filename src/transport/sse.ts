import type { ServerResponse } from 'node:http';
import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { CloseNotice } from '../session/channel.js';
import { sendRefusal } from './sendRefusal.js';
import { SseWriter, type SseWriterOptions } from './sseWriter.js';
import { ConnectionTransport } from './connectionTransport.js';

export interface SseOptions extends SseWriterOptions {
  /** The path that the client posts to; the session id is appended as `?sessionId=`. */
  readonly messagePath: string;
}

/**
 * The server's end of HTTP+SSE (MCP 2024-11-05, basic/transports): one GET whose answer is the stream. Until `announce`
 * not one byte is written, so a set-up that fails is still answered with its own status code. It has no event ids: a client
 * that comes again gets a new session.
 */
export class SseTransport extends ConnectionTransport {
  readonly kind = 'sse';

  readonly #response: ServerResponse;
  readonly #messagePath: string;
  readonly #stream: SseWriter;

  constructor(response: ServerResponse, { messagePath, ...options }: SseOptions) {
    super();
    this.#response = response;
    this.#messagePath = messagePath;
    this.#stream = new SseWriter(response, options);
    this.#stream.onerror = (error) => this.onerror?.(error);
    this.#stream.onclose = (because) => {
      if (because === 'slow-client') this.closedBecause = because;
      this.onclose?.();
    };
  }

  announce(sessionId: string): void {
    if (this.#stream.state !== 'pending') return;
    this.sessionId = sessionId;
    this.#stream.open();
    this.#stream.write({ event: 'endpoint', data: `${this.#messagePath}?sessionId=${sessionId}` });
  }

  deliver(message: JSONRPCMessage): void {
    this.#stream.write({ event: 'message', data: JSON.stringify(message) });
  }

  end({ refusal }: CloseNotice): void {
    if (this.#stream.state === 'pending' && !this.#response.headersSent) sendRefusal(this.#response, refusal, null);
    void this.close();
  }

  close(): Promise<void> {
    this.#stream.end();
    return Promise.resolve();
  }
}
