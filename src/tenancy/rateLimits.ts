import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { Refusal } from '../errors.js';
import { ownerKey, type Principal } from './principal.js';

export interface Rates {
  /** Sessions that one user, and one peer address, may open in a minute. */
  readonly connectRate: number;
  /** Messages that one user may send in a minute. */
  readonly requestRate: number;
}

const windowSeconds = 60;

/** How often somebody may ask, counted in this process in windows of a minute. What is forgotten needs no owner. */
export class RateLimits {
  readonly #connects: RateLimiterMemory;
  readonly #messages: RateLimiterMemory;

  constructor({ connectRate, requestRate }: Rates) {
    this.#connects = new RateLimiterMemory({ points: connectRate, duration: windowSeconds });
    this.#messages = new RateLimiterMemory({ points: requestRate, duration: windowSeconds });
  }

  /** Counts a session that is about to be opened. Throws `rate_limited`; then it must not be. */
  async connection(user: Principal, peer: string): Promise<void> {
    // The address first: whoever invents users is stopped before their names fill the memory.
    await count(this.#connects, `peer ${peer}`, '--connect-rate');
    await count(this.#connects, `user ${ownerKey(user)}`, '--connect-rate');
  }

  /** Counts messages that are about to be received. Throws `rate_limited`; then none must be. */
  message(user: Principal, messages = 1): Promise<void> {
    return count(this.#messages, ownerKey(user), '--request-rate', messages);
  }
}

async function count(limiter: RateLimiterMemory, key: string, flag: string, points = 1): Promise<void> {
  try {
    await limiter.consume(key, points);
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    throw new Refusal('rate_limited', { retryAfterMs: error.msBeforeNext, limit: `${flag} ${limiter.points}` });
  }
}
