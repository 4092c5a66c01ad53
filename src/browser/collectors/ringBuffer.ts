import { ToolError } from '../../errors/errors.js';

export interface RingBufferOptions<T> {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** Bytes that a value counts for; called again after each change. */
  sizeOf(value: T): number;
  /** Bounds the ring together with all that its session keeps. */
  readonly kept?: KeptPart | undefined;
}

/** Something that a session keeps. */
interface Kept {
  readonly bytes: number;
}

/** A recording of which parts can be dropped. */
interface Recording extends Kept {
  /** Drops the oldest part. */
  shrink(): void;
}

/** Shares of `--session-memory`: for what a client asks to keep, and for this together with all recordings. */
const heldShare = 1 / 2;
const keptShare = 3 / 4;
/** Recordings are compared with the bound when they have grown by this share of it. */
const uncheckedShare = 1 / 64;

/**
 * The bytes that one session keeps of its pages and extensions: recordings, of which the largest loses its oldest part at
 * the bound, and what its client asked to keep, which is refused there (S10). Outlives the browser.
 */
export class KeptBytes {
  readonly #limit: number;
  readonly #parts = new Set<KeptPart>();
  #unchecked = 0;

  /** `limit`: `--session-memory`. Default: none. */
  constructor(limit = Number.POSITIVE_INFINITY) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#sum((part) => [...part.recordings, ...part.held]);
  }

  /** Opens a part of the memory, for contents that end together. */
  open(): KeptPart {
    const part = new KeptPart(this, () => this.#parts.delete(part));
    this.#parts.add(part);
    return part;
  }

  /** A recording has grown. */
  grew(bytes: number): void {
    this.#unchecked += bytes;
    if (this.#unchecked > this.#limit * uncheckedShare) this.trim();
  }

  /** Throws a ToolError if a client asks to keep more bytes than fit. */
  checkRoom(bytes: number): void {
    const sum = this.#sum(({ held }) => held) + bytes;
    const room = this.#limit * heldShare;
    if (sum <= room) return;
    throw new ToolError(
      `Mock rules, init scripts, breakpoints, headers and credentials of this session would take ${sum} bytes; the ` +
        `maximum is ${room}, half of --session-memory. Remove some of them first.`,
    );
  }

  trim(): void {
    this.#unchecked = 0;
    let excess = this.bytes - this.#limit * keptShare;
    while (excess > 0) {
      const recordings = [...this.#parts].flatMap((part) => [...part.recordings]);
      const largest = recordings.reduce((a, b) => (b.bytes > a.bytes ? b : a), nothing);
      const { bytes } = largest;
      largest.shrink();
      if (largest.bytes === bytes) return;
      excess -= bytes - largest.bytes;
    }
  }

  #sum(itemsOf: (part: KeptPart) => Iterable<Kept>): number {
    let sum = 0;
    for (const part of this.#parts) for (const { bytes } of itemsOf(part)) sum += bytes;
    return sum;
  }
}

const nothing: Recording = { bytes: 0, shrink: () => undefined };

/** What is kept of one page, or of the extensions. Its owner closes it: from then on it does not count. */
export class KeptPart {
  readonly recordings = new Set<Recording>();
  /** What a client asked to keep. */
  readonly held = new Set<Kept>();
  readonly #whole: KeptBytes;
  readonly close: () => void;

  constructor(whole: KeptBytes, close: () => void) {
    this.#whole = whole;
    this.close = close;
  }

  grew(bytes: number): void {
    this.#whole.grew(bytes);
  }

  /** Throws a ToolError if a client asks to keep more bytes than fit. */
  checkRoom(bytes: number): void {
    this.#whole.checkRoom(bytes);
  }
}

/** A value with its number, which is never given to another value of the same ring. */
export interface RingBufferEntry<T> {
  readonly id: number;
  readonly value: T;
}

export interface RingBufferReading<T> {
  /** Oldest first. */
  readonly entries: readonly RingBufferEntry<T>[];
  /** Values that came after the cursor and are gone already. */
  readonly dropped: number;
  /** Pass it to the next `read` to get what is new or changed since this one. */
  readonly cursor: string;
}

interface Slot<T> {
  readonly id: number;
  value: T;
  bytes: number;
  revision: number;
}

/** The format of a cursor: the newest id and the newest revision at the time of reading. */
const cursorPattern = /^(\d{1,15})-(\d{1,15})$/;

/**
 * The newest values of a stream, bounded by count and bytes (S10): at the bound the oldest go, and a reader is told how
 * many. Values are numbered from 1 in the order of arrival. A value larger than `maxBytes` is not kept.
 */
export class RingBuffer<T> implements Recording {
  readonly #options: RingBufferOptions<T>;
  /** Oldest first. */
  readonly #slots = new Map<number, Slot<T>>();
  #newest = 0;
  #revision = 0;
  #bytes = 0;

  constructor(options: RingBufferOptions<T>) {
    this.#options = options;
    options.kept?.recordings.add(this);
  }

  shrink(): void {
    const target = this.#bytes - Math.max(1, this.#bytes / 8);
    while (this.size > 0 && this.#bytes > target) this.#dropOldest();
  }

  get size(): number {
    return this.#slots.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Appends a value and answers its id. */
  push(value: T): number {
    if (this.size === this.#options.maxEntries) this.#dropOldest();
    const slot: Slot<T> = { id: ++this.#newest, value, bytes: this.#options.sizeOf(value), revision: ++this.#revision };
    this.#slots.set(slot.id, slot);
    this.#bytes += slot.bytes;
    this.#dropExcess();
    this.#options.kept?.grew(slot.bytes);
    return slot.id;
  }

  /** Values that came and were lost before they could be appended. They have numbers too. */
  skip(count: number): void {
    this.#newest += count;
  }

  get(id: number): T | undefined {
    return this.#slots.get(id)?.value;
  }

  /** The value that came last, if it is still kept. */
  last(): RingBufferEntry<T> | undefined {
    return this.#slots.get(this.#newest);
  }

  /** Replaces a value, which counts as changed for every reader. False if it is gone. */
  update(id: number, change: (value: T) => T): boolean {
    const changed = this.amend(id, change);
    const slot = this.#slots.get(id);
    if (slot !== undefined) slot.revision = ++this.#revision;
    return changed;
  }

  /** Replaces a value by a more complete form of the same, which is no news to readers. False if it is gone. */
  amend(id: number, change: (value: T) => T): boolean {
    const slot = this.#slots.get(id);
    if (slot === undefined) return false;
    slot.value = change(slot.value);
    this.#bytes -= slot.bytes;
    slot.bytes = this.#options.sizeOf(slot.value);
    this.#bytes += slot.bytes;
    this.#dropExcess();
    this.#options.kept?.grew(slot.bytes);
    return true;
  }

  /**
   * The entries that are new or changed since a cursor, or all kept entries. Throws a ToolError for a malformed cursor.
   */
  read(since?: string): RingBufferReading<T> {
    const { id, revision } = since === undefined ? { id: 0, revision: 0 } : parseCursor(since);
    const slots = [...this.#slots.values()];
    const entries = slots
      .filter((slot) => slot.revision > revision)
      .map((slot) => ({ id: slot.id, value: slot.value }));
    const kept = slots.filter((slot) => slot.id > id).length;
    const dropped = Math.max(0, this.#newest - id - kept);
    return { entries, dropped, cursor: `${this.#newest}-${this.#revision}` };
  }

  #dropExcess(): void {
    while (this.#bytes > this.#options.maxBytes) this.#dropOldest();
  }

  #dropOldest(): void {
    const [oldest] = this.#slots.values();
    if (oldest === undefined) return;
    this.#slots.delete(oldest.id);
    this.#bytes -= oldest.bytes;
  }
}

function parseCursor(cursor: string): { id: number; revision: number } {
  const [, id, revision] = cursorPattern.exec(cursor) ?? [];
  if (id === undefined || revision === undefined) {
    throw new ToolError(`"${cursor}" is not a cursor. Pass the cursor that the last list ended with, or none.`);
  }
  return { id: Number(id), revision: Number(revision) };
}
