import { Refusal } from '../errors/errors.js';
import type { ClientRequest } from './clientRequests.js';
import type { Params } from './methodContext.js';
import { isObject } from './protocol.js';
import { bindingOf, type Answers, type RequestStates } from './requestState.js';

/** Ends a handler whose question the client has not answered yet: the result of the call is the question. */
export class InputRequired extends Error {
  constructor() {
    super('The client has to answer first.');
    this.name = 'InputRequired';
  }
}

/** Asks while the handler runs. */
type AskLater = (
  name: string,
  request: Record<string, unknown>,
  signal: AbortSignal,
) => Promise<Record<string, unknown>>;

/** The questions of one handler at once (S10). */
const maxQuestions = 32;

/**
 * The questions of one request of revision 2026-07-28, which cannot be sent while it runs (multi round-trip requests). The
 * handler runs from its start in each round; a question that was answered in an earlier one gets that answer at once, and one
 * that was not ends the round. So a handler asks before it acts.
 *
 *     request ─▶ handler asks ─▶ input_required: questions, requestState
 *     the same request with answers and requestState ─▶ handler again, further ─▶ … ─▶ complete
 */
export class InputRounds {
  readonly #states: RequestStates;
  /** Made when it is needed: most requests ask nothing. */
  readonly #bind: () => string;
  readonly #asked = new Map<string, object>();
  readonly #taken = new Map<string, Record<string, unknown>>();
  readonly #counts = new Map<string, number>();
  #answers: Answers = {};
  #askLater: AskLater | undefined;

  constructor(states: RequestStates, { user, method, params }: { user: string; method: string; params: Params }) {
    this.#states = states;
    this.#bind = () => bindingOf(user, method, params);
  }

  /** Takes the answers that the request brings. Throws `invalid_input`. */
  async read({ inputResponses, requestState }: Params): Promise<void> {
    const isAnswers = isObject(inputResponses) && Object.values(inputResponses).every(isObject);
    if (inputResponses !== undefined && !isAnswers)
      throw new Refusal('invalid_input', { detail: '"inputResponses" is an object with an object for each question.' });
    if (requestState !== undefined && typeof requestState !== 'string')
      throw new Refusal('invalid_input', { detail: '"requestState" is a string: the one of the last result.' });
    const earlier = requestState === undefined ? {} : await this.#states.open(requestState, this.#bind());
    this.#answers = { ...(inputResponses as Answers | undefined), ...earlier };
  }

  /** Whether a question of this round has no answer yet. */
  get hasAsked(): boolean {
    return this.#asked.size > 0;
  }

  /** From now on questions are not the result of the request: the handler waits for their answers. */
  continueWith(askLater: AskLater): void {
    this.#askLater = askLater;
  }

  /** The answer to a question; rejects with `InputRequired` if there is none yet. */
  ask({ method, params = {}, key, signal }: ClientRequest): Promise<Record<string, unknown>> {
    const count = (this.#counts.get(method) ?? 0) + 1;
    this.#counts.set(method, count);
    const name = key ?? `${method.split('/', 1).join()}_${count}`;
    const answer = Object.hasOwn(this.#answers, name) ? this.#answers[name] : undefined;
    if (answer !== undefined) {
      this.#taken.set(name, answer);
      return Promise.resolve(answer);
    }
    if (this.#askLater !== undefined) return this.#askLater(name, { method, params }, signal);
    if (this.#asked.size < maxQuestions) this.#asked.set(name, { method, params });
    return Promise.reject(new InputRequired());
  }

  /** The result of a round with questions; null without one. */
  async result(): Promise<Record<string, unknown> | null> {
    if (this.#asked.size === 0) return null;
    const requestState = await this.#states.seal(Object.fromEntries(this.#taken), this.#bind());
    return { resultType: 'input_required', inputRequests: Object.fromEntries(this.#asked), requestState };
  }
}
