import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../clock.js';
import { codeOf, Refusal, type JsonRpcErrorResponse } from '../errors.js';
import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { Ending } from '../session/channel.js';
import { EarlyBytes } from './earlyBytes.js';
import { LineReader, type Line } from './lines.js';
import { receiveText } from './textMessage.js';
import { ConnectionTransport } from './connectionTransport.js';

export interface StdioOptions {
  readonly clock: Clock;
  /** Bytes of one message. */
  readonly bodyLimit: number;
  /** Bytes that may wait for a client that does not read before it is given up (S10). */
  readonly maxPendingBytes?: number;
  /** Time that a client has to ask, and to read, what it is told last. */
  readonly farewellMs?: number;
}

/**
 * The server's end of MCP's stdio transport (2025-11-25, basic/transports): one JSON-RPC message a line. Nothing is written
 * before the client has asked: to be announced is to be read. What comes earlier waits, here up to the size of one message
 * and then in the pipe, while the end of the input is noticed at once. A session that could not be set up answers the
 * first request with the cause.
 */
export class StdioTransport extends ConnectionTransport {
  readonly kind = 'stdio';
  /** Resolves when all that was written has been read, or the client has had its time to. */
  readonly finished: Promise<void>;

  readonly #input: Readable;
  readonly #output: Writable;
  readonly #options: Required<StdioOptions>;
  readonly #lines: LineReader;
  readonly #early: EarlyBytes;
  #state: 'silent' | 'announced' | 'refusing' | 'closed' = 'silent';
  #refusal: Refusal | null = null;
  #farewell: unknown;
  #finish: () => void = () => undefined;

  constructor(input: Readable, output: Writable, options: StdioOptions) {
    super();
    this.#input = input;
    this.#output = output;
    this.#options = { maxPendingBytes: 16 * 1024 ** 2, farewellMs: 5_000, ...options };
    this.#lines = new LineReader(options.bodyLimit);
    this.#early = new EarlyBytes(input, options.bodyLimit);
    this.finished = new Promise((resolve) => (this.#finish = resolve));
    for (const event of ['end', 'close']) input.once(event, this.#left);
    for (const stream of [input, output]) stream.on('error', this.#broken);
  }

  announce(sessionId: string): void {
    if (this.#state !== 'silent') return;
    this.#state = 'announced';
    this.sessionId = sessionId;
    this.#read();
  }

  deliver(message: JSONRPCMessage): void {
    if (this.#state === 'announced') this.#write(message);
  }

  end({ refusal }: Ending): void {
    if (this.#state !== 'silent') {
      void this.close();
      return;
    }
    this.#state = 'refusing';
    this.#refusal = refusal;
    this.#farewell = this.#options.clock.setTimeout(() => void this.close(), this.#options.farewellMs);
    this.#read();
  }

  close(): Promise<void> {
    this.#closed();
    return Promise.resolve();
  }

  #read(): void {
    const take = (chunk: Buffer): void => {
      for (const line of this.#lines.read(chunk)) this.#receive(line);
    };
    // Later: the session has not finished entering its state yet.
    queueMicrotask(() => {
      if (this.#state === 'closed') return;
      take(this.#early.take());
      this.#input.on('data', take).resume();
    });
  }

  #receive(line: Line): void {
    if (this.#state !== 'announced' && this.#state !== 'refusing') return;
    if ('fault' in line) this.#write(new Refusal(line.fault).toJsonRpc(null));
    else
      void receiveText(line.text, {
        receive: (message) => this.#hand(message),
        failed: (error) => this.onerror?.(error),
      }).then((refused) => refused !== null && this.#refused(refused));
  }

  #refused(refused: JsonRpcErrorResponse): void {
    if (this.#state === 'closed') return;
    this.#write(refused);
    if (this.#state === 'refusing' && refused.id !== null) this.#closed();
  }

  /** Gives a message to the session; to a request for one that could not be set up, its cause is the answer. */
  #hand(message: JSONRPCMessage): void | Promise<void> {
    if (this.#refusal === null) return this.onmessage?.(message);
    if ('id' in message && 'method' in message) throw this.#refusal;
  }

  #write(message: JSONRPCMessage | JsonRpcErrorResponse): void {
    if (this.#output.writableLength > this.#options.maxPendingBytes) {
      this.closedBecause = 'slow-client';
      this.onerror?.(new Error(`The client does not read: ${this.#output.writableLength} bytes are waiting.`));
      this.#closed();
      return;
    }
    this.#output.write(`${JSON.stringify(message)}\n`);
  }

  readonly #left = (): void => this.#closed();

  readonly #broken = (error: Error): void => {
    // EPIPE: the client is gone.
    if (codeOf(error) !== 'EPIPE' && this.#state !== 'closed') this.onerror?.(error);
    this.#closed();
  };

  #closed(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    const { clock, farewellMs } = this.#options;
    clock.clearTimeout(this.#farewell);
    this.#input.destroy();
    const patience = clock.setTimeout(this.#finish, farewellMs);
    void this.finished.then(() => clock.clearTimeout(patience));
    // Behind everything that waits; at once if the client is gone: a destroyed stream never calls back.
    if (this.#output.destroyed) this.#finish();
    else this.#output.end(this.#finish);
    this.onclose?.();
  }
}
