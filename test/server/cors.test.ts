import type { OutgoingHttpHeaders } from 'node:http';
import { postJson, send, type Reply } from '../support/http.js';
import { initialize, ping } from '../support/messages.js';
import { bearer, serveGuarded } from '../tenancy/support/guardedServer.js';
import { startTestServer, type TestServer } from '../support/testServer.js';

const page = 'http://localhost:6274';
const app = 'app://obsidian.md';
const extension = 'chrome-extension://abcdefghijklmnopabcdefghijklmnop';

let served: TestServer;
beforeAll(async () => {
  served = await startTestServer({
    options: { allowedOrigins: ['localhost', app, `${extension}/`, 'vscode-webview://1a2b', 'https://Web.example'] },
  });
});
afterAll(() => served.close());

const reasonOf = ({ json }: Reply): unknown =>
  (json as { error?: { data?: { reason?: unknown } } } | undefined)?.error?.data?.reason;

const routes = ['/mcp', '/sse', '/message', '/ws', '/health', '/ready', '/api/sessions', '/inspector', '/nothing'];
const requestedHeaders = 'mcp-protocol-version, mcp-session-id, authorization, content-type, last-event-id, mcp-method';

const preflight = (route: string, origin: string): Promise<Reply> =>
  send(`${served.url}${route}`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': requestedHeaders,
      'access-control-request-private-network': 'true',
    },
  });

test.each(routes)('the preflight of a page of an allowed origin is answered at %s', async (route) => {
  for (const origin of [page, app, extension, 'vscode-webview://1a2b', 'https://web.example']) {
    const { status, headers, text } = await preflight(route, origin);
    expect([status, text]).toEqual([204, '']);
    expect(headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'GET, POST, DELETE',
      'access-control-allow-headers': requestedHeaders,
      'access-control-allow-private-network': 'true',
      vary: 'Origin',
    });
    expect(headers['access-control-allow-credentials']).toBeUndefined();
  }
});

test.each(['https://evil.example', 'null', 'file://', 'app://localhost', 'http://web.example', `${extension}x`])(
  'the preflight of a page of the Origin %s is refused, and shares nothing',
  async (origin) => {
    const reply = await preflight('/mcp', origin);
    expect([reply.status, reasonOf(reply)]).toEqual([403, 'forbidden_origin']);
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  },
);

test.each<[string, string, OutgoingHttpHeaders, number]>([
  ['an answer', '/mcp', { accept: 'application/json' }, 200],
  ['a session that is unknown', '/message?sessionId=x', {}, 404],
  ['a route that does not exist', '/nothing', {}, 404],
  ['a method that does not exist', '/health', {}, 405],
  ['a media type that is not JSON', '/mcp', { 'content-type': 'text/plain' }, 415],
])('%s can be read by a page of an allowed origin', async (_what, path, headers, status) => {
  const reply = await postJson(`${served.url}${path}`, initialize(1), { origin: page, ...headers });
  expect(reply.status).toBe(status);
  expect(reply.headers).toMatchObject({ 'access-control-allow-origin': page, vary: 'Origin' });
  for (const name of ['Mcp-Session-Id', 'WWW-Authenticate', 'Retry-After'])
    expect(reply.headers['access-control-expose-headers']).toContain(name);
});

test('what is asked without an Origin is answered without CORS headers, and OPTIONS that is no preflight as before', async () => {
  const reply = await postJson(`${served.url}/mcp`, initialize(1), { accept: 'application/json' });
  expect(reply.headers['access-control-allow-origin']).toBeUndefined();
  const { status, headers } = await send(`${served.url}/health`, { method: 'OPTIONS', headers: { origin: page } });
  expect([status, headers.allow]).toEqual([405, 'GET']);
});

test('an app that uses the network stack of a browser sends JSON across sites without an Origin; a page cannot', async () => {
  const crossSite = { 'sec-fetch-site': 'cross-site', accept: 'application/json' };
  const opened = await postJson(`${served.url}/mcp`, initialize(1), crossSite);
  expect(opened.status).toBe(200);
  const session = { ...crossSite, 'mcp-session-id': String(opened.headers['mcp-session-id']) };
  expect((await postJson(`${served.url}/mcp`, ping(2), session)).status).toBe(200);
  expect((await send(`${served.url}/mcp`, { method: 'DELETE', headers: session })).status).toBe(204);
  const before = served.orchestrator.registry.list().length;
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'text/application/json',
  ]) {
    const forged = await postJson(`${served.url}/mcp`, initialize(1), { ...crossSite, 'content-type': type });
    expect([forged.status, reasonOf(forged)]).toEqual([403, 'forbidden_origin']);
  }
  expect((await send(`${served.url}/sse`, { headers: { 'sec-fetch-site': 'cross-site' } })).status).toBe(403);
  expect(served.orchestrator.registry.list()).toHaveLength(before);
});

test('a 403 names the host or the origin that was seen, and how to allow it', async () => {
  const ask = async (headers: OutgoingHttpHeaders) => (await send(`${served.url}/health`, { headers })).text;
  expect(await ask({ host: 'greenroom:32122' })).toMatch(/greenroom:32122.*--allowed-hosts greenroom[^:]/);
  expect(await ask({ origin: 'https://evil.example' })).toMatch(/https:\/\/evil\.example.*--allowed-origins/);
  expect(await ask({ origin: 'null' })).toContain('cannot be allowed');
  expect((await ask({ host: `${'a'.repeat(5_000)}.example` })).length).toBeLessThan(1_000);
});

test.each(['localhost.', 'LOCALHOST.:32122'])('the complete name %s of an allowed host is let in', async (host) => {
  expect((await send(`${served.url}/health`, { headers: { host } })).status).toBe(200);
  expect((await send(`${served.url}/health`, { headers: { origin: `http://${host}` } })).status).toBe(200);
});

test('a host that is allowed with its port is let in with that port only', async () => {
  const own = await startTestServer({ options: { allowedHosts: ['mcp.example:8443', 'Other.example.'] } });
  const from = async (host: string) => (await send(`${own.url}/health`, { headers: { host } })).status;
  expect(await Promise.all(['mcp.example:8443', 'mcp.example', 'mcp.example:1'].map(from))).toEqual([200, 403, 403]);
  expect(await Promise.all(['other.example', 'OTHER.example.:99', 'another.example'].map(from))).toEqual([
    200, 200, 403,
  ]);
  await own.close();
});

test('with authentication every origin and host can be allowed, but for null; who asks needs a token all the same', async () => {
  const guarded = await serveGuarded({ options: { allowedOrigins: ['*'], allowedHosts: ['*'] } });
  const { token } = await guarded.issueToken('anna');
  const from = (origin: string, headers: OutgoingHttpHeaders) =>
    postJson(`${guarded.url}/mcp`, initialize(1), { accept: 'application/json', origin, ...headers });
  const refused = await from('https://any.example', {});
  expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([401, 'https://any.example']);
  expect(refused.headers['www-authenticate']).toContain('Bearer');
  const opened = await from('https://any.example', { ...bearer(token), host: 'any.example' });
  expect([opened.status, opened.headers['access-control-allow-origin']]).toEqual([200, 'https://any.example']);
  for (const origin of ['null', 'file://', 'nonsense']) expect((await from(origin, bearer(token))).status).toBe(403);
  await guarded.close();
});
