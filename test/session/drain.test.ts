import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { nextTurn } from '../support/gate.js';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServerOptions } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

/** A server with one session, one call of which runs until the test lets it end. */
async function serveWithCall(given: TestServerOptions = {}) {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all, ...given });
  const stream = await new RawSse(served.url).whenAnnounced();
  await stream.initialize();
  await stream.post({ jsonrpc: '2.0', id: 'running', method: 'tools/call', params: { name: 'hold' } });
  await tools.whenHeld();
  return { tools, served, stream };
}

test('[C-DRAIN] the server ends in order: what is in flight, the sessions, the browsers, and the port', async () => {
  const order: string[] = [];
  class OrderedPool extends FakeBrowserPool {
    override close(): Promise<void> {
      order.push('browsers closed');
      return super.close();
    }
  }
  const { tools, served, stream } = await serveWithCall({
    pool: new OrderedPool(),
    observe: (observation) => {
      if (observation.kind !== 'transition') return;
      if (observation.to === 'draining' || observation.to === 'stopped') order.push(`server ${observation.to}`);
      if (observation.machine === 'session' && observation.to === 'closed') order.push('session closed');
    },
  });
  const closed = served.orchestrator.close();
  // The port stays open for answers, and for a load balancer that asks.
  expect((await send(`${served.url}/ready`)).status).toBe(503);
  expect((await send(`${served.url}/sse`)).status).toBe(503);
  await nextTurn();
  expect(order).toEqual(['server draining']);
  tools.releaseCalls();
  expect(await stream.answer('running')).toMatchObject({ result: { structuredContent: { value: 'held' } } });
  await Promise.all([closed, stream.whenClosed()]);
  expect(order).toEqual(['server draining', 'session closed', 'browsers closed', 'server stopped']);
  await expect(send(`${served.url}/health`)).rejects.toThrow('ECONNREFUSED');
  expect(stream.messages.at(-1)).toMatchObject({ params: { level: 'notice', data: 'The server is shutting down.' } });
  await served.close();
});

test('[C-DRAIN] a call that does not end holds the server up no longer than the drain timeout', async () => {
  const clock = new ManualClock();
  const { tools, served, stream } = await serveWithCall({ clock, options: { drainTimeout: '10s' } });
  const closed = served.orchestrator.close();
  await nextTurn();
  clock.advance(9_999);
  await nextTurn();
  expect(stream.isClosed).toBe(false);
  clock.advance(1);
  await closed;
  await stream.whenClosed();
  expect(stream.answersTo('running')).toMatchObject([{ error: { code: -32010, data: { reason: 'draining' } } }]);
  expect(tools.held[0]?.context.signal.aborted).toBe(true);
  expect(clock.pending).toBe(0);
  await served.close();
});

test('[C-DRAIN] sessions with nothing in flight, and those that are not announced yet, end at once', async () => {
  const served = await startTestServer();
  const idle = await new RawSse(served.url).whenAnnounced();
  await idle.initialize();
  served.pool.holdLeases();
  const early = new RawSse(served.url);
  await served.pool.whenWaiting();
  await served.orchestrator.close();
  await Promise.all([idle.whenClosed(), early.whenClosed()]);
  expect([early.status, early.headers['retry-after']]).toEqual([503, '1']);
  expect(JSON.parse(early.text)).toMatchObject({ error: { data: { reason: 'draining' } } });
  await served.close();
});

test('closing twice, at the same time or later, is closing once', async () => {
  const served = await startTestServer();
  const { orchestrator } = served;
  await Promise.all([orchestrator.close(), orchestrator.close()]);
  await orchestrator.close();
  expect(served.pool.isClosed).toBe(true);
});

test('a port that is taken is refused in one line that names it, and nothing is left', async () => {
  const first = await startTestServer();
  const { port } = new URL(first.url);
  await expect(startTestServer({ options: { port: Number(port) } })).rejects.toThrow(
    new RegExp(
      `^Port ${port} on 127\\.0\\.0\\.1 is in use by a Greenroom server .*: use it at ${first.url}, stop it, or choose`,
    ),
  );
  await first.close();
});

test('[C-TIMEOUTS] a client that never speaks, and one that falls silent, are let go; a call in flight keeps its session', async () => {
  const clock = new ManualClock();
  const { tools, served, stream } = await serveWithCall({ clock });
  const silent = await new RawSse(served.url).whenAnnounced();
  clock.advance(30_000);
  await silent.whenClosed();
  const post = (open: RawSse) => open.post({ jsonrpc: '2.0', id: 1, method: 'ping' });
  expect((await post(silent)).json).toMatchObject({ error: { data: { closedBecause: 'initialize-timeout' } } });
  clock.advance(3_600_000);
  expect((await post(stream)).status).toBe(202);
  tools.releaseCalls();
  await stream.answer('running');
  await nextTurn();
  clock.advance(1_800_000);
  await stream.whenClosed();
  expect((await post(stream)).json).toMatchObject({ error: { data: { closedBecause: 'idle-timeout' } } });
  await served.close();
});

test('[S3] that a session is closed is remembered with its reason, and not for other users', async () => {
  const served = await startTestServer();
  const stream = await new RawSse(served.url, { path: '/sse?userId=anna' }).whenAnnounced();
  const session = served.orchestrator.registry.find(stream.sessionId, 'anyone');
  session.close('operator-closed');
  await session.ended;
  const find = (user: string) => () => served.orchestrator.registry.find(session.id, { issuer: 'local', user });
  expect(find('anna')).toThrow('This session has ended.');
  expect(find('bert')).toThrow('Unknown session.');
  await served.close();
});
