import { probeRedis } from '../../src/cluster/redis/redisProbe.js';
import { send } from '../support/http.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RedisCluster } from '../support/redisCluster.js';
import { redisStore } from '../support/redisServer.js';
import { serveNode, whenReady } from './clusterNodes.js';

const patience = 60_000;

let redis: RedisCluster;

beforeAll(async () => {
  redis = await RedisCluster.start();
});
afterAll(() => redis.stop());

test('doctor tells a cluster from one Redis', async () => {
  const [server] = redis.servers;
  if (server === undefined) throw new Error('unreachable');
  await Promise.all(redis.servers.map((node) => node.sendCommands('CONFIG SET appendonly yes')));
  expect(await probeRedis(redis.url, patience)).toMatchObject({ kind: 'healthy' });
  expect(await probeRedis(server.url, patience)).toMatchObject({
    summary: `127.0.0.1:${server.port} is a cluster node`,
    fix: `set --redis-url redis+cluster://127.0.0.1:${server.port}`,
  });
});

test('[S12][C-FAILOVER] while a node of a cluster is gone nothing is announced; when it is back, all is well', async () => {
  const node = await serveNode(redisStore(redis), { options: { nodeLease: '3s' } });
  const open = await new RawSse(node.url).whenAnnounced();
  await redis.servers[1]?.stop();
  while ((await send(`${node.url}/ready`)).status !== 503);
  // Wherever their keys would be.
  for (let count = 0; count < 6; count += 1) {
    const stream = new RawSse(node.url);
    await stream.whenClosed();
    expect([stream.status, stream.endpoint]).toEqual([503, undefined]);
    expect(JSON.parse(stream.text)).toMatchObject({ error: { data: { reason: 'store_unreachable' } } });
    const client = new RawMcp(node.url).sendInitialize();
    await client.whenClosed();
    expect([client.status, client.headers['mcp-session-id']]).toEqual([503, undefined]);
  }
  expect(await open.call('during', 'ping')).toMatchObject({ result: {} });
  await redis.restart(1);
  await whenReady(node.url);
  const streams = await Promise.all(Array.from({ length: 6 }, () => new RawSse(node.url).whenAnnounced()));
  await Promise.all(streams.map((stream) => stream.disconnect()));
  await open.disconnect();
  await node.close();
});
