import { ToolError } from '../../errors/errors.js';

export interface RingBufferOptions<T> {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** Bytes that a value counts for; asked again after each change. */
  sizeOf(value: T): number;
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

/** What a cursor looks like: the newest id and the newest revision at the time of reading. */
const cursorPattern = /^(\d{1,15})-(\d{1,15})$/;

/**
 * The newest values of a stream, bounded by count and bytes (S10): at the bound the oldest go, and a reader is told how
 * many. Values are numbered from 1 in the order of arrival. A value larger than `maxBytes` is not kept.
 */
export class RingBuffer<T> {
  readonly #options: RingBufferOptions<T>;
  /** The value `id` sits at `id % maxEntries`; ids without gaps make that unique among the kept ones. */
  readonly #slots: (Slot<T> | undefined)[] = [];
  #oldest = 1;
  #newest = 0;
  #revision = 0;
  #bytes = 0;

  constructor(options: RingBufferOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#newest - this.#oldest + 1;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Appends a value and answers its id. */
  push(value: T): number {
    if (this.size === this.#options.maxEntries) this.#dropOldest();
    const slot: Slot<T> = { id: ++this.#newest, value, bytes: this.#options.sizeOf(value), revision: ++this.#revision };
    this.#slots[this.#indexOf(slot.id)] = slot;
    this.#bytes += slot.bytes;
    this.#dropExcess();
    return slot.id;
  }

  get(id: number): T | undefined {
    return this.#slotOf(id)?.value;
  }

  /** The value that came last, if it is still kept. */
  last(): RingBufferEntry<T> | undefined {
    return this.#slotOf(this.#newest);
  }

  /** Replaces a value, which counts as changed for every reader. False if it is gone. */
  update(id: number, change: (value: T) => T): boolean {
    const changed = this.amend(id, change);
    const slot = this.#slotOf(id);
    if (slot !== undefined) slot.revision = ++this.#revision;
    return changed;
  }

  /** Replaces a value by a more complete form of the same, which is no news to readers. False if it is gone. */
  amend(id: number, change: (value: T) => T): boolean {
    const slot = this.#slotOf(id);
    if (slot === undefined) return false;
    slot.value = change(slot.value);
    this.#bytes -= slot.bytes;
    slot.bytes = this.#options.sizeOf(slot.value);
    this.#bytes += slot.bytes;
    this.#dropExcess();
    return true;
  }

  /** What is new or changed since a cursor, or everything kept. Throws a ToolError on a cursor of another form. */
  read(since?: string): RingBufferReading<T> {
    const { id, revision } = since === undefined ? { id: 0, revision: 0 } : parseCursor(since);
    const entries: RingBufferEntry<T>[] = [];
    for (let next = this.#oldest; next <= this.#newest; next++) {
      const slot = this.#slotOf(next);
      if (slot !== undefined && slot.revision > revision) entries.push({ id: slot.id, value: slot.value });
    }
    return { entries, dropped: Math.max(0, this.#oldest - 1 - id), cursor: `${this.#newest}-${this.#revision}` };
  }

  #indexOf(id: number): number {
    return id % this.#options.maxEntries;
  }

  #slotOf(id: number): Slot<T> | undefined {
    const slot = this.#slots[this.#indexOf(id)];
    return slot?.id === id ? slot : undefined;
  }

  #dropExcess(): void {
    while (this.#bytes > this.#options.maxBytes) this.#dropOldest();
  }

  #dropOldest(): void {
    const index = this.#indexOf(this.#oldest++);
    this.#bytes -= this.#slots[index]?.bytes ?? 0;
    this.#slots[index] = undefined;
  }
}

function parseCursor(cursor: string): { id: number; revision: number } {
  const [, id, revision] = cursorPattern.exec(cursor) ?? [];
  if (id === undefined || revision === undefined) {
    throw new ToolError(`"${cursor}" is not a cursor. Pass the cursor that the last list ended with, or none.`);
  }
  return { id: Number(id), revision: Number(revision) };
}
