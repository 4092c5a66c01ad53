import fc from 'fast-check';
import { systemClock } from '../../src/clock.js';
import { newStreamId } from '../../src/cluster/eventLog.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import type { RedisStore } from '../../src/cluster/redis/redisStore.js';
import type { ClusterStore, StoreLimits } from '../../src/cluster/clusterStore.js';
import { messageOf } from '../../src/errors/errors.js';
import { RedisCluster } from '../support/redisCluster.js';
import { openRedisStore, RedisServer } from '../support/redisServer.js';

let redis: RedisServer;
let cluster: RedisCluster;
const shared: RedisStore[] = [];

const small: Partial<StoreLimits> = {
  inbox: { count: 3, bytes: 12 },
  maxReplyPieces: 2,
  events: { stream: { count: 3, bytes: 24 }, session: { count: 5, bytes: 32 } },
};

beforeAll(async () => {
  [redis, cluster] = await Promise.all([RedisServer.start(), RedisCluster.start()]);
  for (const place of [redis, cluster]) shared.push(await openRedisStore(place, small));
});
afterAll(async () => {
  await Promise.all(shared.map((store) => store.close()));
  await Promise.all([redis.stop(), cluster.stop()]);
});

/** Ids by their number: what is written down does not depend on chance. */
class Ids {
  readonly #known = new Map<string, string>();
  of(name: string): string {
    const id = this.#known.get(name) ?? newStreamId();
    this.#known.set(name, id);
    return id;
  }
  hide(value: unknown): string {
    const text = JSON.stringify([value]);
    return [...this.#known].reduce((shown, [name, id]) => shown.replaceAll(id, name), text);
  }
}

type Step = (store: ClusterStore, ids: Ids) => Promise<unknown>;

const session = fc.constantFrom('session 1', 'session 2');
const stream = fc.constantFrom('stream 1', 'stream 2', 'stream 3');
const epoch = fc.integer({ min: 1, max: 3 });
const node = fc.constantFrom('node 1', 'node 2');
const text = fc.string({ maxLength: 8, unit: fc.constantFrom('a', 'ä', '"', ' ') });
const user = fc.constantFrom('anyone' as const, { issuer: 'local', user: 'a' }, { issuer: 'local', user: 'b' });
const owner = { issuer: 'local', user: 'a' };
const number = fc.integer({ min: 1, max: 4 });

/** One step of any port; commonest, what needs an entry that is there. */
const steps: fc.Arbitrary<{ name: string; run: Step }> = fc.oneof(
  fc.record({ session, node }).map((given) => ({
    name: `claim ${JSON.stringify(given)}`,
    run: ({ directory }: ClusterStore, ids: Ids) =>
      directory.claim({
        ...{ sessionId: ids.of(given.session), principal: owner },
        ...{ node: given.node, transport: 'sse' },
      }),
  })),
  fc
    .record({
      session,
      epoch,
      node,
      what: fc.constantFrom('renew', 'takeOver', 'completeTakeover', 'completeTakeover', 'close'),
    })
    .map((given) => ({
      name: JSON.stringify(given),
      run: ({ directory }: ClusterStore, ids: Ids): Promise<unknown> => {
        const tenure = { sessionId: ids.of(given.session), epoch: given.epoch };
        if (given.what === 'takeOver') return directory.takeOver(tenure, given.node);
        if (given.what === 'close') return directory.close(tenure, 'idle-timeout');
        return given.what === 'renew' ? directory.renew(tenure) : directory.completeTakeover(tenure);
      },
    })),
  fc.record({ session, user }).map((given) => ({
    name: `find ${JSON.stringify(given)}`,
    run: ({ directory }: ClusterStore, ids: Ids) => directory.find(ids.of(given.session), given.user),
  })),
  fc.record({ session, user, number, text }).map((given) => ({
    name: `offer ${JSON.stringify(given)}`,
    run: ({ inbox }: ClusterStore, ids: Ids) =>
      inbox.enqueue({
        ...{ id: `message ${given.number}`, sessionId: ids.of(given.session) },
        ...{ caller: given.user, data: given.text },
      }),
  })),
  fc.record({ session, epoch, number }).map((given) => ({
    name: `take ${JSON.stringify(given)}`,
    run: ({ inbox }: ClusterStore, ids: Ids) =>
      inbox.take({ sessionId: ids.of(given.session), epoch: given.epoch }, given.number),
  })),
  fc.record({ session, epoch, number, text, node, isLast: fc.boolean() }).map((given) => ({
    name: `put ${JSON.stringify(given)}`,
    run: async ({ replies }: ClusterStore, ids: Ids) => {
      const sessionId = ids.of(given.session);
      const address = { sessionId, messageId: `message ${given.number}`, node: given.node };
      const put = await replies.put({ sessionId, epoch: given.epoch }, address, given.text, given.isLast);
      return put === 'full' ? [put, await replies.take(address)] : put;
    },
  })),
  fc.record({ session, epoch, stream, text }).map((given) => ({
    name: `append ${JSON.stringify(given)}`,
    run: ({ events }: ClusterStore, ids: Ids) => {
      const address = { sessionId: ids.of(given.session), streamId: ids.of(given.stream) };
      return events.append(given.epoch, address, given.text);
    },
  })),
  fc.record({ session, stream, of: stream, number: fc.option(number) }).map((given) => ({
    name: `after ${JSON.stringify(given)}`,
    run: ({ events }: ClusterStore, ids: Ids) => {
      const address = { sessionId: ids.of(given.session), streamId: ids.of(given.stream) };
      return events.after(address, given.number === null ? null : `${ids.of(given.of)}.${given.number}`);
    },
  })),
  fc.record({ session, epoch, stream: fc.option(stream) }).map((given) => ({
    name: `forget ${JSON.stringify(given)}`,
    run: ({ events }: ClusterStore, ids: Ids) => {
      const tenure = { sessionId: ids.of(given.session), epoch: given.epoch };
      return events.forget(tenure, given.stream === null ? undefined : ids.of(given.stream));
    },
  })),
  fc.record({ session, epoch, text }).map((given) => ({
    name: `snapshot ${JSON.stringify(given)}`,
    run: async ({ snapshots }: ClusterStore, ids: Ids) => {
      const sessionId = ids.of(given.session);
      return [await snapshots.put({ sessionId, epoch: given.epoch }, given.text), await snapshots.get(sessionId)];
    },
  })),
);

async function trace(store: ClusterStore, script: readonly { name: string; run: Step }[]): Promise<string[]> {
  const ids = new Ids();
  const lines: string[] = [];
  for (const name of ['session 1', 'session 2']) {
    const entry = { sessionId: ids.of(name), principal: owner, node: 'node 1', transport: 'sse' };
    lines.push(String(await store.directory.claim(entry)));
  }
  for (const { name, run } of script) {
    const answer = await run(store, ids).catch((error: unknown) => messageOf(error));
    lines.push(`${name}: ${ids.hide(answer)}`);
  }
  return lines;
}

test('[C-NODES] one script leaves one trace, in memory, in Redis and in a cluster of three', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 20, maxLength: 60 }), async (script) => {
      const expected = await trace(new MemoryStore(systemClock, small), script);
      for (const store of shared) expect(await trace(store, script)).toEqual(expected);
    }),
    { numRuns: 100 },
  );
});
