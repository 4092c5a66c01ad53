import { systemClock } from '../../src/clock.js';
import { ContextRegistry, decideOrphan, type RemoteBrowser } from '../../src/cluster/contextRegistry.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { contextEntriesTtlMs, type ClusterStore } from '../../src/cluster/clusterStore.js';
import { silentLog } from '../../src/log.js';
import { Gate } from '../support/gate.js';
import { ManualClock } from '../support/manualClock.js';
import { openRedisStore, RedisServer } from '../support/redisServer.js';

const alice = { issuer: 'local', user: 'alice' };
const lease = 60_000;

let redis: RedisServer;
const opened: ClusterStore[] = [];
beforeAll(async () => {
  redis = await RedisServer.start();
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});
afterAll(() => redis.stop());

test.each([
  ['unknown', { isOwnerAlive: false, hasSnapshot: false }, 'close'],
  ['closed', { isOwnerAlive: false, hasSnapshot: false }, 'close'],
  ['not_ready', { isOwnerAlive: false, hasSnapshot: true }, 'keep'],
  ['not_ready', { isOwnerAlive: false, hasSnapshot: false }, 'keep'],
  ['owned', { isOwnerAlive: true, hasSnapshot: true }, 'keep'],
  ['owned', { isOwnerAlive: true, hasSnapshot: false }, 'keep'],
  ['owned', { isOwnerAlive: false, hasSnapshot: true }, 'keep'],
  ['owned', { isOwnerAlive: false, hasSnapshot: false }, 'close-session'],
] as const)(
  '[C-SHARED] the context of a node that is gone, of a session that is %s: %j: %s',
  (kind, prospects, decision) => {
    expect(decideOrphan({ kind }, prospects)).toBe(decision);
  },
);

/** A browser that several nodes use. */
class FakeRemoteBrowser {
  readonly id: string;
  readonly living = new Set<string>();
  readonly closed: string[] = [];
  /** Closing goes through it. */
  door = new Gate('open');

  constructor(id: string) {
    this.id = id;
  }

  /** As one node is connected to it. */
  at(held: ReturnType<RemoteBrowser['contextsInUse']>): RemoteBrowser {
    return {
      id: this.id,
      contextsInUse: () => held,
      contextIds: async () => new Set(this.living),
      closeContext: async (contextId) => {
        await this.door.pass();
        if (!this.living.delete(contextId)) throw new Error('There is no such context.');
        this.closed.push(contextId);
      },
    };
  }
}

let count = 0;

/** One of the nodes that use a browser, with the sessions that it has. */
async function join(store: ClusterStore, elsewhere: FakeRemoteBrowser) {
  const name = `node ${(count += 1)}`;
  const held = new Map<string, { sessionId: string; lost(): void }>();
  const here = new Set<string>();
  const lost: string[] = [];
  const warnings: string[] = [];
  const contexts = new ContextRegistry({
    store,
    log: { ...silentLog, warn: (message: string) => void warnings.push(message) },
    node: () => name,
    browsers: () => [elsewhere.at(held)],
    hasSession: (sessionId) => here.has(sessionId),
  });
  await store.nodes.renewLease(name, lease);
  /** A session that is open, if it is claimed, and its context. */
  const open = async (sessionId: string, transport?: 'sse' | 'streamable-http'): Promise<string> => {
    const contextId = `context of ${sessionId}`;
    elsewhere.living.add(contextId);
    here.add(sessionId);
    await contexts.recordOpened({ browser: elsewhere.id, contextId, sessionId });
    held.set(contextId, { sessionId, lost: () => void lost.push(contextId) });
    if (transport === undefined) return contextId;
    await store.directory.claim({ sessionId, principal: alice, node: name, transport });
    if (transport === 'streamable-http') await store.snapshots.put({ sessionId, epoch: 1 }, 'state');
    return contextId;
  };
  const die = (): Promise<void> => store.nodes.releaseLease(name);
  return { name, contexts, open, held, here, lost, warnings, die };
}

const kinds = [
  { name: 'memory', open: async () => new MemoryStore(systemClock) },
  { name: 'redis', open: () => openRedisStore(redis) },
];

describe.each(kinds)('[C-SHARED] contexts in a browser of many nodes, over $name', ({ open: openStore }) => {
  const setUp = async () => {
    const store = await openStore();
    opened.push(store);
    const browser = new FakeRemoteBrowser(`browser ${(count += 1)}`);
    const [one, two, three] = [await join(store, browser), await join(store, browser), await join(store, browser)];
    /** Ids of sessions are unlike any other's. */
    const id = (name: string): string => `${name}-${count}`;
    const entries = async () => (await store.server.contexts.list(browser.id)).map(({ contextId }) => contextId);
    return { store, browser, one, two, three, id, entries };
  };

  test('of a dead node, what no session can want is closed, once, however many look; all else stays', async () => {
    const { store, browser, one, two, three, id, entries } = await setUp();
    browser.living.add('of somebody else');
    const [warm, ended] = [await one.open(id('warm')), await one.open(id('sse'), 'sse')];
    const mayGoOn = await one.open(id('mcp'), 'streamable-http');
    const others = await two.open(id('other'), 'sse');
    await three.contexts.sweep();
    expect(browser.closed).toEqual([]);
    await one.die();
    await Promise.all([two.contexts.sweep(), three.contexts.sweep()]);
    expect(browser.closed.toSorted()).toEqual([ended, warm].toSorted());
    expect(await store.directory.find(id('sse'), alice)).toMatchObject({ kind: 'closed', closedBecause: 'node-lost' });
    // So a node that only stood still hears that its session is over.
    expect(await store.directory.renew({ sessionId: id('sse'), epoch: 1 })).toBe('fenced');
    expect([...browser.living].toSorted()).toEqual([mayGoOn, others, 'of somebody else'].toSorted());
    expect((await entries()).toSorted()).toEqual([mayGoOn, others].toSorted());
    expect([two.lost, three.lost, two.warnings, three.warnings]).toEqual([[], [], [], []]);
  });

  test('of a session that was taken over, or may be, it stays until the session is over', async () => {
    const { store, browser, one, two, three, id } = await setUp();
    const [taken, waiting] = [await one.open(id('taken'), 'streamable-http'), id('waiting')];
    await one.open(waiting, 'streamable-http');
    await one.die();
    const epoch = await store.directory.takeOver({ sessionId: id('taken'), epoch: 1 }, two.name);
    await three.contexts.sweep();
    await store.directory.completeTakeover({ sessionId: id('taken'), epoch: epoch ?? 0 });
    two.here.add(id('taken'));
    await three.contexts.sweep();
    expect(browser.closed).toEqual([]);
    await store.directory.close({ sessionId: id('taken'), epoch: epoch ?? 0 }, 'idle-timeout');
    await three.contexts.sweep();
    expect(browser.closed).toEqual([taken]);
  });

  test('what a node could not close, or left of a session that it has no more, it closes later', async () => {
    const { browser, one, two, three, id, entries } = await setUp();
    const [first, second] = [await one.open(id('first'), 'sse'), await two.open(id('second'))];
    await one.die();
    browser.door.fail(new Error('The browser hangs.'));
    await two.contexts.sweep();
    await two.contexts.sweep();
    expect([two.warnings, browser.closed]).toEqual([['context registry update failed'], []]);
    browser.door.open();
    two.held.clear();
    two.here.clear();
    await three.contexts.sweep();
    expect(browser.closed).toEqual([]);
    await two.contexts.sweep();
    expect([browser.closed.toSorted(), await entries()]).toEqual([[first, second].toSorted(), []]);
    expect(two.warnings).toHaveLength(1);
  });

  test('of a browser that was started anew nothing is closed, and nothing stays written down', async () => {
    const { browser, one, two, id, entries } = await setUp();
    await one.open(id('before'), 'streamable-http');
    browser.living.clear();
    await one.die();
    await two.contexts.sweep();
    expect([browser.closed, await entries(), two.warnings]).toEqual([[], [], []]);
  });

  test('a node that wakes up tells the session whose context was closed, also while it is being closed', async () => {
    const { browser, one, two, id, entries } = await setUp();
    const [first, second] = [await one.open(id('first')), await one.open(id('second'))];
    await one.die();
    browser.door = new Gate();
    const sweeping = two.contexts.sweep();
    await browser.door.whenReached(2);
    await one.contexts.sweep();
    expect(one.lost.toSorted()).toEqual([first, second].toSorted());
    one.held.delete(first);
    browser.door.open();
    await sweeping;
    await one.contexts.sweep();
    expect([one.lost.length, one.lost.at(-1)]).toEqual([3, second]);
    expect([browser.closed.toSorted(), await entries()]).toEqual([[first, second].toSorted(), []]);
  });

  test('what the store lost of a session that is there is written down again', async () => {
    const { store, browser, one, id, entries } = await setUp();
    const contextId = await one.open(id('kept'), 'sse');
    await store.server.contexts.compareAndSet(browser.id, contextId, { node: one.name, sessionId: id('kept') }, null);
    await one.contexts.sweep();
    expect([await entries(), one.lost, browser.closed]).toEqual([[contextId], [], []]);
    one.contexts.recordClosed({ browser: browser.id, contextId, sessionId: id('kept') });
    await one.contexts.stop();
    expect(await entries()).toEqual([]);
  });
});

test('[S10] whose the contexts of a browser are that nobody uses any more is forgotten in its time', async () => {
  const clock = new ManualClock();
  const { contexts } = new MemoryStore(clock).server;
  await contexts.put('b', { contextId: 'c', node: 'one', sessionId: 's' });
  clock.advance(contextEntriesTtlMs - 1);
  expect(await contexts.list('b')).toHaveLength(1);
  clock.advance(contextEntriesTtlMs);
  expect(await contexts.list('b')).toEqual([]);
  const store = await openRedisStore(redis);
  opened.push(store);
  await store.server.contexts.put('b', { contextId: 'c', node: 'one', sessionId: 's' });
  const [left] = await redis.sendCommands('PTTL greenroom:contexts:b');
  expect(Number(left)).toBeGreaterThan(contextEntriesTtlMs / 2);
});
