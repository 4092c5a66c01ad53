import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { Changes } from '../../src/mcp/changes.js';
import { Tasks } from '../../src/mcp/tasks.js';
import { serveNode } from '../cluster/clusterNodes.js';
import { send } from '../support/http.js';
import { RawMcp } from '../support/rawMcp.js';
import { redisStore, RedisServer } from '../support/redisServer.js';
import type { TestServer } from '../support/testServer.js';

let redis: RedisServer;
let node: TestServer;
beforeAll(async () => {
  redis = await RedisServer.start();
  node = await serveNode(redisStore(redis));
});
afterAll(async () => {
  await node.close();
  await redis.stop();
});

test('[S6] what else the store keeps is no task, whatever id is asked for', async () => {
  const { tasks: store } = new MemoryStore(systemClock).server;
  const tasks = new Tasks({ store, clock: systemClock, changes: new Changes() });
  for (const id of ['browser-time one', 'AAAAAAAAAAAAAAAAAAAAAA'])
    await expect(tasks.get(id, 'local me')).rejects.toMatchObject({ reason: 'unknown_task' });
  await store.put('browser-time one', '{"anna":1}', 60_000);
  await expect(tasks.get('browser-time one', 'local me')).rejects.toMatchObject({ reason: 'unknown_task' });
  await tasks.close();
});

const ping = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const never = 'AAAAAAAAAAAAAAAAAAAAAA';

describe('[S6] an id that no session can have is as unknown as one that never was, whatever key it would name', () => {
  const hostile = [
    ['the key of quota slots', 'places'],
    ['the key of rosters', 'rosters'],
    ['their expiry times', 'rosters}:until'],
    ['an empty hash tag', '}'],
    ['a hash tag of its own', '}a{b}'],
    ['an inbox', 'a}:inbox'],
    ['a pattern', '*'],
    ['a path', '../users'],
    ['the key of users', 'greenroom:users'],
    ['a long text', 'x'.repeat(4_000)],
  ] as const;

  test.each(hostile)('%s', async (_what, id) => {
    const mcp = await new RawMcp(node.url).initialize();
    const store = redisStore(redis);
    await store.open();
    const before = await store.server.rosters.list();
    const post = (path: string, more = {}) =>
      send(node.url + path, { method: 'POST', headers: { ...headers, ...more }, body: ping });
    const [expected, told] = [
      [await post('/mcp', { 'mcp-session-id': never }), await post(`/message?sessionId=${never}`)],
      [await post('/mcp', { 'mcp-session-id': id }), await post(`/message?sessionId=${encodeURIComponent(id)}`)],
    ].map((answers) => answers.map(({ status, text }) => [status, text.replace(/"requestId":"[^"]*"/, '')]));
    expect(told).toEqual(expected);
    expect(told?.map(([status]) => status)).toEqual([404, 404]);
    expect((await send(`${node.url}/api/sessions/${encodeURIComponent(id)}`, { method: 'DELETE' })).status).toBe(404);
    expect((await store.server.rosters.list()).length).toBe(before.length);
    await store.close();
    await mcp.delete();
  });
});
