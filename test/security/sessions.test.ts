import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../src/clock.js';
import { StdioTransport } from '../../src/transport/stdio.js';
import { connectSocket, upgradeRequest } from '../support/webSocketHandshake.js';
import { postJson, send, sendBytes } from '../support/http.js';
import { streamPair } from '../support/rawStdio.js';
import { RawSse } from '../support/rawSse.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

let tools: TestTools;
let served: TestServer;
beforeEach(async () => {
  tools = new TestTools();
  served = await startTestServer({ tools: tools.all });
});
afterEach(() => {
  tools.releaseCalls();
  return served.close();
});

const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };

test('[C-SECURITY] id guessing: an id is 128 random bits, in characters that need no escape, and never twice the same', async () => {
  const ids = Array.from({ length: 500 }, () => {
    const { input, output } = streamPair();
    const transport = new StdioTransport(input, output, { clock: systemClock, bodyLimit: 1_000 });
    return served.orchestrator.connect(transport).id;
  });
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[\w-]{22}$/);
  // Each place but the last, which has two bits: of 64 characters, 500 draws miss hardly any.
  for (let place = 0; place < 21; place += 1) expect(new Set(ids.map((id) => id[place])).size).toBeGreaterThan(48);
});

test('[C-SECURITY][S6] id guessing: every guess is answered with the same bytes, however near it is', async () => {
  const stream = await new RawSse(served.url, { path: '/sse?userId=alice' }).whenAnnounced();
  const { sessionId } = stream;
  const near = [
    sessionId.slice(0, -1),
    `${sessionId}a`,
    sessionId.toLowerCase(),
    `${sessionId.slice(0, -1)}-`,
    ` ${sessionId}`,
  ];
  const guesses = [...near, 'a', '__proto__', 'constructor', '../sse', '\u0000', 'x'.repeat(1_000)].filter(
    (guess) => guess !== sessionId,
  );
  const answers = await Promise.all(
    guesses.map((guess) => postJson(`${served.url}/message?userId=alice&sessionId=${encodeURIComponent(guess)}`, ping)),
  );
  // And the very id, by somebody else.
  answers.push(await postJson(`${served.url}/message?userId=mallory&sessionId=${sessionId}`, ping));
  expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
  expect(answers[0]).toMatchObject({ status: 404, json: { error: { data: { reason: 'unknown' } } } });
  expect(stream.messages).toEqual([]);
  await stream.disconnect();
});

test('[C-SECURITY][S6] replay: an event id, or a session id, that a new stream brings along gets it nothing of another', async () => {
  const victim = await new RawSse(served.url).whenInitialized();
  await victim.call(1, 'tools/call', { name: 'echo', arguments: { value: 'a secret' } });
  const headers = { 'last-event-id': '0', 'mcp-session-id': victim.sessionId };
  const thief = await new RawSse(served.url, { headers }).whenAnnounced();
  const socket = await new RawWebSocket(served.url, { headers }).whenAnnounced();
  expect(new Set([victim.sessionId, thief.sessionId, socket.sessionId]).size).toBe(3);
  await Promise.all([thief.call(1, 'ping'), socket.call(1, 'ping')]);
  expect([thief.text, ...socket.frames].join('')).not.toContain('a secret');
  await Promise.all([victim.disconnect(), thief.disconnect(), socket.disconnect()]);
});

test('[C-SECURITY][S6] a cancellation reaches only requests of its own session, whatever id it names', async () => {
  const [victim, attacker] = [new RawWebSocket(served.url), new RawWebSocket(served.url)];
  await Promise.all([victim.whenInitialized(), attacker.whenInitialized()]);
  victim.send({ jsonrpc: '2.0', id: 'mine', method: 'tools/call', params: { name: 'hold', arguments: {} } });
  await tools.whenHeld();
  attacker.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'mine' } });
  attacker.send({ jsonrpc: '2.0', id: 'mine', result: { content: [] } });
  await attacker.call(1, 'ping');
  expect(tools.held[0]?.context.signal.aborted).toBe(false);
  tools.releaseCalls();
  expect(await victim.answer('mine')).toMatchObject({ result: { structuredContent: { value: 'held' } } });
  await Promise.all([victim.disconnect(), attacker.disconnect()]);
});

test.each(['params', 'params.arguments', 'params._meta'])(
  '[C-SECURITY] prototype pollution: __proto__ and constructor in %s change no object',
  async (place) => {
    const bad = '"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}';
    const put = (where: string): string => (where === place ? `,${bad}` : '');
    const message =
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"value":"v"${put('params.arguments')}}` +
      `,"_meta":{"progressToken":1${put('params._meta')}}${put('params')}}}`;
    const socket = await new RawWebSocket(served.url).whenInitialized();
    socket.send(message);
    const answer = await socket.answer(1);
    expect(answer).toHaveProperty('result');
    expect({}).not.toHaveProperty('polluted');
    expect(answer).not.toHaveProperty('result.structuredContent.polluted');
    await socket.disconnect();
  },
);

test.each([
  ['/sse/../ws', 404],
  ['//sse', 404],
  ['/./sse', 404],
  ['/%2e%2e/sse', 404],
  ['/sse%00', 404],
  ['/sse;/../message', 404],
  ['/sse\\..\\message', 404],
  ['/..%2f..%2f..%2fetc%2fpasswd', 404],
  ['/api/sessions/..%2f..%2fsse', 405],
])('[C-SECURITY] path tricks: GET %s opens nothing', async (path, status) => {
  const answer = await sendBytes(served.url, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(served.orchestrator.registry.list()).toEqual([]);
});

test.each(['/ws/', '/WS', '/ws/x', '//ws', '/./ws', '/x/../ws', '/ws%00', '/%77s', 'http://localhost/ws', '*'])(
  '[C-SECURITY] path tricks: an upgrade at %s is not found',
  async (path) => {
    const socket = connectSocket(served.url);
    socket.write(upgradeRequest(path));
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('utf8')));
    await once(socket, 'close');
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    expect(served.orchestrator.registry.list()).toEqual([]);
  },
);

test.each(['file:///etc/passwd', '../../../etc/passwd', 'greenroom://../x', 'http://169.254.169.254/'])(
  '[C-SECURITY] path tricks: the resource %s does not exist, and nothing is fetched',
  async (uri) => {
    const socket = await new RawWebSocket(served.url).whenInitialized();
    expect(await socket.call(1, 'resources/read', { uri })).toMatchObject({ error: { code: -32002 } });
    await socket.disconnect();
  },
);

test('[C-SECURITY] upgrade smuggling: what follows a refused handshake is not read as a request', async () => {
  const next = 'GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const answer = await sendBytes(served.url, `${upgradeRequest('/nothing')}${next}${next}`);
  expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 404']);
  expect(served.orchestrator.registry.list()).toEqual([]);
});

test.each([
  ['the first of two', ['Origin: http://localhost', 'Origin: https://evil.example']],
  ['a list', ['Origin: http://localhost, https://evil.example']],
])('[C-SECURITY] an allowed Origin as %s does not let in the other', async (_, lines) => {
  const socket = connectSocket(served.url);
  socket.write(upgradeRequest('/ws', lines));
  expect(String(await once(socket, 'data'))).toMatch(/^HTTP\/1\.1 403 /);
  socket.destroy();
});

test('[C-SECURITY] /health names no session', async () => {
  const stream = await new RawSse(served.url).whenAnnounced();
  const { text } = await send(`${served.url}/health`);
  expect(text).not.toContain(stream.sessionId.slice(0, 8));
  await stream.disconnect();
});

test('[C-SECURITY] an app and its upgrades that are mounted elsewhere keep their doors', async () => {
  const { app, upgrade } = served.orchestrator;
  const http = createServer(app).on('upgrade', upgrade);
  await once(http.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const foreign = new RawWebSocket(url, { headers: { origin: 'https://evil.example' } });
  expect(await foreign.refused).toMatchObject({ status: 403 });
  const socket = await new RawWebSocket(url).whenAnnounced();
  expect(await socket.call(1, 'ping')).toMatchObject({ result: {} });
  await socket.disconnect();
  await once(http.close(), 'close');
});
