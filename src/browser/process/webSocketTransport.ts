import { WebSocket, type RawData } from 'ws';
import { codeOf } from '../../errors/errors.js';
import { BrowserTransport } from './browserTransport.js';

/** The DevTools protocol over a WebSocket to a browser that runs elsewhere. Closing it leaves the browser running. */
export class WebSocketTransport extends BrowserTransport {
  readonly #socket: WebSocket;
  /** Resolves when the connection is open, rejects with why it cannot be. */
  readonly opened: Promise<void>;

  /** @param maxMessageBytes default 64 MiB. */
  constructor(url: string, maxMessageBytes?: number) {
    super(maxMessageBytes);
    this.#socket = new WebSocket(url, {
      // Only this address was checked.
      followRedirects: false,
      perMessageDeflate: false,
      // One message at a time per turn: an answer's `await` runs before the next event is handed out.
      allowSynchronousEvents: false,
      maxPayload: this.maxMessageBytes,
    });
    this.opened = new Promise((resolve, reject) => this.#socket.once('open', resolve).once('error', reject));
    this.#socket.on('message', (data) => void this.receive(textOf(data)));
    this.#socket.on('close', () => this.onclose?.());
    this.#socket.on('error', (error) => {
      this.drop(codeOf(error) === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? this.tooLong : error.message);
    });
  }

  send(message: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  close(): void {
    this.#socket.close();
  }

  cut(): void {
    this.#socket.terminate();
  }
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8');
  return data instanceof ArrayBuffer ? Buffer.from(data).toString('utf8') : data.toString('utf8');
}
