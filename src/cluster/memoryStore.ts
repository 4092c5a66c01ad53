import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { CloseReason } from '../../machines/events.js';
import { ExpiringMap, type Clock } from '../clock.js';
import { owns, type Caller, type Principal, principalKey } from '../tenancy/principal.js';
import { MemoryEventLog } from './eventLog.js';
import {
  maxInlinePieceLength,
  defaultStoreLimits,
  type FencedEventLog,
  type OwnerLookup,
  type WakeHint,
  type Inbox,
  type NodeLeases,
  type ReplyStore,
  type SessionDirectory,
  type SnapshotStore,
  type ClusterStore,
  type StoreLimits,
  type OwnershipTerm,
  contextEntriesTtlMs,
  type ContextOwner,
  type ContextStore,
  type AlertEpisodeStore,
  type Broadcast,
  type ExpiringTexts,
  type OnceStore,
  type QuotaStore,
  type RosterStore,
  type ServerStore,
  type SharedKey,
} from './clusterStore.js';
import type { RateLimiter, CreateRateLimiter } from '../tenancy/rateLimits.js';
import type { VersionedText } from '../tenancy/sharedUserStore.js';

interface SessionEntry {
  readonly principal: Principal;
  readonly transport: string;
  node: string;
  epoch: number;
  state: 'open' | 'restoring' | 'closed';
  closedBecause: CloseReason | null;
  inbox: string[];
  snapshot: string | null;
}

/** The store of nodes that run in one process. Its steps are atomic, since none of them awaits anything before it writes. */
export class MemoryStore implements ClusterStore {
  readonly #entries: ExpiringMap<SessionEntry>;
  readonly #seenMessageIds: ExpiringMap<true>;
  readonly #replies: ExpiringMap<string[]>;
  readonly #leases: ExpiringMap<true>;
  readonly #events: MemoryEventLog;
  readonly #limits: StoreLimits;
  readonly #subscribers = new Map<string, (hint: WakeHint) => void>();
  readonly server: MemoryServerStore;

  constructor(clock: Pick<Clock, 'now'>, limits: Partial<StoreLimits> = {}) {
    this.#limits = { ...defaultStoreLimits, ...limits };
    this.#entries = new ExpiringMap(clock);
    this.#seenMessageIds = new ExpiringMap(clock);
    this.#replies = new ExpiringMap(clock);
    this.#leases = new ExpiringMap(clock);
    this.#events = new MemoryEventLog(this.#limits.events);
    this.server = new MemoryServerStore(clock);
  }

  readonly directory: SessionDirectory = {
    claim: async ({ sessionId, principal, node, transport }) => {
      if (this.#entries.get(sessionId) !== undefined) return null;
      const initial = { epoch: 1, state: 'open' as const, closedBecause: null, inbox: [], snapshot: null };
      const entry: SessionEntry = { principal, node, transport, ...initial };
      this.#entries.set(sessionId, entry, this.#limits.entryTtlMs);
      return entry.epoch;
    },
    find: async (sessionId, caller) => this.#find(sessionId, caller),
    renew: async (term) => {
      const entry = this.#entryOf(term);
      if (entry === undefined) return 'fenced';
      this.#entries.set(term.sessionId, entry, this.#limits.entryTtlMs);
      return 'renewed';
    },
    takeOver: async (term, node) => {
      const entry = this.#entryOf(term);
      if (entry === undefined) return null;
      Object.assign(entry, { node, epoch: entry.epoch + 1, state: 'restoring' } satisfies Partial<SessionEntry>);
      this.#entries.set(term.sessionId, entry, this.#limits.entryTtlMs);
      return entry.epoch;
    },
    completeTakeover: async (term) => {
      const entry = this.#entryOf(term);
      if (entry === undefined) return 'fenced';
      entry.state = 'open';
      return 'completed';
    },
    close: async (term, closedBecause) => {
      const entry = this.#entryOf(term);
      if (entry === undefined) return 'fenced';
      Object.assign(entry, {
        state: 'closed',
        closedBecause,
        inbox: [],
        snapshot: null,
      } satisfies Partial<SessionEntry>);
      this.#entries.set(term.sessionId, entry, this.#limits.closedEntryTtlMs);
      await this.#events.discard(term.sessionId);
      return 'closed';
    },
  };

  readonly inbox: Inbox = {
    enqueue: async ({ id, sessionId, caller, data }) => {
      const found = this.#find(sessionId, caller);
      const entry = this.#entries.get(sessionId);
      if (entry === undefined || found.kind !== 'owned') return found;
      if (this.#seenMessageIds.get(`${sessionId} ${id}`) !== undefined) return found;
      if (entry.inbox.length > 0 && isInboxFull([...entry.inbox, data], this.#limits.inbox)) return { kind: 'full' };
      this.#seenMessageIds.set(`${sessionId} ${id}`, true, this.#limits.messageIdTtlMs);
      entry.inbox.push(data);
      this.#notify(entry.node, { kind: 'inbox', sessionId });
      return found;
    },
    take: async (term, count) => this.#entryOf(term)?.inbox.splice(0, count) ?? 'fenced',
  };

  readonly replies: ReplyStore = {
    put: async (term, { sessionId, messageId, node }, piece, isLast) => {
      if (this.#entryOf(term) === undefined) return 'fenced';
      const key = `${sessionId} ${messageId}`;
      const pieces = this.#replies.get(key) ?? [];
      if (!isLast && pieces.length >= this.#limits.maxReplyPieces) return 'full';
      this.#replies.set(key, [...pieces, piece], this.#limits.replyTtlMs);
      this.#notify(node, {
        kind: 'reply',
        offerId: messageId,
        piece: piece.length > maxInlinePieceLength ? null : piece,
      });
      return 'put';
    },
    take: async ({ sessionId, messageId }) => {
      const key = `${sessionId} ${messageId}`;
      const pieces = this.#replies.get(key) ?? [];
      this.#replies.delete(key);
      return pieces;
    },
  };

  readonly events: FencedEventLog = {
    append: async (epoch, stream, data) => {
      if (this.#entryOf({ sessionId: stream.sessionId, epoch }) === undefined) return null;
      return this.#events.append(stream, data);
    },
    after: (stream, eventId) => this.#events.replayAfter(stream, eventId),
    forget: async (term, streamId) => {
      if (this.#entryOf(term) !== undefined) await this.#events.discard(term.sessionId, streamId);
    },
  };

  readonly snapshots: SnapshotStore = {
    put: async (term, snapshot) => {
      const entry = this.#entryOf(term);
      if (entry === undefined) return 'fenced';
      entry.snapshot = snapshot;
      return 'put';
    },
    get: async (sessionId) => this.#entries.get(sessionId)?.snapshot ?? null,
    has: async (sessionId) => (await this.snapshots.get(sessionId)) !== null,
  };

  readonly nodes: NodeLeases = {
    renewLease: async (node, ms) => {
      const hadLease = this.#leases.get(node) !== undefined;
      this.#leases.set(node, true, ms);
      return hadLease;
    },
    isAlive: async (node) => this.#leases.get(node) !== undefined,
    releaseLease: async (node) => {
      this.#leases.delete(node);
      this.#subscribers.delete(node);
    },
    subscribe: async (node, onHint) => void this.#subscribers.set(node, onHint),
    wake: async (node, sessionId) => this.#notify(node, { kind: 'inbox', sessionId }),
  };

  async open(): Promise<void> {
    return;
  }

  /** Does nothing: other nodes of the process may still use the store. */
  async close(): Promise<void> {
    return;
  }

  #find(sessionId: string, caller: Caller): OwnerLookup {
    const entry = this.#entries.get(sessionId);
    if (entry !== undefined && !owns(caller, entry.principal)) return { kind: 'forbidden' };
    return toOwnerLookup(entry);
  }

  /** The entry, if `term` is its current term. */
  #entryOf({ sessionId, epoch }: OwnershipTerm): SessionEntry | undefined {
    const entry = this.#entries.get(sessionId);
    return entry?.epoch === epoch && entry.state !== 'closed' ? entry : undefined;
  }

  /** Asynchronous, as over a network. */
  #notify(node: string, hint: WakeHint): void {
    setImmediate(() => this.#subscribers.get(node)?.(hint));
  }
}

function toOwnerLookup(entry: SessionEntry | undefined): OwnerLookup {
  if (entry === undefined) return { kind: 'unknown' };
  const { state, node, epoch, transport, closedBecause, principal } = entry;
  if (state === 'closed' && closedBecause !== null) return { kind: 'closed', closedBecause, principal };
  if (state === 'restoring') return { kind: 'not_ready', node, epoch };
  return { kind: 'owned', node, epoch, transport };
}

function isInboxFull(inbox: readonly string[], { count, bytes }: StoreLimits['inbox']): boolean {
  return inbox.length > count || inbox.reduce((sum, data) => sum + Buffer.byteLength(data), 0) > bytes;
}

interface BrowserContexts {
  readonly owners: Map<string, ContextOwner>;
  readonly until: number;
}

/** The shared state of the server for nodes that run in one process. */
export class MemoryServerStore implements ServerStore {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #limiters = new Map<string, RateLimiter>();
  /** By slot id. */
  readonly #slots = new Map<string, { readonly owner: string; readonly until: number }>();
  readonly #rosters = new Map<string, { readonly text: string; readonly until: number }>();
  /** By browser id. */
  readonly #contexts = new Map<string, BrowserContexts>();
  #creations: { readonly at: number; readonly cause: string }[] = [];
  #episode = { state: 'over', until: 0 };
  #users = { version: 0, text: '' };
  readonly #uses = new Map<string, number>();
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
      for (const [slotId, { until }] of this.#slots) if (until <= now) this.#slots.delete(slotId);
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
    read: async (knownVersion) => (knownVersion === this.#users.version ? null : this.#users),
    write: async (text, knownVersion) => {
      if (knownVersion !== this.#users.version) return false;
      this.#users = { version: knownVersion + 1, text };
      for (const subscriber of this.#subscribers) setImmediate(subscriber);
      return true;
    },
    subscribe: async (onWritten) => void this.#subscribers.push(onWritten),
    uses: {
      record: async (uses) => uses.forEach((at, id) => this.#uses.set(id, at)),
      read: async (ids) => new Map([...this.#uses].filter(([id]) => ids.includes(id))),
    },
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

  #signingKey: string | undefined;
  readonly #usedOnce = new Map<string, number>();

  readonly requestStates: OnceStore = {
    signingKey: async (fresh) => (this.#signingKey ??= fresh),
    useOnce: async (id, ms) => {
      const now = this.#clock.now();
      for (const [known, until] of this.#usedOnce) if (until <= now) this.#usedOnce.delete(known);
      const isFirst = !this.#usedOnce.has(id);
      this.#usedOnce.set(id, now + ms);
      return isFirst;
    },
  };

  #fileKey: string | null = null;

  readonly fileKey: SharedKey = {
    read: async () => this.#fileKey,
    agree: async (fresh) => (this.#fileKey ??= fresh),
  };

  readonly #tasks = new Map<string, { readonly text: string; readonly until: number }>();

  readonly tasks: ExpiringTexts = {
    put: async (id, text, ms) => void this.#tasks.set(id, { text, until: this.#clock.now() + ms }),
    get: async (id) => {
      const now = this.#clock.now();
      for (const [known, { until }] of this.#tasks) if (until <= now) this.#tasks.delete(known);
      return this.#tasks.get(id)?.text ?? null;
    },
  };

  readonly #listeners = new Map<string, ((text: string) => void)[]>();

  broadcast(name: string): Broadcast {
    const listeners = this.#listeners.get(name) ?? [];
    this.#listeners.set(name, listeners);
    return {
      publish: async (text) => {
        for (const listener of listeners) setImmediate(() => listener(text));
      },
      subscribe: async (onText) => void listeners.push(onText),
    };
  }

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
      const counts = new Map<string, number>();
      for (const creation of this.#creations) counts.set(creation.cause, (counts.get(creation.cause) ?? 0) + 1);
      return counts;
    },
    tryBegin: async (ms) => {
      const isFirst = this.#episode.until <= this.#clock.now();
      if (isFirst) this.#episode = { state: 'firing', until: this.#clock.now() + ms };
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
    const stored = this.#contexts.get(browser);
    const owners = stored !== undefined && stored.until > now ? stored.owners : new Map<string, ContextOwner>();
    this.#contexts.set(browser, { owners, until: now + contextEntriesTtlMs });
    return owners;
  }

  get #isFiring(): boolean {
    return this.#episode.state === 'firing' && this.#episode.until > this.#clock.now();
  }
}
