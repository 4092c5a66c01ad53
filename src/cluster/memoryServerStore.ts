import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Clock } from '../clock.js';
import { ownerKey } from '../tenancy/principal.js';
import type { Limiter, OpenLimiter } from '../tenancy/rateLimits.js';
import type { SharedText } from '../tenancy/sharedStore.js';
import {
  contextsMs,
  type ContextOwner,
  type ContextStore,
  type EpisodeStore,
  type PlaceStore,
  type RosterStore,
  type ServerStore,
} from './serverStore.js';

interface BrowserContexts {
  readonly owners: Map<string, ContextOwner>;
  readonly until: number;
}

/** What nodes that live in one process share of their server. */
export class MemoryServerStore implements ServerStore {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #limiters = new Map<string, Limiter>();
  /** By their ids. */
  readonly #places = new Map<string, { readonly owner: string; readonly until: number }>();

  readonly #rosters = new Map<string, { readonly text: string; readonly until: number }>();
  /** By the ids of their browsers. */
  readonly #contexts = new Map<string, BrowserContexts>();
  #creations: { readonly at: number; readonly cause: string }[] = [];
  #episode = { is: 'over', until: 0 };
  #users = { version: 0, text: '' };
  readonly #followers: (() => void)[] = [];

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

  readonly users: SharedText = {
    read: async (known) => (known === this.#users.version ? null : this.#users),
    write: async (text, known) => {
      if (known !== this.#users.version) return false;
      this.#users = { version: known + 1, text };
      for (const follower of this.#followers) setImmediate(follower);
      return true;
    },
    listen: async (onWritten) => void this.#followers.push(onWritten),
  };

  readonly rosters: RosterStore = {
    put: async (node, text, ms) => {
      const told = text ?? this.#rosters.get(node)?.text;
      if (told !== undefined) this.#rosters.set(node, { text: told, until: this.#clock.now() + ms });
      return told !== undefined;
    },
    all: async () => {
      const now = this.#clock.now();
      for (const [node, { until }] of this.#rosters) if (until <= now) this.#rosters.delete(node);
      return [...this.#rosters].map(([node, { text }]) => ({ node, text }));
    },
    drop: async (node) => void this.#rosters.delete(node),
  };

  readonly contexts: ContextStore = {
    all: async (browser) => [...this.#contextsOf(browser)].map(([contextId, owner]) => ({ contextId, ...owner })),
    put: async (browser, { contextId, node, sessionId }) =>
      void this.#contextsOf(browser).set(contextId, { node, sessionId }),
    change: async (browser, contextId, before, after) => {
      const owners = this.#contextsOf(browser);
      const owner = owners.get(contextId);
      if (owner?.node !== before?.node || owner?.sessionId !== before?.sessionId) return false;
      if (after === null) owners.delete(contextId);
      else owners.set(contextId, { node: after.node, sessionId: after.sessionId });
      return true;
    },
  };

  readonly episodes: EpisodeStore = {
    count: async (windowMs, cause) => {
      const now = this.#clock.now();
      this.#creations = this.#creations.filter(({ at }) => at > now - windowMs);
      if (cause !== undefined) this.#creations.push({ at: now, cause });
      const causes = new Set(this.#creations.map((creation) => creation.cause));
      return new Map([...causes].map((each) => [each, this.#creations.filter((one) => one.cause === each).length]));
    },
    begin: async (ms) => {
      const isFirst = this.#episode.until <= this.#clock.now();
      if (isFirst) this.#episode = { is: 'ringing', until: this.#clock.now() + ms };
      return isFirst;
    },
    goOn: async (ms) => {
      if (this.#isRinging) this.#episode.until = this.#clock.now() + ms;
    },
    end: async (quietMs) => {
      const isFirst = this.#isRinging;
      if (isFirst) this.#episode = { is: 'over', until: this.#clock.now() + quietMs };
      return isFirst;
    },
  };

  #contextsOf(browser: string): Map<string, ContextOwner> {
    const now = this.#clock.now();
    const known = this.#contexts.get(browser);
    const owners = known !== undefined && known.until > now ? known.owners : new Map<string, ContextOwner>();
    this.#contexts.set(browser, { owners, until: now + contextsMs });
    return owners;
  }

  get #isRinging(): boolean {
    return this.#episode.is === 'ringing' && this.#episode.until > this.#clock.now();
  }
}
