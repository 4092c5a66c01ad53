import { z } from 'zod';
import type { RingBufferEntry, RingBufferReading } from '../browser/collectors/ringBuffer.js';
import { cutText, shortenText } from '../text.js';

/** Arguments of every tool that lists recorded entries. */
export const listingInput = {
  since: z.string().optional().describe('Only entries newer than this cursor'),
  limit: z.int().min(1).default(50).describe('Rows per page, at most 500'),
  page: z.int().min(1).default(1).describe('1 is the newest'),
};

export const listingOutput = {
  cursor: z.string(),
  total: z.int(),
  page: z.int(),
  pages: z.int(),
  /** Entries dropped before this reading to stay within the bound. */
  dropped: z.int(),
};

const maxRows = 500;

interface ListPage<T> {
  /** The entries of the page, oldest first. */
  readonly entries: readonly RingBufferEntry<T>[];
  readonly fields: { cursor: string; total: number; page: number; pages: number; dropped: number };
  /** The last lines of the text: the page, dropped entries, the cursor. */
  readonly footer: string;
}

/** The entries that match `predicate`, in pages of at most 500; page 1 has the newest. */
export function pageOf<T>(
  reading: RingBufferReading<T>,
  predicate: (value: T) => boolean,
  { limit: requested, page }: { limit: number; page: number },
): ListPage<T> {
  const limit = Math.min(requested, maxRows);
  const matching = reading.entries.filter(({ value }) => predicate(value));
  const total = matching.length;
  const pages = Math.max(1, Math.ceil(total / limit));
  const end = total - (page - 1) * limit;
  const entries = end <= 0 ? [] : matching.slice(Math.max(0, end - limit), end);
  const { cursor, dropped } = reading;
  return {
    entries,
    fields: { cursor, total, page, pages, dropped },
    footer: [
      ...(pages > 1 ? [`Page ${page} of ${pages} (${total} in all; page 1 is the newest).`] : []),
      ...(dropped > 0 ? [`${dropped} older ones were dropped to stay within bounds.`] : []),
      `Cursor: ${cursor}. Pass it as since to see only what is new or changed.`,
    ].join('\n'),
  };
}

/** A longer text is examined only up to this length. */
const maxLineChars = 64 * 1024;

/** A text as one line of at most `maxChars` characters. */
export function oneLine(text: string, maxChars: number): string {
  const line = cutText(text, maxLineChars).replace(/\s+/g, ' ').trim();
  return shortenText(text.length > maxLineChars ? `${line} …` : line, maxChars);
}

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** `hh:mm:ss.mmm`, UTC. */
export function timeText(at: number): string {
  return new Date(at).toISOString().slice(11, 23);
}
