import { randomUUID } from 'node:crypto';
import { StringDecoder } from 'node:string_decoder';
import type { ConnectionTransport } from 'puppeteer-core';
import { messageOf } from '../../errors/errors.js';

/**
 * Default limit on one message of a browser, in bytes. The longest useful message is a response body: 8 MiB, which JSON
 * may escape to six times that. Heap snapshots and traces arrive in chunks.
 */
const maxMessageBytes = 64 * 1024 ** 2;

/**
 * The transport of one browser connection. Its messages may be controlled by pages: one that is too long, or whose
 * handling throws, drops this connection and nothing else; `droppedBecause` is the cause.
 */
export abstract class BrowserTransport implements ConnectionTransport {
  /** May return a promise; its rejection drops the connection too. */
  onmessage?: (message: string) => unknown;
  onclose?: () => void;
  /** Called once, when the connection is dropped cause of a message. */
  ondrop?: (cause: string) => void;
  readonly maxMessageBytes: number;
  #droppedBecause: string | undefined;

  constructor(limit = maxMessageBytes) {
    this.maxMessageBytes = limit;
  }

  get droppedBecause(): string | undefined {
    return this.#droppedBecause;
  }

  abstract send(message: string): void;
  abstract close(): void;
  /** Ends the connection immediately; messages in transit are not read. */
  abstract terminate(): void;

  protected async receive(message: string): Promise<void> {
    if (this.#droppedBecause !== undefined) return;
    try {
      await this.onmessage?.(message);
    } catch (error) {
      this.drop(`A message of the browser could not be handled: ${messageOf(error)}`);
    }
  }

  protected drop(cause: string): void {
    if (this.#droppedBecause !== undefined) return;
    this.#droppedBecause = cause;
    this.terminate();
    this.ondrop?.(cause);
  }

  protected get tooLongCause(): string {
    return `The browser sent a message of more than ${this.maxMessageBytes} bytes, and its connection was dropped.`;
  }
}

/** A message up to this length is taken as it is. */
export const shortBytes = 1024 ** 2;
/** In longer events: longer texts are truncated, and a longer whole is left out. */
const maxTextBytes = 256 * 1024;
const maxEventBytes = 2 * 1024 ** 2;
/** A longer source map within a script is cut. */
const maxScriptTextBytes = 16 * 1024 ** 2;
/** A longer response is an error of its command. */
const maxResponseBytes = 24 * 1024 ** 2;
/** Bytes searched at the end of a message that is left out. */
const tailBytes = 200;

/** Events whose texts are data that must not be truncated. */
const dataEvents = /^\{"method":"(?:Page\.screencastFrame|HeapProfiler\.|Tracing\.)/;
/** May hold the whole source map of a script. Left out, only the original positions of that script are missing. */
const scriptEvents = /^\{"method":"Debugger\.script/;
/** Events that only record: nothing waits for an answer to them. */
const recordedEvents =
  /^\{"method":"(?:Runtime\.(?:consoleAPICalled|exceptionThrown|bindingCalled)|Log\.|Audits\.|Network\.)/;
const consoleEvents = /^\{"method":"(?:Runtime\.(?:consoleAPICalled|exceptionThrown)|Log\.)/;

/** An accessibility tree: of a large page, more than can be parsed at once. */
const treeResponse = /^\{"id":\d+,"result":\{"nodes":\[\{"nodeId":"/;

/** The nodes of long responses that have not been taken yet. */
const kept = new Map<string, readonly unknown[]>();
const maxKept = 16;

function keepNodes(nodes: readonly unknown[]): string {
  const key = randomUUID();
  kept.set(key, nodes);
  const [oldest] = kept.keys();
  if (kept.size > maxKept && oldest !== undefined) kept.delete(oldest);
  return key;
}

/** The nodes of a response, also if it was so long that they were parsed one after another. To be called once. */
export function nodesOf<Node>(response: { readonly nodes: Node[] }): Node[] {
  const { key } = response as { readonly key?: string };
  if (key === undefined) return response.nodes;
  const nodes = kept.get(key);
  kept.delete(key);
  return (nodes ?? []) as Node[];
}

const [quote, backslash, letterU] = [0x22, 0x5c, 0x75];

/**
 * One message of the browser while it arrives. A page decides how long the texts of its events are, and a text is
 * decoded, parsed and copied in one turn of the event loop: the texts of a long message are truncated and decoded piece
 * by piece instead.
 */
export class IncomingMessage {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** The beginning of a message that is not short. */
  #beginning = '';
  /** From `shortBytes` on: what is kept, decoded, and what cuts the texts in it. */
  #text: string | undefined;
  #decoder: StringDecoder | undefined;
  #cutter: TextCutter | undefined;
  #nodes: NodeList | undefined;
  #keptBytes = 0;
  /** The last bytes of a message that is otherwise dropped. */
  #tail: Buffer | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** False if it is longer than any message may be. */
  append(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#beginning === '' && this.#bytes > Math.min(shortBytes, this.#maxBytes))
      this.#beginning = Buffer.concat([...this.#pieces, chunk]).toString('latin1', 0, tailBytes);
    if (this.#bytes > this.#maxBytes && this.#tail === undefined) {
      if (!scriptEvents.test(this.#beginning)) return false;
      this.#leaveOut();
    }
    if (this.#tail !== undefined)
      this.#tail = Buffer.concat([this.#tail, chunk.subarray(-tailBytes)]).subarray(-tailBytes);
    else if (this.#text === undefined) this.#collect(chunk);
    else this.#keep(chunk);
    return true;
  }

  /** The text to hand over; undefined if there is none. */
  end(): string | undefined {
    if (this.#nodes !== undefined) return this.#withoutNodes(this.#nodes);
    if (this.#tail !== undefined) return this.#standIn(this.#tail.toString('latin1'));
    if (this.#text !== undefined) return this.#text + (this.#decoder?.end() ?? '');
    return (this.#pieces.length === 1 ? this.#pieces[0] : Buffer.concat(this.#pieces))?.toString('utf8') ?? '';
  }

  #collect(chunk: Buffer): void {
    this.#pieces.push(chunk);
    if (this.#bytes <= shortBytes) return;
    this.#text = '';
    if (treeResponse.test(this.#beginning)) this.#nodes = new NodeList();
    const isEvent = this.#beginning.startsWith('{"method":') && !dataEvents.test(this.#beginning);
    if (isEvent) this.#cutter = new TextCutter(scriptEvents.test(this.#beginning) ? maxScriptTextBytes : maxTextBytes);
    for (const piece of this.#pieces.splice(0)) if (this.#tail === undefined) this.#keep(piece);
  }

  #keep(chunk: Buffer): void {
    if (this.#nodes !== undefined) {
      this.#nodes.add(chunk);
      return;
    }
    const decoder = (this.#decoder ??= new StringDecoder('utf8'));
    for (const part of this.#cutter?.cut(chunk) ?? [chunk]) {
      this.#keptBytes += part.length;
      this.#text = (this.#text ?? '') + decoder.write(part);
    }
    const isResponse = this.#beginning.startsWith('{"id":');
    const isTooLong = isResponse
      ? this.#keptBytes > maxResponseBytes
      : this.#keptBytes > maxEventBytes && recordedEvents.test(this.#beginning);
    if (isTooLong) this.#leaveOut();
  }

  #withoutNodes({ nodes, end }: NodeList): string {
    const key = keepNodes(nodes);
    return `${/^\{"id":\d+/.exec(this.#beginning)?.[0] ?? ''},"result":{"nodes":[],"key":"${key}"${end.slice(1)}`;
  }

  #leaveOut(): void {
    this.#tail = Buffer.alloc(0);
    this.#text = undefined;
    this.#pieces = [];
  }

  /** The report in place of a message that was left out. */
  #standIn(tail: string): string | undefined {
    const [, session] = /"sessionId":"(\w+)"\}$/.exec(tail) ?? [];
    const to = session === undefined ? {} : { sessionId: session };
    const [, id] = /^\{"id":(\d+)/.exec(this.#beginning) ?? [];
    const text = `The browser's message of ${this.#bytes} bytes was left out: it is too long.`;
    if (id !== undefined) return JSON.stringify({ id: Number(id), error: { code: -32000, message: text }, ...to });
    if (!consoleEvents.test(this.#beginning)) return undefined;
    const entry = { source: 'other', level: 'warning', text, timestamp: Date.now() };
    return JSON.stringify({ method: 'Log.entryAdded', params: { entry }, ...to });
  }
}

const [bracket, bracketEnd, brace, braceEnd] = [0x5b, 0x5d, 0x7b, 0x7d];

/** The first list of a JSON document that arrives in pieces: the items of each piece are parsed on arrival. */
class NodeList {
  readonly nodes: unknown[] = [];
  /** The text after the list, including its end. */
  end = '';
  #rest: Buffer = Buffer.alloc(0);
  /** Levels within the list; undefined before it. */
  #depth: number | undefined;
  #isInText = false;
  #isEscaped = false;
  #isOver = false;
  /** Of the items in a piece. */
  #start = 0;
  #lastEnd = 0;

  add(piece: Buffer): void {
    if (this.#isOver) {
      this.end += piece.toString('utf8');
      return;
    }
    [this.#start, this.#lastEnd] = [0, 0];
    const isOver = this.#scan(piece);
    if (this.#lastEnd > this.#start) this.#parse(piece.subarray(this.#start, this.#lastEnd));
    if (this.#depth === undefined || isOver) return;
    this.#rest = Buffer.concat([this.#rest, piece.subarray(this.#lastEnd)]);
  }

  /** Whether the list ends in this piece. */
  #scan(piece: Buffer): boolean {
    for (let at = 0; at < piece.length && !this.#isOver; at++) {
      if (this.#isInText) at = this.#skipText(piece, at);
      else this.#readStructure(piece, at);
    }
    return this.#isOver;
  }

  #skipText(piece: Buffer, at: number): number {
    const end = endOfText(piece, at, this.#isEscaped);
    this.#isInText = end === -1;
    this.#isEscaped = this.#isInText && isEscapedAt(piece, at, piece.length, this.#isEscaped);
    return this.#isInText ? piece.length : end;
  }

  #readStructure(piece: Buffer, at: number): void {
    const byte = piece[at];
    const opens = byte === bracket || byte === brace;
    const closes = byte === bracketEnd || byte === braceEnd;
    if (byte === quote) this.#isInText = true;
    else if (this.#depth === undefined) {
      if (byte === bracket) [this.#depth, this.#start, this.#lastEnd] = [0, at + 1, at + 1];
    } else if (opens) this.#depth += 1;
    else if (closes && this.#depth === 0) {
      this.#isOver = true;
      this.end = piece.toString('utf8', at);
    } else if (closes) {
      this.#depth -= 1;
      if (this.#depth === 0) this.#lastEnd = at + 1;
    }
  }

  #parse(bytes: Buffer): void {
    const text = Buffer.concat([this.#rest, bytes]).toString('utf8');
    this.#rest = Buffer.alloc(0);
    for (const node of JSON.parse(`[${text.replace(/^,/, '')}]`) as unknown[]) this.nodes.push(node);
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
