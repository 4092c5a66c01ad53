import { once } from 'node:events';
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { WebSocket, type ClientOptions } from 'ws';
import { parseMessageText } from '../../src/mcp/messageText.js';
import { parseMessage, type JSONRPCMessage } from '../../src/mcp/protocol.js';
import type { Reply } from './http.js';
import { initialize } from './messages.js';

export interface RawWebSocketOptions {
  readonly path?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly protocols?: readonly string[];
  readonly options?: ClientOptions;
  /** Runs in the very tick in which the 101 is read. */
  readonly onOpen?: (socket: RawWebSocket) => void;
}

/** A client of `GET /ws` that sees what came, in which order, and how it ended. The test hangs it up. */
export class RawWebSocket {
  readonly socket: WebSocket;
  /** Text frames, as they came. */
  readonly frames: string[] = [];
  /** The headers of the 101. */
  headers: IncomingMessage['headers'] = {};
  /** Resolves with code and reason of the end of the socket. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Resolves with the answer of a handshake that is refused. */
  readonly refused: Promise<Reply>;
  readonly #watchers = new Set<() => void>();
  #isClosed = false;

  constructor(url: string, { path = '/ws', headers = {}, protocols = ['mcp'], ...given }: RawWebSocketOptions = {}) {
    const target = new URL(path, url.replace(/^http/, 'ws'));
    this.socket = new WebSocket(target, [...protocols], {
      headers: headers as Record<string, string>,
      ...given.options,
    });
    this.socket.on('upgrade', (response) => (this.headers = response.headers));
    this.socket.on('open', () => given.onOpen?.(this));
    this.socket.on('message', (data: Buffer) => this.#receive(data.toString('utf8')));
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) =>
      this.socket.once('close', (code, reason) => {
        this.#isClosed = true;
        this.#notifyWatchers();
        resolve({ code, reason: reason.toString('utf8') });
      }),
    );
    this.refused = new Promise((resolve) =>
      this.socket.once('unexpected-response', (_request, response) => {
        void replyOf(response).then((reply) => {
          this.socket.terminate();
          resolve(reply);
        });
      }),
    );
  }

  /** Resolves when the handshake is answered; rejects if the socket ends first. */
  async whenAnnounced(): Promise<this> {
    if (this.socket.readyState === WebSocket.CONNECTING) await once(this.socket, 'open');
    return this;
  }

  /** Resolves when the client has initialized too. What it sees of the handshake is left out of its frames. */
  async whenInitialized(): Promise<this> {
    await this.whenAnnounced();
    this.send(initialize('initialize'));
    await this.answer('initialize');
    this.frames.splice(0);
    return this;
  }

  get sessionId(): string {
    return String(this.headers['mcp-session-id'] ?? '');
  }

  get messages(): JSONRPCMessage[] {
    return this.frames.map((frame) => parseMessage(parseMessageText(frame)));
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** Resolves when the condition holds; rejects if the socket ends first. */
  when(condition: (socket: this) => boolean): Promise<this> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (condition(this)) resolve(this);
        else if (this.#isClosed) reject(new Error(`The socket ended: ${this.frames.join(' ')}`));
        else return;
        this.#watchers.delete(look);
      };
      this.#watchers.add(look);
      look();
    });
  }

  async answer(id: string | number): Promise<JSONRPCMessage> {
    const find = (): JSONRPCMessage | undefined =>
      this.frames.map((frame) => JSON.parse(frame) as JSONRPCMessage).find((one) => 'id' in one && one.id === id);
    await this.when(() => find() !== undefined);
    return find() ?? parseMessage(undefined);
  }

  call(id: string | number, method: string, params: Record<string, unknown> = {}): Promise<JSONRPCMessage> {
    this.send({ jsonrpc: '2.0', id, method, params });
    return this.answer(id);
  }

  async disconnect(): Promise<void> {
    if (this.socket.readyState === WebSocket.CONNECTING) this.socket.terminate();
    else this.socket.close();
    await this.closed;
  }

  #receive(text: string): void {
    this.frames.push(text);
    this.#notifyWatchers();
  }

  #notifyWatchers(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

async function replyOf(response: IncomingMessage): Promise<Reply> {
  response.setEncoding('utf8');
  const text = (await response.toArray()).join('');
  return { status: response.statusCode ?? 0, headers: response.headers, text, json: JSON.parse(text) as unknown };
}
