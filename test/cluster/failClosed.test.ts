import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { RedisStore } from '../../src/cluster/redis/redisStore.js';
import { defineConfig } from '../../src/config/config.js';
import { messageOf } from '../../src/errors/errors.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RedisServer } from '../support/redisServer.js';
import { startTestServer } from '../support/testServer.js';
import { send } from '../support/http.js';
import { serveNode, whenReady } from './clusterNodes.js';

const quiet = { onLost: () => undefined, onReconnected: () => undefined };

test('[S12] while Redis is slow or down nothing is announced, and the client hears so; afterwards all is well', async () => {
  const redis = await RedisServer.start();
  const store = new RedisStore({ url: redis.url, timeoutMs: 2_000, ...quiet });
  const node = await serveNode(store, { options: { nodeLease: '3s' } });
  const refused = async (): Promise<void> => {
    const stream = new RawSse(node.url);
    await stream.whenClosed();
    expect([stream.status, stream.headers['retry-after'], stream.endpoint]).toEqual([503, '1', undefined]);
    expect(JSON.parse(stream.text)).toMatchObject({ error: { data: { reason: 'store_unreachable' } } });
    const client = new RawMcp(node.url).sendInitialize();
    await client.whenClosed();
    expect([client.status, client.headers['mcp-session-id']]).toEqual([503, undefined]);
    // The one that was there before, and its browser.
    expect(node.orchestrator.registry.list()).toHaveLength(1);
    expect(node.pool.opened.length - node.pool.closed.length).toBe(1);
  };
  const open = await new RawSse(node.url).whenAnnounced();
  redis.pause();
  const slow = new RawSse(node.url);
  await slow.whenClosed();
  expect([slow.status, slow.endpoint]).toEqual([503, undefined]);
  redis.resume();
  await whenReady(node.url);
  await redis.stop();
  while ((await send(`${node.url}/ready`)).status !== 503);
  await refused();
  // Who was there already is served on.
  expect(await open.call('ping', 'ping')).toMatchObject({ result: {} });
  const again = await RedisServer.start(redis.port);
  await whenReady(node.url);
  const stream = await new RawSse(node.url).whenAnnounced();
  await Promise.all([open.disconnect(), stream.disconnect()]);
  await node.close();
  await again.stop();
});

test('[C-FAILOVER] a Redis that stands still, or is no primary any more, is left; who finds it again gives the others time', async () => {
  const redis = await RedisServer.start();
  const told: string[] = [];
  let found = (): void => undefined;
  const whenFound = () => new Promise<void>((resolve) => (found = resolve));
  const onLost = (message: string): void => void told.push(message);
  const store = new RedisStore({ url: redis.url, timeoutMs: 1_000, onLost, onReconnected: () => found() });
  await store.open();
  const { directory, nodes } = store;
  // One that Redis gets while it stands still is done later: the next one is of another session.
  const claim = (sessionId: string) =>
    directory.claim({ sessionId, principal: { issuer: '', user: '' }, node: 'a', transport: '' });
  await nodes.renewLease('a', 600_000);
  expect(await nodes.isAlive('b')).toBe(false);

  let again = whenFound();
  redis.pause();
  await expect(claim('one')).rejects.toMatchObject({ reason: 'store_unreachable' });
  redis.resume();
  await again;
  // It may not have had its turn to say so.
  expect(await nodes.isAlive('b')).toBe(true);

  again = whenFound();
  await redis.sendCommands('REPLICAOF 127.0.0.1 1');
  await expect(claim('two')).rejects.toMatchObject({ reason: 'store_unreachable' });
  await again;
  expect(told).toEqual(['Redis did not answer in time.', expect.stringMatching(/^READONLY/)]);
  await store.close();
  await redis.stop();
});

test('the password in the address of Redis is in no message', async () => {
  const told: string[] = [];
  const url = 'redis://greenroom:correct-horse@127.0.0.1:1';
  let store: RedisStore | undefined;
  const lost = new Promise<string>((onLost) => (store = new RedisStore({ url, timeoutMs: 250, ...quiet, onLost })));
  const opening = store?.open().catch((error: unknown) => told.push(messageOf(error)));
  told.push(await lost);
  await store?.close();
  await opening;
  expect(() => defineConfig({ redisUrl: 'http://greenroom:correct-horse@127.0.0.1' })).toThrow(
    '--redis-url: the value is not allowed. Allowed: an address such as redis://127.0.0.1:6379,',
  );
  expect(told.length).toBeGreaterThan(0);
  expect(told.join()).not.toContain('correct-horse');
});

test('[S12] a node is not ready, and claims nothing, until its channel is subscribed', async () => {
  let subscribed = (): void => undefined;
  const store = new MemoryStore(systemClock);
  const { subscribe } = store.nodes;
  const acknowledged = new Promise<void>((resolve) => (subscribed = resolve));
  store.nodes.subscribe = async (...given) => {
    await acknowledged;
    await subscribe(...given);
  };
  const node = await startTestServer({ store });
  expect((await send(`${node.url}/ready`)).status).toBe(503);
  const early = new RawSse(node.url);
  await early.whenClosed();
  expect([early.status, early.endpoint]).toEqual([503, undefined]);
  subscribed();
  await whenReady(node.url);
  const stream = await new RawSse(node.url).whenAnnounced();
  await stream.disconnect();
  await node.close();
});
