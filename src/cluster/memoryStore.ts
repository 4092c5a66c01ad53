import type { CloseReason } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import { owns, type Principal } from '../tenancy/principal.js';
import { MemoryEventLog } from './eventLog.js';
import { ExpiringMap } from './expiringMap.js';
import { MemoryServerStore } from './memoryServerStore.js';
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
} from './clusterStore.js';

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

/** The store of nodes that live in one process. Its steps are atomic because none of them waits. */
export class MemoryStore implements ClusterStore {
  readonly #entries: ExpiringMap<SessionEntry>;
  readonly #seenMessageIds: ExpiringMap<true>;
  readonly #replies: ExpiringMap<string[]>;
  readonly #leases: ExpiringMap<true>;
  readonly #events: MemoryEventLog;
  readonly #limits: StoreLimits;
  readonly #subscribers = new Map<string, (hint: WakeHint) => void>();
  readonly server: MemoryServerStore;

  constructor(clock: Pick<Clock, 'now'>, bounds: Partial<StoreLimits> = {}) {
    this.#limits = { ...defaultStoreLimits, ...bounds };
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
      const rest = { epoch: 1, state: 'open' as const, closedBecause: null, inbox: [], snapshot: null };
      const fresh: SessionEntry = { principal, node, transport, ...rest };
      this.#entries.set(sessionId, fresh, this.#limits.entryTtlMs);
      return fresh.epoch;
    },
    find: async (sessionId, caller) => {
      const entry = this.#entries.get(sessionId);
      if (entry !== undefined && !owns(caller, entry.principal)) return { kind: 'forbidden' };
      return toOwnerLookup(entry);
    },
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
      Object.assign(entry, { state: 'closed', closedBecause, inbox: [], snapshot: null } satisfies Partial<SessionEntry>);
      this.#entries.set(term.sessionId, entry, this.#limits.closedEntryTtlMs);
      await this.#events.discard(term.sessionId);
      return 'closed';
    },
  };

  readonly inbox: Inbox = {
    enqueue: async ({ id, sessionId, caller, data }) => {
      const found = await this.directory.find(sessionId, caller);
      const entry = this.#entries.get(sessionId);
      if (entry === undefined || found.kind !== 'owned') return found;
      if (this.#seenMessageIds.get(`${sessionId} ${id}`) !== undefined) return found;
      if (entry.inbox.length > 0 && isInboxFull([...entry.inbox, data], this.#limits.inbox)) return { kind: 'full' };
      this.#seenMessageIds.set(`${sessionId} ${id}`, true, this.#limits.messageIdTtlMs);
      entry.inbox.push(data);
      this.#notify(entry.node, { kind: 'inbox', sessionId });
      return found;
    },
    take: async (tenure, count) => this.#entryOf(tenure)?.inbox.splice(0, count) ?? 'fenced',
  };

  readonly replies: ReplyStore = {
    put: async (term, { sessionId, messageId, node }, piece, isLast) => {
      if (this.#entryOf(term) === undefined) return 'fenced';
      const key = `${sessionId} ${messageId}`;
      const pieces = this.#replies.get(key) ?? [];
      if (!isLast && pieces.length >= this.#limits.maxReplyPieces) return 'full';
      this.#replies.set(key, [...pieces, piece], this.#limits.replyTtlMs);
      this.#notify(node, { kind: 'reply', offerId: messageId, piece: piece.length > maxInlinePieceLength ? null : piece });
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
      const had = this.#leases.get(node) !== undefined;
      this.#leases.set(node, true, ms);
      return had;
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

  /** Other nodes of the process may have it still. */
  async close(): Promise<void> {
    return;
  }

  #entryOf({ sessionId, epoch }: OwnershipTerm): SessionEntry | undefined {
    const entry = this.#entries.get(sessionId);
    return entry?.epoch === epoch && entry.state !== 'closed' ? entry : undefined;
  }

  /** Later, as it would be over a network. */
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
