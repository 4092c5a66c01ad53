import { catalogue, Refusal, type Reason } from '../../src/errors/errors.js';
import { Gate, nextTurn } from '../support/gate.js';
import { postJson, send, type Reply } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer, type TestServerOptions } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

const exercised = new Set<Reason>();

/** Reasons that no request of this file can cause, with the test that owns them. */
const elsewhere: Partial<Record<Reason, string>> = {
  internal: 'test/server/app.test.ts',
  too_many_viewers: 'test/inspector/viewers.test.ts',
  unauthorized: 'test/tenancy/management.test.ts',
  issuer_unreachable: 'test/tenancy/jwt.test.ts',
  store_unreachable: 'test/cluster/failClosed.test.ts',
  node_lost: 'test/cluster/takeover.test.ts',
  quota_exceeded: 'test/session/userQuotas.test.ts',
  forbidden_address: 'test/tenancy/management.test.ts',
  not_registered: 'test/tenancy/management.test.ts',
  already_registered: 'test/tenancy/management.test.ts',
  too_many_records: 'test/tenancy/management.test.ts',
  storage_failed: 'test/tenancy/userFileStore.test.ts',
  unknown_event: 'test/transport/streamableHttpResume.test.ts',
  gap: 'test/transport/streamableHttpResume.test.ts',
  not_initialized: 'test/mcp/handshake.test.ts',
  already_initialized: 'test/mcp/handshake.test.ts',
  unsupported_version: 'test/transport/streamableHttp.test.ts',
  not_acceptable: 'test/transport/streamableHttp.test.ts',
  header_mismatch: 'test/transport/statelessHttp.test.ts',
  missing_capability: 'test/transport/statelessHttp.test.ts',
  unsupported_revision: 'test/transport/statelessHttp.test.ts',
  invalid_envelope: 'test/transport/statelessHttp.test.ts',
  invalid_input: 'test/mcp/inputRounds.test.ts',
  unknown_method: 'test/transport/statelessHttp.test.ts',
  invalid_upgrade: 'test/transport/webSocketHandshake.test.ts',
  upgrade_required: 'test/transport/webSocketHandshake.test.ts',
  unknown_task: 'test/mcp/tasks.test.ts',
};

/** The answer is exactly what the catalogue says of `reason`. */
function expectRefusal(reply: Reply, reason: Reason, id: unknown, data: object = {}): void {
  const { status, code, retryable } = catalogue[reason];
  expect(reply.status).toBe(status);
  expect(reply.headers['content-type']).toBe('application/json');
  expect(reply.json).toEqual({
    jsonrpc: '2.0',
    id,
    error: { code, message: expect.any(String), data: expect.objectContaining({ reason, ...data }) },
  });
  const inTime = retryable && (status === 503 || status === 429);
  expect(reply.headers['retry-after'] === undefined).toBe(!inTime);
  exercised.add(reason);
}

/** Serves, runs, and checks that the session and the server went on and left nothing behind. */
async function withStream(
  given: TestServerOptions,
  run: (served: TestServer, stream: RawSse) => Promise<void>,
): Promise<void> {
  const served = await startTestServer({ tools: new TestTools().all, ...given });
  const stream = await new RawSse(served.url).whenInitialized();
  await run(served, stream);
  expect(await stream.call('afterwards', 'ping')).toMatchObject({ result: {} });
  await stream.disconnect();
  await served.close();
}

const ping = { jsonrpc: '2.0', id: 'mine', method: 'ping' };

test('missing_session: a message without a session id echoes the id of the request', () =>
  withStream({}, async ({ url }) => {
    expectRefusal(await postJson(`${url}/message`, ping), 'missing_session', 'mine');
    expectRefusal(await postJson(`${url}/message?sessionId=`, { ...ping, id: 7 }), 'missing_session', 7);
  }));

test('[S3] unknown: an invented id, and the id of somebody else, are answered with the same bytes', () =>
  withStream({}, async ({ url }, stream) => {
    const invented = await postJson(`${url}/message?sessionId=AAAAAAAAAAAAAAAAAAAAAA`, ping);
    expectRefusal(invented, 'unknown', 'mine');
    const foreign = await postJson(`${url}/message?sessionId=${stream.sessionId}&userId=bert`, ping);
    expect([foreign.status, foreign.text]).toEqual([invented.status, invented.text]);
    expectRefusal(await send(`${url}/api/sessions/nobody`, { method: 'DELETE' }), 'unknown', null);
  }));

test('[S3] closed: who owned the session hears why it ended, everybody else that it is unknown', () =>
  withStream({}, async ({ url, orchestrator }) => {
    const other = await new RawSse(url, { path: '/sse?userId=anna' }).whenAnnounced();
    const session = orchestrator.registry.find(other.sessionId, 'anyone');
    await other.disconnect();
    await session.ended;
    await nextTurn();
    expectRefusal(await other.post(ping), 'closed', 'mine', { closedBecause: 'client-closed' });
    const address = `${url}/message?sessionId=${other.sessionId}`;
    expectRefusal(await postJson(`${address}&userId=anna`, ping), 'closed', 'mine');
    expectRefusal(await postJson(`${address}&userId=bert`, ping), 'unknown', 'mine');
  }));

test('[S3] not_ready: a message that comes early is told the state and when to come again, and is lost', () =>
  withStream({}, async ({ url, pool, orchestrator }) => {
    pool.holdLeases();
    const early = new RawSse(url);
    await pool.whenWaiting();
    const [first, session] = orchestrator.registry.list();
    expect(first?.state).toBe('active');
    const reply = await postJson(`${url}/message?sessionId=${session?.id}`, ping);
    expectRefusal(reply, 'not_ready', 'mine', { state: 'created', retryAfterMs: 500 });
    expect(reply.headers['retry-after']).toBe('1');
    pool.releaseLeases();
    await early.whenAnnounced();
    await early.call('second', 'ping');
    expect(early.answersTo('mine')).toEqual([]);
    await early.disconnect();
  }));

test('invalid_parameter: a query parameter that is not allowed is named, and nothing is created', () =>
  withStream({}, async ({ url, orchestrator }, stream) => {
    const group = await send(`${url}/sse?tools=core,nothing`);
    expectRefusal(group, 'invalid_parameter', null);
    expect(group.text).toContain('nothing');
    expectRefusal(await send(`${url}/sse?userId=${encodeURIComponent('a b/../c')}`), 'invalid_parameter', null);
    expectRefusal(await send(`${url}/sse?userId=`), 'invalid_parameter', null);
    const post = await postJson(`${url}/message?sessionId=${stream.sessionId}&userId=%00`, ping);
    // Whoever asks is refused before the body, with the id in it, is read.
    expectRefusal(post, 'invalid_parameter', null);
    expect(orchestrator.registry.list()).toHaveLength(1);
  }));

test('[S10] too_many_sessions: past a cap nothing is created, and a place that is left is free again', async () => {
  const served = await startTestServer({ options: { maxSessions: 3, maxSessionsPerUser: 2 } });
  const open = (user: string) => new RawSse(served.url, { path: `/sse?userId=${user}` }).whenAnnounced();
  const [first] = await Promise.all([open('anna'), open('anna')]);
  const perUser = await send(`${served.url}/sse?userId=anna`);
  expectRefusal(perUser, 'too_many_sessions', null, { limit: '--max-sessions-per-user 2' });
  await open('bert');
  expectRefusal(await send(`${served.url}/sse?userId=carl`), 'too_many_sessions', null, { limit: '--max-sessions 3' });
  expect(served.pool.opened).toHaveLength(3);
  const session = served.orchestrator.registry.find(first.sessionId, 'anyone');
  await first.disconnect();
  await session.ended;
  await open('carl');
  await served.close();
});

test('[S10] queue_full: the 257th request in flight is refused, and room is made by an answer', async () => {
  const tools = new TestTools();
  await withStream({ tools: tools.all }, async (_served, stream) => {
    const call = (id: number) => stream.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'hold' } });
    const replies = await Promise.all(Array.from({ length: 256 }, (_, id) => call(id)));
    expect(replies.every(({ status }) => status === 202)).toBe(true);
    expectRefusal(await call(256), 'queue_full', 256, { limit: '256 requests in flight' });
    tools.releaseCalls();
    await stream.when(({ messages }) => messages.length === 256);
  });
});

test('[C-ADMISSION] rate_limited: one message more than a user may send in a minute', async () => {
  const served = await startTestServer({ options: { requestRate: 1 } });
  const stream = await new RawSse(served.url).whenAnnounced();
  expect((await stream.post(ping)).status).toBe(202);
  expectRefusal(await stream.post(ping), 'rate_limited', null, { limit: '--request-rate 1' });
  await stream.disconnect();
  await served.close();
});

test('draining: no session is opened and no request taken while the server ends', async () => {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all });
  const stream = await new RawSse(served.url).whenInitialized();
  await stream.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hold' } });
  await tools.whenHeld();
  const drained = served.orchestrator.registry.drain();
  expectRefusal(await send(`${served.url}/sse`), 'draining', null);
  expectRefusal(await stream.post(ping), 'draining', 'mine');
  expect((await stream.post({ jsonrpc: '2.0', method: 'notifications/initialized' })).status).toBe(202);
  tools.releaseCalls();
  await stream.answer(1);
  await Promise.all([drained, stream.whenClosed()]);
  await served.close();
});

test.each<[Reason, string]>([
  ['browser_unreachable', 'Nothing answers at http://127.0.0.1:9222.'],
  ['browser_failed', 'No Chrome was found: run greenroom install-browser.'],
  ['browsers_busy', 'Both browser processes are taken.'],
])('[S8] %s: the client hears at once why its session cannot be had', async (reason, cause) => {
  const served = await startTestServer();
  served.pool.holdLeases();
  const reply = send(`${served.url}/sse`);
  await served.pool.whenWaiting();
  served.pool.failLeases(reason, cause);
  expectRefusal(await reply, reason, null);
  expect((await reply).json).toMatchObject({ error: { message: cause } });
  expect(served.orchestrator.registry.list()).toEqual([]);
  await served.close();
});

test('[S8] setup_failed: what an embedder throws is the answer', async () => {
  const served = await startTestServer({ onSession: () => Promise.reject(new Error('The licence has run out.')) });
  const reply = await send(`${served.url}/sse`);
  expectRefusal(reply, 'setup_failed', null);
  expect(reply.text).toContain('The licence has run out.');
  await served.close();
});

test('[S8][S5] setup_timeout: a set-up that takes too long is cancelled, and what it opens late is closed', async () => {
  const gate = new Gate();
  let signal: AbortSignal | undefined;
  const onSession = (_session: unknown, given: AbortSignal): Promise<void> => {
    signal = given;
    return gate.pass();
  };
  const clock = new ManualClock();
  const served = await startTestServer({ onSession, clock, options: { setupTimeout: 1_000 } });
  served.pool.holdLeases();
  const reply = send(`${served.url}/sse`);
  await gate.whenReached();
  clock.advance(1_000);
  expectRefusal(await reply, 'setup_timeout', null);
  expect(signal?.aborted).toBe(true);
  gate.open();
  served.pool.releaseLeases();
  await nextTurn();
  expect(served.pool.opened).toHaveLength(1);
  expect(served.pool.closed).toEqual(served.pool.opened);
  await served.close();
});

test('[S12][S1] a session that cannot be claimed is never announced, and its client hears the cause', async () => {
  const refusal = new Refusal('draining', { detail: 'The directory cannot be reached.' });
  const served = await startTestServer({ directory: { claim: () => Promise.reject(refusal) } });
  const stream = new RawSse(served.url);
  await stream.whenClosed();
  expect(stream.status).toBe(503);
  expect(stream.events).toEqual([]);
  expect(JSON.parse(stream.text)).toMatchObject({ error: { message: 'The directory cannot be reached.' } });
  expect(served.pool.closed).toHaveLength(1);
  await served.close();
});

test('malformed bodies: not JSON, too large, not application/json, compressed, another charset', () =>
  withStream({ options: { bodyLimit: 1_000 } }, async ({ url }, stream) => {
    const address = `${url}${stream.endpoint}`;
    const body = JSON.stringify(ping);
    const post = (headers: Record<string, string>, sent: string) =>
      send(address, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: sent });
    for (const broken of ['{"jsonrpc":', 'ping', '{"a":1}}', '\u0000', '']) {
      const reply = await post({}, broken);
      expectRefusal(reply, broken === '' ? 'invalid_message' : 'parse_error', null);
    }
    expectRefusal(await post({}, JSON.stringify({ ...ping, params: { x: 'x'.repeat(1_000) } })), 'too_large', null);
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', '']) {
      expectRefusal(await post({ 'content-type': type }, body), 'unsupported_media_type', null);
    }
    expectRefusal(await post({ 'content-encoding': 'gzip' }, body), 'unsupported_media_type', null);
    for (const charset of ['latin1', 'utf-16', 'UTF-16LE', '"utf-32"', 'utf-7']) {
      const type = `application/json; charset=${charset}`;
      expectRefusal(await post({ 'content-type': type }, body), 'unsupported_media_type', null);
    }
    const json = 'application/json';
    const types = [`${json}; charset=utf-8`, `${json}; charset="UTF-8"`, `${json};charset=utf8`, `${json}, ${json}`];
    for (const type of types) expect((await post({ 'content-type': type }, body)).status).toBe(202);
    expect((await post({ 'content-encoding': '' }, body)).status).toBe(202);
    expectRefusal(await post({ 'content-type': `${json}, text/plain` }, body), 'unsupported_media_type', null);
  }));

test('[S3] invalid_message: JSON that is no JSON-RPC message echoes its id where it has one', () =>
  withStream({}, async (_served, stream) => {
    const cases: [unknown, unknown][] = [
      [[ping, { ...ping, id: 2 }], null],
      [[], null],
      ['ping', null],
      [null, null],
      [{ id: 1, method: 'ping' }, 1],
      [{ jsonrpc: '1.0', id: 1, method: 'ping' }, 1],
      [{ jsonrpc: '2.0', id: null, method: 'ping' }, null],
      [{ jsonrpc: '2.0', id: 1.5, method: 'ping' }, null],
      [{ jsonrpc: '2.0', id: {}, method: 'ping' }, null],
      [{ jsonrpc: '2.0', id: 'x', method: 7 }, 'x'],
      [{ jsonrpc: '2.0', id: 'x', method: 'ping', params: [1] }, 'x'],
      [{ jsonrpc: '2.0', id: 1, result: {}, error: { code: 1, message: '' } }, null],
      [{ jsonrpc: '2.0', id: 1 }, null],
      [{ jsonrpc: '2.0', id: 1, error: { code: 'x' } }, null],
    ];
    for (const [message, id] of cases) expectRefusal(await stream.post(message), 'invalid_message', id);
    expect(stream.messages).toEqual([]);
  }));

test('invalid_message: an id that is in flight is refused; it is free again after the answer', async () => {
  const tools = new TestTools();
  await withStream({ tools: tools.all }, async (_served, stream) => {
    const call = { jsonrpc: '2.0', id: 'same', method: 'tools/call', params: { name: 'hold' } };
    expect((await stream.post(call)).status).toBe(202);
    expectRefusal(await stream.post(call), 'invalid_message', 'same');
    tools.releaseCalls();
    await stream.answer('same');
    expect((await stream.post(call)).status).toBe(202);
    await stream.when((open) => open.answersTo('same').length === 2);
  });
});

test('forbidden_host, forbidden_origin, not_found and method_not_allowed are exercised by the doors', () =>
  withStream({}, async ({ url }) => {
    expectRefusal(await send(`${url}/health`, { headers: { host: 'evil.example' } }), 'forbidden_host', null);
    expectRefusal(await send(`${url}/sse`, { headers: { origin: 'https://evil.example' } }), 'forbidden_origin', null);
    expectRefusal(await send(`${url}/nothing`), 'not_found', null);
    expectRefusal(await send(`${url}/sse`, { method: 'POST' }), 'method_not_allowed', null);
  }));

test('every entry of the catalogue is exercised here or belongs to a test that is named', () => {
  const missing = Object.keys(catalogue).filter((reason) => !exercised.has(reason as Reason));
  expect(missing.toSorted()).toEqual(Object.keys(elsewhere).toSorted());
});
