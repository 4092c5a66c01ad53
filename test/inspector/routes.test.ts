import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { send } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { connectClient, startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

let served: TestServer;

beforeAll(async () => {
  served = await startTestServer();
});

afterAll(() => served.close());

test('[C-INSPECTOR] the page allows itself nothing but this server, and one inline element by its hash', async () => {
  const { status, headers, text } = await send(`${served.url}/inspector`);
  const policy = String(headers['content-security-policy']);
  const [, map = ''] = /<script type="importmap">([\s\S]*?)<\/script>/.exec(text) ?? [];
  expect(status).toBe(200);
  expect(policy).toContain("default-src 'self'; script-src 'self' ");
  expect(policy).toContain(createHash('sha256').update(map).digest('base64'));
  expect(policy).not.toMatch(/unsafe|\*|http/);
  expect(text.match(/<script/g)).toHaveLength(2);
  expect(text).toContain('<base href="inspector/" />');
  expect((await send(`${served.url}/inspector/`)).text).toContain('<base href="./" />');
});

test.each([
  ['style.css', 'text/css'],
  ['charts.json', 'application/json'],
  ['main.js', 'text/javascript'],
  ['preact.mjs', 'text/javascript'],
  ['icon.svg', 'image/svg'],
])('[C-INSPECTOR] %s is served as %s', async (file, type) => {
  const { status, headers } = await send(`${served.url}/inspector/${file}`);
  expect([status, String(headers['content-type'])]).toEqual([200, expect.stringContaining(type)]);
});

test.each(['main.ts', 'nothing.js', '..%2f..%2fpackage.json', '.%2e/journal.js', 'tsconfig.json%00.css', 'a/b.js'])(
  '[C-INSPECTOR] %s is not served',
  async (file) => {
    const { status, json } = await send(`${served.url}/inspector/${file}`);
    expect([status, json]).toMatchObject([404, { error: { data: { reason: 'not_found' } } }]);
  },
);

test.each([
  '',
  'abcdefgh&contents=2',
  'short',
  '%00%00%00%00%00%00%00%00',
  'abcdefghi',
  '../../..',
  'abcdefgh&session=x',
])('[C-INSPECTOR] the stream refuses "%s" as a session', async (session) => {
  const { status, json } = await send(`${served.url}/inspector/stream?session=${session}`);
  expect([status, json]).toMatchObject([400, { error: { data: { reason: 'invalid_parameter' } } }]);
});

test.each([
  ['POST', '/inspector'],
  ['DELETE', '/inspector/stream'],
  ['HEAD', '/inspector/stream'],
  ['PUT', '/inspector/sessions'],
])('[C-INSPECTOR] %s %s is not a verb of the inspector', async (method, path) => {
  const { status, headers } = await send(`${served.url}${path}`, { method });
  expect([status, headers['allow']]).toEqual([405, 'GET']);
});

test.each([
  ['a foreign Host', { host: 'evil.example' }],
  ['a foreign Origin', { origin: 'https://evil.example' }],
  ['an image or script of a foreign page', { 'sec-fetch-site': 'cross-site' }],
])('[C-INSPECTOR] page and stream refuse %s', async (_name, headers) => {
  for (const path of ['/inspector', '/inspector/stream', '/inspector/sessions'])
    expect((await send(`${served.url}${path}`, { headers })).status).toBe(403);
});

test('[C-INSPECTOR] sessions are listed newest first, without what would let anyone in', async () => {
  const clients = [
    await connectClient(served.url, '/sse?userId=anna'),
    await connectClient(served.url, '/sse?userId=bert'),
  ];
  const { json, text } = await send(`${served.url}/inspector/sessions`);
  expect(json).toMatchObject({
    rows: [
      { user: 'bert', state: 'active', client: { name: 'test-client', version: '1.0.0' }, transport: 'sse' },
      { user: 'anna', state: 'active' },
    ],
    overview: { health: { status: 'ok' } },
  });
  for (const { id } of served.orchestrator.registry.list()) expect(text).not.toContain(id);
  await Promise.all(clients.map((client) => client.close()));
});

test('[C-INSPECTOR] with authentication on, page, stream and table are for the operator, by token or by password', async () => {
  const adminToken = 'an-operator-token-of-enough-length-0123456789';
  const dataDir = await mkdtemp(join(tmpdir(), 'greenroom-inspector-'));
  const guarded = await startTestServer({ options: { auth: 'token', adminToken, dataDir } });
  const basic = (password: string) => `Basic ${Buffer.from(`anna:${password}`).toString('base64')}`;
  const status = async (path: string, authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization };
    return (await send(`${guarded.url}/inspector${path}`, { headers })).status;
  };
  try {
    for (const path of ['', '/stream', '/sessions', '/style.css']) {
      expect(await status(path)).toBe(401);
      expect(await status(path, basic('wrong'))).toBe(401);
    }
    for (const shown of [`Bearer ${adminToken}`, basic(adminToken)]) expect(await status('/sessions', shown)).toBe(200);
    const asked = await send(`${guarded.url}/inspector`);
    expect(asked.headers['www-authenticate']).toMatch(/^Basic /);
  } finally {
    await guarded.close();
    await rm(dataDir, { recursive: true });
  }
});

test('[C-INSPECTOR] the stream of a session with its contents holds no secret that was planted in it', async () => {
  const tools = new TestTools();
  const planting = await startTestServer({ tools: tools.all });
  const client = await connectClient(planting.url);
  const [session] = planting.orchestrator.registry.list();
  const path = `/inspector/stream?session=${session?.id.slice(0, 8)}&contents=1`;
  const stream = new RawSse(planting.url, { path });
  try {
    await stream.when(({ events }) => events.length > 0);
    await client.callTool({ name: 'echo', arguments: { value: 'planted-secret' } });
    await client.callTool({ name: 'echo', arguments: { 'planted-secret': 'x', token: 'planted-secret' } });
    await client.ping();
    await stream.when(({ text }) => text.includes('"what":"ping #'));
    expect(stream.text).not.toContain('planted-secret');
    expect(stream.text).toContain('‹text, 14 characters›');
    expect(stream.text).toContain('tools/call');
  } finally {
    await stream.disconnect();
    await client.close();
    await planting.close();
  }
});

test('[C-INSPECTOR] fifty tabs are served, the next is told when to come, and takes the place of one that left', async () => {
  const tabs = Array.from({ length: 50 }, () => new RawSse(served.url, { path: '/inspector/stream' }));
  await Promise.all(tabs.map((tab) => tab.when(({ events }) => events.length > 0)));
  const { status, headers, json } = await send(`${served.url}/inspector/stream`);
  expect([status, headers['retry-after'], json]).toMatchObject([429, '5', { error: { code: -32013 } }]);
  for (const tab of tabs) await tab.disconnect();
  const next = new RawSse(served.url, { path: '/inspector/stream' });
  await next.when(({ events }) => events.length > 0);
  await next.disconnect();
});

test('[C-INSPECTOR] a viewer that sends garbage down its stream loses the connection, and nobody else does', async () => {
  const other = new RawSse(served.url, { path: '/inspector/stream' });
  await other.when(({ events }) => events.length > 0);
  const { hostname, port, host } = new URL(served.url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET /inspector/stream HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await once(socket, 'data');
  socket.resume();
  const closed = once(socket, 'close');
  socket.write(Buffer.from([0, 255, 13, 10, ...Buffer.from('{"jsonrpc":"2.0"}\r\n\r\n')]));
  await closed;
  const client = await connectClient(served.url, '/sse?userId=after-garbage');
  await other.when(({ text }) => text.includes('after-garbage'));
  await client.close();
  await other.disconnect();
});
