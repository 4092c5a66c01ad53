import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { nextTurn } from '../support/gate.js';
import { connectSocket, upgradeRequest, textFrame } from '../support/webSocketHandshake.js';
import { ManualClock } from '../support/manualClock.js';
import { ping } from '../support/messages.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer, whenAllEnded } from '../support/testServer.js';

test('[S1] no byte of the handshake is answered before the session is connected; then it names the session', async () => {
  const served = await startTestServer();
  served.pool.holdLeases();
  const socket = connectSocket(served.url);
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
  socket.write(upgradeRequest());
  await served.pool.whenWaiting();
  await nextTurn();
  expect(received).toBe('');
  served.pool.releaseLeases();
  while (!received.includes('\r\n\r\n')) await once(socket, 'data');
  const [session] = served.orchestrator.registry.list();
  expect(session?.state).toBe('connected');
  expect(received).toMatch(/^HTTP\/1\.1 101 /);
  expect(received).toContain(`\r\nMcp-Session-Id: ${session?.id}\r\n`);
  expect(received).toContain('\r\nSec-WebSocket-Protocol: mcp\r\n');
  expect(received.endsWith('\r\n\r\n')).toBe(true);
  socket.destroy();
  await session?.ended;
  await served.close();
});

test('[S3][S4] what a client sends with its handshake, or while it waits, is read once it is connected, in order', async () => {
  const served = await startTestServer();
  served.pool.holdLeases();
  const socket = connectSocket(served.url);
  const [first, second] = [textFrame(JSON.stringify(ping('first'))), textFrame(JSON.stringify(ping('second')))];
  socket.write(Buffer.concat([Buffer.from(upgradeRequest()), first, second.subarray(0, 9)]));
  await served.pool.whenWaiting();
  socket.write(second.subarray(9));
  await nextTurn();
  served.pool.releaseLeases();
  let received = '';
  while (!received.includes('"second"')) received += String(await once(socket, 'data'));
  expect([...received.matchAll(/"id":"(\w+)"/g)].map(([, id]) => id)).toEqual(['first', 'second']);
  const ended = whenAllEnded(served);
  socket.destroy();
  await ended;
  await served.close();
});

test.each([
  ['without a subprotocol', { protocols: [] }, 400, 'invalid_upgrade'],
  ['with another subprotocol', { protocols: ['chat', 'mcp2'] }, 400, 'invalid_upgrade'],
  ['with another version', { options: { protocolVersion: 8 } }, 426, 'upgrade_required'],
  ['with a foreign Origin', { headers: { origin: 'https://evil.example' } }, 403, 'forbidden_origin'],
  ['with a foreign Host', { headers: { host: 'rebind.example' } }, 403, 'forbidden_host'],
  ['with a body', { headers: { 'content-length': '5' } }, 400, 'invalid_upgrade'],
  ['at a route without WebSocket', { path: '/sse' }, 404, 'not_found'],
  ['at a route that does not exist', { path: '/wss' }, 404, 'not_found'],
  ['with an unknown tool group', { path: '/ws?tools=nothing' }, 400, 'invalid_parameter'],
  ['with a user that is none', { path: '/ws?userId=a%20b' }, 400, 'invalid_parameter'],
])(
  '[C-WS] a handshake %s is refused with the answer of the catalogue, and the socket closed',
  async (_, given, status, reason) => {
    const served = await startTestServer();
    const socket = new RawWebSocket(served.url, given);
    const reply = await socket.refused;
    expect(reply).toMatchObject({ status, json: { jsonrpc: '2.0', id: null, error: { data: { reason } } } });
    expect(reply.headers).toMatchObject({ connection: 'close', 'content-type': 'application/json' });
    await socket.closed;
    expect(served.pool.opened).toEqual([]);
    await served.close();
  },
);

test.each([
  ['of HTTP', 'GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 426],
  ['with POST', upgradeRequest().replace('GET', 'POST'), 400],
  ['without a key', upgradeRequest().replace(/Sec-WebSocket-Key.*\r\n/, ''), 400],
  ['with a key that is none', upgradeRequest().replace('dGhl', '????'), 400],
  ['with a subprotocol twice', upgradeRequest().replace('mcp', 'mcp, mcp'), 400],
  ['with subprotocols that are no names', upgradeRequest().replace('mcp', 'mcp, @'), 400],
])('[C-WS] a handshake %s is refused before anything is opened', async (_, bytes, status) => {
  const served = await startTestServer();
  const socket = connectSocket(served.url);
  socket.write(bytes);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'close');
  const reply = Buffer.concat(chunks).toString('utf8');
  expect(reply).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(reply).toMatch(/"reason":"(invalid_upgrade|upgrade_required)"/);
  if (status === 426) expect(reply.toLowerCase()).toMatch(/\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n/);
  expect(served.pool.opened).toEqual([]);
  await served.close();
});

test('[S8] a set-up that fails is an HTTP status with its cause, and leaves nothing behind', async () => {
  const served = await startTestServer();
  served.pool.holdLeases();
  const socket = new RawWebSocket(served.url);
  await served.pool.whenWaiting();
  served.pool.failLeases('browser_failed', 'No Chrome is installed.');
  expect(await socket.refused).toMatchObject({
    status: 502,
    json: { error: { message: 'No Chrome is installed.', data: { reason: 'browser_failed' } } },
  });
  await whenAllEnded(served);
  await served.close();
});

test('[S8] a set-up that takes too long is answered 504, and what opens late is closed', async () => {
  const clock = new ManualClock();
  const served = await startTestServer({ clock });
  served.pool.holdLeases();
  const socket = new RawWebSocket(served.url);
  await served.pool.whenWaiting();
  clock.advance(30_000);
  expect(await socket.refused).toMatchObject({ status: 504, json: { error: { data: { reason: 'setup_timeout' } } } });
  await served.close();
  expect([served.pool.opened.length, clock.pending]).toEqual([1, 0]);
});

test('[S5] a client that hangs up before it is answered leaves nothing behind, also what opens late', async () => {
  const served = await startTestServer();
  served.pool.holdLeases();
  const [leaving, resetting] = [connectSocket(served.url), connectSocket(served.url)];
  for (const socket of [leaving, resetting]) socket.write(upgradeRequest());
  await served.pool.whenWaiting(2);
  const ended = whenAllEnded(served);
  leaving.end();
  resetting.resetAndDestroy();
  await ended;
  expect(served.orchestrator.registry.list()).toEqual([]);
  await served.close();
  expect(served.pool.opened).toHaveLength(2);
});

test('[C-WS] past --max-sessions the handshake is answered 429 with Retry-After', async () => {
  const served = await startTestServer({ options: { maxSessions: 1 } });
  const open = await new RawWebSocket(served.url).whenAnnounced();
  const reply = await new RawWebSocket(served.url).refused;
  expect(reply).toMatchObject({ status: 429, json: { error: { data: { reason: 'too_many_sessions' } } } });
  expect(reply.headers['retry-after']).toBe('1');
  await open.disconnect();
  await served.close();
});

test('[S6] a socket that ends in the moment it is to be answered leaves no header behind for the next client', async () => {
  const served = await startTestServer();
  served.pool.holdLeases();
  const sockets: Duplex[] = [];
  const http = createServer().on('upgrade', (request, socket, head) => {
    sockets.push(socket);
    served.orchestrator.upgrade(request, socket, head);
  });
  await once(http.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const gone = connectSocket(url).on('error', () => undefined);
  gone.write(upgradeRequest());
  await served.pool.whenWaiting();
  const ended = whenAllEnded(served);
  // Nobody hears of it before the session is announced.
  sockets[0]?.destroy();
  served.pool.releaseLeases();
  await ended;
  const socket = await new RawWebSocket(url).whenAnnounced();
  expect(served.orchestrator.registry.list().map(({ id }) => id)).toEqual([socket.sessionId]);
  await socket.disconnect();
  await once(http.close(), 'close');
  await served.close();
});

test('an upgrade behind an answer that is still under way ends the connection: the two are not mixed', async () => {
  const served = await startTestServer();
  const socket = connectSocket(served.url);
  socket.write(`GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n${upgradeRequest()}`);
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('utf8')));
  await once(socket, 'close');
  expect(received).not.toContain('101');
  await whenAllEnded(served);
  await served.close();
});

test.each(['h2c', 'h2c, websocket', 'foo/2'])(
  'an offer to upgrade to %s is passed over: the request is answered as it is',
  async (offer) => {
    const served = await startTestServer();
    const warnings: Error[] = [];
    const warn = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warn);
    const socket = connectSocket(served.url);
    const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
    const head = [
      'POST /message?sessionId=none HTTP/1.1',
      'Host: localhost',
      'Connection: Upgrade, HTTP2-Settings',
      `Upgrade: ${offer}`,
      'HTTP2-Settings: AAMAAABkAAQAAP__',
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      '\r\n',
    ].join('\r\n');
    for (let count = 0; count < 20; count += 1) {
      socket.write(head + body.slice(0, 10));
      await nextTurn();
      socket.write(body.slice(10));
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 404 [^]*"id":1,.*"unknown"/);
    }
    socket.destroy();
    process.off('warning', warn);
    await served.close();
    expect(warnings).toEqual([]);
  },
);
