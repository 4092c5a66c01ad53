import { StringDecoder } from 'node:string_decoder';
import { JsonReader } from '../patterns/slices.js';

/** A message too long to be read at once. */
export interface LongMessage {
  readonly length: number;
  /** Returns what was parsed, or a text to take in its place; undefined if there is nothing. */
  read(): Generator<undefined, ParsedMessage | string | undefined>;
}

export interface ParsedMessage {
  readonly id?: number;
  readonly sessionId?: string;
}

export const leftOutText = (bytes: number): string =>
  `The browser's message of ${bytes} bytes was left out: it is too long.`;

export const failedResponse = (id: number, message: string, session = {}): string =>
  JSON.stringify({ id, error: { code: -32000, message }, ...session });

/** Bytes that are read at once. */
const partBytes = 64 * 1024;

function* parsedOf(pieces: readonly Buffer[]): Generator<undefined, ParsedMessage> {
  return (yield* new JsonReader(textsOf(pieces)).read()) as ParsedMessage;
}

function* textsOf(pieces: readonly Buffer[]): Generator<string> {
  const decoder = new StringDecoder('utf8');
  for (const piece of inParts(pieces)) yield decoder.write(piece);
  yield decoder.end();
}

function* inParts(pieces: readonly Buffer[]): Generator<Buffer> {
  for (const piece of pieces)
    for (let at = 0; at < piece.length; at += partBytes) yield piece.subarray(at, at + partBytes);
}

/** A long message that came as a whole. */
export function longMessage(pieces: readonly Buffer[], maxBytes: number): LongMessage {
  return {
    length: pieces.reduce((length, piece) => length + piece.length, 0),
    *read() {
      const message = new IncomingMessage(maxBytes);
      for (const part of inParts(pieces)) {
        message.append(part);
        yield;
      }
      const read = message.end();
      return typeof read === 'object' ? yield* read.read() : read;
    },
  };
}

/** A message up to this length is taken as it is. */
export const shortBytes = 1024 ** 2;
/** In longer events: longer texts are truncated, and a longer whole is left out. */
const maxTextBytes = 256 * 1024;
const maxEventBytes = 2 * 1024 ** 2;
/** A longer source map within a script is cut. */
const maxScriptTextBytes = 16 * 1024 ** 2;
/** A longer response is an error of its command. */
const maxResponseBytes = 32 * 1024 ** 2;
/** Bytes searched at the end of a message that is left out. */
const tailBytes = 200;

/** Events whose texts are data that must not be truncated. */
const dataEvents = /^\{"method":"(?:Page\.screencastFrame|HeapProfiler\.|Tracing\.)/;
/** May hold the whole source map of a script. Left out, only the original positions of that script are missing. */
const scriptEvents = /^\{"method":"Debugger\.script/;
/** Events that only record: nothing waits for an answer to them. */
const recordedEvents =
  /^\{"method":"(?:Runtime\.(?:consoleAPICalled|exceptionThrown|bindingCalled)|Log\.|Audits\.|Network\.)/;
/** What a page or an extension logs. */
export const consoleEvents = /^\{"method":"(?:Runtime\.(?:consoleAPICalled|exceptionThrown)|Log\.entryAdded)"/;

/** A page's text has no quotation mark without a backslash before it, so these match nothing in it. */
const contextField = /"executionContextId":(\d+)/;
const sessionField = /"sessionId":"(\w+)"\}$/;

/** The execution context of a console event; 0 if it has none. */
export const contextOf = (event: string): number => Number(contextField.exec(event)?.[1] ?? 0);

/** The CDP session of a message; empty for the connection itself. */
export const sessionOf = (message: string): string => sessionField.exec(message.slice(-100))?.[1] ?? '';

/** The field of a message that names its CDP session. */
export const addressee = (sessionId: string): object => (sessionId === '' ? {} : { sessionId });

const [quote, backslash, letterU] = [0x22, 0x5c, 0x75];

/** One message of the browser while it arrives. A page decides how long the texts of its events are: they are cut. */
export class IncomingMessage {
  readonly #maxBytes: number;
  /** What is kept. */
  #pieces: Buffer[] = [];
  #keptBytes = 0;
  /** Of the whole message. */
  #bytes = 0;
  /** The beginning of a message that is not short. */
  #beginning = '';
  #cutter: TextCutter | undefined;
  /** The last bytes of a message that is otherwise dropped. */
  #tail: Buffer | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** False if it is longer than any message may be. */
  append(chunk: Buffer): boolean {
    const wasShort = this.#beginning === '';
    this.#bytes += chunk.length;
    if (wasShort && this.#bytes > Math.min(shortBytes, this.#maxBytes)) this.#begin(chunk);
    if (this.#bytes > this.#maxBytes && this.#tail === undefined) {
      if (!scriptEvents.test(this.#beginning)) return false;
      this.#leaveOut();
    }
    this.#keep(chunk);
    return true;
  }

  /** What is to be handed over; undefined if there is nothing. */
  end(): string | LongMessage | undefined {
    if (this.#tail !== undefined) return this.#standIn(this.#tail.toString('latin1'));
    const pieces = this.#pieces;
    if (this.#keptBytes > shortBytes) return { length: this.#keptBytes, read: () => parsedOf(pieces) };
    return (pieces.length === 1 ? pieces[0] : Buffer.concat(pieces))?.toString('utf8') ?? '';
  }

  /** It is not short: decides, with the chunk to come, what is kept of it, also of what has come already. */
  #begin(chunk: Buffer): void {
    const pieces = this.#pieces;
    this.#beginning = Buffer.concat([...pieces, chunk]).toString('latin1', 0, tailBytes);
    if (!this.#beginning.startsWith('{"method":') || dataEvents.test(this.#beginning)) return;
    this.#cutter = new TextCutter(scriptEvents.test(this.#beginning) ? maxScriptTextBytes : maxTextBytes);
    [this.#pieces, this.#keptBytes] = [[], 0];
    for (const piece of pieces) this.#keep(piece);
  }

  #keep(chunk: Buffer): void {
    if (this.#tail !== undefined) {
      this.#tail = Buffer.concat([this.#tail, chunk.subarray(-tailBytes)]).subarray(-tailBytes);
      return;
    }
    for (const part of this.#cutter?.cut(chunk) ?? [chunk]) {
      this.#keptBytes += part.length;
      this.#pieces.push(part);
    }
    const isResponse = this.#beginning.startsWith('{"id":');
    const isTooLong = isResponse
      ? this.#keptBytes > maxResponseBytes
      : this.#keptBytes > maxEventBytes && recordedEvents.test(this.#beginning);
    if (isTooLong) this.#leaveOut();
  }

  #leaveOut(): void {
    this.#tail = Buffer.alloc(0);
    this.#pieces = [];
  }

  /** The report in place of a message that was left out. */
  #standIn(tail: string): string | undefined {
    const to = addressee(sessionOf(tail));
    const [, id] = /^\{"id":(\d+)/.exec(this.#beginning) ?? [];
    const text = leftOutText(this.#bytes);
    if (id !== undefined) return failedResponse(Number(id), text, to);
    if (!consoleEvents.test(this.#beginning)) return undefined;
    const entry = { source: 'other', level: 'warning', text, timestamp: Date.now() };
    return JSON.stringify({ method: 'Log.entryAdded', params: { entry }, ...to });
  }
}

/** Cuts each text of a JSON document that arrives in pieces to about `maxBytes`, where a character ends. */
class TextCutter {
  readonly #maxBytes: number;
  #isInText = false;
  /** Of the text so far. */
  #kept = 0;
  #isCut = false;
  /** Whether the piece before ended in a backslash that escapes what follows. */
  #isEscaped = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The parts of the piece that are kept. */
  cut(piece: Buffer): Buffer[] {
    const kept: Buffer[] = [];
    let keptFrom = 0;
    for (let at = 0; at < piece.length;) {
      const found = this.#isInText ? endOfText(piece, at, this.#isEscaped) : piece.indexOf(quote, at);
      const end = found === -1 ? piece.length : found;
      if (this.#isInText) {
        const cutAt = this.#cutOf(piece, at, end);
        if (cutAt > at && cutAt < end) kept.push(piece.subarray(keptFrom, cutAt), ellipsis);
        if (cutAt < end) keptFrom = end;
      }
      if (found === -1) {
        this.#isEscaped = this.#isInText && isEscapedAt(piece, at, end, this.#isEscaped);
        break;
      }
      this.#isInText = !this.#isInText;
      [this.#kept, this.#isCut, this.#isEscaped] = [0, false, false];
      at = found + 1;
    }
    if (keptFrom < piece.length) kept.push(piece.subarray(keptFrom));
    return kept;
  }

  /** The position from which a text is left out: `from` if it was truncated before, `to` if all of it is kept. */
  #cutOf(piece: Buffer, from: number, to: number): number {
    if (this.#isCut) return from;
    let end = to;
    if (this.#kept + to - from > this.#maxBytes) {
      // So far into the piece that what comes before a place in it can be seen.
      end = Math.min(to, from + Math.max(8, this.#maxBytes - this.#kept));
      while (end < to && !isBoundary(piece, from, end, this.#isEscaped)) end += 1;
    }
    this.#kept += end - from;
    this.#isCut = end < to;
    return end;
  }
}

const ellipsis = Buffer.from('…');

/** The quotation mark that ends the text in which `from` is; -1 if it comes later. */
function endOfText(piece: Buffer, from: number, isEscaped: boolean): number {
  let end = piece.indexOf(quote, from);
  while (end !== -1 && isEscapedAt(piece, from, end, isEscaped)) end = piece.indexOf(quote, end + 1);
  return end;
}

/** Whether backslashes escape the byte at `at`; `isEscaped`: that at `from`. */
function isEscapedAt(piece: Buffer, from: number, at: number, isEscaped: boolean): boolean {
  let first = at;
  while (first > from && piece[first - 1] === backslash) first -= 1;
  const count = at - first - Number(first === from && isEscaped && at > from);
  return first === from && at === from ? isEscaped : count % 2 === 1;
}

/** Whether a text can be cut before the byte at `at`: not within a character, nor within its escape. */
function isBoundary(piece: Buffer, from: number, at: number, isEscaped: boolean): boolean {
  if (((piece[at] ?? 0) & 0xc0) === 0x80 || isEscapedAt(piece, from, at, isEscaped)) return false;
  return [1, 2, 3, 4].every((back) => piece[at - back] !== letterU || !isEscapedAt(piece, from, at - back, isEscaped));
}
