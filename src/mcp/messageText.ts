import { atOnce, closingQuote, hasMoreValues, JsonReader, windowsOf } from '../browser/patterns/slices.js';
import { Refusal, type JsonRpcErrorResponse } from '../errors/errors.js';
import { jsonMark, isJsonId, isObject, shownId, valueAt, type JSONRPCMessage } from './protocol.js';

/** The JSON of a message: one text, or short texts around bytes that many messages share. */
export type MessageText = string | SharedText;

/** A JSON text whose middle is the same in many messages: its bytes exist once and are not encoded again. */
export class SharedText {
  readonly #head: string;
  readonly #result: SharedResult;
  readonly #tail: string;

  constructor(head: string, result: SharedResult, tail: string) {
    this.#head = head;
    this.#result = result;
    this.#tail = tail;
  }

  get length(): number {
    return this.#head.length + this.#result.text.length + this.#tail.length;
  }

  /** The whole text as one string, for callers that keep or send strings. */
  toString(): string {
    return `${this.#head}${this.#result.text}${this.#tail}`;
  }

  /** In the order of writing, between a text before and one after. */
  parts(before: string, after: string): readonly [string, Buffer, string] {
    return [`${before}${this.#head}`, this.#result.bytes, `${this.#tail}${after}`];
  }
}

interface SharedResult {
  readonly text: string;
  readonly bytes: Buffer;
}

/** A result of one session is seldom written again: it is kept only from its second use on. */
const results = new WeakMap<object, SharedResult | 'not written yet' | 'written once'>();

/** Says that a result is answered to many requests and never changes: its JSON is kept from the second time on. */
export function shareResult<Result extends object>(result: Result): Result {
  if (!results.has(result)) results.set(result, 'not written yet');
  return result;
}

export const isSharedResult = (result: object): boolean => results.has(result);

/** A longer text is encoded where it is put together: the copy of megabytes for each step holds the event loop. */
const maxJoinedLength = 64 * 1024;

/** A text between a text before and one after, as one chunk of a stream. */
export function chunkOf(text: MessageText, before = '', after = ''): string | Buffer {
  if (typeof text !== 'string') {
    const [head, shared, tail] = text.parts(before, after);
    return Buffer.concat([Buffer.from(head), shared, Buffer.from(tail)]);
  }
  if (text.length <= maxJoinedLength) return `${before}${text}${after}`;
  const parts = [before, text, after];
  const chunk = Buffer.allocUnsafe(parts.reduce((length, part) => length + Buffer.byteLength(part), 0));
  parts.reduce((at, part) => at + chunk.write(part, at), 0);
  return chunk;
}

/** Throws what `JSON.stringify` throws. */
export function textOf(message: JSONRPCMessage | JsonRpcErrorResponse): MessageText {
  if (!('result' in message)) return write(message);
  const { result, id } = message;
  const known = results.get(result);
  if (known === undefined) return write(message);
  if (known === 'not written yet') {
    results.set(result, 'written once');
    return write(message);
  }
  const shared = known === 'written once' ? serialize(result) : known;
  return new SharedText(`{"jsonrpc":"2.0","id":${writtenId(id)},"result":`, shared, '}');
}

function write(message: JSONRPCMessage | JsonRpcErrorResponse): string {
  const text = onOneLine(JSON.stringify(message));
  const echoed = 'method' in message ? message.params?.['progressToken'] : message.id;
  // It comes before everything that a message says.
  return isJsonId(echoed) ? text.replace(JSON.stringify(echoed), () => shownId(echoed)) : text;
}

const writtenId = (id: unknown): string => (isJsonId(id) ? shownId(id) : JSON.stringify(id));

const unusualLineEnds = /[\u0085\u2028\u2029]/g;

/** Escapes what JSON allows in a string and some readers of event streams take for the end of a line. */
function onOneLine(json: string): string {
  // Megabytes of a picture are searched for each alone, which is ten times as fast.
  if (!['\u0085', '\u2028', '\u2029'].some((end) => json.includes(end))) return json;
  return json.replace(unusualLineEnds, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The echoed parts of a message, by path. */
const echoedPaths = [['id'], ['params', 'requestId'], ['params', '_meta', 'progressToken']] as const;
const echoedNames = new Set<unknown>(echoedPaths.map((path) => path.at(-1)));

/** Values in one text of JSON: more would hold the event loop while they are made, checked and walked. */
const maxValues = 100_000;

/** Whether a JSON text has more values than a message may. */
export const hasTooManyValues = (text: string): boolean => atOnce(hasMoreValues(text, maxValues));

/**
 * Parses the JSON of a message, or of a batch of them. Throws what `JSON.parse` throws, or `invalid_message` for one of too
 * many values.
 */
export const parseMessageText = (json: string): unknown => atOnce(messageIn(json));

/** A longer text is not parsed in one turn. */
export const maxTextAtOnce = 256 * 1024;

/** Like `parseMessageText`, as a long computation. */
export function* messageIn(json: string): Generator<undefined, unknown> {
  const text = json.startsWith('\ufeff') ? json.slice(1) : json;
  if (yield* hasMoreValues(text, maxValues)) {
    throw new Refusal('invalid_message', { detail: `A message has at most ${maxValues} values. Send less at a time.` });
  }
  const value =
    text.length > maxTextAtOnce ? yield* new JsonReader(windowsOf(text)).read() : (JSON.parse(text) as unknown);
  yield* keepDigits(value, text);
  return value;
}

/** Keeps what is echoed as it was written: a number that is not safe would be echoed as another one. */
function* keepDigits(value: unknown, text: string): Generator<undefined, void> {
  const messages: readonly unknown[] = Array.isArray(value) ? value : [value];
  let digits: ReadonlyMap<string, string> | undefined;
  for (const [index, message] of messages.entries()) {
    for (const path of echoedPaths) {
      const echoed = valueAt(message, path);
      if (!isJsonId(echoed) && (!Number.isInteger(echoed) || Number.isSafeInteger(echoed))) continue;
      digits ??= yield* echoedNumbersIn(text);
      const written = digits.get(JSON.stringify(Array.isArray(value) ? [index, ...path] : path));
      // A text that begins like the mark is kept as its JSON too.
      const exact = isJsonId(echoed) ? JSON.stringify(echoed) : written;
      const parent = valueAt(message, path.slice(0, -1));
      if (isObject(parent) && exact !== undefined) parent[path.at(-1) ?? ''] = `${jsonMark}${exact}`;
    }
  }
}

/** A number, a word, or blanks, up to what ends it. */
const plainHere = /[^"[\]{},:]+/y;
const digitsAlone = /^-?\d+$/;

interface Level {
  key: string | number;
  awaitsKey: boolean;
}

/** The digits of the numbers of a valid JSON text that have a name of `echoedNames`, by path. */
function* echoedNumbersIn(text: string): Generator<undefined, ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const levels: Level[] = [];
  for (let at = 0, step = 0; at < text.length; at++, step++) {
    if (step % 10_000 === 0) yield;
    const level = levels.at(-1);
    const character = text.charAt(at);
    if (character === '"') {
      const end = closingQuote(text, at + 1) ?? text.length;
      if (level?.awaitsKey === true) enter(level, text.slice(at, end + 1));
      at = end;
      continue;
    }
    plainHere.lastIndex = at;
    const [plain] = plainHere.exec(text) ?? [];
    if (plain === undefined) {
      structure(levels, character);
      continue;
    }
    const number = plain.trim();
    if (echoedNames.has(level?.key) && digitsAlone.test(number)) {
      found.set(JSON.stringify(levels.map(({ key }) => key)), number);
    }
    at += plain.length - 1;
  }
  return found;
}

function enter(level: Level, name: string): void {
  level.key = JSON.parse(name) as string;
  level.awaitsKey = false;
}

/** Follows what begins, ends and separates objects and lists. */
function structure(levels: Level[], character: string): void {
  const level = levels.at(-1);
  if (character === '{') levels.push({ key: '', awaitsKey: true });
  else if (character === '[') levels.push({ key: 0, awaitsKey: false });
  else if (character === '}' || character === ']') levels.pop();
  if (character !== ',' || level === undefined) return;
  if (typeof level.key === 'number') level.key += 1;
  else level.awaitsKey = true;
}

function serialize(result: object): SharedResult {
  const text = onOneLine(JSON.stringify(result));
  const shared = { text, bytes: Buffer.from(text) };
  results.set(result, shared);
  return shared;
}
