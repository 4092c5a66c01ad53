import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.js';
import type { SessionResources } from './methodContext.js';
import { ResourceStore } from './resourceStore.js';

/** Users whose results are kept, and for how long after their last request. */
const maxUsers = 256;
const ttlMs = 600_000;

/**
 * The big results of tools that work on no browser, for clients without a session: a store for each user. Kept while the
 * user sends requests (S10). Owned by the server, which closes it.
 */
export class UserResources {
  readonly #stores: LRUCache<string, ResourceStore>;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#stores = new LRUCache({
      ...{ max: maxUsers, ttl: ttlMs, ttlResolution: 0, updateAgeOnGet: true, perf: clock },
      dispose: (store) => void store.close(),
    });
  }

  of(user: string): SessionResources {
    const known = this.#stores.get(user);
    if (known !== undefined) return known;
    const store = new ResourceStore();
    this.#stores.set(user, store);
    return store;
  }

  async close(): Promise<void> {
    const stores = [...this.#stores.values()];
    this.#stores.clear();
    await Promise.all(stores.map((store) => store.close()));
  }
}
