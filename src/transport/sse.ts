import type { ServerResponse } from 'node:http';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { Clock } from '../clock.js';
import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { Ending } from '../session/channel.js';
import { sendRefusal } from './refuse.js';
import type { SessionTransport } from './transport.js';

export interface SseOptions {
  /** The path that the client posts to; the session id is appended as `?sessionId=`. */
  readonly messagePath: string;
  readonly clock: Clock;
  /** Time between comments that keep proxies from closing a silent stream. */
  readonly keepAliveMs?: number;
  /** Bytes that may wait for a slow client before it is given up (S10). */
  readonly maxPendingBytes?: number;
  /** Time that a client has to read what is left when its session ends; then its socket is destroyed (S5). */
  readonly farewellMs?: number;
}

/**
 * The server's end of HTTP+SSE (MCP 2024-11-05, basic/transports): one GET whose answer is the stream. Until `announce`
 * not one byte is written, so a set-up that fails is still answered with its own status code.
 */
export class SseTransport implements SessionTransport {
  readonly kind = 'sse';
  /** A legacy stream has no event ids: its end is the end of the session. */
  readonly resumable = false;
  sessionId?: string;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: NonNullable<Transport['onmessage']>;
  /** Why `onclose` fired. */
  closedBecause: 'client-closed' | 'slow-client' = 'client-closed';

  readonly #response: ServerResponse;
  readonly #options: Required<SseOptions>;
  #state: 'silent' | 'announced' | 'closed' = 'silent';
  #keepAlive: unknown;

  constructor(response: ServerResponse, options: SseOptions) {
    this.#response = response;
    this.#options = { keepAliveMs: 15_000, maxPendingBytes: 16 * 1024 ** 2, farewellMs: 5_000, ...options };
    response.on('close', this.#closed);
    // An answer that waits for an earlier one on its connection (pipelining) never hears of its end.
    response.req.socket.on('close', this.#closed);
    response.on('error', (error) => this.onerror?.(error));
  }

  /** Part of the SDK's contract. The stream is open as soon as the request is there; nothing is announced. */
  start(): Promise<void> {
    return Promise.resolve();
  }

  announce(sessionId: string): void {
    if (this.#state !== 'silent') return;
    this.#state = 'announced';
    this.sessionId = sessionId;
    this.#response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      connection: 'keep-alive',
      'x-accel-buffering': 'no',
    });
    this.#write(`event: endpoint\ndata: ${this.#options.messagePath}?sessionId=${sessionId}\n\n`);
    this.#armKeepAlive();
  }

  deliver(message: JSONRPCMessage): void {
    if (this.#state === 'announced') this.#write(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
  }

  send(message: JSONRPCMessage): Promise<void> {
    if (this.#state !== 'announced') return Promise.reject(new Error(`The stream is ${this.#state}.`));
    this.deliver(message);
    return Promise.resolve();
  }

  end({ refusal }: Ending): void {
    if (this.#state === 'silent' && !this.#response.headersSent) sendRefusal(this.#response, refusal, null);
    void this.close();
  }

  close(): Promise<void> {
    if (this.#state === 'announced') this.#finish();
    this.#closed();
    return Promise.resolve();
  }

  #write(text: string): void {
    if (this.#response.writableLength > this.#options.maxPendingBytes) {
      this.closedBecause = 'slow-client';
      this.onerror?.(new Error(`The client does not read: ${this.#response.writableLength} bytes are waiting.`));
      this.#response.destroy();
      this.#closed();
      return;
    }
    this.#response.write(text);
  }

  /** Ends the stream. A client that does not read would hold socket and bytes for ever: it is cut off after a while. */
  #finish(): void {
    const response = this.#response;
    const { clock, farewellMs } = this.#options;
    response.end();
    if (response.writableFinished || response.destroyed) return;
    const farewell = clock.setTimeout(() => response.destroy(), farewellMs);
    const said = (): void => clock.clearTimeout(farewell);
    response.once('finish', said).once('close', said);
  }

  #armKeepAlive(): void {
    const { clock, keepAliveMs } = this.#options;
    this.#keepAlive = clock.setTimeout(() => {
      this.#write(': keep-alive\n\n');
      if (this.#state === 'announced') this.#armKeepAlive();
    }, keepAliveMs);
  }

  readonly #closed = (): void => {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#response.req.socket.off('close', this.#closed);
    this.#options.clock.clearTimeout(this.#keepAlive);
    this.onclose?.();
  };
}
