import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors/errors.js';

/** Answers of a client by the names of the questions. */
export type Answers = Readonly<Record<string, Record<string, unknown>>>;

/** How long a client, or a person at it, may take for the answers of one round. */
const ttlMs = 600_000;
/** Answers of earlier rounds in one state, in bytes. */
const maxAnswerBytes = 1024 ** 2;
/** States that this process remembers as used. */
const maxUsed = 100_000;

/** What all nodes agree on: the key that signs states, and which were used. */
export interface RequestStateStore {
  /** The key of all nodes; `fresh` becomes it if there is none. */
  signingKey(fresh: string): Promise<string>;
  /** False if it was used before. Remembered for `ms`. */
  useOnce(id: string, ms: number): Promise<boolean>;
}

/** The store of one process. */
export function memoryRequestStates(clock: Pick<Clock, 'now'>): RequestStateStore {
  // Made for the first one: it reserves megabytes.
  let used: LRUCache<string, true> | undefined;
  let key: string | undefined;
  return {
    signingKey: (fresh) => Promise.resolve((key ??= fresh)),
    useOnce: (id) => {
      used ??= new LRUCache({ max: maxUsed, ttl: ttlMs, ttlResolution: 0, perf: clock });
      const isFirst = !used.has(id);
      used.set(id, true);
      return Promise.resolve(isFirst);
    },
  };
}

const stateSchema = z.object({
  id: z.string(),
  /** Of the user and the request. */
  boundTo: z.string(),
  until: z.number(),
  answers: z.record(z.string(), z.record(z.string(), z.unknown())),
});

/**
 * The `requestState` of an input-required result (2026-07-28, multi round-trip requests): the answers of earlier rounds,
 * which the client brings back, so that any node can go on. It is signed, not encrypted: the client sent what is in it. It
 * is bound to the user and to the request, expires, and is accepted once.
 *
 *     body: base64url of JSON {id, boundTo, until, answers}     state: body "." base64url of HMAC-SHA256
 */
export class RequestStates {
  readonly #store: RequestStateStore;
  readonly #clock: Pick<Clock, 'now'>;

  constructor(store: RequestStateStore, clock: Pick<Clock, 'now'>) {
    this.#store = store;
    this.#clock = clock;
  }

  async seal(answers: Answers, boundTo: string): Promise<string> {
    const state = { id: randomBytes(16).toString('base64url'), boundTo, until: this.#clock.now() + ttlMs, answers };
    const text = JSON.stringify(state);
    if (Buffer.byteLength(text) > maxAnswerBytes)
      throw invalid(`The answers of this request have more than ${maxAnswerBytes} bytes together.`);
    const body = Buffer.from(text).toString('base64url');
    return `${body}.${(await this.#sign(body)).toString('base64url')}`;
  }

  /** The answers in a state. Throws `invalid_input`; a state that was accepted is used up. */
  async open(state: string, boundTo: string): Promise<Answers> {
    const [body = '', signature = '', ...rest] = state.split('.');
    const given = Buffer.from(signature, 'base64url');
    const expected = await this.#sign(body);
    const isSigned = rest.length === 0 && given.length === expected.length && timingSafeEqual(given, expected);
    if (!isSigned) throw invalid('This requestState was not made by this server, or was changed.');
    const { id, until, answers, ...made } = stateSchema.parse(JSON.parse(Buffer.from(body, 'base64url').toString()));
    if (made.boundTo !== boundTo)
      throw invalid('This requestState belongs to another request: send the one that it was given for, unchanged.');
    if (until <= this.#clock.now()) throw invalid('This requestState has expired: send the request without it.');
    if (!(await this.#store.useOnce(id, ttlMs)))
      throw invalid('This requestState was used before: send the request without it.');
    return answers;
  }

  async #sign(body: string): Promise<Buffer> {
    const key = await this.#store.signingKey(randomBytes(32).toString('base64url'));
    return createHmac('sha256', key).update(body).digest();
  }
}

const invalid = (detail: string): Refusal => new Refusal('invalid_input', { detail });

/** What a state is bound to: its user and everything of the request that is the same in each round. */
export function bindingOf(user: string, method: string, params: Readonly<Record<string, unknown>>): string {
  const { _meta, inputResponses: _responses, requestState: _state, ...same } = params;
  return createHash('sha256')
    .update(JSON.stringify([user, method, sorted(same)]))
    .digest('base64url');
}

/** With the keys of every object in one order: clients need not keep theirs. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
