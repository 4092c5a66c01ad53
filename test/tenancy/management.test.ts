import { send, sendBytes } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer } from '../support/testServer.js';
import { adminToken, bearer, connect, reasonOf, serveGuarded, type GuardedServer } from './support/guardedServer.js';
import { withFolder } from './support/tempFolder.js';

let guarded: GuardedServer;
beforeAll(async () => {
  guarded = await serveGuarded();
});
afterAll(() => guarded.close());

test('[C-USERS] a user is registered once, shown, listed and removed', async () => {
  const { sendAsOperator } = guarded;
  const created = await sendAsOperator('POST', '/api/users', { id: 'anna@example.com' });
  expect([created.status, created.headers.location]).toEqual([201, '/api/users/anna%40example.com']);
  const user = { id: 'anna@example.com', createdAt: expect.stringMatching(/Z$/), tokens: 0, browsers: 0 };
  expect(created.json).toEqual(user);
  const again = await sendAsOperator('POST', '/api/users', { id: 'anna@example.com' });
  expect([again.status, reasonOf(again.json)]).toEqual([409, 'already_registered']);
  expect((await sendAsOperator('GET', '/api/users/anna@example.com')).json).toEqual(user);
  expect((await sendAsOperator('GET', '/api/users')).json).toEqual({ users: [user] });
  expect((await sendAsOperator('DELETE', '/api/users/anna@example.com')).status).toBe(204);
  const gone = await sendAsOperator('GET', '/api/users/anna@example.com');
  expect([gone.status, reasonOf(gone.json)]).toEqual([404, 'not_registered']);
});

test.each([
  '',
  '.',
  '..',
  '../etc/passwd',
  'a/b',
  'a\\b',
  'a b',
  'a\u0000b',
  'a\nb',
  'Анна',
  'user\u202e',
  'x'.repeat(129),
  'x'.repeat(10_000),
  '<script>',
  7,
  null,
  ['a'],
  { id: 'a' },
])('[C-USERS] the user id %j is refused, and nobody is registered', async (id) => {
  const reply = await guarded.sendAsOperator('POST', '/api/users', { id });
  expect([reply.status, reasonOf(reply.json)]).toEqual([400, 'invalid_parameter']);
  expect(reply.text.length).toBeLessThan(500);
  expect((await guarded.sendAsOperator('GET', '/api/users')).json).toEqual({ users: [] });
});

test('[C-ADMISSION] a quota of a user is refused with what is used and what frees it, and the operator sees who uses what', async () => {
  const bounded = await serveGuarded({ options: { userQuota: ['browser-time=0s', 'memory=2gb'] } });
  const { token } = await bounded.issueToken('anna');
  const refused = await send(`${bounded.url}/sse`, { headers: bearer(token) });
  expect([refused.status, refused.headers['retry-after'], reasonOf(refused.json)]).toEqual([
    429,
    '60',
    'quota_exceeded',
  ]);
  expect(refused.text).toMatch(/quota of browser-time is used up: 0 min of 0 min\. It starts again at 00:00 UTC/);
  expect(refused.text).toContain('--user-quota browser-time=0');
  const wrong = await bounded.sendAsOperator('PATCH', '/api/users/anna', { quotas: ['memory=much'] });
  expect([wrong.status, reasonOf(wrong.json)]).toEqual([400, 'invalid_parameter']);
  await bounded.sendAsOperator('PATCH', '/api/users/anna', { quotas: ['browser-time=8h'] });
  const session = await connect(bounded.url, token).whenAnnounced();
  const { json } = await bounded.sendAsOperator('GET', '/api/usage');
  const quotas = { 'browser-time': 8 * 36e5, memory: 2 * 1024 ** 3 };
  expect(json).toMatchObject({
    users: [{ user: 'anna', sessions: 1, keptBytes: expect.any(Number), diskBytes: 0, quotas }],
  });
  expect((await bounded.sendAsOperator('GET', '/api/sessions')).json).toMatchObject({
    sessions: [{ keptBytes: expect.any(Number) }],
  });
  expect((await send(`${bounded.url}/api/usage`, { headers: bearer(token) })).status).toBe(401);
  await session.disconnect();
  await bounded.close();
});

test.each(['__proto__', 'constructor', 'a.b_c@d+e-f', 'x'.repeat(128)])(
  '[C-USERS] the user id %j is one like any other',
  async (id) => {
    expect((await guarded.sendAsOperator('GET', `/api/users/${id}`)).status).toBe(404);
    expect((await guarded.sendAsOperator('POST', '/api/users', { id })).status).toBe(201);
    expect((await guarded.sendAsOperator('GET', `/api/users/${id}`)).json).toMatchObject({ id });
    expect((await guarded.sendAsOperator('DELETE', `/api/users/${id}`)).status).toBe(204);
  },
);

test('[C-USERS] bodies with unknown fields, without a field, or that are no objects are refused by name', async () => {
  const { sendAsOperator } = guarded;
  await sendAsOperator('POST', '/api/users', { id: 'bodies' });
  const cases: [string, unknown, string][] = [
    ['/api/users', { id: 'x', admin: true }, '"admin"'],
    ['/api/users', {}, '"id"'],
    ['/api/users', [], 'object'],
    ['/api/users', 'x', 'object'],
    ['/api/users/bodies/tokens', { expires: '1h' }, '"expires"'],
    ['/api/users/bodies/tokens', { label: 7 }, '"label"'],
    ['/api/users/bodies/tokens', { label: 'x'.repeat(201) }, '"label"'],
    ...['0s', '1', '-1s', 'soon', '999999h', 0, 999, 1e300].map((expiresIn): [string, unknown, string] => [
      '/api/users/bodies/tokens',
      { expiresIn },
      '"expiresIn"',
    ]),
    ['/api/users/bodies/browsers', {}, '"url"'],
    ['/api/users/bodies/browsers', { url: 'http://127.0.0.1:1', port: 1 }, '"port"'],
  ];
  for (const [path, body, named] of cases) {
    const reply = await sendAsOperator('POST', path, body);
    expect([path, body, reply.status, reasonOf(reply.json)]).toEqual([path, body, 400, 'invalid_parameter']);
    expect((reply.json as { error: { message: string } }).error.message).toContain(named);
  }
  expect((await sendAsOperator('GET', '/api/users/bodies')).json).toMatchObject({ tokens: 0, browsers: 0 });
  await sendAsOperator('DELETE', '/api/users/bodies');
});

test('[C-USERS] bodies that are no JSON, of another type or too large get the words of the catalogue', async () => {
  const post = async (headers: object, body: string) => {
    const given = { ...bearer(adminToken), ...headers };
    const reply = await send(`${guarded.url}/api/users`, { method: 'POST', headers: given, body });
    return [reply.status, reasonOf(reply.json)];
  };
  const json = { 'content-type': 'application/json' };
  expect(await post(json, '{"id":')).toEqual([400, 'parse_error']);
  expect(await post({ 'content-type': 'text/plain' }, '{"id":"x"}')).toEqual([415, 'unsupported_media_type']);
  expect(await post(json, JSON.stringify({ id: 'x'.repeat(5_000_000) }))).toEqual([413, 'too_large']);
});

test('[C-USERS] paths that try to leave, and verbs that do not exist, reach nothing', async () => {
  const raw = (line: string): Promise<string> =>
    sendBytes(
      guarded.url,
      `${line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${adminToken}\r\nConnection: close\r\n\r\n`,
    );
  for (const path of ['/api/users/..', '/api/users/%2e%2e', '/api/users/%2e%2e%2fetc', '/api/users/%00']) {
    expect(await raw(`GET ${path}`)).toMatch(/^HTTP\/1\.1 404 /);
  }
  const put = await guarded.sendAsOperator('PUT', '/api/users', { id: 'x' });
  expect([put.status, put.headers.allow]).toEqual([405, 'GET, POST']);
  const items = [
    ['DELETE', '/api/users/nobody'],
    ['GET', '/api/users/nobody/tokens'],
    ['POST', '/api/users/nobody/tokens'],
    ['DELETE', '/api/users/nobody/tokens/x'],
    ['DELETE', '/api/users/nobody/browsers/x'],
  ] as const;
  for (const [method, path] of items) {
    const reply = await guarded.sendAsOperator(method, path, method === 'POST' ? {} : undefined);
    expect([reply.status, reasonOf(reply.json)]).toEqual([404, 'not_registered']);
  }
});

test('[C-USERS] users, tokens and sessions of a restarted server go on with the same folder', () =>
  withFolder(async (folder) => {
    const first = await serveGuarded({ options: { dataDir: folder } });
    const { token } = await first.issueToken('anna');
    const before = await connect(first.url, token).whenAnnounced();
    await expect(startTestServer({ options: { auth: 'token', adminToken, dataDir: folder } })).rejects.toThrow(
      /is in use by/,
    );
    await first.close();
    await before.whenClosed();
    const second = await serveGuarded({ options: { dataDir: folder } });
    const after = await connect(second.url, token).whenAnnounced();
    await after.disconnect();
    await second.close();
  }));

test('[C-USERS] without authentication the store is opened when it is first asked for, and what is wrong with it is told', () =>
  withFolder(async (folder) => {
    const options = { dataDir: folder };
    const [one, other] = [await startTestServer({ options }), await startTestServer({ options })];
    expect((await send(`${one.url}/api/users`)).json).toEqual({ users: [] });
    const refused = await send(`${other.url}/api/users`);
    expect([refused.status, reasonOf(refused.json)]).toEqual([507, 'storage_failed']);
    expect(refused.text).toContain(`process ${process.pid}`);
    const stream = await new RawSse(other.url, { path: '/sse?userId=anna' }).whenAnnounced();
    await stream.disconnect();
    await one.close();
    expect((await send(`${other.url}/api/users`)).status).toBe(200);
    await other.close();
  }));
