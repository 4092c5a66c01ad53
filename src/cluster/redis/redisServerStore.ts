import { RateLimiterRedis } from 'rate-limiter-flexible';
import { z } from 'zod';
import type { CreateRateLimiter } from '../../tenancy/rateLimits.js';
import type { VersionedText } from '../../tenancy/sharedUserStore.js';
import {
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
} from '../clusterStore.js';
import type { RedisConnection } from './redisConnection.js';
import {
  broadcastChannel,
  contextsKey,
  creationsKey,
  fileKeyKey,
  episodeKey,
  quotaKeys,
  rateLimitPrefix,
  requestStateKey,
  rosterKeys,
  signingKeyKey,
  taskKey,
  tokenUseKey,
  usersChannel,
  usersKey,
} from './redisKeys.js';

const acquireResultSchema = z.enum(['taken', 'full', 'full-of-owner']);
const creationCountsSchema = z.array(z.tuple([z.string(), z.number()]));
const stringListSchema = z.array(z.string());
const usersReplySchema = z.tuple([z.coerce.number(), z.string()]).nullable();

/** A token that was not used for so long is as good as unused. */
const tokenUseTtlMs = 400 * 24 * 3_600_000;

/** Ids that one command renews. */
const renewalBatchSize = 1_000;

interface EvalOptions {
  readonly keys: string[];
  readonly arguments: string[];
}

/** The server store in Redis. Its keys are listed in redisKeys.ts. */
export class RedisServerStore implements ServerStore {
  readonly #redis: RedisConnection;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  readonly createRateLimiter: CreateRateLimiter = ({ keyPrefix, ...window }) =>
    new RateLimiterRedis({
      ...window,
      keyPrefix: rateLimitPrefix(keyPrefix),
      useRedisPackage: true,
      // The limiter needs no other method. `run` rejects with `store_unreachable` in time.
      storeClient: {
        eval: (lua: string, options: EvalOptions) => this.#redis.run((redis) => redis.eval(lua, options)),
      },
    });

  readonly quota: QuotaStore = {
    acquire: async ({ id, owner }, { maxSessions, maxSessionsPerUser }, ms) => {
      const values = [id, maxSessions, maxSessionsPerUser, ms];
      return acquireResultSchema.parse(await this.#redis.run((redis) => redis.acquireSlot(quotaKeys(owner), values)));
    },
    renew: async (owner, ids, ms) => {
      for (let start = 0; start < ids.length; start += renewalBatchSize) {
        const batch = ids.slice(start, start + renewalBatchSize);
        await this.#redis.run((redis) => redis.renewSlots(quotaKeys(owner), [ms, ...batch]));
      }
    },
    release: async ({ id, owner }) => {
      await this.#redis.run((redis) => redis.releaseSlot(quotaKeys(owner), [id]));
    },
  };

  readonly users: VersionedText = {
    read: async (knownVersion) => {
      const read = usersReplySchema.parse(
        await this.#redis.run((redis) => redis.readUsers([usersKey], [knownVersion])),
      );
      return read && { version: read[0], text: read[1] };
    },
    write: async (text, knownVersion) => {
      const values = [text, knownVersion, usersChannel];
      return (await this.#redis.run((redis) => redis.writeUsers([usersKey], values))) === 1;
    },
    subscribe: (onWritten) => this.#redis.subscribe(usersChannel, onWritten),
    uses: {
      record: async (uses) => {
        const kept = { expiration: { type: 'PX', value: tokenUseTtlMs } } as const;
        for (const [id, at] of uses) await this.#redis.run((redis) => redis.set(tokenUseKey(id), String(at), kept));
      },
      read: async (ids) => {
        const times = await Promise.all(ids.map((id) => this.#redis.run((redis) => redis.get(tokenUseKey(id)))));
        const found = ids.map((id, index): [string, number] => [id, Number(times[index] ?? Number.NaN)]);
        return new Map(found.filter(([, at]) => Number.isFinite(at)));
      },
    },
  };

  readonly rosters: RosterStore = {
    put: async (node, text, ms) => {
      const values = [node, ms, ...(text === null ? [] : [text])];
      return (await this.#redis.run((redis) => redis.putRoster(rosterKeys, values))) === 1;
    },
    list: async () => {
      const all = hashEntries(await this.#redis.run((redis) => redis.listRosters(rosterKeys, [])));
      return all.map(([node, text]) => ({ node, text }));
    },
    remove: async (node) => {
      await this.#redis.run((redis) => redis.removeRoster(rosterKeys, [node]));
    },
  };

  readonly requestStates: OnceStore = {
    signingKey: (fresh) => this.#agree(signingKeyKey, fresh),
    useOnce: async (id, ms) => {
      const first = { condition: 'NX', expiration: { type: 'PX', value: ms } } as const;
      return (await this.#redis.run((redis) => redis.set(requestStateKey(id), 'used', first))) !== null;
    },
  };

  readonly fileKey: SharedKey = {
    read: () => this.#redis.run((redis) => redis.get(fileKeyKey)),
    agree: (fresh) => this.#agree(fileKeyKey, fresh),
  };

  async #agree(key: string, fresh: string): Promise<string> {
    await this.#redis.run((redis) => redis.set(key, fresh, { condition: 'NX' }));
    return (await this.#redis.run((redis) => redis.get(key))) ?? fresh;
  }

  readonly tasks: ExpiringTexts = {
    put: async (id, text, ms) => {
      await this.#redis.run((redis) => redis.set(taskKey(id), text, { expiration: { type: 'PX', value: ms } }));
    },
    get: (id) => this.#redis.run((redis) => redis.get(taskKey(id))),
  };

  broadcast(name: string): Broadcast {
    const channel = broadcastChannel(name);
    return {
      publish: async (text) => {
        await this.#redis.run((redis) => redis.publish(channel, text));
      },
      subscribe: (onText) => this.#redis.subscribe(channel, onText),
    };
  }

  readonly contexts: ContextStore = {
    list: async (browser) => {
      const all = hashEntries(
        await this.#redis.run((redis) => redis.listContexts([contextsKey(browser)], [contextEntriesTtlMs])),
      );
      return all.map(([contextId, owner]) => ({ contextId, ...decodeOwner(owner) }));
    },
    put: async (browser, { contextId, ...owner }) => {
      const values = [contextEntriesTtlMs, contextId, encodeOwner(owner)];
      await this.#redis.run((redis) => redis.putContext([contextsKey(browser)], values));
    },
    compareAndSet: async (browser, contextId, before, after) => {
      const values = [contextEntriesTtlMs, contextId, encodeOwner(before), encodeOwner(after)];
      return (await this.#redis.run((redis) => redis.compareAndSetContext([contextsKey(browser)], values))) === 1;
    },
  };

  readonly alertEpisodes: AlertEpisodeStore = {
    countCreations: async (windowMs, cause) => {
      const values = [windowMs, ...(cause === undefined ? [] : [cause])];
      return new Map(
        creationCountsSchema.parse(await this.#redis.run((redis) => redis.countCreations([creationsKey], values))),
      );
    },
    tryBegin: async (ms) => {
      const first = { condition: 'NX', expiration: { type: 'PX', value: ms } } as const;
      return (await this.#redis.run((redis) => redis.set(episodeKey, 'ringing', first))) !== null;
    },
    extend: async (ms) => {
      await this.#redis.run((redis) => redis.extendEpisode([episodeKey], [ms]));
    },
    tryEnd: async (quietMs) => (await this.#redis.run((redis) => redis.endEpisode([episodeKey], [quietMs]))) === 1,
  };
}

/** Pairs of the flat reply to `HGETALL`: field and value, alternating. */
function hashEntries(answer: unknown): (readonly [string, string])[] {
  const all = stringListSchema.parse(answer);
  return all.flatMap((field, index) => (index % 2 === 0 ? [[field, all[index + 1] ?? ''] as const] : []));
}

/** `SESSION NODE`: a session id contains no space. */
const encodeOwner = (owner: ContextOwner | null): string =>
  owner === null ? '' : `${owner.sessionId ?? ''} ${owner.node}`;

function decodeOwner(text: string): ContextOwner {
  const end = text.indexOf(' ');
  const sessionId = text.slice(0, end);
  return { node: text.slice(end + 1), sessionId: sessionId === '' ? null : sessionId };
}
