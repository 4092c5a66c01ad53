import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Clock } from '../clock.js';
import { ownerKey } from '../tenancy/principal.js';
import type { Limiter, OpenLimiter } from '../tenancy/rateLimits.js';
import type { PlaceStore, ServerStore } from './serverStore.js';

/** What nodes that live in one process share of their server. */
export class MemoryServerStore implements ServerStore {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #limiters = new Map<string, Limiter>();
  /** By their ids. */
  readonly #places = new Map<string, { readonly owner: string; readonly until: number }>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  readonly limiter: OpenLimiter = (window) => {
    const limiter = this.#limiters.get(window.keyPrefix) ?? new RateLimiterMemory(window);
    this.#limiters.set(window.keyPrefix, limiter);
    return limiter;
  };

  readonly places: PlaceStore = {
    take: async ({ id, owner }, { maxSessions, maxSessionsPerUser }, ms) => {
      const now = this.#clock.now();
      for (const [other, { until }] of this.#places) if (until <= now) this.#places.delete(other);
      const key = ownerKey(owner);
      if (this.#places.size >= maxSessions) return 'full';
      if ([...this.#places.values()].filter((place) => place.owner === key).length >= maxSessionsPerUser)
        return 'full-of-owner';
      this.#places.set(id, { owner: key, until: now + ms });
      return 'taken';
    },
    keep: async (owner, ids, ms) => {
      for (const id of ids) this.#places.set(id, { owner: ownerKey(owner), until: this.#clock.now() + ms });
    },
    free: async ({ id }) => void this.#places.delete(id),
  };
}
