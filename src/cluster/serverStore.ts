import type { Principal } from '../tenancy/principal.js';
import type { CreateRateLimiter } from '../tenancy/rateLimits.js';
import type { VersionedText } from '../tenancy/sharedUserStore.js';

/**
 * What the nodes share of the server as a whole, beside its sessions. As in the store that it is a part of, every method is
 * one atomic step, and rejects when the store cannot be reached.
 */
export interface ServerStore {
  /** Windows in which all nodes count together. */
  readonly createRateLimiter: CreateRateLimiter;
  readonly quota: QuotaStore;
  /** The users of the server, with their tokens and browsers. */
  readonly users: VersionedText;
  readonly rosters: RosterStore;
  readonly alertEpisodes: AlertEpisodeStore;
  readonly contexts: ContextStore;
}

/** Whose a browser context is. */
export interface ContextOwner {
  readonly node: string;
  /** null: nobody's any more, the node closes it. */
  readonly sessionId: string | null;
}

export interface ContextEntry extends ContextOwner {
  readonly contextId: string;
}

/**
 * Whose each context is in the browsers that run elsewhere, by their ids. Known for `contextsMs` after something of the same
 * browser was written down or looked at.
 */
export interface ContextStore {
  list(browser: string): Promise<readonly ContextEntry[]>;
  /** Whoever's it was. */
  put(browser: string, entry: ContextEntry): Promise<void>;
  /** The same if it is `before`'s still (null: nobody has written it down); `after` null: it is forgotten. */
  compareAndSet(browser: string, contextId: string, before: ContextOwner | null, after: ContextOwner | null): Promise<boolean>;
}

/** Longer than all nodes that use a browser are away at once. */
export const contextEntriesTtlMs = 24 * 3_600_000;

/** What the alarm over failing creations counts, and whether somebody has been told that it rings. */
export interface AlertEpisodeStore {
  /** Counts one that ended now, if there is one, by why it failed ('' if it did not); answers those of the last `windowMs`. */
  countCreations(windowMs: number, cause?: string): Promise<ReadonlyMap<string, number>>;
  /** Whether the caller is the first to whom it rings, and so the one to tell of it. Known for `ms`. */
  tryBegin(ms: number): Promise<boolean>;
  /** It rings on: known for `ms` from now. */
  extend(ms: number): Promise<void>;
  /** Whether the caller is the first to whom it is over. For `quietMs` nobody begins another one. */
  tryEnd(quietMs: number): Promise<boolean>;
}

/** What each node tells the others of itself. */
export interface RosterStore {
  /** Known for `ms` from now; null: as it was before. False: it is not known any more. */
  put(node: string, text: string | null, ms: number): Promise<boolean>;
  list(): Promise<readonly { readonly node: string; readonly text: string }[]>;
  remove(node: string): Promise<void>;
}

/** What may be open at once at all nodes together. */
export interface QuotaLimits {
  readonly maxSessions: number;
  readonly maxSessionsPerUser: number;
}

/** One of the places that sessions take. It counts until it is given back, or for as long as its node said last. */
export interface QuotaSlot {
  readonly id: string;
  readonly owner: Principal;
}

export interface QuotaStore {
  /** Takes one more place, which counts for `ms`, unless there are as many as may be: of all, or of its owner. */
  acquire(slot: QuotaSlot, caps: QuotaLimits, ms: number): Promise<'taken' | 'full' | 'full-of-owner'>;
  /** The places of one owner count for `ms` from now, whatever the caps say. */
  renew(owner: Principal, ids: readonly string[], ms: number): Promise<void>;
  release(slot: QuotaSlot): Promise<void>;
}
