import type { JsonRpcErrorResponse } from '../errors/errors.js';
import type { JSONRPCMessage } from './protocol.js';

/** The JSON of a message for the wire: one text, or short texts around bytes that many messages share. */
export type MessageText = string | SharedText;

/** A JSON text whose middle is the same in many messages: those bytes exist once, and no writer makes them again. */
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

  get byteLength(): number {
    return Buffer.byteLength(this.#head) + this.#result.bytes.length + Buffer.byteLength(this.#tail);
  }

  /** The whole as one string, for those who keep or send strings. */
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

/** A result of one session alone is seldom written again: nothing is kept of it before the second time. */
const results = new WeakMap<object, SharedResult | 'not written yet' | 'written once'>();

/** Says that a result is answered to many requests and never changes: its JSON is kept from the second time on. */
export function shareResult<Result extends object>(result: Result): Result {
  if (!results.has(result)) results.set(result, 'not written yet');
  return result;
}

export const isSharedResult = (result: object): boolean => results.has(result);

/** Throws what `JSON.stringify` throws. */
export function textOf(message: JSONRPCMessage | JsonRpcErrorResponse): MessageText {
  if (!('result' in message)) return JSON.stringify(message);
  const { result, id } = message;
  const known = results.get(result);
  if (known === undefined) return JSON.stringify(message);
  if (known === 'not written yet') {
    results.set(result, 'written once');
    return JSON.stringify(message);
  }
  const shared = known === 'written once' ? serialize(result) : known;
  return new SharedText(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":`, shared, '}');
}

function serialize(result: object): SharedResult {
  const text = JSON.stringify(result);
  const shared = { text, bytes: Buffer.from(text) };
  results.set(result, shared);
  return shared;
}
