import { z } from 'zod';
import type { ClosedBecause } from '../../../machines/events.js';
import { owns, type Caller } from '../../tenancy/principal.js';
import {
  maxPieceInHint,
  storeBounds,
  type Found,
  type Hint,
  type Inbox,
  type Nodes,
  type Offered,
  type Replies,
  type SessionDirectory,
  type SnapshotStore,
  type Store,
  type StoreBounds,
} from '../store.js';
import { RedisConnection, type ConnectionOptions } from './connection.js';
import { keysOf, nodeKey, wakeChannel, wakeChannels } from './keys.js';
import { RedisEventLog } from './redisEventLog.js';
import { RedisServerStore } from './redisServerStore.js';

/** Written by this class alone, or by a later version of it. */
const closedBecause = z.custom<ClosedBecause>((text) => typeof text === 'string');
const texts = z.array(z.string());
const entry = z.array(
  z
    .string()
    .nullish()
    .transform((text) => text ?? ''),
);
const hints = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('inbox'), sessionId: z.string() }),
  z.object({ kind: z.literal('reply'), offerId: z.string(), piece: z.string().nullable() }),
]);

/** The store of nodes that share a Redis (7 or later) or Valkey. Its keys are listed in keys.ts. */
export class RedisStore implements Store {
  readonly #redis: RedisConnection;
  readonly #bounds: StoreBounds;
  readonly events: RedisEventLog;
  /** Of this node. */
  #leaseMs = 0;
  readonly server: RedisServerStore;

  constructor(options: ConnectionOptions, bounds: Partial<StoreBounds> = {}) {
    this.#redis = new RedisConnection(options);
    this.#bounds = { ...storeBounds, ...bounds };
    this.events = new RedisEventLog(this.#redis, this.#bounds);
    this.server = new RedisServerStore(this.#redis);
  }

  readonly directory: SessionDirectory = {
    claim: async ({ sessionId, principal: { issuer, user }, node, transport }) => {
      const values = [issuer, user, node, transport, this.#bounds.entryMs];
      const epoch = await this.#redis.run((redis) => redis.claim([keysOf(sessionId).entry], values));
      return typeof epoch === 'number' ? epoch : null;
    },
    find: async (sessionId, caller) => {
      const fields = ['state', 'issuer', 'user', 'node', 'epoch', 'transport', 'because'];
      const found = await this.#redis.run((redis) => redis.hmGet(keysOf(sessionId).entry, fields));
      return foundOf(entry.parse(found), caller);
    },
    renew: async ({ sessionId, epoch }) => {
      const values = [epoch, this.#bounds.entryMs];
      const renewed = await this.#redis.run((redis) => redis.renew(keysOf(sessionId).all, values));
      return renewed === 1 ? 'renewed' : 'fenced';
    },
    takeOver: async ({ sessionId, epoch }, node) => {
      const values = [epoch, node, this.#bounds.entryMs];
      const next = await this.#redis.run((redis) => redis.takeOver([keysOf(sessionId).entry], values));
      return typeof next === 'number' ? next : null;
    },
    settle: async ({ sessionId, epoch }) => {
      const settled = await this.#redis.run((redis) => redis.settle([keysOf(sessionId).entry], [epoch]));
      return settled === 1 ? 'settled' : 'fenced';
    },
    close: async ({ sessionId, epoch }, because) => {
      const values = [epoch, because, this.#bounds.rememberedMs];
      const closed = await this.#redis.run((redis) => redis.close(keysOf(sessionId).all, values));
      return closed === 1 ? 'closed' : 'fenced';
    },
  };

  readonly inbox: Inbox = {
    offer: async ({ id, sessionId, caller, data }): Promise<Offered> => {
      const keys = keysOf(sessionId);
      const { inbox, entryMs, offerMs } = this.#bounds;
      const who = caller === 'anyone' ? ['anyone', '', ''] : ['user', caller.issuer, caller.user];
      const hint = JSON.stringify({ kind: 'inbox', sessionId } satisfies Hint);
      const bounds = [inbox.count, inbox.bytes, entryMs, offerMs];
      const values = [...who, data, ...bounds, wakeChannels, hint];
      const answer = await this.#redis.run((redis) => redis.offer([keys.entry, keys.inbox, keys.offer(id)], values));
      const fields = entry.parse(answer);
      return fields[7] === 'full' ? { is: 'full' } : foundOf(fields, caller);
    },
    take: async ({ sessionId, epoch }, count) => {
      const { entry: key, inbox } = keysOf(sessionId);
      const taken = await this.#redis.run((redis) => redis.takeOffers([key, inbox], [epoch, count]));
      return taken === null ? 'fenced' : texts.parse(taken);
    },
  };

  readonly replies: Replies = {
    put: async ({ epoch }, { sessionId, offerId, node }, piece, isLast) => {
      const keys = keysOf(sessionId);
      const shown = piece.length > maxPieceInHint ? null : piece;
      const hint = JSON.stringify({ kind: 'reply', offerId, piece: shown } satisfies Hint);
      const { pieces, replyMs } = this.#bounds;
      const most = isLast ? Number.MAX_SAFE_INTEGER : pieces;
      const values = [epoch, piece, most, replyMs, wakeChannel(node), hint];
      const put = await this.#redis.run((redis) => redis.putPiece([keys.entry, keys.replies(offerId)], values));
      return put === 'put' || put === 'full' ? put : 'fenced';
    },
    take: async ({ sessionId, offerId }) =>
      texts.parse(await this.#redis.run((redis) => redis.takePieces([keysOf(sessionId).replies(offerId)], []))),
  };

  readonly snapshots: SnapshotStore = {
    put: async ({ sessionId, epoch }, snapshot) => {
      const keys = keysOf(sessionId);
      const values = [epoch, snapshot, this.#bounds.entryMs];
      const put = await this.#redis.run((redis) => redis.putSnapshot([keys.entry, keys.snapshot], values));
      return put === 1 ? 'put' : 'fenced';
    },
    get: (sessionId) => this.#redis.run((redis) => redis.get(keysOf(sessionId).snapshot)),
    has: async (sessionId) => (await this.#redis.run((redis) => redis.exists(keysOf(sessionId).snapshot))) === 1,
  };

  readonly nodes: Nodes = {
    beat: async (node, ms) => {
      this.#leaseMs = ms;
      const lease = { expiration: { type: 'PX', value: ms }, GET: true } as const;
      return (await this.#redis.run((redis) => redis.set(nodeKey(node), '1', lease))) !== null;
    },
    // Leases end while Redis is away. Who finds it again first gives the others the time to say that they are there.
    isAlive: async (node) =>
      this.#redis.isBackSince(this.#leaseMs) || (await this.#redis.run((redis) => redis.exists(nodeKey(node)))) === 1,
    leave: async (node) => {
      await this.#redis.run((redis) => redis.del(nodeKey(node)));
    },
    listen: (node, onHint) =>
      this.#redis.listen(wakeChannel(node), (message) => onHint(hints.parse(JSON.parse(message)))),
    wake: async (node, sessionId) => {
      const hint = JSON.stringify({ kind: 'inbox', sessionId } satisfies Hint);
      await this.#redis.run((redis) => redis.publish(wakeChannel(node), hint));
    },
  };

  open(): Promise<void> {
    return this.#redis.open();
  }

  async close(): Promise<void> {
    this.#redis.close();
  }
}

function foundOf(fields: readonly string[], caller: Caller): Found {
  const [state = '', issuer = '', user = '', node = '', epoch = '', transport = '', because = ''] = fields;
  const principal = { issuer, user };
  if (state === '') return { is: 'unknown' };
  if (!owns(caller, principal)) return { is: 'forbidden' };
  if (state === 'closed') return { is: 'closed', because: closedBecause.parse(because), principal };
  if (state === 'restoring') return { is: 'not_ready', node, epoch: Number(epoch) };
  return { is: 'owned', node, epoch: Number(epoch), transport };
}
