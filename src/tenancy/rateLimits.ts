import { RateLimiterMemory, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { Refusal } from '../errors/errors.js';
import { principalKey, type Principal } from './principal.js';

export interface RateLimitOptions {
  /** Sessions that one user, and one address, may open in a minute. */
  readonly connectRate: number;
  /** Messages that one user may send in a minute. */
  readonly requestRate: number;
}

/** A window in which points are counted for each key. */
export interface RateWindow {
  /** Names the window in the store. */
  readonly keyPrefix: string;
  readonly points: number;
  /** Seconds. */
  readonly duration: number;
  /** Counts while the store is unreachable. Without it, requests are refused then. */
  readonly insuranceLimiter?: RateLimiterMemory;
}

export type RateLimiter = Pick<RateLimiterAbstract, 'consume' | 'points'>;

/** Opens a window, which all nodes with the same store share. */
export type CreateRateLimiter = (window: RateWindow) => RateLimiter;

const windowSeconds = 60;

const createMemoryLimiter: CreateRateLimiter = (window) => new RateLimiterMemory(window);

/** Rate limits on new sessions and messages, in windows of a minute. Nothing to close. */
export class RateLimits {
  readonly #connects: RateLimiter;
  readonly #messages: RateLimiter;

  /** `createLimiter`: where requests are counted. Default: in this process. */
  constructor({ connectRate, requestRate }: RateLimitOptions, createLimiter: CreateRateLimiter = createMemoryLimiter) {
    const messages = { keyPrefix: 'message', points: requestRate, duration: windowSeconds };
    this.#connects = createLimiter({ keyPrefix: 'connect', points: connectRate, duration: windowSeconds });
    // Connected clients are served even when the store is unreachable.
    this.#messages = createLimiter({ ...messages, insuranceLimiter: new RateLimiterMemory(messages) });
  }

  /** Counts a session before it is opened. Throws `rate_limited` or `store_unreachable`. */
  async countConnection(user: Principal, peer: string): Promise<void> {
    // The address is counted first, so that made-up user names cannot fill the memory.
    await consumePoints(this.#connects, `peer ${peer}`, '--connect-rate');
    await consumePoints(this.#connects, `user ${principalKey(user)}`, '--connect-rate');
  }

  /** Counts messages before they are received. Throws `rate_limited`. */
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
