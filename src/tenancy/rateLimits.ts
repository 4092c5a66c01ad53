import { RateLimiterMemory, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { Refusal } from '../errors/errors.js';
import { principalKey, type Principal } from './principal.js';

export interface RateLimitOptions {
  /** Sessions that one user, and one peer address, may open in a minute. */
  readonly connectRate: number;
  /** Messages that one user may send in a minute. */
  readonly requestRate: number;
}

/** A window in which points are counted for each key. */
export interface RateWindow {
  /** What is counted. */
  readonly keyPrefix: string;
  readonly points: number;
  /** Seconds. */
  readonly duration: number;
  /** Counts in its place where it cannot be reached. Without one whoever asks is refused then. */
  readonly insuranceLimiter?: RateLimiterMemory;
}

export type RateLimiter = Pick<RateLimiterAbstract, 'consume' | 'points'>;

/** Opens a window: the same one for all nodes that share a store. */
export type CreateRateLimiter = (window: RateWindow) => RateLimiter;

const windowSeconds = 60;

const createMemoryLimiter: CreateRateLimiter = (window) => new RateLimiterMemory(window);

/** How often somebody may ask, counted in windows of a minute. What is forgotten needs no owner. */
export class RateLimits {
  readonly #connects: RateLimiter;
  readonly #messages: RateLimiter;

  /** `open`: where it is counted. Default: in this process. */
  constructor({ connectRate, requestRate }: RateLimitOptions, createLimiter: CreateRateLimiter = createMemoryLimiter) {
    const messages = { keyPrefix: 'message', points: requestRate, duration: windowSeconds };
    this.#connects = createLimiter({ keyPrefix: 'connect', points: connectRate, duration: windowSeconds });
    // Who is connected is served on, whatever becomes of the store.
    this.#messages = createLimiter({ ...messages, insuranceLimiter: new RateLimiterMemory(messages) });
  }

  /** Counts a session that is about to be opened. Throws `rate_limited` or `store_unreachable`; then it must not be. */
  async countConnection(user: Principal, peer: string): Promise<void> {
    // The address first: whoever invents users is stopped before their names fill the memory.
    await consumePoints(this.#connects, `peer ${peer}`, '--connect-rate');
    await consumePoints(this.#connects, `user ${principalKey(user)}`, '--connect-rate');
  }

  /** Counts messages that are about to be received. Throws `rate_limited`; then none must be. */
  countMessages(user: Principal, messages = 1): Promise<void> {
    return consumePoints(this.#messages, principalKey(user), '--request-rate', messages);
  }
}

async function consumePoints(limiter: RateLimiter, key: string, flag: string, points = 1): Promise<void> {
  try {
    await limiter.consume(key, points);
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    throw new Refusal('rate_limited', { retryAfterMs: error.msBeforeNext, limit: `${flag} ${limiter.points}` });
  }
}
