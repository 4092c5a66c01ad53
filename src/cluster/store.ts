import type { ClosedBecause } from '../../machines/events.js';
import type { Caller, Principal } from '../tenancy/principal.js';
import type { EventBounds, Replay, StreamAddress } from './eventLog.js';
import type { ServerStore } from './serverStore.js';

/**
 * What the nodes of one server share. Two implementations: the memory of one process, which is the default and what the
 * other is compared with, and Redis. Every method is one atomic step, and rejects when the store cannot be reached: then
 * it may or may not have happened.
 *
 * Who owns a session writes with the epoch that it was given. After a takeover that epoch is over: what is written with it
 * changes nothing and is answered with `fenced` (S11).
 */
export interface Store {
  readonly directory: SessionDirectory;
  readonly inbox: Inbox;
  readonly replies: Replies;
  readonly events: FencedEventLog;
  readonly snapshots: SnapshotStore;
  readonly nodes: Nodes;
  readonly server: ServerStore;
  /** Resolves when it can be used; tries until then. Called once. */
  open(): Promise<void>;
  /** Ends its connections. Idempotent. */
  close(): Promise<void>;
}

/** One term of one owner: what it writes is written only while this is the session's. */
export interface Tenure {
  readonly sessionId: string;
  /** From 1; one more at each takeover. */
  readonly epoch: number;
}

export type Fenced = 'fenced';

export interface NewEntry {
  readonly sessionId: string;
  readonly principal: Principal;
  /** Of the node that serves it. */
  readonly node: string;
  /** By which transport its client came. */
  readonly transport: string;
}

/** What is known of a session, by one who may ask. `forbidden`: it is somebody else's. */
export type Found =
  | { readonly is: 'unknown' | 'forbidden' }
  /** It is being taken over by `node`. */
  | { readonly is: 'not_ready'; readonly node: string; readonly epoch: number }
  | { readonly is: 'closed'; readonly because: ClosedBecause; readonly principal: Principal }
  | { readonly is: 'owned'; readonly node: string; readonly epoch: number; readonly transport: string };

/** Whose each session is and who serves it. An entry that nobody renews is gone after `entryMs`. */
export interface SessionDirectory {
  /** The epoch of the new entry; null if there is one already. */
  claim(entry: NewEntry): Promise<number | null>;
  find(sessionId: string, caller: Caller): Promise<Found>;
  /** Keeps the entry, and all that is stored of the session. */
  renew(tenure: Tenure): Promise<'renewed' | Fenced>;
  /** Makes `node` the owner, not ready yet. The new epoch; null if `tenure` is over. */
  takeOver(tenure: Tenure, node: string): Promise<number | null>;
  /** The new owner is ready. */
  settle(tenure: Tenure): Promise<'settled' | Fenced>;
  /** Drops what is stored of the session; why it ended is known for `rememberedMs`. */
  close(tenure: Tenure, because: ClosedBecause): Promise<'closed' | Fenced>;
}

/** What is said to a session at another node. */
export interface Offer {
  /** A second offer with the id of the first, within `offerMs`, changes nothing. */
  readonly id: string;
  readonly sessionId: string;
  readonly caller: Caller;
  readonly data: string;
}

export type Offered = Found | { readonly is: 'full' };

/** What waits for the owner of a session, in the order in which it was offered. */
export interface Inbox {
  /** `owned`: it was put down, and the owner was woken. */
  offer(offer: Offer): Promise<Offered>;
  /** Removes and answers what waits, at most `count`. */
  take(tenure: Tenure, count: number): Promise<readonly string[] | Fenced>;
}

/** Where the answer to an offer goes. */
export interface ReplyAddress {
  readonly sessionId: string;
  readonly offerId: string;
  /** The node that waits for it. */
  readonly node: string;
}

/** The owner's answers to what was offered, each in pieces. Kept for `replyMs` after the last piece. */
export interface Replies {
  /** Puts the piece down and wakes the node that waits. The last one always fits. */
  put(tenure: Tenure, address: ReplyAddress, piece: string, isLast: boolean): Promise<'put' | 'full' | Fenced>;
  /** Removes and answers the pieces that are there. */
  take(address: ReplyAddress): Promise<readonly string[]>;
}

export interface FencedEventLog {
  append(epoch: number, stream: StreamAddress, data: string): Promise<string | null>;
  after(stream: StreamAddress, eventId: string | null): Promise<Replay>;
  forget(tenure: Tenure, streamId?: string): Promise<void>;
}

/** What a session can be restored from at another node. */
export interface SnapshotStore {
  put(tenure: Tenure, snapshot: string): Promise<'put' | Fenced>;
  get(sessionId: string): Promise<string | null>;
  /** Whether there is one. */
  has(sessionId: string): Promise<boolean>;
}

/** Told that something waits. It may be lost: who waits asks again. */
export type Hint =
  | { readonly kind: 'inbox'; readonly sessionId: string }
  | { readonly kind: 'reply'; readonly offerId: string; readonly piece: string | null };

/** Which nodes are there. */
export interface Nodes {
  /** Holds the node's lease for `ms` from now. False: it had none, or none any more. */
  beat(node: string, ms: number): Promise<boolean>;
  isAlive(node: string): Promise<boolean>;
  leave(node: string): Promise<void>;
  /** Resolves when hints arrive from then on. */
  listen(node: string, onHint: (hint: Hint) => void): Promise<void>;
  /** Tells an owner once more that something waits. */
  wake(node: string, sessionId: string): Promise<void>;
}

/** How long, and of what size, things are kept. Durations in milliseconds. */
export interface StoreBounds {
  readonly entryMs: number;
  readonly rememberedMs: number;
  readonly offerMs: number;
  readonly replyMs: number;
  /** What one session's inbox holds; one offer always fits. Bytes of UTF-8. */
  readonly inbox: EventBounds;
  /** Pieces of one answer that wait. */
  readonly pieces: number;
  readonly events: { readonly stream: EventBounds; readonly session: EventBounds };
}

/** A piece up to so many characters goes with the hint: the node that waits need not ask for it. */
export const maxPieceInHint = 16 * 1024;

export const storeBounds: StoreBounds = {
  entryMs: 600_000,
  rememberedMs: 600_000,
  offerMs: 60_000,
  replyMs: 60_000,
  inbox: { count: 256, bytes: 16 * 1024 ** 2 },
  pieces: 512,
  events: {
    stream: { count: 2_000, bytes: 16 * 1024 ** 2 },
    session: { count: 8_000, bytes: 32 * 1024 ** 2 },
  },
};

/** The event's place in its stream, from the id that a client has. */
export const eventIdOf = (streamId: string, place: number): string => `${streamId}.${place}`;
