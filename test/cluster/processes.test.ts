import { once } from 'node:events';
import { startServerProcess, type ServerProcess } from '../e2e/support/serverProcess.js';
import { postJson } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { StatelessClient } from '../support/statelessClient.js';
import { RedisServer } from '../support/redisServer.js';
import { whenReady } from './clusterNodes.js';

const sessions = 300;
const postsEach = 4;

let redis: RedisServer;
let one: ServerProcess;
let other: ServerProcess;
/** Whose lease is short. */
let mortal: ServerProcess;

beforeAll(async () => {
  redis = await RedisServer.start();
  [one, other, mortal] = await Promise.all([startNode('30s'), startNode('30s'), startNode('2s')]);
});
afterAll(async () => {
  await Promise.all([one, other, mortal].map((node) => node.dispose()));
  await redis.stop();
});

async function startNode(lease: string): Promise<ServerProcess> {
  const shared = ['--redis-url', redis.url, '--lease', 'lazy', '--prewarm', '0', '--node-lease', lease];
  const limits = ['--max-sessions', '1000', '--max-sessions-per-user', '1000'];
  const node = await startServerProcess([...shared, ...limits]);
  await whenReady(node.url);
  return node;
}

/** Posts at the given node in the very tick in which the client can know its session. */
function openAndPost(url: string, at: string): { stream: RawSse; first: Promise<number> } {
  let posted: Promise<number> | undefined;
  const stream = new RawSse(url, {
    onEndpoint: ({ endpoint }) => {
      posted = post(new URL(endpoint ?? '', at).href, 1);
    },
  });
  const first = stream.whenAnnounced().then(() => posted ?? 0);
  return { stream, first };
}

const post = async (url: string, id: number): Promise<number> =>
  (await postJson(url, { jsonrpc: '2.0', id, method: 'ping' })).status;

test('[C-NODES] 300 sessions of one node, posted to in turns through two: none fails, from the first message on', async () => {
  const opened = Array.from({ length: sessions }, () => openAndPost(one.url, other.url));
  const statuses = await Promise.all(opened.map(({ first }) => first));
  for (let id = 2; id <= postsEach; id += 1) {
    const at = id % 2 === 0 ? one.url : other.url;
    statuses.push(
      ...(await Promise.all(opened.map(({ stream }) => post(new URL(stream.endpoint ?? '', at).href, id)))),
    );
  }
  expect(statuses.filter((status) => status !== 202)).toEqual([]);
  expect(statuses).toHaveLength(sessions * postsEach);
  await Promise.all(opened.map(({ stream }) => stream.answer(postsEach)));
  const expected = Array.from({ length: postsEach }, (_, index) => index + 1);
  for (const { stream } of opened) {
    const answered = stream.messages.map((message) => ('id' in message ? message.id : undefined));
    expect(answered.toSorted()).toEqual(expected);
  }
  await Promise.all(opened.map(({ stream }) => stream.disconnect()));
});

test('[S11] a node that stands still for longer than its lease has lost its session when it wakes up', async () => {
  await whenReady(mortal.url);
  const stream = await new RawSse(mortal.url).whenAnnounced();
  const url = new URL(stream.endpoint ?? '', other.url).href;
  mortal.child.kill('SIGSTOP');
  const { status, json } = await postJson(url, { jsonrpc: '2.0', id: 1, method: 'ping' });
  mortal.child.kill('SIGCONT');
  expect([status, json]).toMatchObject([404, { error: { data: { closedBecause: 'node-lost' } } }]);
  await stream.whenClosed();
  expect(stream.messages).toEqual([]);
});

test('[S11] kill -9 of a node: its SSE session is closed at the other one, which says why, and its browser_id goes on there', async () => {
  await whenReady(mortal.url);
  const [before, after] = [new StatelessClient(mortal.url), new StatelessClient(other.url)];
  const handle = await before.open();
  expect(await before.text('get_session_info', { browser_id: handle })).toContain(handle);
  const stream = await new RawSse(mortal.url).whenAnnounced();
  const url = new URL(stream.endpoint ?? '', other.url).href;
  expect(await post(url, 1)).toBe(202);
  const exited = once(mortal.child, 'exit');
  mortal.child.kill('SIGKILL');
  await exited;
  await stream.whenClosed();
  const { status, json } = await postJson(url, { jsonrpc: '2.0', id: 2, method: 'ping' });
  expect([status, json]).toMatchObject([
    404,
    { id: 2, error: { data: { reason: 'closed', closedBecause: 'node-lost' } } },
  ]);
  expect(await after.text('get_session_info', { browser_id: handle })).toContain(handle);
  expect(await after.text('close_browser', { browser_id: handle })).toBe('Closed.');
});
