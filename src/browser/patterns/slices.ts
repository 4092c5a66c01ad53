import type { TextDecoder } from 'node:util';
import { ToolError } from '../../errors/errors.js';

/** Milliseconds per turn of the event loop for all computations together. */
const sliceMs = 10;
/** Milliseconds for one computation in total, if its caller names no other limit. */
const defaultLimitMs = 5_000;

interface Computation {
  /** Runs to the next pause. False when it has ended. */
  step(): boolean;
  /** Milliseconds spent so far. */
  spentMs: number;
  readonly limitMs: number;
  fail(reason: unknown): void;
}

export type Slices = <T>(steps: Iterator<unknown, T>, signal?: AbortSignal, limitMs?: number) => Promise<T>;

/**
 * Runs long computations (generators, which pause where they yield) without blocking the server: together they get 10
 * ms of each turn of the event loop, round robin. A promise rejects with a ToolError when its computation has taken its
 * limit of processing time, and with the signal's reason on abort.
 */
export function createSlices(now: () => number): Slices {
  const waiting: Computation[] = [];

  const runTurn = (): void => {
    const begun = now();
    let at = begun;
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const goesOn = next.step();
      const before = at;
      at = now();
      next.spentMs += at - before;
      if (next.spentMs > next.limitMs) next.fail(tooLong(next.limitMs));
      else if (goesOn) waiting.push(next);
      if (at - begun >= sliceMs) break;
    }
    if (waiting.length > 0) setImmediate(runTurn);
  };

  return (steps, signal, limitMs = defaultLimitMs) =>
    new Promise((resolve, reject) => {
      const step = (): boolean => {
        try {
          signal?.throwIfAborted();
          const { done, value } = steps.next();
          if (done === true) resolve(value);
          return done !== true;
        } catch (error) {
          reject(error);
          return false;
        }
      };
      if (waiting.push({ step, spentMs: 0, limitMs, fail: reject }) === 1) setImmediate(runTurn);
    });
}

/** Runs a computation that cannot be long in one turn. */
export function atOnce<T>(steps: Iterator<unknown, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** Runs the long computations of this server. */
export const inSlices: Slices = createSlices(() => performance.now());

const tooLong = (limitMs: number): ToolError =>
  new ToolError(`This took more than ${limitMs / 1000} s of processing time. Request less at a time.`);

/** Characters of JSON that are parsed at once. */
const windowLength = 64 * 1024;
/** Browsers write no deeper JSON. */
const maxDepth = 1_000;

/** Decodes a text of any length. Throws what `decoder` throws. */
export function* decodedText(decoder: TextDecoder, bytes: Uint8Array): Generator<undefined, string> {
  let text = '';
  for (let at = 0; at < bytes.length; at += windowLength) {
    text += decoder.decode(bytes.subarray(at, at + windowLength), { stream: true });
    yield;
  }
  return text + decoder.decode();
}

/** The parts of a text of any length. */
export function* windowsOf(text: string): Generator<string> {
  for (let at = 0; at < text.length; at += windowLength) yield text.slice(at, at + windowLength);
}

/** The JSON of a text of any length, in parts. */
export function* jsonOfText(text: string): Generator<string> {
  yield '"';
  for (const part of windowsOf(text)) yield JSON.stringify(part).slice(1, -1);
  yield '"';
}

/** Whether a JSON text has more values than `most`. Strings are skipped: only their number counts. */
export function* hasMoreValues(text: string, most: number): Generator<undefined, boolean> {
  // Each takes two characters at least.
  if (text.length <= 2 * most) return false;
  let [values, pause] = [0, 0];
  for (let at = 0; at < text.length && values <= most; at++) {
    const character = text[at];
    if (character === '"') at = closingQuote(text, at + 1) ?? text.length;
    else if (character === ',' || character === '[' || character === '{') values += 1;
    if (at < pause) continue;
    yield;
    pause = at + windowLength;
  }
  return values > most;
}

/** Reads JSON that comes in pieces. Items that are whole in the window are parsed at once; longer ones part by part. */
export class JsonReader {
  readonly #pieces: Iterator<string>;
  /** What was not read yet of the pieces so far. */
  #window = '';
  #at = 0;

  constructor(pieces: Iterable<string>) {
    this.#pieces = pieces[Symbol.iterator]();
  }

  *read(): Generator<undefined, unknown> {
    const value = yield* this.#value(0);
    while (yield* this.#more());
    if (this.#window.slice(this.#at).trim() !== '') throw new SyntaxError('Unexpected text after JSON');
    return value;
  }

  /** Adds a piece to the window. False at the end of the text. */
  *#more(): Generator<undefined, boolean> {
    yield;
    const { value = '', done } = this.#pieces.next() as IteratorResult<string, undefined>;
    this.#window = this.#window.slice(this.#at) + value;
    this.#at = 0;
    return done !== true;
  }

  /** The next character that is not blank. It is not read yet. */
  *#next(): Generator<undefined, string> {
    for (;;) {
      while (' \n\r\t'.includes(this.#window[this.#at] ?? '-')) this.#at += 1;
      const character = this.#window[this.#at];
      if (character !== undefined) return character;
      if (!(yield* this.#more())) throw new SyntaxError('Unexpected end of JSON');
    }
  }

  *#value(depth: number): Generator<undefined, unknown> {
    if (depth > maxDepth) throw new SyntaxError('The JSON is nested too deeply');
    const first = yield* this.#next();
    if (first === '"') return yield* this.#string();
    if (first === '[') return yield* this.#items(new ListItems(), depth);
    if (first === '{') return yield* this.#items(new Members(), depth);
    let end = this.#at;
    for (;;) {
      while (end < this.#window.length && !' \n\r\t,]}'.includes(this.#window.charAt(end))) end += 1;
      if (end < this.#window.length) break;
      end -= this.#at;
      if (!(yield* this.#more())) break;
    }
    const text = this.#window.slice(this.#at, end);
    this.#at = end;
    return JSON.parse(text) as unknown;
  }

  *#string(): Generator<undefined, string> {
    const parts: string[] = [];
    this.#at += 1;
    for (;;) {
      const end = closingQuote(this.#window, this.#at);
      const to = end ?? beforeEscape(this.#window, this.#at);
      parts.push(JSON.parse(`"${this.#window.slice(this.#at, to)}"`) as string);
      this.#at = to;
      if (end === undefined && !(yield* this.#more())) throw new SyntaxError('Unterminated string in JSON');
      if (end === undefined) continue;
      this.#at += 1;
      // Joined here: the first to read a text that was added up would hold the event loop while it is copied.
      const text = parts.join('');
      if (parts.length > 1) yield;
      return text;
    }
  }

  *#items(items: ListItems | Members, depth: number): Generator<undefined, unknown> {
    this.#at += 1;
    for (let isFirst = true; ; isFirst = false) {
      const end = endOfWholeItems(this.#window, this.#at);
      if (end === undefined) {
        if (this.#window.length - this.#at < windowLength && (yield* this.#more())) continue;
        yield;
        const name = items instanceof Members ? yield* this.#name() : '';
        items.add(name, yield* this.#value(depth + 1));
        yield* this.#next();
      } else {
        const text = this.#window.slice(this.#at, end);
        if (!isFirst && text.trim() === '') throw new SyntaxError('Unexpected comma in JSON');
        items.addWhole(text);
        this.#at = end;
      }
      const after = this.#window[this.#at];
      this.#at += 1;
      if (after === items.end) return items.value;
      if (after !== ',') throw new SyntaxError(`Unexpected ${after ?? 'end'} in JSON`);
    }
  }

  *#name(): Generator<undefined, string> {
    if ((yield* this.#next()) !== '"') throw new SyntaxError('Expected a name in JSON');
    const name = yield* this.#string();
    if ((yield* this.#next()) !== ':') throw new SyntaxError('Expected a colon in JSON');
    this.#at += 1;
    return name;
  }
}

class ListItems {
  readonly end = ']';
  readonly value: unknown[] = [];

  add(_name: string, value: unknown): void {
    this.value.push(value);
  }

  addWhole(text: string): void {
    for (const item of JSON.parse(`[${text}]`) as unknown[]) this.value.push(item);
  }
}

class Members {
  readonly end = '}';
  readonly value: Record<string, unknown> = {};

  /** A name may be `__proto__`. */
  add(name: string, value: unknown): void {
    Object.defineProperty(this.value, name, { value, configurable: true, enumerable: true, writable: true });
  }

  addWhole(text: string): void {
    for (const [name, value] of Object.entries(JSON.parse(`{${text}}`) as object)) this.add(name, value);
  }
}

/** Where the items end that are whole in the text: at a comma, or at the end of their list or object. */
function endOfWholeItems(text: string, from: number): number | undefined {
  let depth = 0;
  let end: number | undefined;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (character === '"') at = closingQuote(text, at + 1) ?? text.length;
    else if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    else if (character === ',' && depth === 0) end = at;
    if (depth < 0) return at;
  }
  return end;
}

/** The quotation mark that ends the string that `from` is in. */
export function closingQuote(text: string, from: number): number | undefined {
  for (let end = text.indexOf('"', from); end !== -1; end = text.indexOf('"', end + 1))
    if (backslashesBefore(text, end, from) % 2 === 0) return end;
  return undefined;
}

/** Where a text can be cut whose last escape may not be whole. */
function beforeEscape(text: string, from: number): number {
  const last = text.lastIndexOf('\\');
  if (last < Math.max(from, text.length - longestEscape + 1)) return text.length;
  const isSecond = backslashesBefore(text, last, from) % 2 === 1;
  const isWhole = isSecond || (last + 1 < text.length && text[last + 1] !== 'u');
  return isWhole ? text.length : last;
}

const longestEscape = '\\u0000'.length;

function backslashesBefore(text: string, at: number, from: number): number {
  let first = at;
  while (first > from && text[first - 1] === '\\') first -= 1;
  return at - first;
}
