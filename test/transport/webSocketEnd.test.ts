import { once } from 'node:events';
import { connectSocket, upgradeRequest } from '../support/webSocketHandshake.js';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { initialize, ping } from '../support/messages.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer, whenAllEnded } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

test('[C-WS] a binary frame ends the session with 1003', async () => {
  const served = await startTestServer();
  const socket = await new RawWebSocket(served.url).whenAnnounced();
  const ended = whenAllEnded(served);
  socket.socket.send(Buffer.from(JSON.stringify(ping(1))), { binary: true });
  expect(await socket.closed).toEqual({ code: 1003, reason: expect.stringMatching(/^unsupported_media_type: /) });
  await ended;
  expect(socket.frames).toEqual([]);
  await served.close();
});

test('[C-WS][S10] a message larger than --body-limit ends the session with 1009 before it is read whole', async () => {
  const served = await startTestServer({ options: { bodyLimit: 1_000 } });
  const socket = await new RawWebSocket(served.url).whenAnnounced();
  const fits = { ...ping(1), params: { x: '' } };
  fits.params.x = 'x'.repeat(1_000 - JSON.stringify(fits).length);
  socket.send(fits);
  expect(await socket.answer(1)).toMatchObject({ result: {} });
  const ended = whenAllEnded(served);
  socket.send({ ...fits, params: { x: `${fits.params.x}x` } });
  expect((await socket.closed).code).toBe(1009);
  await ended;
  await served.close();
});

test('[C-WS][S5] a client that answers pings stays; one that does not is gone after the second', async () => {
  const clock = new ManualClock();
  const served = await startTestServer({ clock, options: { initializeTimeout: '1h' } });
  const alive = await new RawWebSocket(served.url).whenAnnounced();
  const dead = await new RawWebSocket(served.url, { options: { autoPong: false } }).whenAnnounced();
  const deadSession = served.orchestrator.registry.find(dead.sessionId, 'anyone');
  const pinged = [once(alive.socket, 'ping'), once(dead.socket, 'ping')];
  clock.advance(15_000);
  await Promise.all(pinged);
  // Behind its pong, so that the pong has been read when this is answered.
  await alive.call(1, 'ping');
  const again = once(alive.socket, 'ping');
  clock.advance(15_000);
  await again;
  await deadSession.ended;
  expect((await dead.closed).code).toBe(1006);
  expect(served.orchestrator.registry.list().map(({ id }) => id)).toEqual([alive.sessionId]);
  await alive.disconnect();
  await served.close();
  expect(clock.pending).toBe(0);
});

test.each([
  ['initialize-timeout', 1008, 'closed: initialize-timeout', { options: { initializeTimeout: '10s' }, messages: [] }],
  ['idle-timeout', 1000, 'closed: idle-timeout', { options: { idleTimeout: '10s' }, messages: [initialize(1)] }],
])('[C-WS] %s is told by close code %i', async (_, code, reason, { options, messages }) => {
  const clock = new ManualClock();
  const served = await startTestServer({ clock, options });
  const socket = await new RawWebSocket(served.url).whenAnnounced();
  for (const message of messages) {
    socket.send(message);
    await socket.answer(1);
  }
  clock.advance(10_000);
  expect(await socket.closed).toEqual({ code, reason });
  await served.close();
});

test('[C-WS] a session that an operator closes is told so, and its open call is answered first', async () => {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all });
  const socket = await new RawWebSocket(served.url).whenInitialized();
  socket.send({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hold', arguments: {} } });
  await tools.whenHeld();
  await send(`${served.url}/api/sessions/${socket.sessionId}`, { method: 'DELETE' });
  expect(await socket.closed).toEqual({ code: 4000, reason: 'closed: operator-closed' });
  expect(socket.messages).toMatchObject([{ id: 1, error: { data: { closedBecause: 'operator-closed' } } }]);
  tools.releaseCalls();
  await served.close();
});

test('[C-WS] a lost browser is told by 1011 with its words, cut to what a close frame carries', async () => {
  const served = await startTestServer();
  const socket = await new RawWebSocket(served.url).whenAnnounced();
  served.pool.failBrowser(socket.sessionId, { reason: 'browser_failed', message: 'ü'.repeat(200) });
  const { code, reason } = await socket.closed;
  expect(code).toBe(1011);
  expect(reason).toMatch(/^browser_failed: ü+$/);
  expect(Buffer.byteLength(reason)).toBeGreaterThan(120);
  await served.close();
});

test('[C-WS][C-DRAIN] a server that stops says goodbye with 1001', async () => {
  const served = await startTestServer();
  const socket = await new RawWebSocket(served.url).whenAnnounced();
  await socket.call(1, 'ping');
  await served.close();
  expect(await socket.closed).toEqual({ code: 1001, reason: expect.stringMatching(/^draining: /) });
});

test('[S5] a client that ignores the close frame is cut off', async () => {
  const clock = new ManualClock();
  const served = await startTestServer({ clock, options: { initializeTimeout: '10s' } });
  const socket = connectSocket(served.url);
  socket.write(upgradeRequest());
  await once(socket, 'data');
  const [session] = served.orchestrator.registry.list();
  clock.advance(10_000);
  const [frame] = (await once(socket, 'data')) as [Buffer];
  expect(frame[0]).toBe(0x88);
  await session?.ended;
  const closed = once(socket, 'close');
  clock.advance(4_999);
  expect(clock.pending).toBe(1);
  clock.advance(1);
  await closed;
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[S10] the session of a client that does not read ends as slow-client; its neighbours do not notice', async () => {
  const served = await startTestServer({ tools: new TestTools().all });
  const [slow, other] = [new RawWebSocket(served.url), new RawWebSocket(served.url)];
  await Promise.all([slow.whenInitialized(), other.whenInitialized()]);
  const session = served.orchestrator.registry.find(slow.sessionId, 'anyone');
  slow.socket.pause();
  let [isOver, id] = [false, 0];
  void session.closed.then(() => (isOver = true));
  for (; !isOver && id < 100; id += 1) {
    slow.send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'large', arguments: { bytes: 2_000_000 } } });
    await other.call(id, 'ping');
  }
  await session.ended;
  expect(session.actor.getSnapshot().context.closedBecause).toBe('slow-client');
  slow.socket.terminate();
  await other.disconnect();
  await served.close();
});
