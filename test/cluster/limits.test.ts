import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { RedisStore } from '../../src/cluster/redis/redisStore.js';
import type { ClusterStore } from '../../src/cluster/clusterStore.js';
import { ManualClock } from '../support/manualClock.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { openRedisStore, RedisServer } from '../support/redisServer.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { serveNode, useClusterNodes, whenReady } from './clusterNodes.js';

const { kinds, nodes } = useClusterNodes();

async function twoNodes(open: () => ClusterStore, options: object): Promise<[TestServer, TestServer]> {
  const pair: [TestServer, TestServer] = [await serveNode(open(), { options }), await serveNode(open(), { options })];
  nodes.push(...pair);
  return pair;
}

/** What was counted by other tests is of other users. */
let users = 0;
const newUser = (): string => `user-${(users += 1)}`;

const until = (stream: RawSse) => stream.when(({ endpoint, isClosed }) => endpoint !== undefined || isClosed);
const refusal = (reason: string, limit: string) => ({
  error: { code: -32013, data: { reason, limit, retryAfterMs: expect.any(Number) } },
});

describe.each(kinds)('two nodes over $name', ({ stores }) => {
  test('[C-SHARED][C-ADMISSION] count together how often a user opens sessions, and how many messages they send', async () => {
    const [one, other] = await twoNodes(stores(), { connectRate: 2, requestRate: 3, trustProxy: ['loopback'] });
    const path = `/sse?userId=${newUser()}`;
    const from = (url: string, last: number) =>
      new RawSse(url, { path, headers: { 'x-forwarded-for': `192.0.2.${last}` } });
    const [first, second] = [
      await from(one.url, users).whenAnnounced(),
      await from(other.url, users + 100).whenAnnounced(),
    ];
    for (const { url } of [one, other]) {
      const third = from(url, users + 200);
      await third.whenClosed();
      expect(JSON.parse(third.text)).toMatchObject(refusal('rate_limited', '--connect-rate 2'));
      expect([third.status, Number(third.headers['retry-after']) > 0]).toEqual([429, true]);
    }
    const ping = { jsonrpc: '2.0', method: 'ping' };
    const statuses = [];
    for (const [id, stream] of [first, second, first, second, first].entries())
      statuses.push((await stream.post({ ...ping, id })).status);
    expect(statuses).toEqual([202, 202, 202, 429, 429]);
    await Promise.all([first, second].map((stream) => stream.disconnect()));
  });

  test('[C-SHARED][C-ADMISSION] of many who race for the last places at both nodes exactly as many get one', async () => {
    const [one, other] = await twoNodes(stores(), { maxSessions: 5, maxSessionsPerUser: 3 });
    const race = (user: string, count: number) =>
      Array.from(
        { length: count },
        (_, index) => new RawSse((index % 2 === 0 ? one : other).url, { path: `/sse?userId=${user}` }),
      );
    const [anna, bert] = [race(newUser(), 20), []] as [RawSse[], RawSse[]];
    await Promise.all(anna.map(until));
    bert.push(...race(newUser(), 20));
    await Promise.all(bert.map(until));
    const opened = (streams: readonly RawSse[]) => streams.filter(({ endpoint }) => endpoint !== undefined);
    expect([opened(anna).length, opened(bert).length]).toEqual([3, 2]);
    const told = (streams: readonly RawSse[]) =>
      new Set(streams.filter(({ isClosed }) => isClosed).map(({ text }) => JSON.parse(text).error.data.limit));
    expect([told(anna), told(bert)]).toEqual([new Set(['--max-sessions-per-user 3']), new Set(['--max-sessions 5'])]);
    expect(one.pool.opened.length + other.pool.opened.length).toBe(5);
    // A place that is given back at one node is free at the other.
    const [leaving] = opened(bert);
    const owner = [one, other].find(
      ({ orchestrator }) => orchestrator.registry.peek(leaving?.sessionId ?? '') !== undefined,
    );
    const session = owner?.orchestrator.registry.peek(leaving?.sessionId ?? '');
    await leaving?.disconnect();
    await session?.ended;
    const next = await new RawSse((owner === one ? other : one).url, {
      path: `/sse?userId=${newUser()}`,
    }).whenAnnounced();
    const mcp = new RawMcp(one.url).sendInitialize();
    await mcp.whenClosed();
    expect(mcp.status).toBe(429);
    await Promise.all([...opened(anna), ...opened(bert).slice(1), next].map((stream) => stream.disconnect()));
  });
});

const anna = { issuer: 'local', user: 'anna' };
const caps = { maxSessions: 2, maxSessionsPerUser: 2 };

test('[C-SHARED] the places of a node that says nothing more are free after their time, in memory', async () => {
  const clock = new ManualClock();
  const { quota } = new MemoryStore(clock).server;
  expect(await quota.acquire({ id: '1', owner: anna }, caps, 1_000)).toBe('taken');
  await quota.renew(anna, ['2'], 2_000);
  expect(await quota.acquire({ id: '3', owner: anna }, caps, 1_000)).toBe('full');
  clock.advance(1_000);
  expect(await quota.acquire({ id: '3', owner: anna }, { ...caps, maxSessionsPerUser: 1 }, 1_000)).toBe(
    'full-of-owner',
  );
  expect(await quota.acquire({ id: '3', owner: anna }, caps, 1_000)).toBe('taken');
  await quota.release({ id: '2', owner: anna });
  expect(await quota.acquire({ id: '4', owner: anna }, caps, 1_000)).toBe('taken');
});

test('[C-SHARED] the places of a node that says nothing more are free after their time, in Redis', async () => {
  const own = await RedisServer.start();
  const store = await openRedisStore(own);
  const { quota } = store.server;
  expect(await quota.acquire({ id: '1', owner: anna }, caps, 60_000)).toBe('taken');
  await quota.renew(anna, ['2'], 60_000);
  expect(await quota.acquire({ id: '3', owner: anna }, caps, 60_000)).toBe('full');
  await quota.renew(anna, ['2'], 50);
  while ((await quota.acquire({ id: '3', owner: anna }, caps, 60_000)) === 'full');
  expect(await quota.acquire({ id: '4', owner: anna }, caps, 60_000)).toBe('full');
  expect(await quota.acquire({ id: '4', owner: anna }, { maxSessions: 3, maxSessionsPerUser: 2 }, 60_000)).toBe(
    'full-of-owner',
  );
  await store.close();
  await own.stop();
});

test('[C-SHARED] a session that is gone on with counts where it goes on, though all places are taken', async () => {
  const store = new MemoryStore(systemClock);
  const { renewLease } = store.nodes;
  let name = '';
  const mortal: ClusterStore = Object.assign(Object.create(store), {
    nodes: { ...store.nodes, renewLease: (node: string, ms: number) => renewLease((name = node), ms) },
  });
  const options = { maxSessions: 1 };
  const [one, other] = [await serveNode(mortal, { options }), await serveNode(store, { options })];
  nodes.push(one, other);
  const client = await new RawMcp(one.url).initialize();
  await store.nodes.releaseLease(name);
  const away = client.atNode(other.url);
  expect((await away.post({ jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(200);
  expect(other.orchestrator.registry.list()).toHaveLength(1);
  const more = new RawMcp(other.url).sendInitialize();
  await more.whenClosed();
  expect(more.status).toBe(429);
  await away.delete();
});

test('[S12][C-SHARED] without Redis a connection is refused and counts as a failed creation; who is there is counted here', async () => {
  const own = await RedisServer.start();
  const quiet = { onLost: () => undefined, onReconnected: () => undefined };
  const store = new RedisStore({ url: own.url, timeoutMs: 10_000, ...quiet });
  const node = await startTestServer({ store, options: { requestRate: 3 } });
  await whenReady(node.url);
  const stream = await new RawSse(node.url).whenAnnounced();
  const ping = { jsonrpc: '2.0', method: 'ping' };
  expect((await stream.post({ ...ping, id: 1 })).status).toBe(202);
  await own.stop();
  const statuses = [];
  for (const id of [2, 3, 4, 5]) statuses.push((await stream.post({ ...ping, id })).status);
  expect(statuses).toEqual([202, 202, 202, 429]);
  const refused = new RawSse(node.url);
  await refused.whenClosed();
  expect([refused.status, refused.headers['retry-after'], refused.endpoint]).toEqual([503, '1', undefined]);
  expect(JSON.parse(refused.text)).toMatchObject({ error: { data: { reason: 'store_unreachable' } } });
  const { performance } = await node.orchestrator.health();
  expect(performance).toMatchObject({ connects: { failed: 1 } });
  expect(node.pool.opened).toHaveLength(1);
  await stream.disconnect();
  await node.close();
});
