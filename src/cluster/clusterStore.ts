import type { CloseReason } from '../../machines/events.js';
import type { Caller, Principal } from '../tenancy/principal.js';
import type { SizeLimits, Replay, StreamAddress } from './eventLog.js';
import type { CreateRateLimiter } from '../tenancy/rateLimits.js';
import type { VersionedText } from '../tenancy/sharedUserStore.js';

/**
 * What the nodes of one server share. Two implementations: the memory of one process, which is the default and what the
 * other is compared with, and Redis. Every method is one atomic step, and rejects when the store cannot be reached: then
 * it may or may not have happened.
 *
 * Who owns a session writes with the epoch that it was given. After a takeover that epoch is over: what is written with it
 * changes nothing and is answered with `fenced` (S11).
 */
export interface ClusterStore {
  readonly directory: SessionDirectory;
  readonly inbox: Inbox;
  readonly replies: ReplyStore;
  readonly events: FencedEventLog;
  readonly snapshots: SnapshotStore;
  readonly nodes: NodeLeases;
  readonly server: ServerStore;
  /** Resolves when it can be used; tries until then. Called once. */
  open(): Promise<void>;
  /** Ends its connections. Idempotent. */
  close(): Promise<void>;
}

/** One term of one owner: what it writes is written only while this is the session's. */
export interface OwnershipTerm {
  readonly sessionId: string;
  /** From 1; one more at each takeover. */
  readonly epoch: number;
}

export type Fenced = 'fenced';

export interface NewDirectoryEntry {
  readonly sessionId: string;
  readonly principal: Principal;
  /** Of the node that serves it. */
  readonly node: string;
  /** By which transport its client came. */
  readonly transport: string;
}

/** What is known of a session, by one who may ask. `forbidden`: it is somebody else's. */
export type OwnerLookup =
  | { readonly kind: 'unknown' | 'forbidden' }
  /** It is being taken over by `node`. */
  | { readonly kind: 'not_ready'; readonly node: string; readonly epoch: number }
  | { readonly kind: 'closed'; readonly closedBecause: CloseReason; readonly principal: Principal }
  | { readonly kind: 'owned'; readonly node: string; readonly epoch: number; readonly transport: string };

/** Whose each session is and who serves it. An entry that nobody renews is gone after `entryMs`. */
export interface SessionDirectory {
  /** The epoch of the new entry; null if there is one already. */
  claim(entry: NewDirectoryEntry): Promise<number | null>;
  find(sessionId: string, caller: Caller): Promise<OwnerLookup>;
  /** Keeps the entry, and all that is stored of the session. */
  renew(term: OwnershipTerm): Promise<'renewed' | Fenced>;
  /** Makes `node` the owner, not ready yet. The new epoch; null if `tenure` is over. */
  takeOver(term: OwnershipTerm, node: string): Promise<number | null>;
  /** The new owner is ready. */
  completeTakeover(term: OwnershipTerm): Promise<'completed' | Fenced>;
  /** Drops what is stored of the session; why it ended is known for `rememberedMs`. */
  close(term: OwnershipTerm, because: CloseReason): Promise<'closed' | Fenced>;
}

/** What is said to a session at another node. */
export interface InboxMessage {
  /** A second offer with the id of the first, within `offerMs`, changes nothing. */
  readonly id: string;
  readonly sessionId: string;
  readonly caller: Caller;
  readonly data: string;
}

export type EnqueueResult = OwnerLookup | { readonly kind: 'full' };

/** What waits for the owner of a session, in the order in which it was offered. */
export interface Inbox {
  /** `owned`: it was put down, and the owner was woken. */
  enqueue(message: InboxMessage): Promise<EnqueueResult>;
  /** Removes and answers what waits, at most `count`. */
  take(term: OwnershipTerm, count: number): Promise<readonly string[] | Fenced>;
}

/** Where the answer to an offer goes. */
export interface ReplyAddress {
  readonly sessionId: string;
  readonly messageId: string;
  /** The node that waits for it. */
  readonly node: string;
}

/** The owner's answers to what was offered, each in pieces. Kept for `replyMs` after the last piece. */
export interface ReplyStore {
  /** Puts the piece down and wakes the node that waits. The last one always fits. */
  put(term: OwnershipTerm, address: ReplyAddress, piece: string, isLast: boolean): Promise<'put' | 'full' | Fenced>;
  /** Removes and answers the pieces that are there. */
  take(address: ReplyAddress): Promise<readonly string[]>;
}

export interface FencedEventLog {
  append(epoch: number, stream: StreamAddress, data: string): Promise<string | null>;
  after(stream: StreamAddress, eventId: string | null): Promise<Replay>;
  forget(term: OwnershipTerm, streamId?: string): Promise<void>;
}

/** What a session can be restored from at another node. */
export interface SnapshotStore {
  put(term: OwnershipTerm, snapshot: string): Promise<'put' | Fenced>;
  get(sessionId: string): Promise<string | null>;
  /** Whether there is one. */
  has(sessionId: string): Promise<boolean>;
}

/** Told that something waits. It may be lost: who waits asks again. */
export type WakeHint =
  | { readonly kind: 'inbox'; readonly sessionId: string }
  | { readonly kind: 'reply'; readonly offerId: string; readonly piece: string | null };

/** Which nodes are there. */
export interface NodeLeases {
  /** Holds the node's lease for `ms` from now. False: it had none, or none any more. */
  renewLease(node: string, ms: number): Promise<boolean>;
  isAlive(node: string): Promise<boolean>;
  releaseLease(node: string): Promise<void>;
  /** Resolves when hints arrive from then on. */
  subscribe(node: string, onHint: (hint: WakeHint) => void): Promise<void>;
  /** Tells an owner once more that something waits. */
  wake(node: string, sessionId: string): Promise<void>;
}

/** How long, and of what size, things are kept. Durations in milliseconds. */
export interface StoreLimits {
  readonly entryTtlMs: number;
  readonly closedEntryTtlMs: number;
  readonly messageIdTtlMs: number;
  readonly replyTtlMs: number;
  /** What one session's inbox holds; one offer always fits. Bytes of UTF-8. */
  readonly inbox: SizeLimits;
  /** Pieces of one answer that wait. */
  readonly maxReplyPieces: number;
  readonly events: { readonly stream: SizeLimits; readonly session: SizeLimits };
}

/** A piece up to so many characters goes with the hint: the node that waits need not ask for it. */
export const maxInlinePieceLength = 16 * 1024;

export const defaultStoreLimits: StoreLimits = {
  entryTtlMs: 600_000,
  closedEntryTtlMs: 600_000,
  messageIdTtlMs: 60_000,
  replyTtlMs: 60_000,
  inbox: { count: 256, bytes: 16 * 1024 ** 2 },
  maxReplyPieces: 512,
  events: {
    stream: { count: 2_000, bytes: 16 * 1024 ** 2 },
    session: { count: 8_000, bytes: 32 * 1024 ** 2 },
  },
};

/** The event's place in its stream, from the id that a client has. */
export const formatEventId = (streamId: string, sequence: number): string => `${streamId}.${sequence}`;

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
  compareAndSet(
    browser: string,
    contextId: string,
    before: ContextOwner | null,
    after: ContextOwner | null,
  ): Promise<boolean>;
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
