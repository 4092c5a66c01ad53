import { readdir } from 'node:fs/promises';
import { createClient } from '@redis/client';
import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import type { ClusterStore } from '../../src/cluster/clusterStore.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { redisStore, RedisServer } from '../support/redisServer.js';
import { bearer, serveGuarded, type GuardedServer } from '../tenancy/support/guardedServer.js';
import { whenReady } from './clusterNodes.js';

let redis: RedisServer;
const nodes: GuardedServer[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.close()));
});
afterAll(() => redis.stop());

async function startNode(store: ClusterStore, nodeLease = '30s'): Promise<GuardedServer> {
  const node = await serveGuarded({ store, options: { nodeLease } });
  nodes.push(node);
  await whenReady(node.url);
  return node;
}

function memory(): () => ClusterStore {
  const store = new MemoryStore(systemClock);
  return () => store;
}

/** One Redis for all tests. */
let users = 0;
const newUser = (): string => `user-${(users += 1)}`;

const kinds = [
  { name: 'memory', stores: memory },
  { name: 'redis', stores: () => () => redisStore(redis) },
] as const;

/** The same store, but no hint arrives. */
function withoutNotifications(store: ClusterStore): ClusterStore {
  const server = Object.assign(Object.create(store.server), {
    users: { ...store.server.users, listen: () => Promise.resolve() },
    broadcast: (name: 'changes' | 'tasks') => store.server.broadcast(name),
  });
  return Object.assign(Object.create(store), { server, open: () => store.open(), close: () => store.close() });
}

describe.each(kinds)('users of nodes over $name', ({ stores }) => {
  test('[C-SHARED][C-USERS] who is registered at one node is let in at the other at once; no folder is touched', async () => {
    const open = stores();
    const [one, other] = [await startNode(open()), await startNode(open())];
    const user = newUser();
    const { id, token } = await one.issueToken(user);
    const stream = await new RawSse(other.url, { headers: bearer(token) }).whenAnnounced();
    expect(other.served.orchestrator.registry.list()[0]?.user).toBe(user);
    const tokens = (await other.sendAsOperator('GET', `/api/users/${user}/tokens`)).json;
    expect(tokens).toMatchObject({ tokens: [{ id, lastUsedAt: expect.stringMatching(/Z$/) }] });
    expect(JSON.stringify(tokens)).not.toContain(token);
    const wrong = new RawSse(other.url, { headers: bearer(`gr_${'x'.repeat(43)}`) });
    await wrong.whenClosed();
    expect(wrong.status).toBe(401);
    expect([await readdir(one.folder), await readdir(other.folder)]).toEqual([[], []]);
    await stream.disconnect();
  });

  test('[C-SHARED][C-STORE] of changes that race at both nodes none is lost, and an id is taken once', async () => {
    const open = stores();
    const pair = [await startNode(open()), await startNode(open())];
    const ids = Array.from({ length: 10 }, newUser);
    const made = await Promise.all(
      pair.flatMap((node) => ids.map((id) => node.sendAsOperator('POST', '/api/users', { id }))),
    );
    expect(made.filter(({ status }) => status === 201)).toHaveLength(10);
    expect(made.filter(({ status }) => status === 409)).toHaveLength(10);
    for (const { sendAsOperator } of pair) {
      const { users: known } = (await sendAsOperator('GET', '/api/users')).json as { users: { id: string }[] };
      expect(known.map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
    }
  });

  test('[C-SHARED][C-USERS] a token that is revoked ends the streams that it opened through another node', async () => {
    const open = stores();
    const [one, other] = [await startNode(open()), await startNode(open())];
    const user = newUser();
    const [first, second] = [await one.issueToken(user), await one.issueToken(user)];
    const mine = await new RawMcp(one.url, { headers: bearer(first.token) }).initialize();
    const through = new RawMcp(other.url, { headers: bearer(second.token) });
    through.sessionId = mine.sessionId;
    const listening = await through.listen();
    expect(listening.isClosed).toBe(false);
    expect((await other.sendAsOperator('DELETE', `/api/users/${user}/tokens/${second.id}`)).status).toBe(204);
    await listening.whenClosed();
    expect(one.served.orchestrator.registry.list()[0]?.state).toBe('active');
    await mine.disconnect();
  });

  test.each([
    ['the revocation of a token', true],
    ['the removal of a user', true],
    ['the revocation of a token, though no hint arrives,', false],
  ])('[C-SHARED][C-USERS] %s at one node ends at the other what was opened with it', async (how, isTold) => {
    const open = stores();
    const one = await startNode(open());
    const other = await startNode(isTold ? open() : withoutNotifications(open()), isTold ? '30s' : '3s');
    const user = newUser();
    const [first, second] = [await one.issueToken(user), await one.issueToken(user)];
    const mine = await new RawMcp(other.url, { headers: bearer(first.token) }).initialize();
    const theirs = new RawMcp(other.url, { headers: bearer(second.token) });
    theirs.sessionId = mine.sessionId;
    const listening = await theirs.listen();
    const stream = await new RawSse(other.url, { headers: bearer(second.token) }).whenAnnounced();
    const path = how === 'the removal of a user' ? `/api/users/${user}` : `/api/users/${user}/tokens/${second.id}`;
    expect((await one.sendAsOperator('DELETE', path)).status).toBe(204);
    await Promise.all([listening.whenClosed(), stream.whenClosed()]);
    const begun = [first, second].map(({ token }) =>
      new RawMcp(other.url, { headers: bearer(token) }).sendInitialize(),
    );
    await Promise.all(begun.map((beginning) => beginning.whenClosed()));
    const statuses = begun.map(({ status }) => status);
    const isGone = how === 'the removal of a user';
    expect(statuses).toEqual([isGone ? 401 : 200, 401]);
    const left = other.served.orchestrator.registry.list().filter(({ id }) => id === mine.sessionId);
    expect(left).toHaveLength(isGone ? 0 : 1);
  });

  test('[C-SHARED][C-OPERATOR] the operator closes a session of another node, and hears of one that is closed', async () => {
    const open = stores();
    const [one, other] = [await startNode(open()), await startNode(open())];
    const { token } = await one.issueToken(newUser());
    const stream = await new RawSse(one.url, { headers: bearer(token) }).whenAnnounced();
    const session = one.served.orchestrator.registry.peek(stream.sessionId);
    const path = `/api/sessions/${stream.sessionId}`;
    expect((await other.sendAsOperator('DELETE', '/api/sessions/nobody')).json).toMatchObject({
      error: { data: { reason: 'unknown' } },
    });
    expect(await other.sendAsOperator('DELETE', path)).toMatchObject({ status: 204, text: '' });
    await stream.whenClosed();
    await session?.ended;
    const closed = { error: { data: { reason: 'closed', closedBecause: 'operator-closed' } } };
    for (const { sendAsOperator } of [one, other])
      expect((await sendAsOperator('DELETE', path)).json).toMatchObject(closed);
  });
});

test('[C-SECRETS][S5] of a token nothing is in Redis but its hash, and all but the users goes by itself', async () => {
  const node = await startNode(redisStore(redis));
  const { token } = await node.issueToken(newUser());
  const client = createClient({ url: redis.url });
  await client.connect();
  const stream = await new RawSse(node.url, { headers: bearer(token) }).whenAnnounced();
  while ((await client.exists('greenroom:{rosters}')) === 0);
  const { version, text } = await client.hGetAll('greenroom:users');
  const keys = await client.keys('*');
  const kept = await Promise.all(keys.map(async (key) => [key, await client.pTTL(key)] as const));
  expect(
    kept
      .filter(([, ms]) => ms < 0)
      .map(([key]) => key)
      .toSorted(),
  ).toEqual(['greenroom:format', 'greenroom:users']);
  expect(keys).toEqual(expect.arrayContaining(['greenroom:{places}', 'greenroom:{rosters}:until']));
  await stream.disconnect();
  client.destroy();
  expect(Number(version)).toBeGreaterThan(0);
  expect(text).toMatch(/"hash":"[0-9a-f]{64}"/);
  expect(text).not.toContain(token.slice(3));
});

test('[C-SHARED][C-STORE] without Redis a user cannot be registered, and who is known is served on', async () => {
  const own = await RedisServer.start();
  const node = await startNode(redisStore(own));
  const { token } = await node.issueToken('anna');
  const stream = await new RawSse(node.url, { headers: bearer(token) }).whenAnnounced();
  await own.stop();
  const refused = await node.sendAsOperator('POST', '/api/users', { id: 'bert' });
  expect([refused.status, refused.json]).toMatchObject([503, { error: { data: { reason: 'store_unreachable' } } }]);
  const posted = await stream.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, bearer(token));
  expect(posted.status).toBe(202);
  await stream.disconnect();
});

test('[C-SHARED] a node does not join a store whose keys a newer version wrote, and says so in one line', async () => {
  const client = await createClient({ url: redis.url }).connect();
  await client.set('greenroom:format', '2');
  const store = redisStore(redis);
  const refused = expect(store.open()).rejects;
  await refused.toThrow(/^The Redis of --redis-url was written by a newer version of the server \(format 2; .*\.$/);
  await store.close();
  await client.del('greenroom:format');
  client.destroy();
});
