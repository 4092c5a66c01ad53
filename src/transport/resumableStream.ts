import { newStreamId, type EventLog, type LoggedEvent, type StreamAddress } from '../cluster/eventLog.js';
import { Refusal } from '../errors/errors.js';
import type { JSONRPCMessage, RequestId } from '../mcp/protocol.js';
import type { StreamWriter } from './streamWriter.js';

/** Bytes of messages that may wait for the log (S10). */
const maxPendingBytes = 16 * 1024 ** 2;

export interface AttachOptions {
  /** Headers of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The last event that the client has. Absent: it begins anew, with what went to no socket yet. */
  readonly lastEventId?: string;
  /** Sends the client an event id at once, so that it can come back before the first message (since 2025-11-25). */
  readonly sendPrimingEvent: boolean;
}

export interface ResumableStreamOptions {
  /** Of a stream that is in the log already. */
  readonly streamId?: string;
  /** Whether the log has all that was sent on it. */
  readonly isWhole?: boolean;
  readonly answersOnly: boolean;
  onerror(error: unknown): void;
}

interface MissedEvents {
  readonly messages: readonly LoggedEvent[];
  readonly isWhole: boolean;
}

/**
 * One logical stream of a session, whichever socket carries it, and none for a while. Each message goes first to the log,
 * then to the socket. Everything happens in turn, first come, first served; a replay keeps its turn from its first event
 * to the last, so what is sent meanwhile follows it: nothing is lost, repeated or out of order (S4). What cannot be logged
 * is not sent either: the socket is cut, and the client hears `gap` when it comes back.
 */
export class ResumableStream {
  readonly #address: StreamAddress;
  readonly #log: EventLog;
  readonly #onerror: (error: unknown) => void;
  #queue: Promise<unknown> = Promise.resolve();
  #pendingBytes = 0;
  readonly #unlogged = new Set<JSONRPCMessage>();
  #writer: StreamWriter | undefined;
  /** The last event that went to a socket. */
  #lastWrittenId: string | null = null;
  /** Whether there are events that no socket has seen. */
  #hasUnsentEvents = false;
  #isWhole: boolean;
  #isFinished = false;

  /** Whether it carries nothing but the answers to what was asked. */
  readonly answersOnly: boolean;

  constructor(sessionId: string, log: EventLog, options: ResumableStreamOptions) {
    const { onerror, answersOnly, streamId = newStreamId(), isWhole = true } = options;
    this.answersOnly = answersOnly;
    this.#isWhole = isWhole;
    this.#address = { sessionId, streamId };
    this.#log = log;
    this.#onerror = onerror;
  }

  get id(): string {
    return this.#address.streamId;
  }

  /** False: something was sent that is not in the log. The client is told when it comes. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Requests whose answers were sent and are not in the log yet. */
  get unlogged(): RequestId[] {
    return [...this.#unlogged].flatMap((message) => ('method' in message ? [] : [message.id ?? '']));
  }

  /** Never throws. */
  send(message: JSONRPCMessage): void {
    const data = JSON.stringify(message);
    if (this.#pendingBytes > maxPendingBytes) {
      this.#markIncomplete(new Error('The event log does not keep up.'));
      return;
    }
    this.#pendingBytes += data.length;
    this.#unlogged.add(message);
    void this.#enqueue(async () => {
      this.#pendingBytes -= data.length;
      await this.#append(data);
      this.#unlogged.delete(message);
    });
  }

  /**
   * Makes `writer` the stream's socket; the one before is ended. `over`: there is nothing left to wait for, and nothing was
   * written. Rejects with `unknown_event` or `gap`, and then nothing was written either.
   */
  attach(
    writer: StreamWriter,
    { headers, lastEventId, sendPrimingEvent }: AttachOptions,
  ): Promise<'attached' | 'finished'> {
    return this.#enqueue(async () => {
      const { messages, isWhole } = await this.#missedEvents(lastEventId);
      if (lastEventId !== undefined) {
        if (!isWhole) throw new Refusal('gap');
        if (this.#isFinished && messages.length === 0) return 'finished';
      }
      // Hung up while it waited for its turn: what was not sent stays for the next one.
      if (writer.state !== 'pending') return 'attached';
      this.#writer?.end();
      this.#writer = writer;
      this.#hasUnsentEvents = false;
      this.#isWhole = true;
      writer.open(headers);
      if (!isWhole) writer.write({ event: 'message', data: lossNotice });
      for (const { id, data } of messages) this.#write(id, data);
      if (sendPrimingEvent && messages.length === 0) await this.#sendPrimingEvent(writer, lastEventId);
      writer.flush();
      if (this.#isFinished) this.#endWriter();
      return 'attached';
    });
  }

  /** Ends the socket and leaves the stream open: the client comes again after a while, and misses nothing. */
  suspend(retryMs: number): void {
    void this.#enqueue(async () => {
      this.#writer?.write({ retry: retryMs });
      this.#endWriter();
    });
  }

  /** After what was sent, the socket ends; what was sent can be had once more until it is forgotten. */
  finish(): Promise<void> {
    return this.#enqueue(async () => {
      this.#isFinished = true;
      this.#endWriter();
    });
  }

  /** Drops what is logged. */
  discard(): void {
    const { sessionId, streamId } = this.#address;
    void this.#enqueue(() => this.#log.discard(sessionId, streamId)).catch(this.#onerror);
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** What a client has not got, and whether that is all of it. */
  async #missedEvents(lastEventId: string | undefined): Promise<MissedEvents> {
    if (lastEventId === undefined && !this.#hasUnsentEvents) return { messages: [], isWhole: this.#isWhole };
    const { events, isComplete } = await this.#log.replayAfter(this.#address, lastEventId ?? this.#lastWrittenId);
    return { messages: events.filter(({ data }) => data !== ''), isWhole: isComplete && this.#isWhole };
  }

  /** A client that loses this socket too comes back with the last id that it got on it, and on no other. */
  async #sendPrimingEvent(writer: StreamWriter, lastEventId: string | undefined): Promise<void> {
    if (lastEventId === undefined) await this.#append('');
    else writer.write({ id: lastEventId, data: '' });
  }

  async #append(data: string): Promise<void> {
    try {
      this.#write(await this.#log.append(this.#address, data), data);
    } catch (error) {
      this.#markIncomplete(error);
    }
  }

  #write(id: string, data: string): void {
    if (this.#writer?.state !== 'open') {
      this.#hasUnsentEvents = true;
      return;
    }
    this.#lastWrittenId = id;
    this.#writer.write(data === '' ? { id, data } : { event: 'message', id, data });
  }

  #markIncomplete(error: unknown): void {
    this.#onerror(error);
    this.#isWhole = false;
    this.#hasUnsentEvents = true;
    this.#writer?.terminate();
  }

  #endWriter(): void {
    this.#writer?.end();
    this.#writer = undefined;
  }
}

/** To a client that begins anew: it cannot be refused, and it is not to believe that it has everything. */
const lossNotice = JSON.stringify({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'warning', logger: 'greenroom', data: 'Messages were dropped while no stream was open.' },
} satisfies JSONRPCMessage);
