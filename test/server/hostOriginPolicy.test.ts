import type { OutgoingHttpHeaders } from 'node:http';
import { send, sendBytes } from '../support/http.js';
import { startTestServer, type TestServer } from '../support/testServer.js';

let served: TestServer;
beforeAll(async () => {
  served = await startTestServer();
});
afterAll(() => served.close());

const reasonOf = (json: unknown): unknown =>
  (json as { error?: { data?: { reason?: unknown } } } | undefined)?.error?.data?.reason;

const ask = async (headers: OutgoingHttpHeaders) => {
  const { status, json } = await send(`${served.url}/health`, { headers });
  return [status, reasonOf(json)];
};

test.each(['127.0.0.1', '127.0.0.1:8080', 'localhost', 'LOCALHOST:1', '[::1]', '[::1]:32122'])(
  'a request to Host %s is let in',
  async (host) => {
    expect(await ask({ host })).toEqual([200, undefined]);
  },
);

test.each([
  'rebind.example',
  'rebind.example:32122',
  'localhost.rebind.example',
  '127.0.0.1.rebind.example',
  'localhost@rebind.example',
  'rebind.example#localhost',
  '0.0.0.0',
  '192.168.0.1',
  '[::ffff:127.0.0.1]',
  'local host',
])('a request to Host "%s" is refused, whatever its name resolves to', async (host) => {
  expect(await ask({ host })).toEqual([403, 'forbidden_host']);
});

test('a request without a Host, or with an empty one, is refused', async () => {
  expect(await sendBytes(served.url, 'GET /health HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n')).toMatch(/ 403 /);
  expect(await sendBytes(served.url, 'GET /health HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 403 /);
});

test.each(['http://localhost', 'http://localhost:3000', 'https://127.0.0.1:8443', 'http://[::1]:5173'])(
  'a page of the Origin %s may connect',
  async (origin) => {
    expect(await ask({ origin })).toEqual([200, undefined]);
  },
);

test.each([
  'https://evil.example',
  'http://localhost.evil.example',
  'http://evil.example:32122',
  'http://localhost@evil.example',
  'null',
  '',
  'file://',
  'localhost',
  'chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
])('a page of the Origin "%s" may not connect', async (origin) => {
  expect(await ask({ origin })).toEqual([403, 'forbidden_origin']);
});

test('what a foreign page fetches without an Origin, as an image, opens no session', async () => {
  const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' };
  const { status, json } = await send(`${served.url}/sse`, { headers });
  expect([status, reasonOf(json)]).toEqual([403, 'forbidden_origin']);
  expect(served.orchestrator.registry.list()).toEqual([]);
});

test.each(['none', 'same-origin', 'same-site'])('what a browser calls %s is let in', async (from) => {
  expect(await ask({ 'sec-fetch-site': from })).toEqual([200, undefined]);
});

test.each(['http://localhost:3000'])('a page of the allowed Origin %s may connect across sites', async (origin) => {
  expect(await ask({ origin, 'sec-fetch-site': 'cross-site' })).toEqual([200, undefined]);
});

test('an Origin that is allowed by its full name is let in, another of the same scheme is not', async () => {
  const own = await startTestServer({
    options: { allowedOrigins: ['chrome-extension://abcdefghijklmnopabcdefghijklmnop'] },
  });
  const from = async (origin: string) => (await send(`${own.url}/health`, { headers: { origin } })).status;
  expect(await from('chrome-extension://abcdefghijklmnopabcdefghijklmnop')).toBe(200);
  expect(await from('chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')).toBe(403);
  await own.close();
});

test('an Origin that a proxy repeated counts once, and what else it repeats does not open the door', async () => {
  expect(await ask({ origin: 'http://localhost:3000, http://localhost:3000' })).toEqual([200, undefined]);
  expect(await ask({ origin: 'http://localhost:3000, http://evil.example' })).toEqual([403, 'forbidden_origin']);
  expect(await ask({ 'sec-fetch-site': ['cross-site', 'cross-site'] })).toEqual([403, 'forbidden_origin']);
});

test('the doors are in front of every route, also of those that do not exist', async () => {
  const headers = { host: 'rebind.example' };
  const routes = ['/sse', '/message', '/mcp', '/health', '/ready', '/api/sessions', '/nothing'];
  for (const route of routes) {
    for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
      expect((await send(`${served.url}${route}`, { method, headers })).status).toBe(403);
    }
  }
  expect(served.orchestrator.registry.list()).toEqual([]);
});
