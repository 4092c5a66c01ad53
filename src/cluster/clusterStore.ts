import type { CloseReason } from '../../machines/events.js';
import type { Caller, Principal } from '../tenancy/principal.js';
import type { SizeLimits, Replay, StreamAddress } from './eventLog.js';
import type { CreateRateLimiter } from '../tenancy/rateLimits.js';
import type { VersionedText } from '../tenancy/sharedUserStore.js';

/**
 * The state that the nodes of one server share. Two implementations with the same behaviour: the memory of one process
 * (tests, and the reference), and Redis. Every method is one atomic step. A method rejects when the store is unreachable;
 * the step may or may not have been done then.
 *
 * The owner of a session writes with the epoch of its ownership term. A takeover ends that term: a later write with the
 * old epoch changes nothing and returns `fenced` (S11).
 */
export interface ClusterStore {
  readonly directory: SessionDirectory;
  readonly inbox: Inbox;
  readonly replies: ReplyStore;
  readonly events: FencedEventLog;
  readonly snapshots: SnapshotStore;
  readonly nodes: NodeLeases;
  readonly server: ServerStore;
  /** Resolves when the store is usable; retries until then. Called once. */
  open(): Promise<void>;
  /** Closes the connections. Idempotent. */
  close(): Promise<void>;
}

/** One term of ownership. A write with it succeeds only while it is the session's current term. */
export interface OwnershipTerm {
  readonly sessionId: string;
  /** Starts at 1; each takeover increments it. */
  readonly epoch: number;
}

export type Fenced = 'fenced';

export interface NewDirectoryEntry {
  readonly sessionId: string;
  readonly principal: Principal;
  /** Name of the owning node. */
  readonly node: string;
  /** The transport of the client. */
  readonly transport: string;
}

/** The directory entry of a session, as the caller may see it. `forbidden`: the session belongs to another user. */
export type OwnerLookup =
  | { readonly kind: 'unknown' | 'forbidden' }
  /** A takeover by `node` is in progress. */
  | { readonly kind: 'not_ready'; readonly node: string; readonly epoch: number }
  | { readonly kind: 'closed'; readonly closedBecause: CloseReason; readonly principal: Principal }
  | { readonly kind: 'owned'; readonly node: string; readonly epoch: number; readonly transport: string };

/** The owner and user of each session. An entry that is not renewed expires after `entryTtlMs`. */
export interface SessionDirectory {
  /** Resolves with the epoch of the new entry; null if the session has an entry already. */
  claim(entry: NewDirectoryEntry): Promise<number | null>;
  find(sessionId: string, caller: Caller): Promise<OwnerLookup>;
  /** Renews the time to live of the entry and of everything stored for the session. */
  renew(term: OwnershipTerm): Promise<'renewed' | Fenced>;
  /** Makes `node` the owner, in state `not_ready`. Resolves with the new epoch; null if `term` is over. */
  takeOver(term: OwnershipTerm, node: string): Promise<number | null>;
  /** Marks the new owner as ready. */
  completeTakeover(term: OwnershipTerm): Promise<'completed' | Fenced>;
  /** Deletes everything stored for the session. The close reason is kept for `closedEntryTtlMs`. */
  close(term: OwnershipTerm, because: CloseReason): Promise<'closed' | Fenced>;
}

/** A message for a session that another node owns. */
export interface InboxMessage {
  /** A second message with the same id within `messageIdTtlMs` is ignored. */
  readonly id: string;
  readonly sessionId: string;
  readonly caller: Caller;
  readonly data: string;
}

export type EnqueueResult = OwnerLookup | { readonly kind: 'full' };

/** Messages that wait for the owner of a session, in the order of arrival. */
export interface Inbox {
  /** `owned`: the message is in the inbox, and the owner was woken. */
  enqueue(message: InboxMessage): Promise<EnqueueResult>;
  /** Removes and returns up to `count` messages. */
  take(term: OwnershipTerm, count: number): Promise<readonly string[] | Fenced>;
}

/** The destination of the reply to an inbox message. */
export interface ReplyAddress {
  readonly sessionId: string;
  readonly messageId: string;
  /** The requesting node. */
  readonly node: string;
}

/** The owner's replies to inbox messages, each in pieces. Kept for `replyTtlMs` after the last piece. */
export interface ReplyStore {
  /** Stores the piece and wakes the requesting node. The last piece is accepted even if the reply is full. */
  put(term: OwnershipTerm, address: ReplyAddress, piece: string, isLast: boolean): Promise<'put' | 'full' | Fenced>;
  /** Removes and returns the stored pieces. */
  take(address: ReplyAddress): Promise<readonly string[]>;
}

/** The event log of resumable streams; see `EventLog`. Writes need the current epoch. */
export interface FencedEventLog {
  /** Resolves with the event id; null if the write is fenced off. */
  append(epoch: number, stream: StreamAddress, data: string): Promise<string | null>;
  after(stream: StreamAddress, eventId: string | null): Promise<Replay>;
  forget(term: OwnershipTerm, streamId?: string): Promise<void>;
}

/** The snapshots from which another node can restore a session. */
export interface SnapshotStore {
  put(term: OwnershipTerm, snapshot: string): Promise<'put' | Fenced>;
  get(sessionId: string): Promise<string | null>;
  /** Whether the session has a snapshot. */
  has(sessionId: string): Promise<boolean>;
}

/** Wakes a node. Delivery is not guaranteed: the waiting side polls. */
export type WakeHint =
  | { readonly kind: 'inbox'; readonly sessionId: string }
  | { readonly kind: 'reply'; readonly offerId: string; readonly piece: string | null };

/** The leases of the nodes. A node without a lease counts as dead. */
export interface NodeLeases {
  /** Extends the node's lease to `ms` from now. False: the node held no lease before. */
  renewLease(node: string, ms: number): Promise<boolean>;
  isAlive(node: string): Promise<boolean>;
  releaseLease(node: string): Promise<void>;
  /** Resolves when the subscription is active. */
  subscribe(node: string, onHint: (hint: WakeHint) => void): Promise<void>;
  /** Sends the owner another `inbox` hint. */
  wake(node: string, sessionId: string): Promise<void>;
}

/** Times to live and sizes. Durations in milliseconds. */
export interface StoreLimits {
  readonly entryTtlMs: number;
  readonly closedEntryTtlMs: number;
  readonly messageIdTtlMs: number;
  readonly replyTtlMs: number;
  /** Capacity of one session's inbox, in bytes of UTF-8. An empty inbox accepts a message of any size. */
  readonly inbox: SizeLimits;
  /** Pieces of one reply that may wait for the requesting node. */
  readonly maxReplyPieces: number;
  readonly events: { readonly stream: SizeLimits; readonly session: SizeLimits };
}

/** A reply piece of up to this many characters is sent with the hint, which saves the requesting node a read. */
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

/** The event id that clients see: the stream and the sequence number in it. */
export const formatEventId = (streamId: string, sequence: number): string => `${streamId}.${sequence}`;

/**
 * The shared state that belongs to no single session. As in `ClusterStore`, every method is one atomic step and rejects
 * when the store is unreachable.
 */
export interface ServerStore {
  /** Rate windows that count the requests of all nodes. */
  readonly createRateLimiter: CreateRateLimiter;
  readonly quota: QuotaStore;
  /** The users of the server, with their tokens and browsers. */
  readonly users: VersionedText;
  readonly rosters: RosterStore;
  readonly alertEpisodes: AlertEpisodeStore;
  readonly contexts: ContextStore;
  readonly requestStates: OnceStore;
  readonly tasks: ExpiringTexts;
  /** Encrypts what tools save in files. */
  readonly fileKey: SharedKey;
  /** Passes texts to the nodes that subscribe. A text that comes while a node has no connection is lost to it. */
  broadcast(name: 'changes' | 'tasks'): Broadcast;
}

/** Texts by id, each for its time. */
export interface ExpiringTexts {
  put(id: string, text: string, ms: number): Promise<void>;
  get(id: string): Promise<string | null>;
}

export interface Broadcast {
  publish(text: string): Promise<void>;
  /** Once for a node and a name. Rejects without a connection; the subscription holds once there is one. */
  subscribe(onText: (text: string) => void): Promise<void>;
}

/** A key that all nodes agree on. */
export interface SharedKey {
  read(): Promise<string | null>;
  /** The key; `fresh` becomes it if there is none. */
  agree(fresh: string): Promise<string>;
}

/** A key that all nodes sign with, and what was used with it. */
export interface OnceStore {
  /** The key; `fresh` becomes it if there is none. */
  signingKey(fresh: string): Promise<string>;
  /** False if the id was used before, at whatever node. Remembered for `ms`. */
  useOnce(id: string, ms: number): Promise<boolean>;
}

/** The owner of a browser context. */
export interface ContextOwner {
  readonly node: string;
  /** null: no session uses the context any more, and `node` is closing it. */
  readonly sessionId: string | null;
}

export interface ContextEntry extends ContextOwner {
  readonly contextId: string;
}

/**
 * The owner of each browser context in remote browsers, by browser id. The entries of a browser expire
 * `contextEntriesTtlMs` after the last read or write of any of them.
 */
export interface ContextStore {
  list(browser: string): Promise<readonly ContextEntry[]>;
  /** Overwrites any entry. */
  put(browser: string, entry: ContextEntry): Promise<void>;
  /** Replaces the owner if it is still `before` (null: no entry); `after` null removes the entry. */
  compareAndSet(
    browser: string,
    contextId: string,
    before: ContextOwner | null,
    after: ContextOwner | null,
  ): Promise<boolean>;
}

/** Longer than any outage of all nodes that use a browser. */
export const contextEntriesTtlMs = 24 * 3_600_000;

/** The session creations that the alert counts, and the running episode: the time from its start to its end. */
export interface AlertEpisodeStore {
  /**
   * Counts one creation, if `cause` is passed: the failure cause, or '' for a success. Resolves with the counts of the last
   * `windowMs` by cause.
   */
  countCreations(windowMs: number, cause?: string): Promise<ReadonlyMap<string, number>>;
  /** Begins an episode of `ms`, unless one is running. True: the caller began it, and sends the webhook. */
  tryBegin(ms: number): Promise<boolean>;
  /** Extends the running episode to `ms` from now. */
  extend(ms: number): Promise<void>;
  /** Ends the running episode. True: the caller ended it. No new episode begins within `quietMs`. */
  tryEnd(quietMs: number): Promise<boolean>;
}

/** The roster that each node publishes: its open sessions. */
export interface RosterStore {
  /** Keeps the roster for `ms` from now; `text` null keeps the stored text. False: the store holds no text to keep. */
  put(node: string, text: string | null, ms: number): Promise<boolean>;
  list(): Promise<readonly { readonly node: string; readonly text: string }[]>;
  remove(node: string): Promise<void>;
}

/** Limits on the sessions that are open at once at all nodes together. */
export interface QuotaLimits {
  readonly maxSessions: number;
  readonly maxSessionsPerUser: number;
}

/** The slot of one open session. It counts until it is released, or until the time of its last renewal has passed. */
export interface QuotaSlot {
  readonly id: string;
  readonly owner: Principal;
}

export interface QuotaStore {
  /** Acquires a slot for `ms`. `full`: no slot is free for anyone; `full-of-owner`: the user has no free slot. */
  acquire(slot: QuotaSlot, limits: QuotaLimits, ms: number): Promise<'taken' | 'full' | 'full-of-owner'>;
  /** Renews the slots of one user for `ms` from now, without a check of the limits. */
  renew(owner: Principal, ids: readonly string[], ms: number): Promise<void>;
  release(slot: QuotaSlot): Promise<void>;
}
