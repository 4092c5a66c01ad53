import type { ConnectionTransport } from 'puppeteer-core';
import { messageOf } from '../../errors/errors.js';

/**
 * Bytes of one message of a browser. The longest of any use is the body of a response: 8 MiB, of which JSON may write each
 * byte as six. Heap snapshots and traces arrive in pieces.
 */
const maxMessageBytes = 64 * 1024 ** 2;

/**
 * One connection to a browser, of which pages decide what it says. A message that is too long, and one whose handling
 * throws, ends this connection and nothing else: `droppedBecause` then says why.
 */
export abstract class BrowserTransport implements ConnectionTransport {
  /** May return a promise: what it rejects with ends the connection too. */
  onmessage?: (message: string) => unknown;
  onclose?: () => void;
  /** Fires once, when the connection is dropped because of what the browser said. */
  ondrop?: (because: string) => void;
  readonly maxMessageBytes: number;
  #droppedBecause: string | undefined;

  constructor(limit = maxMessageBytes) {
    this.maxMessageBytes = limit;
  }

  get droppedBecause(): string | undefined {
    return this.#droppedBecause;
  }

  abstract send(message: string): void;
  abstract close(): void;
  /** Ends the connection at once, without reading what is still on its way. */
  abstract cut(): void;

  protected async receive(message: string): Promise<void> {
    if (this.#droppedBecause !== undefined) return;
    try {
      await this.onmessage?.(message);
    } catch (error) {
      this.drop(`A message of the browser could not be handled: ${messageOf(error)}`);
    }
  }

  protected drop(because: string): void {
    if (this.#droppedBecause !== undefined) return;
    this.#droppedBecause = because;
    this.cut();
    this.ondrop?.(because);
  }

  protected get tooLong(): string {
    return `The browser sent a message of more than ${this.maxMessageBytes} bytes, and its connection was dropped.`;
  }
}
