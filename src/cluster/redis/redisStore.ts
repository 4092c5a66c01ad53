import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { CloseReason } from '../../../machines/events.js';
import { owns, type Caller } from '../../tenancy/principal.js';
import {
  maxInlinePieceLength,
  defaultStoreLimits,
  type OwnerLookup,
  type WakeHint,
  type Inbox,
  type NodeLeases,
  type EnqueueResult,
  type ReplyStore,
  type SessionDirectory,
  type SnapshotStore,
  type ClusterStore,
  type StoreLimits,
  formatEventId,
  type FencedEventLog,
  type OwnershipTerm,
} from '../clusterStore.js';
import { RedisConnection, type RedisConnectionOptions } from './redisConnection.js';
import { formatKey, sessionKeys, nodeKey, storeFormat, wakeChannel, wakeChannelPrefix } from './redisKeys.js';
import { RedisServerStore } from './redisServerStore.js';
import { Refusal } from '../../errors/errors.js';
import { sequenceIn, utf16Bytes, type Replay, type StreamAddress } from '../eventLog.js';

/** Not validated: only this class, or a later version of it, writes the field. */
const closedBecauseSchema = z.custom<CloseReason>((text) => typeof text === 'string');
const stringListSchema = z.array(z.string());
const entryFieldsSchema = z.array(
  z
    .string()
    .nullish()
    .transform((text) => text ?? ''),
);
const hintSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('inbox'), sessionId: z.string() }),
  z.object({ kind: z.literal('reply'), offerId: z.string(), piece: z.string().nullable() }),
]);

const formatRetryMs = 250;

/** The store of nodes that share a Redis (7 or later) or Valkey. Its keys are listed in redisKeys.ts. */
export class RedisStore implements ClusterStore {
  readonly #redis: RedisConnection;
  readonly #limits: StoreLimits;
  readonly events: RedisEventLog;
  /** The lease of this node. */
  #leaseMs = 0;
  readonly server: RedisServerStore;
  #isClosed = false;

  constructor(options: RedisConnectionOptions, limits: Partial<StoreLimits> = {}) {
    this.#redis = new RedisConnection(options);
    this.#limits = { ...defaultStoreLimits, ...limits };
    this.events = new RedisEventLog(this.#redis, this.#limits);
    this.server = new RedisServerStore(this.#redis);
  }

  readonly directory: SessionDirectory = {
    claim: async ({ sessionId, principal: { issuer, user }, node, transport }) => {
      const values = [issuer, user, node, transport, this.#limits.entryTtlMs];
      const epoch = await this.#redis.run((redis) => redis.claim([sessionKeys(sessionId).entry], values));
      return typeof epoch === 'number' ? epoch : null;
    },
    find: async (sessionId, caller) => {
      const fields = ['state', 'issuer', 'user', 'node', 'epoch', 'transport', 'because'];
      const found = await this.#redis.run((redis) => redis.hmGet(sessionKeys(sessionId).entry, fields));
      return toOwnerLookup(entryFieldsSchema.parse(found), caller);
    },
    renew: async ({ sessionId, epoch }) => {
      const values = [epoch, this.#limits.entryTtlMs];
      const renewed = await this.#redis.run((redis) => redis.renew(sessionKeys(sessionId).all, values));
      return renewed === 1 ? 'renewed' : 'fenced';
    },
    takeOver: async ({ sessionId, epoch }, node) => {
      const values = [epoch, node, this.#limits.entryTtlMs];
      const newEpoch = await this.#redis.run((redis) => redis.takeOver([sessionKeys(sessionId).entry], values));
      return typeof newEpoch === 'number' ? newEpoch : null;
    },
    completeTakeover: async ({ sessionId, epoch }) => {
      const completed = await this.#redis.run((redis) =>
        redis.completeTakeover([sessionKeys(sessionId).entry], [epoch]),
      );
      return completed === 1 ? 'completed' : 'fenced';
    },
    close: async ({ sessionId, epoch }, because) => {
      const values = [epoch, because, this.#limits.closedEntryTtlMs];
      const closed = await this.#redis.run((redis) => redis.close(sessionKeys(sessionId).all, values));
      return closed === 1 ? 'closed' : 'fenced';
    },
  };

  readonly inbox: Inbox = {
    enqueue: async ({ id, sessionId, caller, data }): Promise<EnqueueResult> => {
      const keys = sessionKeys(sessionId);
      const { inbox, entryTtlMs, messageIdTtlMs } = this.#limits;
      const callerFields = caller === 'anyone' ? ['anyone', '', ''] : ['user', caller.issuer, caller.user];
      const hint = JSON.stringify({ kind: 'inbox', sessionId } satisfies WakeHint);
      const limits = [inbox.count, inbox.bytes, entryTtlMs, messageIdTtlMs];
      const values = [...callerFields, data, ...limits, wakeChannelPrefix, hint];
      const inboxKeys = [keys.entry, keys.inbox, keys.seenMessage(id)];
      const fields = entryFieldsSchema.parse(await this.#redis.run((redis) => redis.enqueue(inboxKeys, values)));
      return fields[7] === 'full' ? { kind: 'full' } : toOwnerLookup(fields, caller);
    },
    take: async ({ sessionId, epoch }, count) => {
      const { entry, inbox } = sessionKeys(sessionId);
      const taken = await this.#redis.run((redis) => redis.takeMessages([entry, inbox], [epoch, count]));
      return taken === null ? 'fenced' : stringListSchema.parse(taken);
    },
  };

  readonly replies: ReplyStore = {
    put: async ({ epoch }, { sessionId, messageId, node }, piece, isLast) => {
      const keys = sessionKeys(sessionId);
      const inlinePiece = piece.length > maxInlinePieceLength ? null : piece;
      const hint = JSON.stringify({ kind: 'reply', offerId: messageId, piece: inlinePiece } satisfies WakeHint);
      const { maxReplyPieces, replyTtlMs } = this.#limits;
      const maxPieces = isLast ? Number.MAX_SAFE_INTEGER : maxReplyPieces;
      const values = [epoch, piece, maxPieces, replyTtlMs, wakeChannel(node), hint];
      const put = await this.#redis.run((redis) => redis.putPiece([keys.entry, keys.replies(messageId)], values));
      return put === 'put' || put === 'full' ? put : 'fenced';
    },
    take: async ({ sessionId, messageId }) =>
      stringListSchema.parse(
        await this.#redis.run((redis) => redis.takePieces([sessionKeys(sessionId).replies(messageId)], [])),
      ),
  };

  readonly snapshots: SnapshotStore = {
    put: async ({ sessionId, epoch }, snapshot) => {
      const keys = sessionKeys(sessionId);
      const values = [epoch, snapshot, this.#limits.entryTtlMs];
      const put = await this.#redis.run((redis) => redis.putSnapshot([keys.entry, keys.snapshot], values));
      return put === 1 ? 'put' : 'fenced';
    },
    get: (sessionId) => this.#redis.run((redis) => redis.get(sessionKeys(sessionId).snapshot)),
    has: async (sessionId) => (await this.#redis.run((redis) => redis.exists(sessionKeys(sessionId).snapshot))) === 1,
  };

  readonly nodes: NodeLeases = {
    renewLease: async (node, ms) => {
      this.#leaseMs = ms;
      const lease = { expiration: { type: 'PX', value: ms }, GET: true } as const;
      return (await this.#redis.run((redis) => redis.set(nodeKey(node), '1', lease))) !== null;
    },
    // Leases expire during an outage of Redis. After it every node counts as alive for one lease, so that all can renew.
    isAlive: async (node) =>
      this.#redis.isReconnectedWithin(this.#leaseMs) ||
      (await this.#redis.run((redis) => redis.exists(nodeKey(node)))) === 1,
    releaseLease: async (node) => {
      await this.#redis.run((redis) => redis.del(nodeKey(node)));
    },
    subscribe: (node, onHint) =>
      this.#redis.subscribe(wakeChannel(node), (message) => onHint(hintSchema.parse(JSON.parse(message)))),
    wake: async (node, sessionId) => {
      const hint = JSON.stringify({ kind: 'inbox', sessionId } satisfies WakeHint);
      await this.#redis.run((redis) => redis.publish(wakeChannel(node), hint));
    },
  };

  /** Rejects if a newer server has changed the layout of the keys: this one would misread them. */
  async open(): Promise<void> {
    await this.#redis.open();
    const format = await this.#readFormat();
    if (Number(format) > storeFormat)
      throw new Error(
        `The Redis of --redis-url was written by a newer version of the server (format ${format}; this one knows ${storeFormat}): start that version, or name another Redis.`,
      );
  }

  /** The format of the store; that of this server becomes it if there is none. Retries until Redis answers. */
  async #readFormat(): Promise<string> {
    for (;;) {
      try {
        await this.#redis.run((redis) => redis.set(formatKey, String(storeFormat), { condition: 'NX' }));
        return (await this.#redis.run((redis) => redis.get(formatKey))) ?? '';
      } catch (error) {
        if (this.#isClosed) throw error;
        await pause(formatRetryMs);
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#redis.close();
  }
}

function toOwnerLookup(fields: readonly string[], caller: Caller): OwnerLookup {
  const [state = '', issuer = '', user = '', node = '', epoch = '', transport = '', because = ''] = fields;
  const principal = { issuer, user };
  if (state === '') return { kind: 'unknown' };
  if (!owns(caller, principal)) return { kind: 'forbidden' };
  if (state === 'closed') return { kind: 'closed', closedBecause: closedBecauseSchema.parse(because), principal };
  if (state === 'restoring') return { kind: 'not_ready', node, epoch: Number(epoch) };
  return { kind: 'owned', node, epoch: Number(epoch), transport };
}

const eventsAfterSchema = z.tuple([z.number(), z.number()], z.string());

/** The event log in Redis, with the same limits and gaps as `MemoryEventLog`. */
export class RedisEventLog implements FencedEventLog {
  readonly #redis: RedisConnection;
  readonly #limits: StoreLimits;

  constructor(redis: RedisConnection, limits: StoreLimits) {
    this.#redis = redis;
    this.#limits = limits;
  }

  async append(epoch: number, { sessionId, streamId }: StreamAddress, data: string): Promise<string | null> {
    const { stream, session } = this.#limits.events;
    const limits = [stream.count, stream.bytes, session.count, session.bytes, this.#limits.entryTtlMs];
    const values = [epoch, streamId, data, utf16Bytes(data), ...limits];
    const sequence = await this.#redis.run((redis) => redis.appendEvent(sessionKeys(sessionId).events, values));
    return typeof sequence === 'number' ? formatEventId(streamId, sequence) : null;
  }

  async after({ sessionId, streamId }: StreamAddress, eventId: string | null): Promise<Replay> {
    const sequence = eventId === null ? 0 : sequenceIn(streamId, eventId);
    const { events } = sessionKeys(sessionId);
    const [last, dropped, ...data] = eventsAfterSchema.parse(
      await this.#redis.run((redis) => redis.eventsAfter(events, [streamId, sequence])),
    );
    if (sequence > last) throw new Refusal('unknown_event');
    const first = Math.max(sequence, dropped) + 1;
    return {
      events: data.map((text, index) => ({ id: formatEventId(streamId, first + index), data: text })),
      isComplete: sequence >= dropped,
    };
  }

  async forget({ sessionId, epoch }: OwnershipTerm, streamId?: string): Promise<void> {
    const { events } = sessionKeys(sessionId);
    await this.#redis.run((redis) =>
      streamId === undefined ? redis.discardEvents(events, [epoch]) : redis.discardStream(events, [epoch, streamId]),
    );
  }
}
