import type { ConnectionTransport } from 'puppeteer-core';
import { messageOf } from '../../errors/errors.js';

/**
 * Default limit on one message of a browser, in bytes. The longest useful message is a response body: 8 MiB, which JSON
 * may escape to six times that. Heap snapshots and traces arrive in chunks.
 */
const maxMessageBytes = 64 * 1024 ** 2;

/**
 * The transport of one browser connection. Its messages may be controlled by pages: one that is too long, or whose
 * handling throws, drops this connection and nothing else; `droppedBecause` is the cause.
 */
export abstract class BrowserTransport implements ConnectionTransport {
  /** May return a promise; its rejection drops the connection too. */
  onmessage?: (message: string) => unknown;
  onclose?: () => void;
  /** Called once, when the connection is dropped cause of a message. */
  ondrop?: (cause: string) => void;
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
  /** Ends the connection immediately; messages in transit are not read. */
  abstract terminate(): void;

  protected async receive(message: string): Promise<void> {
    if (this.#droppedBecause !== undefined) return;
    try {
      await this.onmessage?.(message);
    } catch (error) {
      this.drop(`A message of the browser could not be handled: ${messageOf(error)}`);
    }
  }

  protected drop(cause: string): void {
    if (this.#droppedBecause !== undefined) return;
    this.#droppedBecause = cause;
    this.terminate();
    this.ondrop?.(cause);
  }

  protected get tooLongCause(): string {
    return `The browser sent a message of more than ${this.maxMessageBytes} bytes, and its connection was dropped.`;
  }
}
