import type { BrowserLease } from '../../src/browser/pool/browserLease.js';
import type { SessionRegistry } from '../../src/session/registry.js';
import { Gate, nextTurn } from '../support/gate.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { postJson, send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServerOptions } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

/** Resolves when so many warm sessions can be handed over. */
async function whenWarm(registry: SessionRegistry, count = 1): Promise<void> {
  while (registry.warm().length < count) await nextTurn();
}

async function serveWarm(prewarm = 1, given: TestServerOptions = {}) {
  const clock = new ManualClock();
  const served = await startTestServer({ clock, ...given, options: { prewarm, ...given.options } });
  return { clock, served, pool: served.pool, registry: served.orchestrator.registry };
}

test('[C-WARM] a session that waits is handed to whoever connects, and replaced behind the client', async () => {
  const { clock, served, registry, pool } = await serveWarm();
  await whenWarm(registry);
  const [waiting] = registry.warm();
  expect(pool.opened).toEqual([waiting?.id]);
  const stream = await new RawSse(served.url, { path: '/sse?userId=anna' }).whenAnnounced();
  expect(stream.sessionId).toBe(waiting?.id);
  expect(pool.opened).toHaveLength(1);
  expect(registry.list().map((session) => session.facts())).toMatchObject([{ user: 'anna', transport: 'sse' }]);
  expect(registry.warm()).toEqual([]);
  clock.advance(250);
  await whenWarm(registry);
  expect(registry.warm()).toHaveLength(1);
  expect(pool.opened).toHaveLength(2);
  await stream.disconnect();
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[C-WARM] each client has the tools it asked for and its own name, also in a session that waited', async () => {
  const { served, registry } = await serveWarm(2, { tools: new TestTools().all, options: { tools: ['all'] } });
  await whenWarm(registry, 2);
  const all = await new RawSse(served.url, { path: '/sse?userId=anna' }).whenAnnounced();
  const some = await new RawSse(served.url, { path: '/sse?userId=bert&tools=network' }).whenAnnounced();
  await Promise.all([all.initialize(), some.initialize()]);
  expect(await some.call(1, 'tools/list')).toMatchObject({ result: { tools: [{ name: 'large' }] } });
  expect(JSON.stringify(await all.call(1, 'tools/list'))).toContain('"echo"');
  const foreign = await postJson(`${served.url}/message?sessionId=${all.sessionId}&userId=bert`, {});
  expect(foreign.json).toMatchObject({ error: { data: { reason: 'unknown' } } });
  await served.close();
});

test('[C-WARM][S6] nobody can find, list, close or count a session that waits', async () => {
  const { served, registry } = await serveWarm(1, { options: { maxSessions: 1 } });
  await whenWarm(registry);
  const id = registry.warm()[0]?.id ?? '';
  const never = 'A'.repeat(22);
  const post = (sessionId: string) =>
    postJson(`${served.url}/message?sessionId=${sessionId}`, { jsonrpc: '2.0', id: 1, method: 'ping' });
  const close = (sessionId: string) => send(`${served.url}/api/sessions/${sessionId}`, { method: 'DELETE' });
  for (const [one, other] of [
    [post(id), post(never)],
    [close(id), close(never)],
  ] as const)
    expect([(await one).status, (await one).text]).toEqual([404, (await other).text]);
  expect((await send(`${served.url}/api/sessions`)).json).toEqual({ sessions: [] });
  expect((await send(`${served.url}/health`)).json).toMatchObject({ sessions: { total: 0, byUser: {}, warm: 1 } });
  const stream = await new RawSse(served.url).whenAnnounced();
  expect((await send(`${served.url}/health`)).json).toMatchObject({ sessions: { total: 1, warm: 0 } });
  await stream.disconnect();
  await served.close();
});

test('[C-WARM] a browser that gives no sign of life is not what the client gets', async () => {
  const { served, registry, pool } = await serveWarm();
  await whenWarm(registry);
  pool.onCheck = () => Promise.reject(new Error('silent'));
  const stream = await new RawSse(served.url).whenAnnounced();
  expect(pool.opened).toEqual([stream.sessionId, stream.sessionId]);
  expect(pool.closed).toEqual([stream.sessionId]);
  await stream.disconnect();
  await served.close();
});

test('[C-WARM][S1] a client that leaves, or a server that drains, while the browser is asked ends it unannounced', async () => {
  for (const how of ['leaves', 'drains']) {
    const { served, registry, pool } = await serveWarm();
    await whenWarm(registry);
    const gate = new Gate();
    pool.onCheck = () => gate.pass();
    const stream = new RawSse(served.url);
    await gate.whenReached();
    const [session] = registry.list();
    if (how === 'leaves') await stream.disconnect();
    else void registry.drain();
    await session?.ended;
    gate.open();
    await stream.whenClosed();
    expect(stream.endpoint).toBeUndefined();
    await served.close();
  }
});

test('[C-WARM] one that grows old or loses its browser is dropped and replaced; there are never more than asked for', async () => {
  const { clock, served, registry, pool } = await serveWarm(2);
  await whenWarm(registry, 2);
  const first = registry.warm().map(({ id }) => id);
  clock.advance(600_000);
  clock.advance(250);
  await whenWarm(registry, 2);
  const second = registry.warm().map(({ id }) => id);
  expect(first.filter((id) => second.includes(id))).toEqual([]);
  expect(pool.closed.toSorted()).toEqual(first.toSorted());
  const [lost = '', kept] = second;
  pool.loseBrowser(lost);
  expect(registry.warm().map(({ id }) => id)).toEqual([kept]);
  clock.advance(250);
  await whenWarm(registry, 2);
  clock.advance(60_000);
  await nextTurn();
  expect(pool.opened).toHaveLength(5);
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[C-WARM] a server without a browser starts, tries again with growing pauses, and answers clients with the cause', async () => {
  const pool = new FakeBrowserPool();
  pool.holdLeases();
  const { clock, served, registry } = await serveWarm(1, { pool });
  expect((await send(`${served.url}/ready`)).status).toBe(200);
  const tries: number[] = [];
  for (const pause of [1_000, 4_000, 16_000, 60_000, 60_000]) {
    await pool.whenWaiting();
    const stream = new RawSse(served.url);
    await pool.whenWaiting(2);
    pool.failLeases('browser_failed', 'No browser was found.');
    await stream.whenClosed();
    expect([stream.status, JSON.parse(stream.text)]).toMatchObject([
      502,
      { error: { message: 'No browser was found.' } },
    ]);
    await nextTurn();
    clock.advance(pause - 1);
    await nextTurn();
    tries.push(pool.waiting.length);
    clock.advance(1);
  }
  expect(tries).toEqual([0, 0, 0, 0, 0]);
  pool.releaseLeases();
  await whenWarm(registry);
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[C-WARM] nothing is started before a client comes where sessions cannot be set up for anybody', async () => {
  const cases: TestServerOptions[] = [
    { options: { prewarm: 0 } },
    { options: { lease: 'lazy' } },
    { options: { browserUrl: 'http://127.0.0.1:1' } },
    { onSession: () => Promise.resolve() },
  ];
  for (const given of cases) {
    const { served, pool } = await serveWarm(1, given);
    await nextTurn();
    expect(pool.listeners.size).toBe(0);
    await served.close();
  }
});

const inProcesses = { options: { isolation: 'process' } } as const;

test('[C-WARM][C-BROWSERS] with a process for each session one is kept ready while one is free, and is looked for when not', async () => {
  const pool = new FakeBrowserPool();
  pool.isFull = true;
  const { clock, served, registry } = await serveWarm(1, { pool, ...inProcesses });
  await nextTurn();
  clock.advance(60_000);
  await nextTurn();
  expect([registry.warm(), pool.listeners.size]).toEqual([[], 0]);
  pool.isFull = false;
  clock.advance(1_000);
  await whenWarm(registry);
  expect(pool.opened).toHaveLength(1);
  pool.loseBrowser(registry.warm()[0]?.id ?? '');
  expect(registry.warm()).toEqual([]);
  clock.advance(250);
  await whenWarm(registry);
  const stream = await new RawSse(served.url).whenAnnounced();
  expect(pool.opened).toEqual([expect.any(String), stream.sessionId]);
  await stream.disconnect();
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[C-WARM][C-BROWSERS] a client that finds no process free takes the one that is being made ready for nobody', async () => {
  const pool = new FakeBrowserPool();
  pool.holdLeases();
  const { served, registry } = await serveWarm(1, { pool, ...inProcesses });
  await pool.whenWaiting();
  pool.isFull = true;
  const stream = new RawSse(served.url, { path: '/sse?userId=anna' });
  while (registry.list().length === 0) await nextTurn();
  pool.releaseLeases();
  await stream.whenAnnounced();
  expect(pool.opened).toEqual([stream.sessionId]);
  expect(registry.list().map((session) => session.user)).toEqual(['anna']);
  await stream.disconnect();
  await served.close();
});

/** Whoever asks for a browser is queued, and leaves the queue when it gives up. */
class QueueingPool extends FakeBrowserPool {
  readonly left: unknown[] = [];
  queued = 0;

  override lease(...given: Parameters<FakeBrowserPool['lease']>): BrowserLease {
    const wait: BrowserLease['browser'] = (signal, onQueued) =>
      new Promise((_, reject) => {
        signal?.addEventListener('abort', () => {
          this.left.push(given[0].sessionId);
          reject(signal.reason as Error);
        });
        this.queued += 1;
        onQueued?.(1);
      });
    return { ...super.lease(...given), browser: wait };
  }
}

test('[C-WARM][C-BROWSERS] a session that nobody has asked for leaves the queue for a process at once; a client stays', async () => {
  const pool = new QueueingPool();
  const { served, registry } = await serveWarm(1, { pool, ...inProcesses });
  while (pool.left.length === 0) await nextTurn();
  const stream = new RawSse(served.url);
  while (pool.queued < 2) await nextTurn();
  await nextTurn();
  expect([pool.left.length, registry.list().length]).toEqual([1, 1]);
  await stream.disconnect();
  await served.close();
});
