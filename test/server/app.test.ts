import { Agent, get, type IncomingMessage } from 'node:http';
import request from 'supertest';
import type { Log } from '../../src/log.js';
import { silentLog } from '../../src/log.js';
import { postJson, send, sendBytes } from '../support/http.js';
import { initialize } from '../support/messages.js';
import { RawSse } from '../support/rawSse.js';
import { connectClient, startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

let served: TestServer;
beforeAll(async () => {
  served = await startTestServer({ tools: new TestTools().all });
});
afterAll(() => served.close());

const refusedAs = (reason: string) => ({ jsonrpc: '2.0', id: null, error: { data: { reason } } });

test.each([
  ['/sse', 'GET'],
  ['/message', 'POST'],
  ['/health', 'GET'],
  ['/ready', 'GET'],
  ['/metrics', 'GET'],
  ['/api/sessions', 'GET'],
  ['/api/sessions/x', 'DELETE'],
])('%s takes %s only and says so', async (route, verb) => {
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'].filter((one) => one !== verb)) {
    const reply = await send(`${served.url}${route}`, { method });
    expect([reply.status, reply.headers.allow]).toEqual([405, verb]);
    expect(reply.json).toMatchObject(refusedAs('method_not_allowed'));
  }
});

test('documents that lead to an issuer are 404 as JSON where there is none', async () => {
  for (const name of ['oauth-protected-resource', 'oauth-authorization-server', 'openid-configuration'])
    for (const path of [
      `/.well-known/${name}`,
      `/.well-known/${name}/mcp`,
      `/.well-known/${name}/sse`,
      `/mcp/.well-known/${name}`,
    ]) {
      const reply = await send(`${served.url}${path}`);
      expect([reply.status, reply.json]).toMatchObject([404, refusedAs('not_found')]);
    }
  const registered = await postJson(`${served.url}/register`, { client_name: 'x' });
  expect([registered.status, registered.json]).toMatchObject([404, refusedAs('not_found')]);
});

test('a connection without a request is kept longer than proxies keep theirs', async () => {
  const { headers } = await new Promise<IncomingMessage>((resolve, reject) => {
    const agent = new Agent({ keepAlive: true });
    get(`${served.url}/ready`, { agent }, (response) => {
      response.resume().once('end', () => agent.destroy());
      resolve(response);
    }).once('error', reject);
  });
  expect(headers['keep-alive']).toBe('timeout=620');
});

test('[S5] HEAD /sse opens no session', async () => {
  const { status, headers } = await send(`${served.url}/sse`, { method: 'HEAD' });
  expect([status, headers.allow]).toEqual([405, 'GET']);
  expect(served.orchestrator.registry.list()).toEqual([]);
  expect((await send(`${served.url}/health`, { method: 'HEAD' })).status).toBe(200);
});

test('[S3] a client cannot choose its session id', async () => {
  const stream = await new RawSse(served.url, { path: '/sse?sessionId=AAAAAAAAAAAAAAAAAAAAAA' }).whenAnnounced();
  expect(stream.sessionId).toMatch(/^[\w-]{22}$/);
  expect(stream.sessionId).not.toBe('AAAAAAAAAAAAAAAAAAAAAA');
  await stream.disconnect();
});

test('the root says where to go: a page for a browser, JSON for a program', async () => {
  const asked = await send(`${served.url}/`);
  expect(asked.json).toMatchObject({
    name: 'greenroom',
    mcp: `${served.url}/mcp`,
    inspector: `${served.url}/inspector`,
  });
  const page = await send(`${served.url}/`, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
  expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  expect(page.text).toContain(`claude mcp add --transport http greenroom ${served.url}/mcp`);
  expect(page.text).toContain(`<a href="${served.url}/inspector">`);
});

test('a route that does not exist is 404 in the words of the catalogue', async () => {
  for (const route of ['/nothing', '/sse/x', '/api', '/api/sessions/a/b', '/../etc/passwd', '//sse//']) {
    const reply = await send(`${served.url}${route}`);
    expect([reply.status, reply.json]).toMatchObject([404, refusedAs('not_found')]);
  }
});

test.each([
  ['an absolute target', 'GET http://elsewhere.example/health HTTP/1.1', 200],
  ['an asterisk', 'OPTIONS * HTTP/1.1', 404],
  ['a broken escape', 'DELETE /api/sessions/%zz HTTP/1.1', 404],
  ['two question marks', 'GET /health??a=?&&&=& HTTP/1.1', 200],
  ['a very long query', `GET /health?${'x'.repeat(10_000)} HTTP/1.1`, 200],
])('a request target that is %s is answered, and never with a stack', async (_name, line, status) => {
  const answer = await sendBytes(served.url, `${line}\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  expect(answer.split('\r\n')[0]).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer).not.toMatch(/node_modules|\bat \w+ \(/);
  expect((await send(`${served.url}/health`)).status).toBe(200);
});

test('nothing that HTTP cannot parse stops the server', async () => {
  const bytes = [
    '\u0000\u0001\u0002',
    'GET\r\n\r\n',
    `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n\r\n`,
    'GET / HTTP/9.9\r\n\r\n',
  ];
  for (const one of bytes) expect(await sendBytes(served.url, one)).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
  expect((await send(`${served.url}/health`)).status).toBe(200);
});

test('a body of huge depth, and one that reaches for prototypes, are messages like any other', async () => {
  const stream = await new RawSse(served.url).whenInitialized();
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
  const post = (body: string) =>
    send(new URL(stream.endpoint ?? '', served.url).href, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
  const nested = await post(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"deep":${deep}}}`);
  expect([202, 400]).toContain(nested.status);
  const polluting =
    '{"jsonrpc":"2.0","id":2,"method":"ping","__proto__":{"polluted":1},"params":{"__proto__":{"polluted":1}}}';
  expect((await post(polluting)).status).toBe(202);
  expect(await stream.answer(2)).toEqual({ jsonrpc: '2.0', id: 2, result: {} });
  expect({}).not.toHaveProperty('polluted');
  for (const method of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    expect(await stream.call(method, method)).toMatchObject({ error: { code: -32601 } });
    const tool = await stream.call(`tool ${method}`, 'tools/call', { name: method, arguments: {} });
    expect(tool).toMatchObject({ error: { code: -32602 } });
  }
  const group = await send(`${served.url}/sse?tools=__proto__,constructor`);
  expect(group.json).toMatchObject(refusedAs('invalid_parameter'));
  await stream.disconnect();
});

test('[C-HEALTH] /health counts sessions by state and user, requests and failed calls', async () => {
  const own = await startTestServer({ tools: new TestTools().all });
  const client = await connectClient(own.url, '/sse?userId=anna');
  const idle = await new RawSse(own.url, { path: '/sse?userId=bert' }).whenAnnounced();
  await client.callTool({ name: 'echo', arguments: { value: 'x' } });
  await client.callTool({ name: 'fail', arguments: { how: 'tool' } });
  const { json, headers } = await send(`${own.url}/health`);
  expect(headers['content-type']).toContain('application/json');
  expect(json).toEqual({
    status: 'ok',
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    sessions: { total: 2, active: 1, byState: { active: 1, connected: 1 }, byUser: { anna: 1, bert: 1 }, warm: 0 },
    browsers: { total: 2, ready: 2, connecting: 0, lost: 0, failed: 0, contexts: 2, queued: 0, memoryBytes: null },
    performance: {
      connects: { announced: 2, failed: 0, abandoned: 0, cancelled: 0, refused: 0 },
      totalConnections: 2,
      totalRequests: 3,
      totalErrors: 1,
      errorRate: '20.00%',
      avgConnectMs: expect.any(Number),
    },
    alerts: { creationFailureRate: 'ok' },
    uptime: expect.any(Number),
  });
  await Promise.all([client.close(), idle.disconnect()]);
  await own.close();
});

test('[C-OPERATOR] an operator sees each session and can close one: its client hears the end, others do not', async () => {
  const own = await startTestServer({ tools: new TestTools().all });
  const [one, other] = await Promise.all(
    ['anna', 'bert'].map((user) => new RawSse(own.url, { path: `/sse?userId=${user}` }).whenAnnounced()),
  );
  if (!one || !other) throw new Error('unreachable');
  await one.initialize();
  const { json } = await send(`${own.url}/api/sessions`);
  expect((json as { sessions: object[] }).sessions).toHaveLength(2);
  expect((json as { sessions: object[] }).sessions).toContainEqual(
    expect.objectContaining({ id: one.sessionId, user: 'anna', transport: 'sse', state: 'active', calls: 0 }),
  );
  expect((await send(`${own.url}/api/sessions/${one.sessionId}`, { method: 'DELETE' })).status).toBe(204);
  await one.whenClosed();
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  expect((await one.post(ping)).json).toMatchObject({ error: { data: { closedBecause: 'operator-closed' } } });
  expect(await other.call(1, 'ping')).toMatchObject({ result: {} });
  await other.disconnect();
  await own.close();
});

test('a defect of the server is 500 "internal" without details, and a line in the log with them', async () => {
  const lines: unknown[] = [];
  const log: Log = { ...silentLog, error: (message, fields) => void lines.push([message, fields]) };
  const own = await startTestServer({ log });
  const { registry } = own.orchestrator;
  registry.find = () => {
    throw new Error('secret detail');
  };
  for (const reply of [
    await postJson(`${own.url}/message?sessionId=x`, { jsonrpc: '2.0', id: 1, method: 'ping' }),
    await send(`${own.url}/api/sessions/x`, { method: 'DELETE' }),
  ]) {
    expect([reply.status, reply.json]).toMatchObject([500, { error: { code: -32603, data: { reason: 'internal' } } }]);
    expect(reply.text).not.toContain('secret');
  }
  expect(JSON.stringify(lines)).toContain('secret detail');
  await own.close();
});

test('[C-READY] /ready says yes while the server listens and no while it drains', async () => {
  const tools = new TestTools();
  const own = await startTestServer({ tools: tools.all });
  expect((await send(`${own.url}/ready`)).json).toEqual({ ready: true });
  const stream = await new RawSse(own.url).whenInitialized();
  await stream.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hold' } });
  await tools.whenHeld();
  const closed = own.close();
  const reply = await send(`${own.url}/ready`);
  expect([reply.status, reply.json]).toEqual([503, { ready: false }]);
  const mounted = await request(own.orchestrator.app).get('/ready').set('host', 'localhost');
  expect([mounted.status, mounted.body]).toEqual([503, { ready: false }]);
  const late = await postJson(`${own.url}/mcp`, initialize(1), { accept: 'application/json' });
  expect([late.status, late.json]).toMatchObject([503, { id: 1, error: { data: { reason: 'draining' } } }]);
  tools.releaseCalls();
  await closed;
});
