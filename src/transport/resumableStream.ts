import { newStreamId, type EventLog, type LoggedEvent, type StreamAddress } from '../cluster/eventLog.js';
import { Refusal } from '../errors/errors.js';
import { textOf, type MessageText } from '../mcp/messageText.js';
import type { JSONRPCMessage, RequestId } from '../mcp/protocol.js';
import type { SessionMemory } from '../mcp/responseMemory.js';
import type { StreamWriter } from './streamWriter.js';

/** Bytes of messages that may wait for the event log (S10). */
const maxPendingBytes = 16 * 1024 ** 2;

export interface StreamAttachOptions {
  /** Extra headers of the response. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The last event that the client has. Absent: the client gets the events that no writer has sent yet. */
  readonly lastEventId?: string;
  /** Sends an event id at once, so that the client can resume before the first message (MCP 2025-11-25). */
  readonly sendPrimingEvent: boolean;
}

export interface ResumableStreamOptions {
  /** The id of a stream that exists in the log. Default: a new id. */
  readonly streamId?: string;
  /** Whether the log holds every message sent on the stream. Default: true. */
  readonly isWhole?: boolean;
  /** Whether the stream carries nothing but responses. */
  readonly answersOnly: boolean;
  /** Counts the messages that wait for the log. */
  readonly memory: SessionMemory;
  onerror(error: unknown): void;
}

/** What carries the stream: a writer, nothing until the client comes back, or nothing any more. */
type Carrier = { readonly kind: 'attached'; readonly writer: StreamWriter } | { readonly kind: 'none' | 'finished' };

/** What the client can resume with. `earlier`: an id that it had before this stream was restored here. */
type SentEvents = { readonly kind: 'nothing' | 'earlier' } | { readonly kind: 'written'; readonly lastId: string };

interface MissedEvents {
  readonly messages: readonly LoggedEvent[];
  readonly isWhole: boolean;
}

/**
 * One logical stream of a session. A series of writers (HTTP responses) carries it; at times none is attached. Each
 * message is appended to the log first, then written. All operations run in one queue, and a replay is a single operation,
 * so no message is lost, repeated or reordered (S4). A message that cannot be logged is not written: the writer is
 * terminated, and the client gets `gap` when it resumes. Owned by its transport, which finishes and discards it.
 *
 * ```
 *  send ────────▶ queue ──▶ append to the log ──▶ write to the writer, if one is attached
 *  attach ──────▶ queue ──▶ replay the events after lastEventId ──▶ later messages
 *  suspend ─────▶ queue ──▶ `retry`, then end the writer; the client resumes
 *  finish ──────▶ queue ──▶ end the writer; the log stays for replay until discard
 * ```
 */
export class ResumableStream {
  readonly #address: StreamAddress;
  readonly #log: EventLog;
  readonly #onerror: (error: unknown) => void;
  readonly #memory: SessionMemory;
  #queue: Promise<unknown> = Promise.resolve();
  #pendingBytes = 0;
  readonly #unlogged = new Set<JSONRPCMessage>();
  #carrier: Carrier = { kind: 'none' };
  #sent: SentEvents = { kind: 'nothing' };
  /** Whether the log has events that no writer has sent. */
  #hasUnsentEvents = false;
  #isWhole: boolean;

  readonly answersOnly: boolean;

  constructor(sessionId: string, log: EventLog, options: ResumableStreamOptions) {
    const { onerror, answersOnly, memory, streamId = newStreamId(), isWhole = true } = options;
    this.answersOnly = answersOnly;
    this.#isWhole = isWhole;
    this.#address = { sessionId, streamId };
    this.#log = log;
    this.#memory = memory;
    this.#onerror = onerror;
  }

  get id(): string {
    return this.#address.streamId;
  }

  /** False: a sent message is not in the log. The next client is told. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Whether the client has an event id to resume with. */
  get isResumable(): boolean {
    return this.#sent.kind !== 'nothing' && !this.answersOnly;
  }

  /** Requests whose responses were sent and are not in the log yet. */
  get unlogged(): RequestId[] {
    return [...this.#unlogged].flatMap((message) => ('method' in message ? [] : [message.id ?? '']));
  }

  /** An answer for which the client has no room is replaced by `queue_full`. Throws only what cannot be written as JSON. */
  send(message: JSONRPCMessage): void {
    const data = textOf(message);
    if (!('method' in message) && !this.#memory.fits(data.length)) {
      this.#enqueueMessage(message, String(textOf(this.#memory.refusal().toJsonRpc(message.id ?? null))));
      return;
    }
    this.#enqueueMessage(message, data);
  }

  #enqueueMessage(message: JSONRPCMessage, data: MessageText): void {
    if (this.#pendingBytes > maxPendingBytes) {
      this.#markIncomplete(new Error('The event log is too slow: too many bytes are waiting for it.'));
      return;
    }
    this.#pendingBytes += data.length;
    const release = this.#memory.hold(data.length);
    this.#unlogged.add(message);
    void this.#enqueue(async () => {
      this.#pendingBytes -= data.length;
      await this.#append(data);
      release();
      this.#unlogged.delete(message);
    });
  }

  /**
   * Attaches `writer` and ends the previous one. `finished`: the stream is complete, the client has every event, and
   * nothing was written. Rejects with `unknown_event` or `gap`, before anything is written.
   */
  attach(
    writer: StreamWriter,
    { headers, lastEventId, sendPrimingEvent }: StreamAttachOptions,
  ): Promise<'attached' | 'finished'> {
    return this.#enqueue(async () => {
      const { messages, isWhole } = await this.#missedEvents(lastEventId);
      if (lastEventId !== undefined) {
        if (this.#sent.kind === 'nothing') this.#sent = { kind: 'earlier' };
        if (!isWhole) throw new Refusal('gap');
        if (this.#carrier.kind === 'finished' && messages.length === 0) return 'finished';
      }
      // The client disconnected while this was queued: unsent events remain for the next writer.
      if (writer.state !== 'pending') return 'attached';
      const isFinished = this.#carrier.kind === 'finished';
      this.#endWriter({ kind: 'attached', writer });
      this.#hasUnsentEvents = false;
      this.#isWhole = true;
      writer.open(headers);
      if (!isWhole) writer.write({ event: 'message', data: lossNotice });
      for (const { id, data } of messages) this.#write(id, data);
      if (sendPrimingEvent && messages.length === 0) await this.#sendPrimingEvent(writer, lastEventId);
      writer.flush();
      if (isFinished) this.#endWriter({ kind: 'finished' });
      return 'attached';
    });
  }

  /** Ends the writer and leaves the stream open: the client resumes after `retryMs`. */
  suspend(retryMs: number): void {
    void this.#enqueue(async () => {
      if (this.#carrier.kind !== 'attached') return;
      this.#carrier.writer.write({ retry: retryMs });
      this.#endWriter({ kind: 'none' });
    });
  }

  /** Ends the writer after the messages sent so far. They can be replayed until `discard`. */
  finish(): Promise<void> {
    return this.#enqueue(async () => {
      this.#endWriter({ kind: 'finished' });
    });
  }

  /** Removes the stream from the log. */
  discard(): void {
    const { sessionId, streamId } = this.#address;
    void this.#enqueue(() => this.#log.discard(sessionId, streamId)).catch(this.#onerror);
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** The last event that any writer has sent. */
  get #lastWrittenId(): string | null {
    return this.#sent.kind === 'written' ? this.#sent.lastId : null;
  }

  /** The events that a client lacks, and whether the log still holds all of them. */
  async #missedEvents(lastEventId: string | undefined): Promise<MissedEvents> {
    if (lastEventId === undefined && !this.#hasUnsentEvents) return { messages: [], isWhole: this.#isWhole };
    const { events, isComplete } = await this.#log.replayAfter(this.#address, lastEventId ?? this.#lastWrittenId);
    return { messages: events.filter(({ data }) => data !== ''), isWhole: isComplete && this.#isWhole };
  }

  /** A client resumes with the last id it got on this connection, so it needs one even if nothing is replayed. */
  async #sendPrimingEvent(writer: StreamWriter, lastEventId: string | undefined): Promise<void> {
    if (lastEventId === undefined) await this.#append('');
    else writer.write({ id: lastEventId, data: '' });
  }

  async #append(data: MessageText): Promise<void> {
    try {
      this.#write(await this.#log.append(this.#address, String(data)), data);
    } catch (error) {
      this.#markIncomplete(error);
    }
  }

  #write(id: string, data: MessageText): void {
    if (this.#carrier.kind !== 'attached' || this.#carrier.writer.state !== 'open') {
      this.#hasUnsentEvents = true;
      return;
    }
    this.#sent = { kind: 'written', lastId: id };
    this.#carrier.writer.write(data === '' ? { id, data } : { event: 'message', id, data });
  }

  #markIncomplete(error: unknown): void {
    this.#onerror(error);
    this.#isWhole = false;
    this.#hasUnsentEvents = true;
    if (this.#carrier.kind === 'attached') this.#carrier.writer.terminate();
  }

  #endWriter(next: Carrier): void {
    if (this.#carrier.kind === 'attached') this.#carrier.writer.end();
    this.#carrier = next;
  }
}

/** Sent to a client that starts a new stream after a loss: it must know that messages are missing. */
const lossNotice = JSON.stringify({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'warning', logger: 'greenroom', data: 'Messages were dropped while no stream was open.' },
} satisfies JSONRPCMessage);
