import { randomBytes } from 'node:crypto';
import { Refusal } from '../errors/errors.js';

/** One stream of one session. */
export interface StreamAddress {
  readonly sessionId: string;
  /** From `newStreamId`. It cannot be guessed, so an event id, which contains it, proves that the client saw the event. */
  readonly streamId: string;
}

export interface LoggedEvent {
  readonly id: string;
  /** The text as appended. */
  readonly data: string;
}

export interface Replay {
  /** In the order of appending. */
  readonly events: readonly LoggedEvent[];
  /** False: some of the events after the requested one were dropped. */
  readonly isComplete: boolean;
}

/**
 * The events sent on the streams of sessions, so that a client can resume a broken stream (MCP 2025-11-25,
 * basic/transports, resumability). Bounded: the oldest events are dropped first (S10). The methods reject when the log is
 * unreachable. The writer of a stream runs its appends and reads one after the other, and appends nothing to a discarded
 * stream.
 */
export interface EventLog {
  /**
   * False: an append would be refused, and another process may have taken over the sessions of this one. Absent: always
   * writable.
   */
  readonly isWritable?: boolean;
  /** Appends one event. Resolves with its id: the stream id and the sequence number of the event in it, from 1. */
  append(stream: StreamAddress, data: string): Promise<string>;
  /** The events after `eventId`; all events for null. Rejects with `unknown_event`. */
  replayAfter(stream: StreamAddress, eventId: string | null): Promise<Replay>;
  /** Drops one stream, or all streams of a session. */
  discard(sessionId: string, streamId?: string): Promise<void>;
}

const idBytes = 16;
let random = Buffer.alloc(0);
let used = 0;

/** An id that cannot be guessed: 128 random bits, drawn from the system for many ids at once. */
export function newStreamId(): string {
  if (used + idBytes > random.length) [random, used] = [randomBytes(256 * idBytes), 0];
  used += idBytes;
  return random.toString('base64url', used - idBytes, used);
}

const eventIdPattern = /^([\w-]{22})\.([1-9]\d{0,14})$/;

/** The stream id and sequence number in an event id; null if the text has another format. */
export function parseEventId(eventId: string): { readonly streamId: string; readonly place: number } | null {
  const [, streamId, sequence] = eventIdPattern.exec(eventId) ?? [];
  return streamId === undefined ? null : { streamId, place: Number(sequence) };
}

/** Upper bounds. For the event log the bytes are those of UTF-16, as in memory. */
export interface SizeLimits {
  readonly count: number;
  readonly bytes: number;
}

const defaultEventLogLimits = {
  stream: { count: 2_000, bytes: 16 * 1024 ** 2 },
  session: { count: 8_000, bytes: 32 * 1024 ** 2 },
};

interface StoredEvent {
  readonly sequence: number;
  /** The number of the event within its session. */
  readonly order: number;
  readonly data: string;
}

/** Events of one stream, from the sequence number after `lastDropped` on. */
class StreamLog {
  readonly events: StoredEvent[] = [];
  bytes = 0;
  lastDropped = 0;
  lastSequence = 0;

  dropOldest(): number {
    const oldest = this.events.shift();
    if (oldest === undefined) return 0;
    this.lastDropped = oldest.sequence;
    this.bytes -= utf16Bytes(oldest.data);
    return utf16Bytes(oldest.data);
  }
}

class SessionLog {
  readonly streams = new Map<string, StreamLog>();
  count = 0;
  bytes = 0;
  order = 0;
}

/** The event log of a single process, in memory. */
export class MemoryEventLog implements EventLog {
  readonly #sessions = new Map<string, SessionLog>();
  readonly #limits: { readonly stream: SizeLimits; readonly session: SizeLimits };

  constructor(limits: Partial<typeof defaultEventLogLimits> = {}) {
    this.#limits = { ...defaultEventLogLimits, ...limits };
  }

  /** The number of sessions with events. */
  get size(): number {
    return this.#sessions.size;
  }

  async append({ sessionId, streamId }: StreamAddress, data: string): Promise<string> {
    const session = this.#sessions.get(sessionId) ?? new SessionLog();
    const stream = session.streams.get(streamId) ?? new StreamLog();
    this.#sessions.set(sessionId, session);
    session.streams.set(streamId, stream);
    stream.lastSequence += 1;
    session.order += 1;
    stream.events.push({ sequence: stream.lastSequence, order: session.order, data });
    stream.bytes += utf16Bytes(data);
    session.bytes += utf16Bytes(data);
    session.count += 1;
    this.#trim(session, stream);
    return `${streamId}.${stream.lastSequence}`;
  }

  async replayAfter({ sessionId, streamId }: StreamAddress, eventId: string | null): Promise<Replay> {
    const stream = this.#sessions.get(sessionId)?.streams.get(streamId);
    const sequence = eventId === null ? 0 : sequenceIn(streamId, eventId);
    if (sequence > (stream?.lastSequence ?? 0)) throw new Refusal('unknown_event');
    if (stream === undefined) return { events: [], isComplete: true };
    const events = stream.events.filter((event) => event.sequence > sequence);
    return {
      events: events.map((event) => ({ id: `${streamId}.${event.sequence}`, data: event.data })),
      isComplete: sequence >= stream.lastDropped,
    };
  }

  async discard(sessionId: string, streamId?: string): Promise<void> {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return;
    const stream = session.streams.get(streamId ?? '');
    session.count -= stream?.events.length ?? 0;
    session.bytes -= stream?.bytes ?? 0;
    session.streams.delete(streamId ?? '');
    if (streamId === undefined || session.streams.size === 0) this.#sessions.delete(sessionId);
  }

  #trim(session: SessionLog, stream: StreamLog): void {
    const { stream: streamLimits, session: sessionLimits } = this.#limits;
    while (stream.events.length > streamLimits.count || stream.bytes > streamLimits.bytes)
      dropOldestEvent(session, stream);
    while (session.count > sessionLimits.count || session.bytes > sessionLimits.bytes)
      dropOldestEvent(session, streamWithOldestEvent(session));
  }
}

function dropOldestEvent(session: SessionLog, stream: StreamLog): void {
  session.count -= 1;
  session.bytes -= stream.dropOldest();
}

function streamWithOldestEvent({ streams }: SessionLog): StreamLog {
  const firstOrder = ({ events }: StreamLog): number => events[0]?.order ?? Number.POSITIVE_INFINITY;
  return [...streams.values()].reduce((oldest, stream) => (firstOrder(stream) < firstOrder(oldest) ? stream : oldest));
}

/** The sequence number in an event id of the stream. Throws `unknown_event` for an id of another stream. */
export function sequenceIn(streamId: string, eventId: string): number {
  const parsed = parseEventId(eventId);
  if (parsed?.streamId !== streamId) throw new Refusal('unknown_event');
  return parsed.place;
}

/** Size of a text in memory. */
export const utf16Bytes = (data: string): number => data.length * 2;
