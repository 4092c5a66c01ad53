import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { WebSocket, WebSocketServer } from 'ws';
import type { Refusal } from '../errors/errors.js';
import { EarlyBytes } from './earlyBytes.js';
import { sendRefusal } from './sendRefusal.js';

/** Bytes that are kept of a client which speaks before it is answered; past them it waits. */
const maxEarlyBytes = 64 * 1024;

/**
 * An upgrade that is not answered yet. Exactly one answer leaves: `accept` gives the socket to a WebSocket, `refuse` sends
 * an HTTP response and closes. Until then it owns the socket, keeps what comes early, and tells by `onclose` that the
 * client has left. Throws when an earlier answer is still under way on the connection (pipelining): it must not be mixed
 * with another protocol; the caller ends the connection then.
 */
export class PendingUpgrade {
  readonly request: IncomingMessage;
  /** What `refuse` answers with; never sent when the upgrade is accepted. */
  readonly response: ServerResponse;
  onclose?: () => void;
  readonly #socket: Socket;
  readonly #head: Buffer;
  readonly #earlyBytes: EarlyBytes;

  constructor(request: IncomingMessage, head: Buffer) {
    const { socket } = request;
    // Nobody else listens any more: a reset would end the process. `close` follows, and is what counts.
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

  /** Whether the client has left before it was answered. */
  get hasClientLeft(): boolean {
    return this.#socket.readableEnded || this.#socket.destroyed;
  }

  /** Sends the 101 with these headers; null if the client has left. What it sent early is read first. */
  accept(server: WebSocketServer, headers: readonly string[]): WebSocket | null {
    const early = this.#earlyBytes.take();
    this.#stopWatching();
    this.response.detachSocket(this.#socket);
    let accepted: WebSocket | null = null;
    const addHeaders = (lines: string[]): void => void lines.push(...headers);
    // Both run before `handleUpgrade` returns; neither does for a socket that has just been destroyed.
    server.on('headers', addHeaders);
    server.handleUpgrade(this.request, this.#socket, Buffer.concat([this.#head, early]), (opened) => {
      accepted = opened;
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
