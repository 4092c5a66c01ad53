import { createClient } from '@redis/client';
import { systemClock } from '../../src/clock.js';
import { newStreamId } from '../../src/cluster/eventLog.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import type { WakeHint, ClusterStore, StoreLimits } from '../../src/cluster/clusterStore.js';
import { inboxLimits, programsOf, runStoreOrders } from '../prove/storeOrders.js';
import { ManualClock } from '../support/manualClock.js';
import { RedisCluster } from '../support/redisCluster.js';
import { openRedisStore, RedisServer } from '../support/redisServer.js';

let redis: RedisServer;
let cluster: RedisCluster;
const opened: ClusterStore[] = [];

beforeAll(async () => {
  [redis, cluster] = await Promise.all([RedisServer.start(), RedisCluster.start()]);
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});
afterAll(() => Promise.all([redis.stop(), cluster.stop()]));

const alice = { issuer: 'local', user: 'alice' };
const bob = { issuer: 'local', user: 'bob' };

interface Kind {
  readonly name: string;
  open(bounds?: Partial<StoreLimits>): Promise<ClusterStore>;
}

const kinds: readonly Kind[] = [
  { name: 'memory', open: (bounds) => Promise.resolve(new MemoryStore(systemClock, bounds)) },
  {
    name: 'redis',
    open: (bounds) => openRedisStore(redis, bounds),
  },
  {
    name: 'a cluster of three',
    open: (bounds) => openRedisStore(cluster, bounds),
  },
];

// The first tests: no server knows a script yet.
test.each(kinds)('[S4] what is asked of the store of $name together is done in this order', async ({ open }) => {
  const store = await open();
  opened.push(store);
  const sessionId = newStreamId();
  const claim = { sessionId, principal: alice, node: 'one', transport: 'sse' };
  const offer = { id: '1', sessionId, caller: alice, data: 'x' };
  const owned = { kind: 'owned', node: 'one', epoch: 1, transport: 'sse' };
  const { directory, inbox, snapshots } = store;
  const term = { sessionId, epoch: 1 };
  const asked = [directory.claim(claim), inbox.enqueue(offer), snapshots.put(term, 'text'), snapshots.get(sessionId)];
  expect(await Promise.all(asked)).toEqual([1, owned, 'put', 'text']);
});

describe.each(kinds)('the store of $name', ({ open }) => {
  const openStore = async (bounds?: Partial<StoreLimits>): Promise<ClusterStore> => {
    const store = await open(bounds);
    opened.push(store);
    return store;
  };
  const newEntry = () => ({ sessionId: newStreamId(), principal: alice, node: 'one', transport: 'sse' });

  test('[C-NODES] a session is claimed once, and everybody who may know finds its owner', async () => {
    const { directory } = await openStore();
    const entry = newEntry();
    const { sessionId } = entry;
    expect(await directory.find(sessionId, 'anyone')).toEqual({ kind: 'unknown' });
    expect(await Promise.all([directory.claim(entry), directory.claim(entry)])).toEqual([1, null]);
    const owned = { kind: 'owned', node: 'one', epoch: 1, transport: 'sse' };
    expect(await directory.find(sessionId, alice)).toEqual(owned);
    expect(await directory.find(sessionId, 'anyone')).toEqual(owned);
    expect(await directory.find(sessionId, bob)).toEqual({ kind: 'forbidden' });
    expect(await directory.find(sessionId, { ...alice, issuer: 'elsewhere' })).toEqual({ kind: 'forbidden' });
  });

  test('[S4][S11] in every order of the steps of two nodes and a client, its histories are those of one register', async () => {
    const store = await openStore(inboxLimits);
    const fresh = () => ({ store, sessionId: newStreamId() });
    const { states, moves, violations } = await runStoreOrders(programsOf('small'), { name: 'store', fresh });
    expect(Object.fromEntries(violations)).toEqual({});
    // The same of each kind of store.
    expect([states, moves]).toEqual([2035, 5095]);
  });

  test('[S11] of many takeovers one wins; the owner before writes nothing any more', async () => {
    const { directory, inbox, replies, events, snapshots } = await openStore();
    const entry = newEntry();
    const { sessionId } = entry;
    await directory.claim(entry);
    const before = { sessionId, epoch: 1 };
    await snapshots.put(before, 'before');
    const stream = { sessionId, streamId: newStreamId() };
    const first = await events.append(1, stream, 'first');
    const epochs = await Promise.all(['two', 'three', 'four'].map((node) => directory.takeOver(before, node)));
    expect(epochs).toEqual([2, null, null]);
    expect(await directory.find(sessionId, alice)).toEqual({ kind: 'not_ready', node: 'two', epoch: 2 });
    const address = { sessionId, messageId: 'message', node: 'three' };
    expect([
      await directory.renew(before),
      await directory.completeTakeover(before),
      await directory.close(before, 'idle-timeout'),
      await inbox.take(before, 10),
      await replies.put(before, address, 'late', false),
      await snapshots.put(before, 'late'),
      await events.append(1, stream, 'late'),
    ]).toEqual(['fenced', 'fenced', 'fenced', 'fenced', 'fenced', 'fenced', null]);
    await events.forget(before);
    await events.forget(before, stream.streamId);
    expect(await replies.take(address)).toEqual([]);
    expect(await snapshots.get(sessionId)).toBe('before');
    expect(await events.after(stream, null)).toEqual({ events: [{ id: first, data: 'first' }], isComplete: true });
    const after = { sessionId, epoch: 2 };
    expect(await directory.completeTakeover(after)).toBe('completed');
    expect(await directory.find(sessionId, alice)).toMatchObject({ kind: 'owned', node: 'two', epoch: 2 });
    expect(await events.append(2, stream, 'second')).toBe(`${stream.streamId}.2`);
  });

  test('[C-NODES] why a session was closed is told to its user, and what was kept of it is gone', async () => {
    const { directory, inbox, snapshots, events } = await openStore();
    const entry = newEntry();
    const tenure = { sessionId: entry.sessionId, epoch: 1 };
    await directory.claim(entry);
    await snapshots.put(tenure, 'state');
    const stream = { sessionId: entry.sessionId, streamId: newStreamId() };
    await events.append(1, stream, 'event');
    expect(await directory.close(tenure, 'idle-timeout')).toBe('closed');
    expect(await directory.close(tenure, 'operator-closed')).toBe('fenced');
    const closed = { kind: 'closed', closedBecause: 'idle-timeout', principal: alice };
    expect(await directory.find(entry.sessionId, alice)).toEqual(closed);
    expect(await directory.find(entry.sessionId, bob)).toEqual({ kind: 'forbidden' });
    const offer = { id: '1', sessionId: entry.sessionId, caller: alice, data: 'x' };
    expect(await inbox.enqueue(offer)).toEqual(closed);
    expect(await directory.claim(entry)).toBeNull();
    expect(await snapshots.get(entry.sessionId)).toBeNull();
    expect(await events.after(stream, null)).toEqual({ events: [], isComplete: true });
  });

  test('[S4] what is offered is taken once, in order, and put down once however often it is offered', async () => {
    const { directory, inbox, nodes } = await openStore();
    const hints: WakeHint[] = [];
    let all = (): void => undefined;
    const told = new Promise<void>((resolve) => (all = resolve));
    await nodes.subscribe('one', (hint) => {
      hints.push(hint);
      if (hints.length === 3) all();
    });
    const entry = newEntry();
    const { sessionId } = entry;
    const tenure = { sessionId, epoch: 1 };
    const offer = (id: string, caller: typeof alice | 'anyone' = alice) =>
      inbox.enqueue({ id, sessionId, caller, data: `message ${id}` });
    expect(await offer('0')).toEqual({ kind: 'unknown' });
    await directory.claim(entry);
    expect(await offer('0', bob)).toEqual({ kind: 'forbidden' });
    const owned = { kind: 'owned', node: 'one', epoch: 1, transport: 'sse' };
    for (const id of ['1', '2', '1', '3', '2']) expect(await offer(id)).toEqual(owned);
    await told;
    expect(hints).toEqual([1, 2, 3].map(() => ({ kind: 'inbox', sessionId })));
    expect(await inbox.take(tenure, 2)).toEqual(['message 1', 'message 2']);
    expect(await offer('1')).toEqual(owned);
    expect(await inbox.take(tenure, 10)).toEqual(['message 3']);
    expect(await inbox.take(tenure, 10)).toEqual([]);
  });

  test('[S10] an inbox is bounded by count and by bytes; what is refused leaves nothing', async () => {
    const { directory, inbox } = await openStore({ inbox: { count: 3, bytes: 100 } });
    const entry = newEntry();
    const { sessionId } = entry;
    await directory.claim(entry);
    const offer = (id: string, data: string) => inbox.enqueue({ id, sessionId, caller: alice, data });
    for (const id of ['1', '2', '3']) await offer(id, id);
    expect(await offer('4', '4')).toEqual({ kind: 'full' });
    expect(await inbox.take({ sessionId, epoch: 1 }, 2)).toEqual(['1', '2']);
    expect(await offer('5', 'ä'.repeat(50))).toEqual({ kind: 'full' });
    expect(await offer('6', 'ä'.repeat(49))).toMatchObject({ kind: 'owned' });
    expect(await inbox.take({ sessionId, epoch: 1 }, 10)).toHaveLength(2);
    // Alone, one that is too large has its place: it was let in at the door.
    expect(await offer('7', 'x'.repeat(1_000))).toMatchObject({ kind: 'owned' });
    expect(await offer('8', '')).toEqual({ kind: 'full' });
  });

  test('[S10] an answer comes in pieces, with its hint if they are small, up to a bound', async () => {
    const { directory, replies, nodes } = await openStore({ maxReplyPieces: 2 });
    const pieces: (string | null)[] = [];
    let all = (): void => undefined;
    const told = new Promise<void>((resolve) => (all = resolve));
    await nodes.subscribe('two', (hint) => {
      if (hint.kind === 'reply') pieces.push(hint.piece);
      if (pieces.length === 2) all();
    });
    const entry = newEntry();
    const tenure = { sessionId: entry.sessionId, epoch: 1 };
    await directory.claim(entry);
    const address = { sessionId: entry.sessionId, messageId: newStreamId(), node: 'two' };
    const large = 'x'.repeat(20_000);
    expect(await replies.put(tenure, address, 'small', false)).toBe('put');
    expect(await replies.put(tenure, address, large, false)).toBe('put');
    expect(await replies.put(tenure, address, 'more', false)).toBe('full');
    await told;
    expect(pieces).toEqual(['small', null]);
    expect(await replies.put(tenure, address, 'the last', true)).toBe('put');
    expect(await replies.take(address)).toEqual(['small', large, 'the last']);
    expect(await replies.take(address)).toEqual([]);
  });

  test('[C-SHARED] whose a context is changes for one of those who look at it at once, and is forgotten by its owner', async () => {
    const { contexts } = (await openStore()).server;
    const browser = newStreamId();
    const [one, two, closing] = [
      { node: 'the one.x', sessionId: 's' },
      { node: 'two', sessionId: 's' },
      { node: 'two', sessionId: null },
    ];
    await contexts.put(browser, { contextId: 'c', ...one });
    expect(await contexts.compareAndSet(browser, 'd', null, one)).toBe(true);
    expect(await contexts.compareAndSet(browser, 'd', null, two)).toBe(false);
    const others = [two, closing, { node: 'three', sessionId: null }];
    expect(await Promise.all(others.map((after) => contexts.compareAndSet(browser, 'c', one, after)))).toEqual([
      true,
      false,
      false,
    ]);
    expect(await contexts.compareAndSet(browser, 'c', one, null)).toBe(false);
    expect(await contexts.compareAndSet(browser, 'c', two, closing)).toBe(true);
    const all = [
      { contextId: 'c', ...closing },
      { contextId: 'd', ...one },
    ];
    expect((await contexts.list(browser)).toSorted((a, b) => (a.contextId < b.contextId ? -1 : 1))).toEqual(all);
    expect(await contexts.list(newStreamId())).toEqual([]);
    for (const { contextId, ...owner } of all) await contexts.compareAndSet(browser, contextId, owner, null);
    expect(await contexts.list(browser)).toEqual([]);
  });

  test('[C-NODES] all nodes sign with one key, and what was used at one is used at all', async () => {
    const [one, two] = [await openStore(), await openStore()];
    const key = await one.server.requestStates.signingKey('fresh');
    expect(await one.server.requestStates.signingKey('another')).toBe(key);
    expect(key).not.toBe('another');
    const id = newStreamId();
    const uses = [one, one, ...(one instanceof MemoryStore ? [] : [two])];
    const firsts = await Promise.all(uses.map((store) => store.server.requestStates.useOnce(id, 60_000)));
    expect(firsts.filter(Boolean)).toHaveLength(1);
  });

  test('[C-NODES] all nodes encrypt files with one key', async () => {
    const [one, two] = [await openStore(), await openStore()];
    await one.server.fileKey.agree('fresh');
    const key = await one.server.fileKey.read();
    expect(await one.server.fileKey.agree('another')).toBe(key);
    if (!(one instanceof MemoryStore)) expect(await two.server.fileKey.agree('another')).toBe(key);
  });

  test('[C-NODES] a task is kept for its time, and a text that is broadcast comes to every node', async () => {
    const [one, two] = [await openStore(), await openStore()];
    const id = newStreamId();
    const { tasks } = one.server;
    expect(await tasks.get(id)).toBeNull();
    await tasks.put(id, 'first', 60_000);
    await tasks.put(id, 'second', 60_000);
    expect(await tasks.get(id)).toBe('second');
    const all = [one, ...(one instanceof MemoryStore ? [] : [two])].map(({ server }) => server.broadcast('tasks'));
    const subscribed: Promise<void>[] = [];
    const heard = all.map((broadcast) => new Promise((resolve) => void subscribed.push(broadcast.subscribe(resolve))));
    await Promise.all(subscribed);
    await all[0]?.publish(id);
    expect(await Promise.all(heard)).toEqual(all.map(() => id));
  });

  test('[C-NODES] a node is there while it holds its lease', async () => {
    const { nodes } = await openStore();
    const node = newStreamId();
    expect(await nodes.isAlive(node)).toBe(false);
    expect([await nodes.renewLease(node, 60_000), await nodes.renewLease(node, 60_000)]).toEqual([false, true]);
    expect(await nodes.isAlive(node)).toBe(true);
    await nodes.releaseLease(node);
    expect([await nodes.isAlive(node), await nodes.renewLease(node, 60_000)]).toEqual([false, false]);
  });

  test('[S10] the log of a stream and of a session is bounded, and the gap is told', async () => {
    const { directory, events } = await openStore({
      events: { stream: { count: 3, bytes: 1_000 }, session: { count: 4, bytes: 1_500 } },
    });
    const entry = newEntry();
    const { sessionId } = entry;
    await directory.claim(entry);
    const [one, other] = [newStreamId(), newStreamId()].map((streamId) => ({ sessionId, streamId }));
    if (one === undefined || other === undefined) throw new Error('unreachable');
    for (const data of ['1', '2', '3', '4']) await events.append(1, one, data);
    expect((await events.after(one, null)).isComplete).toBe(false);
    expect((await events.after(one, `${one.streamId}.1`)).events.map(({ data }) => data)).toEqual(['2', '3', '4']);
    for (const data of ['a', 'b']) await events.append(1, other, data);
    // Four of the session are kept: the oldest of all streams went.
    expect(await events.after(one, `${one.streamId}.1`)).toMatchObject({ isComplete: false });
    expect((await events.after(one, `${one.streamId}.2`)).events.map(({ data }) => data)).toEqual(['3', '4']);
    await events.append(1, other, 'x'.repeat(700));
    expect((await events.after(one, `${one.streamId}.4`)).isComplete).toBe(true);
    expect((await events.after(other, null)).isComplete).toBe(false);
    await expect(events.after(one, `${one.streamId}.5`)).rejects.toMatchObject({ reason: 'unknown_event' });
    await expect(events.after(one, `${other.streamId}.1`)).rejects.toMatchObject({ reason: 'unknown_event' });
  });
});

test('an entry, a lease and the memory of an end are over after their time', async () => {
  const clock = new ManualClock();
  const { directory, nodes } = new MemoryStore(clock, { entryTtlMs: 1_000, closedEntryTtlMs: 500 });
  const entry = { sessionId: 'one', principal: alice, node: 'one', transport: 'sse' };
  await directory.claim(entry);
  await nodes.renewLease('one', 300);
  clock.advance(900);
  expect(await nodes.isAlive('one')).toBe(false);
  await directory.renew({ sessionId: 'one', epoch: 1 });
  clock.advance(900);
  expect(await directory.find('one', alice)).toMatchObject({ kind: 'owned' });
  await directory.close({ sessionId: 'one', epoch: 1 }, 'idle-timeout');
  clock.advance(499);
  expect(await directory.find('one', alice)).toMatchObject({ kind: 'closed' });
  clock.advance(1);
  expect(await directory.find('one', alice)).toEqual({ kind: 'unknown' });
});

test('[S5] every key in Redis has the hash tag of its session, or is a lease, and a time to live', async () => {
  const store = await openRedisStore(redis);
  opened.push(store);
  const { directory, inbox, replies, events, snapshots, nodes } = store;
  const sessionId = newStreamId();
  const tenure = { sessionId, epoch: 1 };
  const stream = { sessionId, streamId: newStreamId() };
  await directory.claim({ sessionId, principal: alice, node: sessionId, transport: 'sse' });
  await inbox.enqueue({ id: '1', sessionId, caller: alice, data: 'x' });
  await replies.put(tenure, { sessionId, messageId: '1', node: 'two' }, 'x', false);
  await events.append(1, stream, 'x');
  await snapshots.put(tenure, 'x');
  await nodes.renewLease(sessionId, 60_000);
  const client = createClient({ url: redis.url });
  await client.connect();
  const timesOf = async (pattern: string) => {
    const keys = await client.keys(pattern);
    return Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await client.pTTL(key)] as const)));
  };
  const times = await timesOf(`*${sessionId}*`);
  const tagged = ['', ':counts', ':events', ':inbox', ':offer:1', ':order', ':reply:1', ':snapshot'];
  expect(Object.keys(times).toSorted()).toEqual([
    `greenroom:node:${sessionId}`,
    ...tagged.map((name) => `greenroom:{${sessionId}}${name}`),
  ]);
  expect(Object.values(times).filter((ms) => ms <= 0)).toEqual([]);
  await directory.close(tenure, 'idle-timeout');
  const left = Object.keys(await timesOf(`*{${sessionId}}*`)).toSorted();
  expect(left).toEqual(['', ':offer:1', ':reply:1'].map((name) => `greenroom:{${sessionId}}${name}`));
  client.destroy();
});
