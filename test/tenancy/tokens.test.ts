import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { adminToken, bearer, connect, reasonOf, serveGuarded, type GuardedServer } from './support/guardedServer.js';

let guarded: GuardedServer;
beforeAll(async () => {
  guarded = await serveGuarded();
});
afterAll(() => guarded.close());

test("[C-AUTH] management, sessions and the full figures ask for the operator's token", async () => {
  const { token } = await guarded.issueToken('curious');
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
  expect((await guarded.sendAsOperator('GET', '/metrics')).text).toContain('greenroom_sessions');
  const full = await send(`${guarded.url}/health`, { headers: bearer(adminToken) });
  expect(full.json).toHaveProperty('sessions.byUser');
  expect((await guarded.sendAsOperator('GET', '/api/users')).text).not.toContain('intruder');
  await guarded.sendAsOperator('DELETE', '/api/users/curious');
});

test('[C-AUTH] a token opens sessions as its user; without one, with a wrong one or in the address nothing opens', async () => {
  const { token } = await guarded.issueToken('anna');
  const stream = await connect(guarded.url, token).whenAnnounced();
  expect(guarded.served.orchestrator.registry.list().map(({ user }) => user)).toEqual(['anna']);
  const attempts: [string, object, string][] = [
    ['/sse', {}, 'A valid token is required'],
    ['/sse?userId=anna', {}, 'A valid token is required'],
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
  await stream.disconnect();
  await guarded.sendAsOperator('DELETE', '/api/users/anna');
});

test("[S6][C-AUTH] another user's session is unknown, byte for byte; another token of the same user keeps it", async () => {
  const [anna, annaAgain, bert] = [
    await guarded.issueToken('anna'),
    await guarded.issueToken('anna'),
    await guarded.issueToken('bert'),
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
  await stream.disconnect();
  for (const user of ['anna', 'bert']) await guarded.sendAsOperator('DELETE', `/api/users/${user}`);
});

test('[C-USERS] revoking a token ends the sessions that it opened, and no others', async () => {
  const [first, second] = [await guarded.issueToken('anna', { label: 'laptop' }), await guarded.issueToken('anna')];
  const [one, other] = [
    await connect(guarded.url, first.token).whenAnnounced(),
    await connect(guarded.url, second.token).whenAnnounced(),
  ];
  const listed = await guarded.sendAsOperator('GET', '/api/users/anna/tokens');
  expect(listed.json).toEqual({
    tokens: [
      { id: first.id, label: 'laptop', createdAt: expect.any(String), lastUsedAt: expect.any(String) },
      { id: second.id, createdAt: expect.any(String), lastUsedAt: expect.any(String) },
    ],
  });
  expect((await guarded.sendAsOperator('DELETE', `/api/users/anna/tokens/${first.id}`)).status).toBe(204);
  await one.whenClosed();
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  expect((await one.post(ping, bearer(first.token))).status).toBe(401);
  expect((await one.post(ping, bearer(second.token))).json).toMatchObject({
    error: { data: { reason: 'closed', closedBecause: 'operator-closed' } },
  });
  expect((await send(`${guarded.url}/sse`, { headers: bearer(first.token) })).status).toBe(401);
  expect((await other.post(ping, bearer(second.token))).status).toBe(202);
  expect((await guarded.sendAsOperator('DELETE', `/api/users/anna/tokens/${first.id}`)).status).toBe(404);
  expect((await guarded.sendAsOperator('DELETE', '/api/users/anna')).status).toBe(204);
  await other.whenClosed();
  expect(guarded.served.orchestrator.registry.list()).toEqual([]);
});

test('[C-USERS][S1] a token that is revoked while its session is set up opens none', async () => {
  const own = await serveGuarded();
  const { id, token } = await own.issueToken('anna');
  own.served.pool.holdLeases();
  const stream = connect(own.url, token);
  await own.served.pool.whenWaiting();
  const revoked = own.sendAsOperator('DELETE', `/api/users/anna/tokens/${id}`);
  await stream.whenClosed();
  own.served.pool.releaseLeases();
  expect((await revoked).status).toBe(204);
  expect([stream.endpoint, stream.status]).toEqual([undefined, 404]);
  await own.close();
});

test('[C-USERS][S1] a token that expires while its session is set up opens none', async () => {
  const clock = new ManualClock();
  const own = await serveGuarded({ clock });
  const { token } = await own.issueToken('anna', { expiresIn: '2s' });
  own.served.pool.holdLeases();
  const stream = connect(own.url, token);
  await own.served.pool.whenWaiting();
  clock.advance(2_000);
  own.served.pool.releaseLeases();
  await stream.whenClosed();
  expect([stream.endpoint, stream.status]).toEqual([undefined, 401]);
  await own.close();
});

test('[C-USERS] a token that has expired is refused, and says when it does', async () => {
  const clock = new ManualClock();
  const own = await serveGuarded({ clock });
  const { token } = await own.issueToken('anna', { expiresIn: '1h' });
  const { json } = await own.sendAsOperator('GET', '/api/users/anna/tokens');
  expect(json).toMatchObject({ tokens: [{ expiresAt: '2026-01-01T01:00:00.000Z' }] });
  clock.advance(3_599_999);
  const stream = await connect(own.url, token).whenAnnounced();
  clock.advance(1);
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  expect((await stream.post(ping, bearer(token))).status).toBe(401);
  expect((await send(`${own.url}/sse`, { headers: bearer(token) })).status).toBe(401);
  await stream.disconnect();
  await own.close();
});

test('[C-USERS] a user has at most a hundred tokens, and a place is free again after one is revoked', async () => {
  const ids: string[] = [];
  for (let count = 0; count < 100; count += 1) ids.push((await guarded.issueToken('rich')).id);
  const refused = await guarded.sendAsOperator('POST', '/api/users/rich/tokens', {});
  expect([refused.status, reasonOf(refused.json)]).toEqual([409, 'too_many_records']);
  await guarded.sendAsOperator('DELETE', `/api/users/rich/tokens/${ids[0]}`);
  expect((await guarded.sendAsOperator('POST', '/api/users/rich/tokens', {})).status).toBe(201);
  await guarded.sendAsOperator('DELETE', '/api/users/rich');
});

test('[C-SECRETS] no token is in a log line, the store, or any answer but the one that shows it', async () => {
  const own = await serveGuarded();
  const { token, id } = await own.issueToken('anna');
  const stream = await connect(own.url, token).whenAnnounced();
  await stream.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, bearer(token));
  const replies = await Promise.all([
    own.sendAsOperator('GET', '/api/users'),
    own.sendAsOperator('GET', '/api/users/anna/tokens'),
    own.sendAsOperator('GET', '/api/sessions'),
    own.sendAsOperator('GET', '/health'),
    own.sendAsOperator('POST', '/api/users', { id: 'x', note: token, more: adminToken }),
    send(`${own.url}/sse?access_token=${token}`),
    send(`${own.url}/sse`, { headers: bearer(`${token}x`) }),
    send(`${own.url}/api/users/${token}`),
    send(`${own.url}/nothing/${token}`),
  ]);
  await own.sendAsOperator('DELETE', `/api/users/anna/tokens/${id}`);
  await stream.whenClosed();
  const stored = await readFile(join(own.folder, 'users.json'), 'utf8');
  const everything = [stored, ...own.log, ...replies.map(({ text }) => text)].join('\n');
  expect(everything).toContain('anna');
  for (const secret of [token, token.slice(3), adminToken]) expect(everything).not.toContain(secret);
  await own.close();
});

test('[C-AUTH] the token of the figures reads them and nothing else, and is shown nowhere', async () => {
  const metricsToken = 'the-figures-token-of-this-test';
  const own = await serveGuarded({ options: { metricsToken } });
  const headers = bearer(metricsToken);
  const metrics = await send(`${own.url}/metrics`, { headers });
  expect([metrics.status, metrics.text]).toEqual([200, expect.stringContaining('greenroom_sessions')]);
  expect((await send(`${own.url}/health`, { headers })).json).toHaveProperty('sessions.total');
  for (const path of ['/api/users', '/api/sessions', '/inspector', '/sse', '/mcp'])
    expect([path, (await send(`${own.url}${path}`, { headers })).status]).toEqual([path, 401]);
  const created = await send(`${own.url}/api/users`, { method: 'POST', headers, body: '{"id":"intruder"}' });
  expect(created.status).toBe(401);
  expect(own.log.join()).not.toContain(metricsToken);
  await own.close();
});

test('[C-LOG] each change of users and tokens is a line, without any secret', async () => {
  const own = await serveGuarded();
  const { id, token } = await own.issueToken('anna', { label: 'laptop' });
  await own.sendAsOperator('DELETE', `/api/users/anna/tokens/${id}`);
  await own.sendAsOperator('DELETE', '/api/users/anna');
  const lines = own.log.filter((line) => /"(user|token) (registered|issued|revoked|removed)"/.test(line));
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    ['user registered', { user: 'anna' }],
    ['token issued', { user: 'anna', token: id, label: 'laptop' }],
    ['token revoked', { user: 'anna', token: id }],
    ['user removed', { user: 'anna', tokens: 0 }],
  ]);
  expect(own.log.join()).not.toContain(token);
  await own.close();
});
