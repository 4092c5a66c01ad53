import { PassThrough, type Readable, type Writable } from 'node:stream';
import { parseMessageText } from '../../src/mcp/messageText.js';
import { parseMessage, type JSONRPCMessage } from '../../src/mcp/protocol.js';

/** The client's end of a pair of streams that carry a message a line. It sees every byte. */
export class RawStdio {
  readonly #toServer: Writable;
  readonly #fromServer: Readable;
  readonly #watchers = new Set<() => void>();
  readonly ended: Promise<unknown>;
  text = '';

  constructor(toServer: Writable, fromServer: Readable) {
    this.#toServer = toServer;
    this.#fromServer = fromServer;
    toServer.on('error', () => undefined);
    this.ended = new Promise((resolve) => fromServer.once('end', resolve));
    fromServer.setEncoding('utf8').on('data', (chunk: string) => {
      this.text += chunk;
      for (const watcher of [...this.#watchers]) watcher();
    });
  }

  /** What a test wants to be read in one piece: complete lines, as messages. */
  get messages(): JSONRPCMessage[] {
    return this.values.map((value) => parseMessage(value));
  }

  get values(): unknown[] {
    const lines = this.text.slice(0, this.text.lastIndexOf('\n') + 1).split('\n');
    return lines.filter(Boolean).map((line) => parseMessageText(line));
  }

  write(bytes: string | Buffer): void {
    this.#toServer.write(bytes);
  }

  send(message: unknown): void {
    this.write(`${JSON.stringify(message)}\n`);
  }

  /** Resolves with the first value that came for which the condition holds. */
  first(condition: (value: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = (this.values as Record<string, unknown>[]).find(condition);
        if (found === undefined) return;
        this.#watchers.delete(look);
        resolve(found);
      };
      this.#watchers.add(look);
      look();
    });
  }

  answer(id: unknown): Promise<Record<string, unknown>> {
    return this.first((value) => value['id'] === id && !('method' in value));
  }

  pause(): void {
    this.#fromServer.pause();
  }

  /** Closes the input, as a client that leaves does. */
  closeInput(): void {
    this.#toServer.end();
  }
}

/** A pair of streams between a server and a client in this process. */
export function streamPair() {
  const [input, output] = [new PassThrough(), new PassThrough()];
  return { input, output, client: new RawStdio(input, output) };
}
