import type { ClosedBecause } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import { owns, type Principal } from '../tenancy/principal.js';
import { MemoryEventLog } from './eventLog.js';
import { ExpiringMap } from './expiringMap.js';
import { MemoryServerStore } from './memoryServerStore.js';
import {
  maxPieceInHint,
  storeBounds,
  type FencedEventLog,
  type Found,
  type Hint,
  type Inbox,
  type Nodes,
  type Replies,
  type SessionDirectory,
  type SnapshotStore,
  type Store,
  type StoreBounds,
  type Tenure,
} from './store.js';

interface Entry {
  readonly principal: Principal;
  readonly transport: string;
  node: string;
  epoch: number;
  state: 'open' | 'restoring' | 'closed';
  because: ClosedBecause | null;
  inbox: string[];
  snapshot: string | null;
}

/** The store of nodes that live in one process. Its steps are atomic because none of them waits. */
export class MemoryStore implements Store {
  readonly #entries: ExpiringMap<Entry>;
  readonly #offers: ExpiringMap<true>;
  readonly #replies: ExpiringMap<string[]>;
  readonly #leases: ExpiringMap<true>;
  readonly #events: MemoryEventLog;
  readonly #bounds: StoreBounds;
  readonly #listeners = new Map<string, (hint: Hint) => void>();
  readonly server: MemoryServerStore;

  constructor(clock: Pick<Clock, 'now'>, bounds: Partial<StoreBounds> = {}) {
    this.#bounds = { ...storeBounds, ...bounds };
    this.#entries = new ExpiringMap(clock);
    this.#offers = new ExpiringMap(clock);
    this.#replies = new ExpiringMap(clock);
    this.#leases = new ExpiringMap(clock);
    this.#events = new MemoryEventLog(this.#bounds.events);
    this.server = new MemoryServerStore(clock);
  }

  readonly directory: SessionDirectory = {
    claim: async ({ sessionId, principal, node, transport }) => {
      if (this.#entries.get(sessionId) !== undefined) return null;
      const rest = { epoch: 1, state: 'open' as const, because: null, inbox: [], snapshot: null };
      const fresh: Entry = { principal, node, transport, ...rest };
      this.#entries.set(sessionId, fresh, this.#bounds.entryMs);
      return fresh.epoch;
    },
    find: async (sessionId, caller) => {
      const entry = this.#entries.get(sessionId);
      if (entry !== undefined && !owns(caller, entry.principal)) return { is: 'forbidden' };
      return foundOf(entry);
    },
    renew: async (tenure) => {
      const entry = this.#held(tenure);
      if (entry === undefined) return 'fenced';
      this.#entries.set(tenure.sessionId, entry, this.#bounds.entryMs);
      return 'renewed';
    },
    takeOver: async (tenure, node) => {
      const entry = this.#held(tenure);
      if (entry === undefined) return null;
      Object.assign(entry, { node, epoch: entry.epoch + 1, state: 'restoring' } satisfies Partial<Entry>);
      this.#entries.set(tenure.sessionId, entry, this.#bounds.entryMs);
      return entry.epoch;
    },
    settle: async (tenure) => {
      const entry = this.#held(tenure);
      if (entry === undefined) return 'fenced';
      entry.state = 'open';
      return 'settled';
    },
    close: async (tenure, because) => {
      const entry = this.#held(tenure);
      if (entry === undefined) return 'fenced';
      Object.assign(entry, { state: 'closed', because, inbox: [], snapshot: null } satisfies Partial<Entry>);
      this.#entries.set(tenure.sessionId, entry, this.#bounds.rememberedMs);
      await this.#events.forget(tenure.sessionId);
      return 'closed';
    },
  };

  readonly inbox: Inbox = {
    offer: async ({ id, sessionId, caller, data }) => {
      const found = await this.directory.find(sessionId, caller);
      const entry = this.#entries.get(sessionId);
      if (entry === undefined || found.is !== 'owned') return found;
      if (this.#offers.get(`${sessionId} ${id}`) !== undefined) return found;
      if (entry.inbox.length > 0 && isFull([...entry.inbox, data], this.#bounds.inbox)) return { is: 'full' };
      this.#offers.set(`${sessionId} ${id}`, true, this.#bounds.offerMs);
      entry.inbox.push(data);
      this.#tell(entry.node, { kind: 'inbox', sessionId });
      return found;
    },
    take: async (tenure, count) => this.#held(tenure)?.inbox.splice(0, count) ?? 'fenced',
  };

  readonly replies: Replies = {
    put: async (tenure, { sessionId, offerId, node }, piece, isLast) => {
      if (this.#held(tenure) === undefined) return 'fenced';
      const key = `${sessionId} ${offerId}`;
      const pieces = this.#replies.get(key) ?? [];
      if (!isLast && pieces.length >= this.#bounds.pieces) return 'full';
      this.#replies.set(key, [...pieces, piece], this.#bounds.replyMs);
      this.#tell(node, { kind: 'reply', offerId, piece: piece.length > maxPieceInHint ? null : piece });
      return 'put';
    },
    take: async ({ sessionId, offerId }) => {
      const key = `${sessionId} ${offerId}`;
      const pieces = this.#replies.get(key) ?? [];
      this.#replies.delete(key);
      return pieces;
    },
  };

  readonly events: FencedEventLog = {
    append: async (epoch, stream, data) => {
      if (this.#held({ sessionId: stream.sessionId, epoch }) === undefined) return null;
      return this.#events.append(stream, data);
    },
    after: (stream, eventId) => this.#events.after(stream, eventId),
    forget: async (tenure, streamId) => {
      if (this.#held(tenure) !== undefined) await this.#events.forget(tenure.sessionId, streamId);
    },
  };

  readonly snapshots: SnapshotStore = {
    put: async (tenure, snapshot) => {
      const entry = this.#held(tenure);
      if (entry === undefined) return 'fenced';
      entry.snapshot = snapshot;
      return 'put';
    },
    get: async (sessionId) => this.#entries.get(sessionId)?.snapshot ?? null,
    has: async (sessionId) => (await this.snapshots.get(sessionId)) !== null,
  };

  readonly nodes: Nodes = {
    beat: async (node, ms) => {
      const had = this.#leases.get(node) !== undefined;
      this.#leases.set(node, true, ms);
      return had;
    },
    isAlive: async (node) => this.#leases.get(node) !== undefined,
    leave: async (node) => {
      this.#leases.delete(node);
      this.#listeners.delete(node);
    },
    listen: async (node, onHint) => void this.#listeners.set(node, onHint),
    wake: async (node, sessionId) => this.#tell(node, { kind: 'inbox', sessionId }),
  };

  async open(): Promise<void> {
    return;
  }

  /** Other nodes of the process may have it still. */
  async close(): Promise<void> {
    return;
  }

  #held({ sessionId, epoch }: Tenure): Entry | undefined {
    const entry = this.#entries.get(sessionId);
    return entry?.epoch === epoch && entry.state !== 'closed' ? entry : undefined;
  }

  /** Later, as it would be over a network. */
  #tell(node: string, hint: Hint): void {
    setImmediate(() => this.#listeners.get(node)?.(hint));
  }
}

function foundOf(entry: Entry | undefined): Found {
  if (entry === undefined) return { is: 'unknown' };
  const { state, node, epoch, transport, because, principal } = entry;
  if (state === 'closed' && because !== null) return { is: 'closed', because, principal };
  if (state === 'restoring') return { is: 'not_ready', node, epoch };
  return { is: 'owned', node, epoch, transport };
}

function isFull(inbox: readonly string[], { count, bytes }: StoreBounds['inbox']): boolean {
  return inbox.length > count || inbox.reduce((sum, data) => sum + Buffer.byteLength(data), 0) > bytes;
}
