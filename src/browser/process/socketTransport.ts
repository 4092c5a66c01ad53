import { WebSocket, type RawData } from 'ws';
import { codeOf } from '../../errors/errors.js';
import { BrowserTransport } from './browserTransport.js';
import { longMessage, shortBytes } from './incomingMessage.js';

export interface SocketOptions {
  readonly maxMessageBytes?: number;
  /** Of the upgrade. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** CDP over a WebSocket to an attached browser. Closing it leaves the browser running. */
export class SocketTransport extends BrowserTransport {
  readonly #socket: WebSocket;
  /** Resolves when the connection is open. Rejects with the socket's error. */
  readonly opened: Promise<void>;

  /** `maxMessageBytes`: default 64 MiB. */
  constructor(url: string, { maxMessageBytes, headers = {} }: SocketOptions = {}) {
    super(maxMessageBytes);
    this.#socket = new WebSocket(url, {
      headers,
      // The target of a redirect would be unchecked.
      followRedirects: false,
      perMessageDeflate: false,
      maxPayload: this.maxMessageBytes,
    });
    this.opened = new Promise((resolve, reject) => this.#socket.once('open', resolve).once('error', reject));
    this.#socket.on('message', (data) => {
      const pieces = piecesOf(data);
      const message = longMessage(pieces, this.maxMessageBytes);
      this.enqueue(message.length > shortBytes ? message : Buffer.concat(pieces).toString('utf8'));
    });
    this.#socket.on('close', () => this.ended());
    this.#socket.on('error', (error) => {
      this.drop(codeOf(error) === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? this.tooLongCause : error.message);
    });
  }

  protected write(message: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  close(): void {
    this.#socket.close();
  }

  protected cut(): void {
    this.#socket.terminate();
  }

  protected pause(): void {
    this.#socket.pause();
  }

  protected resume(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }
}

function piecesOf(data: RawData): readonly Buffer[] {
  if (Array.isArray(data)) return data;
  return [data instanceof ArrayBuffer ? Buffer.from(data) : data];
}
