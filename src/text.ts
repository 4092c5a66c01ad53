/** Texts that come from pages, extensions and clients: made fit for an answer, and cut where a reader sees no break. */

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
/** UTF-16 units examined around a cut: the cost does not depend on the length of the text. */
const cutWindow = 64;

/** At most `max` UTF-16 units of `text`, cut between two characters as a reader sees them (graphemes). */
export function cutText(text: string, max: number): string {
  return text.length <= max ? text : text.slice(0, boundaryBefore(text, max));
}

/** Like `cutText`, with `…` where text is missing. */
export function shortenText(text: string, max: number): string {
  return text.length <= max ? text : `${cutText(text, max)}…`;
}

/** Equal for texts that differ only in numbers. */
export const withoutNumbers = (text: string): string => text.replace(/\d+/g, '0');

/** Follows the one text of several that is shown. */
export const othersOfNumbers = (count: number): string => `and ${count} more that differ only in numbers`;

/** A part of a text between two graphemes. `end` is where the next part begins. */
export interface TextPart {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** About `max` UTF-16 units of `text` from `offset`: at least one grapheme, so that repeated reading ends. */
export function textPart(text: string, offset: number, max: number): TextPart {
  const start = boundaryBefore(text, offset);
  const end = boundaryBefore(text, offset + max);
  const last = end > start ? end : boundaryAfter(text, start);
  return { text: text.slice(start, last), start, end: last };
}

/** The last boundary between graphemes at or before `at`. A grapheme longer than the window is cut between code points. */
function boundaryBefore(text: string, at: number): number {
  if (at <= 0) return 0;
  if (at >= text.length) return text.length;
  const from = codePointStart(text, Math.max(0, at - cutWindow));
  const found = graphemes.segment(text.slice(from, at + cutWindow)).containing(at - from);
  const boundary = from + (found?.index ?? 0);
  return boundary === from && from > 0 ? codePointStart(text, at) : boundary;
}

function boundaryAfter(text: string, at: number): number {
  const found = graphemes.segment(text.slice(at, at + cutWindow)).containing(0);
  return at + (found?.segment.length ?? 0);
}

/** `at`, or one less inside a surrogate pair. */
function codePointStart(text: string, at: number): number {
  const isInside = isSurrogate(text, at - 1, 0xd800) && isSurrogate(text, at, 0xdc00);
  return isInside ? at - 1 : at;
}

function isSurrogate(text: string, at: number, first: number): boolean {
  const unit = text.charCodeAt(at);
  return unit >= first && unit < first + 0x400;
}

/** Control characters but tab and line end, line separators, and marks that change the direction of what follows. */
const unsafeCharacters = /[^\P{Cc}\n\t\r]|[\u2028-\u202e\u2066-\u2069]|\r(?!\n)/gu;

/**
 * A text for an answer: half surrogates, which make providers of models refuse a conversation, become U+FFFD; characters
 * that could hide or reorder lines are written as JSON escapes.
 */
export function cleanText(text: string): string {
  return text.toWellFormed().replace(unsafeCharacters, escaped);
}

const escaped = (unsafe: string): string => `\\u${unsafe.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** JSON for people: what could hide or reorder text is shown as its escape. */
export function jsonToShow(value: unknown): string {
  return JSON.stringify(value).replace(unsafeCharacters, (unsafe) => `\\${escaped(unsafe)}`);
}

/** JSON data with each string, and each key, well-formed. Data that is already well-formed is returned unchanged. */
export function wellFormedData<T>(value: T): T {
  return repairData(value) as T;
}

function repairData(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    const repaired = items.map(repairData);
    return repaired.every((item, index) => item === items[index]) ? value : repaired;
  }
  const entries = Object.entries(value);
  const repaired = entries.map(([key, item]) => [key.toWellFormed(), repairData(item)] as const);
  const isSame = repaired.every(([key, item], index) => key === entries[index]?.[0] && item === entries[index][1]);
  return isSame ? value : Object.fromEntries(repaired);
}

/**
 * The value of a JSON text; undefined if the text is not JSON, as when it was truncated or comes from code of a page.
 */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Whether there is a JSON Web Token: header and payload are JSON objects in base64, with a dot after each. Pauses now and
 * then: a page may store megabytes of what begins like one.
 */
export function* hasJsonWebToken(value: string): Generator<undefined, boolean> {
  if (!value.includes('.eyJ')) return false;
  let [header, words] = [-1, 0];
  for (const { 0: word, index } of value.matchAll(/[\w-]+/g)) {
    const end = index + word.length;
    if ((words += 1) % wordsPerStep === 0) yield;
    if (header === index && /^eyJ./.test(word) && value[end] === '.') return true;
    header = value[end] === '.' && /(?:^|-)eyJ./.test(word) ? end + 1 : -1;
  }
  return false;
}

const wordsPerStep = 500;
