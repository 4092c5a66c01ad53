import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { addressGuard } from '../../src/tenancy/browserAddress.js';
import { send, sendBytes } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { serve } from '../support/serve.js';
import { adminToken, bearer, serveGuarded, type Guarded } from './support/guarded.js';
import { withFolder } from './support/tempFolder.js';

let guarded: Guarded;
beforeAll(async () => {
  guarded = await serveGuarded();
});
afterAll(() => guarded.close());

const reasonOf = (json: unknown): unknown =>
  (json as { error?: { data?: { reason?: unknown } } } | undefined)?.error?.data?.reason;

const connect = (url: string, token: string) => new RawSse(url, { headers: bearer(token) });

test('[C-USERS] a user is registered once, shown, listed and removed', async () => {
  const { manage } = guarded;
  const created = await manage('POST', '/api/users', { id: 'anna@example.com' });
  expect([created.status, created.headers.location]).toEqual([201, '/api/users/anna%40example.com']);
  const user = { id: 'anna@example.com', createdAt: expect.stringMatching(/Z$/), tokens: 0, browsers: 0 };
  expect(created.json).toEqual(user);
  const again = await manage('POST', '/api/users', { id: 'anna@example.com' });
  expect([again.status, reasonOf(again.json)]).toEqual([409, 'already_registered']);
  expect((await manage('GET', '/api/users/anna@example.com')).json).toEqual(user);
  expect((await manage('GET', '/api/users')).json).toEqual({ users: [user] });
  expect((await manage('DELETE', '/api/users/anna@example.com')).status).toBe(204);
  const gone = await manage('GET', '/api/users/anna@example.com');
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
  const reply = await guarded.manage('POST', '/api/users', { id });
  expect([reply.status, reasonOf(reply.json)]).toEqual([400, 'invalid_parameter']);
  expect(reply.text.length).toBeLessThan(500);
  expect((await guarded.manage('GET', '/api/users')).json).toEqual({ users: [] });
});

test.each(['__proto__', 'constructor', 'a.b_c@d+e-f', 'x'.repeat(128)])(
  '[C-USERS] the user id %j is one like any other',
  async (id) => {
    expect((await guarded.manage('GET', `/api/users/${id}`)).status).toBe(404);
    expect((await guarded.manage('POST', '/api/users', { id })).status).toBe(201);
    expect((await guarded.manage('GET', `/api/users/${id}`)).json).toMatchObject({ id });
    expect((await guarded.manage('DELETE', `/api/users/${id}`)).status).toBe(204);
  },
);

test('[C-USERS] bodies with unknown fields, without a field, or that are no objects are refused by name', async () => {
  const { manage } = guarded;
  await manage('POST', '/api/users', { id: 'bodies' });
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
    const reply = await manage('POST', path, body);
    expect([path, body, reply.status, reasonOf(reply.json)]).toEqual([path, body, 400, 'invalid_parameter']);
    expect((reply.json as { error: { message: string } }).error.message).toContain(named);
  }
  expect((await manage('GET', '/api/users/bodies')).json).toMatchObject({ tokens: 0, browsers: 0 });
  await manage('DELETE', '/api/users/bodies');
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
  const put = await guarded.manage('PUT', '/api/users', { id: 'x' });
  expect([put.status, put.headers.allow]).toEqual([405, 'GET, POST']);
  const items = [
    ['DELETE', '/api/users/nobody'],
    ['GET', '/api/users/nobody/tokens'],
    ['POST', '/api/users/nobody/tokens'],
    ['DELETE', '/api/users/nobody/tokens/x'],
    ['DELETE', '/api/users/nobody/browsers/x'],
  ] as const;
  for (const [method, path] of items) {
    const reply = await guarded.manage(method, path, method === 'POST' ? {} : undefined);
    expect([reply.status, reasonOf(reply.json)]).toEqual([404, 'not_registered']);
  }
});

test("[C-AUTH] management, sessions and the full figures ask for the operator's token", async () => {
  const { token } = await guarded.tokenOf('curious');
  const wrong = [
    {},
    bearer('wrong'),
    bearer(token),
    bearer(`${adminToken}x`),
    { authorization: `Basic ${adminToken}` },
  ];
  const routes = ['/api/users', '/api/users/curious', '/api/users/curious/tokens', '/api/sessions', '/metrics'];
  for (const headers of wrong) {
    for (const path of routes) {
      const reply = await send(`${guarded.url}${path}`, { headers });
      expect([reply.status, reasonOf(reply.json)]).toEqual([401, 'unauthorized']);
      expect(reply.headers['www-authenticate']).toMatch(/^Bearer realm="greenroom"/);
    }
    const posted = await send(`${guarded.url}/api/users`, { method: 'POST', headers, body: '{"id":"intruder"}' });
    expect(posted.status).toBe(401);
    const { json } = await send(`${guarded.url}/health`, { headers });
    expect(Object.keys(json as object)).toEqual(['status', 'version', 'uptime']);
  }
  expect((await guarded.manage('GET', '/metrics')).text).toContain('greenroom_sessions');
  const full = await send(`${guarded.url}/health`, { headers: bearer(adminToken) });
  expect(full.json).toHaveProperty('sessions.byUser');
  expect((await guarded.manage('GET', '/api/users')).text).not.toContain('intruder');
  await guarded.manage('DELETE', '/api/users/curious');
});

test('[C-AUTH] a token opens sessions as its user; without one, with a wrong one or in the address nothing opens', async () => {
  const { token } = await guarded.tokenOf('anna');
  const stream = await connect(guarded.url, token).whenAnnounced();
  expect(guarded.served.orchestrator.registry.list().map(({ user }) => user)).toEqual(['anna']);
  const attempts: [string, object, string][] = [
    ['/sse', {}, 'A token is needed'],
    ['/sse?userId=anna', {}, 'A token is needed'],
    ['/sse', bearer('wrong'), 'not valid'],
    ['/sse', bearer(`gr_${'A'.repeat(43)}`), 'not valid'],
    ['/sse', bearer(adminToken), 'not valid'],
    [`/sse?access_token=${token}`, {}, 'is not read'],
    [`/sse?token=${token}`, {}, 'is not read'],
  ];
  for (const [path, headers, words] of attempts) {
    const reply = await send(`${guarded.url}${path}`, { headers: { ...headers } });
    expect([reply.status, reasonOf(reply.json)]).toEqual([401, 'unauthorized']);
    expect((reply.json as { error: { message: string } }).error.message).toContain(words);
    const isWrong = 'authorization' in headers;
    expect(String(reply.headers['www-authenticate']).includes('error="invalid_token"')).toBe(isWrong);
  }
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  expect((await stream.post(ping)).status).toBe(401);
  expect((await stream.post(ping, bearer(token))).status).toBe(202);
  expect(guarded.served.orchestrator.registry.list()).toHaveLength(1);
  await stream.hangUp();
  await guarded.manage('DELETE', '/api/users/anna');
});

test("[S6][C-AUTH] another user's session is unknown, byte for byte; another token of the same user keeps it", async () => {
  const [anna, annaAgain, bert] = [
    await guarded.tokenOf('anna'),
    await guarded.tokenOf('anna'),
    await guarded.tokenOf('bert'),
  ];
  const stream = await connect(guarded.url, anna.token).whenAnnounced();
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  const foreign = await stream.post(ping, bearer(bert.token));
  const invented = await send(`${guarded.url}/message?sessionId=AAAAAAAAAAAAAAAAAAAAAA`, {
    method: 'POST',
    headers: { ...bearer(bert.token), 'content-type': 'application/json' },
    body: JSON.stringify(ping),
  });
  const bytes = ({ status, text, headers: { date: _date, 'x-request-id': _id, ...headers } }: typeof foreign) => [
    status,
    text,
    headers,
  ];
  expect(bytes(foreign)).toEqual(bytes(invented));
  expect(reasonOf(foreign.json)).toBe('unknown');
  expect((await stream.post(ping, bearer(annaAgain.token))).status).toBe(202);
  expect(await stream.answer(1)).toMatchObject({ result: {} });
  await stream.hangUp();
  for (const user of ['anna', 'bert']) await guarded.manage('DELETE', `/api/users/${user}`);
});

test('[C-USERS] revoking a token ends the sessions that it opened, and no others', async () => {
  const [first, second] = [await guarded.tokenOf('anna', { label: 'laptop' }), await guarded.tokenOf('anna')];
  const [one, other] = [
    await connect(guarded.url, first.token).whenAnnounced(),
    await connect(guarded.url, second.token).whenAnnounced(),
  ];
  const listed = await guarded.manage('GET', '/api/users/anna/tokens');
  expect(listed.json).toEqual({
    tokens: [
      { id: first.id, label: 'laptop', createdAt: expect.any(String) },
      { id: second.id, createdAt: expect.any(String) },
    ],
  });
  expect((await guarded.manage('DELETE', `/api/users/anna/tokens/${first.id}`)).status).toBe(204);
  await one.whenClosed();
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  expect((await one.post(ping, bearer(first.token))).status).toBe(401);
  expect((await one.post(ping, bearer(second.token))).json).toMatchObject({
    error: { data: { reason: 'closed', closedBecause: 'operator-closed' } },
  });
  expect((await send(`${guarded.url}/sse`, { headers: bearer(first.token) })).status).toBe(401);
  expect((await other.post(ping, bearer(second.token))).status).toBe(202);
  expect((await guarded.manage('DELETE', `/api/users/anna/tokens/${first.id}`)).status).toBe(404);
  expect((await guarded.manage('DELETE', '/api/users/anna')).status).toBe(204);
  await other.whenClosed();
  expect(guarded.served.orchestrator.registry.list()).toEqual([]);
});

test('[C-USERS][S1] a token that is revoked while its session is set up opens none', async () => {
  const own = await serveGuarded();
  const { id, token } = await own.tokenOf('anna');
  own.served.pool.hold();
  const stream = connect(own.url, token);
  await own.served.pool.whenWaiting();
  const revoked = own.manage('DELETE', `/api/users/anna/tokens/${id}`);
  await stream.whenClosed();
  own.served.pool.open();
  expect((await revoked).status).toBe(204);
  expect([stream.endpoint, stream.status]).toEqual([undefined, 404]);
  await own.close();
});

test('[C-USERS][S1] a token that expires while its session is set up opens none', async () => {
  const clock = new ManualClock();
  const own = await serveGuarded({ clock });
  const { token } = await own.tokenOf('anna', { expiresIn: '2s' });
  own.served.pool.hold();
  const stream = connect(own.url, token);
  await own.served.pool.whenWaiting();
  clock.advance(2_000);
  own.served.pool.open();
  await stream.whenClosed();
  expect([stream.endpoint, stream.status]).toEqual([undefined, 401]);
  await own.close();
});

test('[C-USERS] a token that has expired is refused, and says when it does', async () => {
  const clock = new ManualClock();
  const own = await serveGuarded({ clock });
  const { token } = await own.tokenOf('anna', { expiresIn: '1h' });
  const { json } = await own.manage('GET', '/api/users/anna/tokens');
  expect(json).toMatchObject({ tokens: [{ expiresAt: '2026-01-01T01:00:00.000Z' }] });
  clock.advance(3_599_999);
  const stream = await connect(own.url, token).whenAnnounced();
  clock.advance(1);
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  expect((await stream.post(ping, bearer(token))).status).toBe(401);
  expect((await send(`${own.url}/sse`, { headers: bearer(token) })).status).toBe(401);
  await stream.hangUp();
  await own.close();
});

test('[C-USERS] a user has at most a hundred tokens, and a place is free again after one is revoked', async () => {
  const ids: string[] = [];
  for (let count = 0; count < 100; count += 1) ids.push((await guarded.tokenOf('rich')).id);
  const refused = await guarded.manage('POST', '/api/users/rich/tokens', {});
  expect([refused.status, reasonOf(refused.json)]).toEqual([409, 'too_many_records']);
  await guarded.manage('DELETE', `/api/users/rich/tokens/${ids[0]}`);
  expect((await guarded.manage('POST', '/api/users/rich/tokens', {})).status).toBe(201);
  await guarded.manage('DELETE', '/api/users/rich');
});

test.each([
  'http://169.254.169.254/latest/meta-data',
  'http://169.254.1.2:9222',
  'ws://169.254.169.254:9222/devtools',
  'http://2852039166/',
  'http://0xa9fea9fe:9222',
  'http://[fe80::1]:9222',
  'http://[fd00:ec2::254]',
  'http://[::ffff:169.254.169.254]:9222',
  'http://[64:ff9b::a9fe:a9fe]',
  'http://0.0.0.0:9222',
  'http://[::]:9222',
  'http://100.100.100.200',
  'http://255.255.255.255',
])('[C-USERS] a browser at %s is refused before anything is sent there', async (url) => {
  await guarded.manage('POST', '/api/users', { id: 'ssrf' });
  const reply = await guarded.manage('POST', '/api/users/ssrf/browsers', { url });
  expect([reply.status, reasonOf(reply.json)]).toEqual([403, 'forbidden_address']);
  expect((await guarded.manage('GET', '/api/users/ssrf/browsers')).json).toEqual({ browsers: [] });
  await guarded.manage('DELETE', '/api/users/ssrf');
});

test.each([
  'ftp://127.0.0.1',
  'file:///etc/passwd',
  'javascript:1',
  'chrome://version',
  '127.0.0.1:9222',
  '',
  'http://',
  'http://me:secret@127.0.0.1:9222',
  'ws://127.0.0.1:9222/?token=secret',
  'http://127.0.0.1:9222/#x',
])('[C-USERS] the browser address %j is no address of a browser', async (url) => {
  await guarded.manage('POST', '/api/users', { id: 'odd' });
  const reply = await guarded.manage('POST', '/api/users/odd/browsers', { url });
  expect([reply.status, reasonOf(reply.json)]).toEqual([400, 'invalid_parameter']);
  expect(reply.text).not.toContain('secret');
  await guarded.manage('DELETE', '/api/users/odd');
});

test('[C-USERS] a name is checked by what it resolves to, and what was checked is what is used', async () => {
  const guard = addressGuard([]);
  expect(await guard('http://localhost:9222/x')).toMatch(/^http:\/\/(127\.0\.0\.1|\[::1\]):9222\/x$/);
  expect(await guard('wss://localhost/x')).toBe('wss://localhost/x');
  await expect(guard('http://no-such-host.invalid:9222')).rejects.toMatchObject({ reason: 'browser_unreachable' });
  await expect(guard('http://169.254.169.254')).rejects.toMatchObject({ reason: 'forbidden_address' });
  expect(await addressGuard(['169.254.169.254'])('http://169.254.169.254:9222/')).toBe('http://169.254.169.254:9222/');
});

test('[C-USERS] a browser that does not answer, or leads elsewhere, is not registered, and the answer says what to do', async () => {
  let redirects = false;
  const evil = createServer((_request, response) => {
    if (redirects) response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    else response.end(JSON.stringify({ webSocketDebuggerUrl: 'ws://169.254.169.254:9222/devtools/browser/x' }));
  });
  await once(evil.listen(0, '127.0.0.1'), 'listening');
  const { port } = evil.address() as AddressInfo;
  await guarded.manage('POST', '/api/users', { id: 'anna' });
  const add = async (url: string) => {
    const reply = await guarded.manage('POST', '/api/users/anna/browsers', { url });
    return [reply.status, reasonOf(reply.json), reply.text] as const;
  };
  expect((await add(`http://127.0.0.1:${port}`)).slice(0, 2)).toEqual([403, 'forbidden_address']);
  redirects = true;
  expect((await add(`http://127.0.0.1:${port}`)).slice(0, 2)).toEqual([502, 'browser_unreachable']);
  evil.closeAllConnections();
  await once(evil.close(), 'close');
  const [status, reason, text] = await add(`http://127.0.0.1:${port}`);
  expect([status, reason]).toEqual([502, 'browser_unreachable']);
  expect(text).toMatch(new RegExp(`ECONNREFUSED.*--remote-debugging-port=${port}`));
  expect((await guarded.manage('GET', '/api/users/anna')).json).toMatchObject({ browsers: 0 });
  await guarded.manage('DELETE', '/api/users/anna');
});

test('[C-USERS] users, tokens and sessions of a restarted server go on with the same folder', () =>
  withFolder(async (folder) => {
    const first = await serveGuarded({ options: { dataDir: folder } });
    const { token } = await first.tokenOf('anna');
    const before = await connect(first.url, token).whenAnnounced();
    await expect(serve({ options: { auth: 'token', adminToken, dataDir: folder } })).rejects.toThrow(/is in use by/);
    await first.close();
    await before.whenClosed();
    const second = await serveGuarded({ options: { dataDir: folder } });
    const after = await connect(second.url, token).whenAnnounced();
    await after.hangUp();
    await second.close();
  }));

test('[C-USERS] without authentication the store is opened when it is first asked for, and what is wrong with it is told', () =>
  withFolder(async (folder) => {
    const options = { dataDir: folder };
    const [one, other] = [await serve({ options }), await serve({ options })];
    expect((await send(`${one.url}/api/users`)).json).toEqual({ users: [] });
    const refused = await send(`${other.url}/api/users`);
    expect([refused.status, reasonOf(refused.json)]).toEqual([507, 'storage_failed']);
    expect(refused.text).toContain(`process ${process.pid}`);
    const stream = await new RawSse(other.url, { path: '/sse?userId=anna' }).whenAnnounced();
    await stream.hangUp();
    await one.close();
    expect((await send(`${other.url}/api/users`)).status).toBe(200);
    await other.close();
  }));

test('[C-SECRETS] no token is in a log line, the store, or any answer but the one that shows it', async () => {
  const own = await serveGuarded();
  const { token, id } = await own.tokenOf('anna');
  const stream = await connect(own.url, token).whenAnnounced();
  await stream.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, bearer(token));
  const replies = await Promise.all([
    own.manage('GET', '/api/users'),
    own.manage('GET', '/api/users/anna/tokens'),
    own.manage('GET', '/api/sessions'),
    own.manage('GET', '/health'),
    own.manage('POST', '/api/users', { id: 'x', note: token, more: adminToken }),
    send(`${own.url}/sse?access_token=${token}`),
    send(`${own.url}/sse`, { headers: bearer(`${token}x`) }),
    send(`${own.url}/api/users/${token}`),
    send(`${own.url}/nothing/${token}`),
  ]);
  await own.manage('DELETE', `/api/users/anna/tokens/${id}`);
  await stream.whenClosed();
  const stored = await readFile(join(own.folder, 'users.json'), 'utf8');
  const everything = [stored, ...own.log, ...replies.map(({ text }) => text)].join('\n');
  expect(everything).toContain('anna');
  for (const secret of [token, token.slice(3), adminToken]) expect(everything).not.toContain(secret);
  await own.close();
});
