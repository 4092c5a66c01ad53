import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Clock } from '../clock.js';
import { principalKey } from '../tenancy/principal.js';
import type { RateLimiter, CreateRateLimiter } from '../tenancy/rateLimits.js';
import type { VersionedText } from '../tenancy/sharedUserStore.js';
import {
  contextEntriesTtlMs,
  type ContextOwner,
  type ContextStore,
  type AlertEpisodeStore,
  type QuotaStore,
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
  readonly #limiters = new Map<string, RateLimiter>();
  /** By their ids. */
  readonly #slots = new Map<string, { readonly owner: string; readonly until: number }>();

  readonly #rosters = new Map<string, { readonly text: string; readonly until: number }>();
  /** By the ids of their browsers. */
  readonly #contexts = new Map<string, BrowserContexts>();
  #creations: { readonly at: number; readonly cause: string }[] = [];
  #episode = { state: 'over', until: 0 };
  #users = { version: 0, text: '' };
  readonly #subscribers: (() => void)[] = [];

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  readonly createRateLimiter: CreateRateLimiter = (window) => {
    const limiter = this.#limiters.get(window.keyPrefix) ?? new RateLimiterMemory(window);
    this.#limiters.set(window.keyPrefix, limiter);
    return limiter;
  };

  readonly quota: QuotaStore = {
    acquire: async ({ id, owner }, { maxSessions, maxSessionsPerUser }, ms) => {
      const now = this.#clock.now();
      for (const [other, { until }] of this.#slots) if (until <= now) this.#slots.delete(other);
      const key = principalKey(owner);
      if (this.#slots.size >= maxSessions) return 'full';
      if ([...this.#slots.values()].filter((slot) => slot.owner === key).length >= maxSessionsPerUser)
        return 'full-of-owner';
      this.#slots.set(id, { owner: key, until: now + ms });
      return 'taken';
    },
    renew: async (owner, ids, ms) => {
      for (const id of ids) this.#slots.set(id, { owner: principalKey(owner), until: this.#clock.now() + ms });
    },
    release: async ({ id }) => void this.#slots.delete(id),
  };

  readonly users: VersionedText = {
    read: async (known) => (known === this.#users.version ? null : this.#users),
    write: async (text, known) => {
      if (known !== this.#users.version) return false;
      this.#users = { version: known + 1, text };
      for (const subscriber of this.#subscribers) setImmediate(subscriber);
      return true;
    },
    subscribe: async (onWritten) => void this.#subscribers.push(onWritten),
  };

  readonly rosters: RosterStore = {
    put: async (node, text, ms) => {
      const currentText = text ?? this.#rosters.get(node)?.text;
      if (currentText !== undefined) this.#rosters.set(node, { text: currentText, until: this.#clock.now() + ms });
      return currentText !== undefined;
    },
    list: async () => {
      const now = this.#clock.now();
      for (const [node, { until }] of this.#rosters) if (until <= now) this.#rosters.delete(node);
      return [...this.#rosters].map(([node, { text }]) => ({ node, text }));
    },
    remove: async (node) => void this.#rosters.delete(node),
  };

  readonly contexts: ContextStore = {
    list: async (browser) => [...this.#contextsOf(browser)].map(([contextId, owner]) => ({ contextId, ...owner })),
    put: async (browser, { contextId, node, sessionId }) =>
      void this.#contextsOf(browser).set(contextId, { node, sessionId }),
    compareAndSet: async (browser, contextId, before, after) => {
      const owners = this.#contextsOf(browser);
      const owner = owners.get(contextId);
      if (owner?.node !== before?.node || owner?.sessionId !== before?.sessionId) return false;
      if (after === null) owners.delete(contextId);
      else owners.set(contextId, { node: after.node, sessionId: after.sessionId });
      return true;
    },
  };

  readonly alertEpisodes: AlertEpisodeStore = {
    countCreations: async (windowMs, cause) => {
      const now = this.#clock.now();
      this.#creations = this.#creations.filter(({ at }) => at > now - windowMs);
      if (cause !== undefined) this.#creations.push({ at: now, cause });
      const causes = new Set(this.#creations.map((creation) => creation.cause));
      return new Map([...causes].map((each) => [each, this.#creations.filter((one) => one.cause === each).length]));
    },
    tryBegin: async (ms) => {
      const isFirst = this.#episode.until <= this.#clock.now();
      if (isFirst) this.#episode = { state: 'ringing', until: this.#clock.now() + ms };
      return isFirst;
    },
    extend: async (ms) => {
      if (this.#isFiring) this.#episode.until = this.#clock.now() + ms;
    },
    tryEnd: async (quietMs) => {
      const isFirst = this.#isFiring;
      if (isFirst) this.#episode = { state: 'over', until: this.#clock.now() + quietMs };
      return isFirst;
    },
  };

  #contextsOf(browser: string): Map<string, ContextOwner> {
    const now = this.#clock.now();
    const known = this.#contexts.get(browser);
    const owners = known !== undefined && known.until > now ? known.owners : new Map<string, ContextOwner>();
    this.#contexts.set(browser, { owners, until: now + contextEntriesTtlMs });
    return owners;
  }

  get #isFiring(): boolean {
    return this.#episode.state === 'ringing' && this.#episode.until > this.#clock.now();
  }
}
