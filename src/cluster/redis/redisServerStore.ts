import { RateLimiterRedis } from 'rate-limiter-flexible';
import { z } from 'zod';
import type { OpenLimiter } from '../../tenancy/rateLimits.js';
import type { SharedText } from '../../tenancy/sharedStore.js';
import {
  contextsMs,
  type ContextOwner,
  type ContextStore,
  type EpisodeStore,
  type PlaceStore,
  type RosterStore,
  type ServerStore,
} from '../serverStore.js';
import type { RedisConnection } from './connection.js';
import {
  contextsKey,
  creationsKey,
  episodeKey,
  placeKeys,
  ratePrefix,
  rosterKeys,
  usersChannel,
  usersKey,
} from './serverKeys.js';

const taken = z.enum(['taken', 'full', 'full-of-owner']);
const counts = z.array(z.tuple([z.string(), z.number()]));
const pairs = z.array(z.string());
const usersRead = z.tuple([z.coerce.number(), z.string()]).nullable();

/** Ids that one command renews. */
const renewedAtOnce = 1_000;

interface Evaluation {
  readonly keys: string[];
  readonly arguments: string[];
}

/** What nodes share of their server in Redis. Its keys are listed in serverKeys.ts. */
export class RedisServerStore implements ServerStore {
  readonly #redis: RedisConnection;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  readonly limiter: OpenLimiter = ({ keyPrefix, ...window }) =>
    new RateLimiterRedis({
      ...window,
      keyPrefix: ratePrefix(keyPrefix),
      useRedisPackage: true,
      // All that it asks of a client. This one answers in time, or says that the store cannot be reached.
      storeClient: {
        eval: (lua: string, given: Evaluation) => this.#redis.run((redis) => redis.eval(lua, given)),
      },
    });

  readonly places: PlaceStore = {
    take: async ({ id, owner }, { maxSessions, maxSessionsPerUser }, ms) => {
      const values = [id, maxSessions, maxSessionsPerUser, ms];
      return taken.parse(await this.#redis.run((redis) => redis.takePlace(placeKeys(owner), values)));
    },
    keep: async (owner, ids, ms) => {
      for (let start = 0; start < ids.length; start += renewedAtOnce) {
        const some = ids.slice(start, start + renewedAtOnce);
        await this.#redis.run((redis) => redis.keepPlaces(placeKeys(owner), [ms, ...some]));
      }
    },
    free: async ({ id, owner }) => {
      await this.#redis.run((redis) => redis.freePlace(placeKeys(owner), [id]));
    },
  };

  readonly users: SharedText = {
    read: async (known) => {
      const read = usersRead.parse(await this.#redis.run((redis) => redis.readUsers([usersKey], [known])));
      return read && { version: read[0], text: read[1] };
    },
    write: async (text, known) => {
      const values = [text, known, usersChannel];
      return (await this.#redis.run((redis) => redis.writeUsers([usersKey], values))) === 1;
    },
    listen: (onWritten) => this.#redis.listen(usersChannel, onWritten),
  };

  readonly rosters: RosterStore = {
    put: async (node, text, ms) => {
      const values = [node, ms, ...(text === null ? [] : [text])];
      return (await this.#redis.run((redis) => redis.putRoster(rosterKeys, values))) === 1;
    },
    all: async () => {
      const all = pairsOf(await this.#redis.run((redis) => redis.allRosters(rosterKeys, [])));
      return all.map(([node, text]) => ({ node, text }));
    },
    drop: async (node) => {
      await this.#redis.run((redis) => redis.dropRoster(rosterKeys, [node]));
    },
  };

  readonly contexts: ContextStore = {
    all: async (browser) => {
      const all = pairsOf(await this.#redis.run((redis) => redis.allContexts([contextsKey(browser)], [contextsMs])));
      return all.map(([contextId, owner]) => ({ contextId, ...ownerOf(owner) }));
    },
    put: async (browser, { contextId, ...owner }) => {
      const values = [contextsMs, contextId, textOf(owner)];
      await this.#redis.run((redis) => redis.putContext([contextsKey(browser)], values));
    },
    change: async (browser, contextId, before, after) => {
      const values = [contextsMs, contextId, textOf(before), textOf(after)];
      return (await this.#redis.run((redis) => redis.changeContext([contextsKey(browser)], values))) === 1;
    },
  };

  readonly episodes: EpisodeStore = {
    count: async (windowMs, cause) => {
      const values = [windowMs, ...(cause === undefined ? [] : [cause])];
      return new Map(counts.parse(await this.#redis.run((redis) => redis.countCreations([creationsKey], values))));
    },
    begin: async (ms) => {
      const first = { condition: 'NX', expiration: { type: 'PX', value: ms } } as const;
      return (await this.#redis.run((redis) => redis.set(episodeKey, 'ringing', first))) !== null;
    },
    goOn: async (ms) => {
      await this.#redis.run((redis) => redis.goOnRinging([episodeKey], [ms]));
    },
    end: async (quietMs) => (await this.#redis.run((redis) => redis.endRinging([episodeKey], [quietMs]))) === 1,
  };
}

/** As a hash is answered: each field, and after it its value. */
function pairsOf(answer: unknown): (readonly [string, string])[] {
  const all = pairs.parse(answer);
  return all.flatMap((field, index) => (index % 2 === 0 ? [[field, all[index + 1] ?? ''] as const] : []));
}

/** An id of a session has no space in it. */
const textOf = (owner: ContextOwner | null): string => (owner === null ? '' : `${owner.sessionId ?? ''} ${owner.node}`);

function ownerOf(text: string): ContextOwner {
  const end = text.indexOf(' ');
  const sessionId = text.slice(0, end);
  return { node: text.slice(end + 1), sessionId: sessionId === '' ? null : sessionId };
}
