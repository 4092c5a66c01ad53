import { probeRedis } from '../../src/cluster/redis/redisProbe.js';
import { RedisStore } from '../../src/cluster/redis/redisStore.js';
import { postJson, send } from '../support/http.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RedisSentinel } from '../support/redisSentinel.js';
import type { TestServer } from '../support/testServer.js';
import { serveNode, whenReady } from './clusterNodes.js';

let redis: RedisSentinel;
let nodes: readonly [TestServer, TestServer];

/** An answer may take so long here: what is lost ends a connection, and is noticed sooner. */
const patience = 60_000;
const patient = { timeoutMs: patience, onLost: () => undefined, onReconnected: () => undefined };

beforeAll(async () => {
  redis = await RedisSentinel.start();
  const start = () => serveNode(new RedisStore({ url: redis.url, ...patient }), { options: { nodeLease: '3s' } });
  nodes = [await start(), await start()];
});
afterAll(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  await redis.stop();
});

const ping = (id: number) => ({ jsonrpc: '2.0', id, method: 'ping' });

/** As often as the store cannot be reached yet. */
async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask().catch(() => undefined);
    if (answer !== undefined) return answer;
    await whenReady(nodes[0].url);
  }
}

async function refused(url: string): Promise<void> {
  const stream = new RawSse(url);
  await stream.whenClosed();
  expect([stream.status, stream.endpoint]).toEqual([503, undefined]);
  expect(JSON.parse(stream.text)).toMatchObject({ error: { data: { reason: 'store_unreachable' } } });
  const client = new RawMcp(url).sendInitialize();
  await client.whenClosed();
  expect([client.status, client.headers['mcp-session-id']]).toEqual([503, undefined]);
}

test('[S12][C-NODES][C-FAILOVER] kill -9 of the primary: nobody is announced until another one is there, and what was open goes on', async () => {
  const [one, other] = nodes;
  const stream = await new RawSse(one.url).whenAnnounced();
  const client = await new RawMcp(one.url).initialize();
  const store = new RedisStore({ url: redis.url, ...patient });
  await store.open();
  const taken = { sessionId: 'taken', principal: { issuer: 'local', user: 'a' }, node: 'before', transport: 'sse' };
  await store.directory.claim(taken);
  await redis.whenReplicated();
  await redis.cutReplication();
  // The replica never hears of these three.
  expect(await store.directory.takeOver({ sessionId: 'taken', epoch: 1 }, 'after')).toBe(2);
  const lost = await new RawSse(one.url).whenAnnounced();
  const lostClient = await new RawMcp(one.url).initialize();

  await redis.primary.stop();
  for (const { url } of nodes) {
    while ((await send(`${url}/ready`)).status !== 503);
    await refused(url);
  }
  // At their node both are served on.
  expect(await stream.call('during', 'ping')).toMatchObject({ result: {} });
  expect(await lost.call('during', 'ping')).toMatchObject({ result: {} });

  await redis.failOver();
  await Promise.all(nodes.map(({ url }) => whenReady(url)));
  // The lease of its owner ended meanwhile: it is not taken from it.
  expect((await postJson(new URL(stream.endpoint ?? '', other.url).href, ping(7))).status).toBe(202);
  expect(await stream.answer(7)).toMatchObject({ result: {} });
  const asked = await client.atNode(other.url).sendRequest(ping(8));
  await asked.whenClosed();
  expect(asked.messages).toMatchObject([{ id: 8, result: {} }]);
  const announced = await new RawSse(other.url).whenAnnounced();
  expect((await postJson(new URL(announced.endpoint ?? '', one.url).href, ping(9))).status).toBe(202);
  await announced.answer(9);

  // What the replica never saw is known nowhere, and its owner lets go of it.
  await lost.whenClosed();
  const gone = await postJson(new URL(lost.endpoint ?? '', other.url).href, ping(10));
  expect([gone.status, gone.json]).toMatchObject([404, { error: { data: { reason: 'unknown' } } }]);
  const goneClient = await lostClient.atNode(other.url).post(ping(11));
  expect([goneClient.status, goneClient.json]).toMatchObject([404, { error: { data: { reason: 'unknown' } } }]);
  const here = await lostClient.atNode(one.url).post(ping(12));
  expect([here.status, here.json]).toMatchObject([404, { error: { data: { closedBecause: 'node-lost' } } }]);

  // Who took a session over in vain can write nothing, and it can be taken over from the owner before.
  const found = await untilAnswered(() => store.directory.find('taken', 'anyone'));
  expect(found).toMatchObject({ kind: 'owned', node: 'before', epoch: 1 });
  expect(await store.directory.completeTakeover({ sessionId: 'taken', epoch: 2 })).toBe('fenced');
  expect(await store.directory.takeOver({ sessionId: 'taken', epoch: 1 }, 'next')).toBe(2);
  await store.close();
  await Promise.all([stream.disconnect(), announced.disconnect()]);
  await client.delete();
});

test('doctor names what is wrong with an address of sentinels, and which primary they name', async () => {
  const { sentinel, replica, url } = redis;
  const told = [
    await probeRedis(`redis+sentinel://127.0.0.1:${sentinel.port}/main`, patience),
    await probeRedis(`redis+sentinel://127.0.0.1:${sentinel.port}/other`, patience),
    await probeRedis(`redis+sentinel://127.0.0.1:${replica.port}/main`, patience),
    await probeRedis(`redis://127.0.0.1:${sentinel.port}`, patience),
    await probeRedis(url, patience),
  ];
  const [of, other] = [`127.0.0.1:${sentinel.port}`, `127.0.0.1:${replica.port}`];
  expect(told.map(({ summary }) => summary)).toEqual([
    expect.stringMatching(new RegExp(`^${of} names Redis [\\d.]+ at ${other}$`)),
    `The sentinel at ${of} knows no primary called other.`,
    `${other} is not a sentinel`,
    `${of} is a sentinel`,
    expect.stringMatching(/cannot be reached: .*ECONNREFUSED/),
  ]);
});
