import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { WebSocket, WebSocketServer } from 'ws';
import type { Refusal } from '../errors/errors.js';
import { EarlyBytes } from './earlyBytes.js';
import { sendRefusal } from './sendRefusal.js';

/** Bytes buffered from a client that sends before the handshake is answered. */
const maxEarlyBytes = 64 * 1024;

/**
 * An upgrade that is not answered yet. It is answered exactly once: `accept` passes the socket to a WebSocket, `refuse`
 * sends an HTTP response and closes. Until then this object owns the socket, buffers early bytes, and calls `onclose` when
 * the client disconnects. The constructor throws if an earlier response is still being sent on the connection
 * (pipelining), which must not be mixed with another protocol; the caller then closes the connection.
 */
export class PendingUpgrade {
  readonly request: IncomingMessage;
  /** Sent by `refuse` only. */
  readonly response: ServerResponse;
  onclose?: () => void;
  readonly #socket: Socket;
  readonly #head: Buffer;
  readonly #earlyBytes: EarlyBytes;

  constructor(request: IncomingMessage, head: Buffer) {
    const { socket } = request;
    // Without an error listener a reset would crash the process. `close` follows.
    socket.on('error', () => undefined);
    this.request = request;
    this.#socket = socket;
    this.#head = head;
    this.response = new ServerResponse(request);
    this.response.shouldKeepAlive = false;
    this.response.assignSocket(socket);
    this.#earlyBytes = new EarlyBytes(socket, maxEarlyBytes);
    socket.once('end', this.#onClientLeft).once('close', this.#onClientLeft);
  }

  /** Whether the client disconnected before the answer. */
  get hasClientLeft(): boolean {
    return this.#socket.readableEnded || this.#socket.destroyed;
  }

  /** Sends the 101 with these headers; null if the client has disconnected. The WebSocket reads the early bytes first. */
  accept(server: WebSocketServer, headers: readonly string[]): WebSocket | null {
    const early = this.#earlyBytes.take();
    this.#stopWatching();
    this.response.detachSocket(this.#socket);
    let accepted: WebSocket | null = null;
    const addHeaders = (lines: string[]): void => void lines.push(...headers);
    // `handleUpgrade` calls both callbacks before it returns, or neither if the socket was just destroyed.
    server.on('headers', addHeaders);
    server.handleUpgrade(this.request, this.#socket, Buffer.concat([this.#head, early]), (webSocket) => {
      accepted = webSocket;
    });
    server.off('headers', addHeaders);
    this.#socket.resume();
    return accepted;
  }

  refuse(refusal: Refusal): void {
    this.#earlyBytes.drop();
    this.#stopWatching();
    this.response.once('finish', () => this.#socket.destroySoon());
    sendRefusal(this.response, refusal, null);
  }

  /** Closes without an answer. */
  abandon(): void {
    this.#stopWatching();
    this.#socket.destroy();
  }

  #stopWatching(): void {
    this.#socket.off('end', this.#onClientLeft).off('close', this.#onClientLeft);
  }

  readonly #onClientLeft = (): void => {
    this.abandon();
    this.onclose?.();
  };
}
