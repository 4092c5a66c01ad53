import type { Browser, ConnectionTransport } from 'puppeteer-core';
import { messageOf } from '../../errors/errors.js';
import { systemClock } from '../../clock.js';
import { inSlices } from '../patterns/slices.js';
import { ConsoleFlood } from './consoleFlood.js';
import { failedResponse, leftOutText, type LongMessage, type ParsedMessage } from './incomingMessage.js';
import { MessageQueue } from './messageQueue.js';

/**
 * Default limit on one message of a browser, in bytes. The longest useful message is a response body: 8 MiB, which JSON
 * may escape to six times that. Heap snapshots and traces arrive in chunks.
 */
const maxMessageBytes = 64 * 1024 ** 2;

/** What takes a parsed message: part of puppeteer's `Connection`, whose own `onMessage` parses a text at once. */
export interface ParsedMessageReceiver {
  session(id: string): { onMessage(message: object): void } | null;
}

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
  #receiver: ParsedMessageReceiver | undefined;
  readonly #queue = new MessageQueue();
  readonly #flood = new ConsoleFlood(
    (command) => this.write(command),
    (event) => this.#add(event),
    systemClock,
  );
  #isEnded = false;

  constructor(limit = maxMessageBytes) {
    this.maxMessageBytes = limit;
  }

  get droppedBecause(): string | undefined {
    return this.#droppedBecause;
  }

  protected abstract write(message: string): void;
  abstract close(): void;
  /** Closes the connection immediately. */
  protected abstract cut(): void;
  protected abstract pause(): void;
  protected abstract resume(): void;

  /** Connects puppeteer over this transport. */
  async connect(): Promise<Browser> {
    const { connect } = await import('puppeteer-core');
    const browser = await connect({ transport: this, defaultViewport: null, issuesEnabled: false });
    // Not public: a long message would otherwise have to be parsed at once.
    this.deliverTo((browser as unknown as { readonly _connection: ParsedMessageReceiver })._connection);
    return browser;
  }

  send(message: string): void {
    this.#flood.beforeSend(message);
    this.write(message);
  }

  /** Says who takes parsed messages. */
  deliverTo(receiver: ParsedMessageReceiver): void {
    this.#receiver = receiver;
  }

  /** Ends the connection immediately; messages in transit are not read. */
  terminate(): void {
    this.#queue.clear();
    this.#flood.close();
    this.cut();
  }

  protected enqueue(message: string | LongMessage | undefined): void {
    if (message === undefined || this.#droppedBecause !== undefined) return;
    if (typeof message === 'string' && !this.#flood.accepts(message)) return;
    this.#add(message);
    // A browser that sends more than can be handled waits.
    if (this.#queue.isFull) this.pause();
  }

  #add(message: string | LongMessage): void {
    if (this.#queue.isEmpty) setImmediate(this.#handOver);
    this.#queue.add(message);
  }

  /** The connection is closed. `onclose` is called after the last message. */
  protected ended(): void {
    this.#isEnded = true;
    this.#flood.close();
    if (this.#queue.isEmpty) this.#handOver();
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

  /**
   * One message per turn of the event loop: code that awaits a response runs before the next event, and a busy browser
   * leaves turns to others.
   */
  readonly #handOver = (): void => {
    const message = this.#queue.first();
    if (message === undefined) {
      if (this.#isEnded) this.onclose?.();
      return;
    }
    if (typeof message === 'string') {
      this.#shift(message);
      void this.#handle(() => this.onmessage?.(message));
      return;
    }
    void this.#handle(async () => {
      const read = await inSlices(message.read(), undefined, Infinity);
      // Not if the connection was ended meanwhile.
      if (!this.#shift(message)) return;
      if (typeof read === 'string') await this.onmessage?.(read);
      else if (read !== undefined) this.#deliver(read, message.length);
    });
  };

  #shift(message: string | LongMessage): boolean {
    if (!this.#queue.remove(message)) return false;
    if (!this.#queue.isEmpty || this.#isEnded) setImmediate(this.#handOver);
    if (this.#queue.isHalfEmpty) this.resume();
    return true;
  }

  async #handle(handling: () => unknown): Promise<void> {
    if (this.#droppedBecause !== undefined) return;
    try {
      await handling();
    } catch (error) {
      this.drop(`A message of the browser could not be handled: ${messageOf(error)}`);
    }
  }

  /** Only sessions take what is parsed: a long response to a command without a session is an error of the command. */
  #deliver(message: ParsedMessage, length: number): void {
    const { id, sessionId = '' } = message;
    const session = this.#receiver?.session(sessionId);
    if (session !== null && session !== undefined) session.onMessage(message);
    else if (id !== undefined) void this.onmessage?.(failedResponse(id, leftOutText(length)));
  }
}
