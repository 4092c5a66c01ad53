import type { Readable, Writable } from 'node:stream';
import type { Transport as McpTransport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { Clock } from '../clock.js';
import { codeOf, messageOf, Refusal, type JsonRpcErrorResponse } from '../errors/errors.js';
import { chunkOf, parseMessageText, textOf } from '../mcp/messageText.js';
import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { CloseNotice } from '../session/channel.js';
import { EarlyBytes } from './earlyBytes.js';
import { receiveText, ConnectionTransport } from './transport.js';

export type { McpTransport };

export interface StdioOptions {
  readonly clock: Clock;
  /** Bytes of one message. */
  readonly bodyLimit: number;
  /** Bytes that may wait for a client that does not read before the transport closes (S10). */
  readonly maxPendingBytes?: number;
  /** Time that a client has to send a request, or to read the last message, before the streams are closed. */
  readonly closeTimeoutMs?: number;
}

/**
 * The state of a transport with one client, which is read from `announce` on; if the set-up of the session fails, until its
 * first request is answered with the cause.
 */
abstract class PipeTransport extends ConnectionTransport {
  readonly kind = 'stdio';
  protected state: 'pending' | 'open' | 'refusing' | 'closed' = 'pending';
  protected refusal: Refusal | null = null;

  announce(sessionId: string): void {
    if (this.state !== 'pending') return;
    this.state = 'open';
    this.sessionId = sessionId;
    this.startReading();
  }

  deliver(message: JSONRPCMessage): void {
    if (this.state === 'open') this.write(message);
  }

  end({ refusal }: CloseNotice): void {
    if (this.state !== 'pending') {
      void this.close();
      return;
    }
    this.state = 'refusing';
    this.refusal = refusal;
    this.startReading();
  }

  /** Passes a message to the session. After a failed set-up, throws the cause as the answer to a request. */
  protected dispatch(message: JSONRPCMessage): void | Promise<void> {
    if (this.refusal === null) return this.onmessage?.(message);
    if ('id' in message && 'method' in message) throw this.refusal;
  }

  /** Deferred by the transport: the session is still entering its state. */
  protected abstract startReading(): void;
  protected abstract write(message: JSONRPCMessage | JsonRpcErrorResponse): void;
}

/**
 * The server's end of MCP's stdio transport (2025-11-25, basic/transports): one JSON-RPC message a line. `announce` writes
 * nothing; it starts reading. Earlier bytes wait, here up to the size of one message and then in the pipe, while the end of
 * the input is noticed at once. If the set-up of the session fails, the first request is answered with the cause.
 */
export class StdioTransport extends PipeTransport {
  /** Resolves when the client has read everything written, or after the close timeout. */
  readonly finished: Promise<void>;

  readonly #input: Readable;
  readonly #output: Writable;
  readonly #options: Required<StdioOptions>;
  readonly #lines: LineReader;
  readonly #earlyBytes: EarlyBytes;
  #closeTimer: unknown;
  #resolveFinished: () => void = () => undefined;

  constructor(input: Readable, output: Writable, options: StdioOptions) {
    super();
    this.#input = input;
    this.#output = output;
    this.#options = { maxPendingBytes: 16 * 1024 ** 2, closeTimeoutMs: 5_000, ...options };
    this.#lines = new LineReader(options.bodyLimit);
    this.#earlyBytes = new EarlyBytes(input, options.bodyLimit);
    this.finished = new Promise((resolve) => (this.#resolveFinished = resolve));
    for (const event of ['end', 'close']) input.once(event, this.#onDisconnect);
    for (const stream of [input, output]) stream.on('error', this.#onStreamError);
  }

  override end(notice: CloseNotice): void {
    super.end(notice);
    if (this.state !== 'refusing') return;
    this.#closeTimer = this.#options.clock.setTimeout(() => void this.close(), this.#options.closeTimeoutMs);
  }

  close(): Promise<void> {
    this.#closeConnection();
    return Promise.resolve();
  }

  protected startReading(): void {
    const onChunk = (chunk: Buffer): void => {
      for (const line of this.#lines.read(chunk)) this.#receive(line);
    };
    // Deferred: the session is still entering its state.
    queueMicrotask(() => {
      if (this.state === 'closed') return;
      onChunk(this.#earlyBytes.take());
      this.#input.on('data', onChunk).resume();
    });
  }

  #receive(line: DecodedLine): void {
    if (this.state !== 'open' && this.state !== 'refusing') return;
    if ('fault' in line) this.write(lineRefusal(line.fault).toJsonRpc(null));
    else
      void receiveText(() => parseMessageText(line.text), {
        receive: (message) => this.dispatch(message),
        failed: (error) => this.onerror?.(error),
        unreadable: () => lineRefusal('parse_error'),
      }).then((response) => response !== null && this.#writeError(response));
  }

  #writeError(response: JsonRpcErrorResponse): void {
    if (this.state === 'closed') return;
    this.write(response);
    if (this.state === 'refusing' && response.id !== null) this.#closeConnection();
  }

  protected write(message: JSONRPCMessage | JsonRpcErrorResponse): void {
    if (this.#output.writableLength > this.#options.maxPendingBytes) {
      this.closedBecause = 'slow-client';
      this.onerror?.(new Error(`The client does not read: ${this.#output.writableLength} bytes are waiting.`));
      this.#closeConnection();
      return;
    }
    this.#output.write(chunkOf(textOf(message), '', '\n'));
  }

  readonly #onDisconnect = (): void => this.#closeConnection();

  readonly #onStreamError = (error: Error): void => {
    // EPIPE: the client has closed its end.
    if (codeOf(error) !== 'EPIPE' && this.state !== 'closed') this.onerror?.(error);
    this.#closeConnection();
  };

  #closeConnection(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    const { clock, closeTimeoutMs } = this.#options;
    clock.clearTimeout(this.#closeTimer);
    this.#input.destroy();
    const closeTimer = clock.setTimeout(this.#resolveFinished, closeTimeoutMs);
    void this.finished.then(() => clock.clearTimeout(closeTimer));
    // `end` calls back after all pending writes. A destroyed stream never calls back.
    if (this.#output.destroyed) this.#resolveFinished();
    else this.#output.end(this.#resolveFinished);
    this.onclose?.();
  }
}

/** A client that frames its messages in another way has to hear which one is right. */
const lineRefusal = (fault: 'too_large' | 'parse_error'): Refusal =>
  fault === 'too_large'
    ? new Refusal(fault)
    : new Refusal(fault, {
        detail:
          'This line is not JSON. Send each message on one line, UTF-8 encoded, without headers such as Content-Length.',
      });

const newline = 0x0a;

/** One line, or why it is not usable: too long, or not UTF-8. */
export type DecodedLine = { readonly text: string } | { readonly fault: 'too_large' | 'parse_error' };

/**
 * Splits bytes into lines of UTF-8. A line past the limit is skipped without being buffered, and reported at its end. Empty
 * lines are ignored. Buffers at most one incomplete line (S10).
 */
export class LineReader {
  readonly #limit: number;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #parts: Buffer[] = [];
  #length = 0;

  /** @param limit in bytes, without the line break. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Yields the lines that this chunk completes. */
  *read(chunk: Buffer): Generator<DecodedLine> {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      this.#append(chunk.subarray(start, end));
      start = end + 1;
      const line = this.#completeLine();
      if (line !== null) yield line;
    }
    this.#append(chunk.subarray(start));
  }

  #append(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > this.#limit) this.#parts = [];
    else if (part.length > 0) this.#parts.push(part);
  }

  #completeLine(): DecodedLine | null {
    const [parts, length] = [this.#parts, this.#length];
    [this.#parts, this.#length] = [[], 0];
    if (length > this.#limit) return { fault: 'too_large' };
    try {
      const text = this.#decoder.decode(Buffer.concat(parts)).trim();
      return text === '' ? null : { text };
    } catch {
      return { fault: 'parse_error' };
    }
  }
}

/**
 * The server's end of an MCP transport of the SDK, such as one of its `InMemoryTransport`, for embedders who test in-process.
 * `announce` starts it; what its client has sent before waits in it. If the set-up of the session fails, the first request
 * is answered with the cause.
 */
export class SdkTransport extends PipeTransport {
  readonly #transport: McpTransport;

  constructor(transport: McpTransport) {
    super();
    this.#transport = transport;
    transport.onclose = () => this.#closed();
    transport.onerror = (error) => this.onerror?.(error);
  }

  async close(): Promise<void> {
    if (this.state === 'closed') return;
    this.#closed();
    await this.#transport.close();
  }

  /** Without a handler the transport keeps what comes before. */
  protected startReading(): void {
    queueMicrotask(() => {
      this.#transport.onmessage = (message) => void this.#receive(message);
      this.#transport.start().catch((error: unknown) => this.onerror?.(new Error(messageOf(error), { cause: error })));
    });
  }

  async #receive(message: unknown): Promise<void> {
    if (this.state === 'closed') return;
    const response = await receiveText(() => parseMessageText(JSON.stringify(message)), {
      receive: (received) => this.dispatch(received),
      failed: (error) => this.onerror?.(error),
    });
    if (response !== null) this.write(response);
    if (response !== null && this.refusal !== null) await this.close();
  }

  protected write(message: JSONRPCMessage | JsonRpcErrorResponse): void {
    this.#transport
      .send(message as JSONRPCMessage)
      .catch((error: unknown) => this.onerror?.(new Error(messageOf(error), { cause: error })));
  }

  #closed(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.onclose?.();
  }
}
