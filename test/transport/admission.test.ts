import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ConfigError } from '../../src/config/config.js';
import { createOrchestrator } from '../../src/server/orchestrator.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { send, type Reply } from '../support/http.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer } from '../support/testServer.js';

const refusedFor = (reason: string, limit: string) => ({
  error: { code: -32013, data: { reason, limit, retryAfterMs: expect.any(Number) } },
});

const until = (stream: RawSse) => stream.when(({ endpoint, isClosed }) => endpoint !== undefined || isClosed);

test('[C-ADMISSION][S5] of a burst of 500 connects against a cap of 100, 100 are let in and 400 told why not', async () => {
  const served = await startTestServer({
    options: { maxSessions: 100, maxSessionsPerUser: 100, initializeTimeout: '1h' },
  });
  const streams = Array.from({ length: 500 }, () => new RawSse(served.url));
  await Promise.all(streams.map(until));
  const open = streams.filter(({ endpoint }) => endpoint !== undefined);
  const refused = streams.filter(({ status }) => status === 429);
  expect([open.length, refused.length]).toEqual([100, 400]);
  for (const { headers, text } of refused) {
    expect(headers['retry-after']).toBe('1');
    expect(JSON.parse(text)).toMatchObject(refusedFor('too_many_sessions', '--max-sessions 100'));
  }
  expect(served.orchestrator.registry.list()).toHaveLength(100);
  expect(served.pool.opened).toHaveLength(100);
  const [first] = open;
  const session = served.orchestrator.registry.find(first?.sessionId ?? '', 'anyone');
  await first?.disconnect();
  await session.ended;
  const next = await new RawSse(served.url).whenAnnounced();
  await Promise.all([...open, next].map((stream) => stream.disconnect()));
  await served.close();
});

/** Opens a session and ends it; resolves with the answer of a refused one. */
async function connect(url: string, path: string, headers: Record<string, string> = {}): Promise<Reply | 'open'> {
  const stream = new RawSse(url, { path, headers });
  await until(stream);
  if (stream.endpoint !== undefined) {
    await stream.disconnect();
    return 'open';
  }
  return { status: stream.status ?? 0, headers: stream.headers, text: stream.text, json: JSON.parse(stream.text) };
}

test('[C-ADMISSION] a user or an address that opens sessions too often is told when to come back, and nothing is created', async () => {
  const served = await startTestServer({ options: { connectRate: 2, trustProxy: ['loopback'] } });
  const from = (user: string, address: string) =>
    connect(served.url, `/sse?userId=${user}`, { 'x-forwarded-for': address });
  expect([await from('anna', '192.0.2.1'), await from('anna', '192.0.2.2')]).toEqual(['open', 'open']);
  const tooOften = await from('anna', '192.0.2.3');
  expect(tooOften).toMatchObject({ status: 429, json: refusedFor('rate_limited', '--connect-rate 2') });
  if (tooOften !== 'open') expect(Number(tooOften.headers['retry-after'])).toBeGreaterThan(0);
  if (tooOften !== 'open') expect(Number(tooOften.headers['retry-after'])).toBeLessThanOrEqual(60);
  expect([await from('bert', '192.0.2.4'), await from('carl', '192.0.2.4')]).toEqual(['open', 'open']);
  expect(await from('dora', '192.0.2.4')).toMatchObject({ status: 429 });
  expect(await from('dora', '192.0.2.5')).toBe('open');
  expect(served.pool.opened).toHaveLength(5);
  await served.close();
});

test('[C-ADMISSION] a forwarded address is believed only from a proxy that was named', async () => {
  const open = async (trustProxy: string[], addresses: string[]) => {
    const served = await startTestServer({ options: { connectRate: 1, trustProxy } });
    const answers: (Reply | 'open')[] = [];
    for (const [index, address] of addresses.entries())
      answers.push(await connect(served.url, `/sse?userId=u${index}`, { 'x-forwarded-for': address }));
    await served.close();
    return answers.map((answer) => (typeof answer === 'string' ? answer : answer.status));
  };
  expect(await open([], ['192.0.2.1', '192.0.2.2'])).toEqual(['open', 429]);
  expect(await open(['10.0.0.0/8'], ['192.0.2.1', '192.0.2.2'])).toEqual(['open', 429]);
  expect(await open(['127.0.0.1'], ['192.0.2.1', '192.0.2.2'])).toEqual(['open', 'open']);
  // What the client itself wrote stands to the left of what the named proxies saw.
  expect(
    await open(['loopback', '10.0.0.1'], ['192.0.2.1, 198.51.100.7, 10.0.0.1', '192.0.2.2, 198.51.100.7']),
  ).toEqual(['open', 429]);
});

test('[C-ADMISSION] a user who sends too many messages is refused; what was refused was not delivered', async () => {
  const served = await startTestServer({ options: { requestRate: 2 } });
  const stream = await new RawSse(served.url, { path: '/sse?userId=anna' }).whenAnnounced();
  await stream.initialize();
  const reply = await stream.post({ jsonrpc: '2.0', id: 'late', method: 'ping' });
  expect([reply.status, reply.json]).toMatchObject([
    429,
    { id: null, ...refusedFor('rate_limited', '--request-rate 2') },
  ]);
  expect(stream.answersTo('late')).toEqual([]);
  expect((await send(`${served.url}/health`)).status).toBe(200);
  await stream.disconnect();
  await served.close();
});

test('[C-ADMISSION] a batch counts for as many messages as it has, also one that will be refused', async () => {
  const served = await startTestServer({ options: { requestRate: 10 } });
  const pings = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, n) => ({ jsonrpc: '2.0', id: from + n, method: 'ping' }));
  const client = await new RawMcp(served.url, { version: '2025-03-26' }).initialize();
  const batch = await client.sendRequest(pings(0, 6));
  await batch.whenClosed();
  expect(batch.messages).toHaveLength(6);
  expect((await client.post([])).status).toBe(400);
  expect(await client.post(pings(6, 9))).toMatchObject({
    status: 429,
    json: refusedFor('rate_limited', '--request-rate 10'),
  });
  expect(client.messages.filter((message) => 'result' in message)).toHaveLength(7);
  await client.disconnect();
  await served.close();
});

test('[C-ADMISSION][S4] what comes over a WebSocket is counted message by message; what was refused was not delivered', async () => {
  const served = await startTestServer({ options: { requestRate: 20 } });
  const socket = await new RawWebSocket(served.url).whenAnnounced();
  for (let id = 0; id < 30; id += 1) socket.send({ jsonrpc: '2.0', id, method: 'ping' });
  await socket.when(({ frames }) => frames.length === 30);
  const answered = socket.messages.flatMap((message) => ('result' in message ? [message.id] : []));
  expect(answered).toEqual(Array.from({ length: 20 }, (_, id) => id));
  expect(await socket.answer(29)).toMatchObject({ id: 29, ...refusedFor('rate_limited', '--request-rate 20') });
  const other = await new RawWebSocket(served.url, { path: '/ws?userId=bert' }).whenAnnounced();
  expect(await other.call(1, 'ping')).toMatchObject({ result: {} });
  await Promise.all([socket.disconnect(), other.disconnect()]);
  await served.close();
});

test.each([
  ['--connect-rate 1', 'rate_limited', { connectRate: 1 }],
  ['--max-sessions 1', 'too_many_sessions', { maxSessions: 1 }],
  ['--max-sessions-per-user 1', 'too_many_sessions', { maxSessionsPerUser: 1 }],
])(
  '[C-ADMISSION] past %s every door answers 429, an upgrade before its 101, and nothing is created',
  async (limit, reason, options) => {
    const served = await startTestServer({ options });
    const first = await new RawSse(served.url).whenAnnounced();
    const opening = new RawMcp(served.url);
    const initialize = { jsonrpc: '2.0', id: 'mine', method: 'initialize', params: {} };
    const replies = [
      await send(`${served.url}/sse`),
      await opening.post(initialize, { 'mcp-session-id': '' }),
      await new RawWebSocket(served.url).refused,
    ];
    for (const reply of replies) {
      expect([reply.status, reply.json]).toMatchObject([429, refusedFor(reason, limit)]);
      expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
      expect(reply.headers).not.toHaveProperty('mcp-session-id');
    }
    expect(served.pool.opened).toHaveLength(1);
    await first.disconnect();
    await served.close();
  },
);

test('[C-ADMISSION] who may not come in at all is not counted', async () => {
  const served = await startTestServer({ options: { connectRate: 1 } });
  const foreign = await connect(served.url, '/sse', { origin: 'https://example.com' });
  const unnamed = await connect(served.url, '/sse?userId=%20');
  expect([foreign, unnamed]).toMatchObject([{ status: 403 }, { status: 400 }]);
  expect(await connect(served.url, '/sse')).toBe('open');
  await served.close();
});

test('[C-CONFIG] a proxy that is no address stops the start', async () => {
  const starting = createOrchestrator({ pool: new FakeBrowserPool(), options: { trustProxy: ['everybody'] } });
  await expect(starting).rejects.toThrow(ConfigError);
  await expect(starting).rejects.toThrow(/^--trust-proxy: .*everybody/);
});

test('the routes and every upgrade see the same address', async () => {
  const { compileTrustedProxies, createAdmission } = await import('../../src/transport/admission.js');
  const peers: string[] = [];
  const admit = createAdmission({
    authenticate: () => Promise.resolve({ issuer: 'local', user: 'anna' }),
    rateLimits: {
      countConnection: (_user, peer) => Promise.resolve(void peers.push(peer)),
      countMessages: () => Promise.resolve(),
    },
    isTrustedProxy: compileTrustedProxies(['loopback']),
    onStoreUnreachable: () => undefined,
  });
  const server = createServer();
  const upgraded = new Promise<void>((resolve) => {
    server.on('upgrade', (request, socket) => {
      void admit(request, 'connection').then(() => {
        socket.destroy();
        resolve();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const headers = { connection: 'upgrade', upgrade: 'websocket', 'x-forwarded-for': '192.0.2.9' };
  await send(`http://127.0.0.1:${port}/ws`, { headers }).catch(() => undefined);
  await upgraded;
  expect(peers).toEqual(['192.0.2.9']);
  await new Promise((resolve) => server.close(resolve));
});
