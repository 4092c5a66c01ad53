import { randomBytes } from 'node:crypto';
import { Refusal } from '../errors/errors.js';

/** One stream of one session. */
export interface StreamAddress {
  readonly sessionId: string;
  /** From `newStreamId`: nobody can guess it, so an event's id says of which stream it is and proves that it was seen. */
  readonly streamId: string;
}

export interface LoggedEvent {
  readonly id: string;
  /** As it was appended. */
  readonly data: string;
}

export interface Replay {
  /** In the order in which they were appended. */
  readonly events: readonly LoggedEvent[];
  /** False: the first of what came after is no longer kept. */
  readonly isComplete: boolean;
}

/**
 * What was sent on the streams of sessions, so that a client that lost one can go on where it stopped (2025-11-25,
 * basic/transports, resumability). Bounded: the oldest events go first (S10). The methods reject when the log cannot be
 * reached. Whoever writes a stream appends and reads one after the other, and appends nothing to what it has forgotten.
 */
export interface EventLog {
  /**
   * False: what is appended now would not be kept, and another process may have gone on with the sessions of this one.
   * Absent: it never is.
   */
  readonly isWritable?: boolean;
  /** Writes one event down and answers its id: the stream's, and the event's place in it, from 1. */
  append(stream: StreamAddress, data: string): Promise<string>;
  /** What was appended after the event `eventId`, or, for null, everything. Rejects with `unknown_event`. */
  replayAfter(stream: StreamAddress, eventId: string | null): Promise<Replay>;
  /** Drops one stream, or all of a session. */
  discard(sessionId: string, streamId?: string): Promise<void>;
}

/** 128 random bits, as the id of a session. */
export const newStreamId = (): string => randomBytes(16).toString('base64url');

const eventIdPattern = /^([\w-]{22})\.([1-9]\d{0,14})$/;

/** The stream and the place that an event's id names; null if it cannot be an id. */
export function parseEventId(eventId: string): { readonly streamId: string; readonly place: number } | null {
  const [, streamId, sequence] = eventIdPattern.exec(eventId) ?? [];
  return streamId === undefined ? null : { streamId, place: Number(sequence) };
}

/** What is kept at most. The bytes are those of UTF-16, as it is in memory. */
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
  /** Its age among the events of its session. */
  readonly order: number;
  readonly data: string;
}

/** Events of one stream; those up to the place `dropped` are gone. */
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

/** The log of one process, in memory. */
export class MemoryEventLog implements EventLog {
  readonly #sessions = new Map<string, SessionLog>();
  readonly #limits: { readonly stream: SizeLimits; readonly session: SizeLimits };

  constructor(bounds: Partial<typeof defaultEventLogLimits> = {}) {
    this.#limits = { ...defaultEventLogLimits, ...bounds };
  }

  /** Sessions of which something is kept. */
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
    for (const [id, stream] of session.streams) {
      if (streamId !== undefined && id !== streamId) continue;
      session.count -= stream.events.length;
      session.bytes -= stream.bytes;
      session.streams.delete(id);
    }
    if (session.streams.size === 0) this.#sessions.delete(sessionId);
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
  const age = ({ events }: StreamLog): number => events[0]?.order ?? Number.POSITIVE_INFINITY;
  return [...streams.values()].reduce((oldest, stream) => (age(stream) < age(oldest) ? stream : oldest));
}

/** The place that an event's id names in a stream. Throws `unknown_event` for an id of another one. */
export function sequenceIn(streamId: string, eventId: string): number {
  const parsed = parseEventId(eventId);
  if (parsed?.streamId !== streamId) throw new Refusal('unknown_event');
  return parsed.place;
}

/** Bytes, as UTF-16. */
export const utf16Bytes = (data: string): number => data.length * 2;
