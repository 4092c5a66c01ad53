import type { OutgoingHttpHeaders } from 'node:http';
import { Gate, nextTurn } from '../support/gate.js';
import { expectRefusal, postJson, send } from '../support/http.js';
import { call, initialize, initialized, ping } from '../support/messages.js';
import { RawMcp, withRawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

test('[C-HTTP] initialize is answered by a stream: the id in the header, an event to come back to, the answer, the end', async () => {
  const served = await startTestServer();
  const opening = new RawMcp(served.url).sendInitialize();
  await opening.whenClosed();
  expect([opening.status, opening.headers['content-type']]).toEqual([200, 'text/event-stream']);
  expect(opening.headers['mcp-session-id']).toMatch(/^[\w-]{22}$/);
  expect(opening.events).toMatchObject([{ event: '', data: '' }, { event: 'message' }]);
  expect(opening.messages).toMatchObject([{ id: 'initialize', result: { protocolVersion: '2025-11-25' } }]);
  const ids = opening.events.map(({ id }) => id);
  expect(ids[0]).toMatch(/^[\w-]{22}\.1$/);
  expect(ids[1]).toBe(ids[0]?.replace(/1$/, '2'));
  expect(served.orchestrator.registry.list()).toMatchObject([
    { id: opening.headers['mcp-session-id'], state: 'active' },
  ]);
  await served.close();
});

test('[C-HTTP] a client of an older revision is sent no event without data', async () => {
  const served = await startTestServer();
  const client = await new RawMcp(served.url, { version: '2025-06-18' }).initialize();
  const [opening, asked] = [client.streams[0], await client.sendRequest(ping('mine'))];
  await asked.whenClosed();
  for (const stream of [opening, asked]) expect(stream?.events).toMatchObject([{ event: 'message' }]);
  await served.close();
});

test('[C-HTTP] what asks nothing is 202 without a body', () =>
  withRawMcp({}, async (client) => {
    for (const message of [initialized, { jsonrpc: '2.0', id: 1, result: {} }]) {
      const { status, text } = await client.post(message);
      expect([status, text]).toEqual([202, '']);
    }
  }));

test('[S3] a request without a session id, of an unknown one, and of somebody else', () =>
  withRawMcp({}, async (client, { url }) => {
    const bare = { 'mcp-session-id': '' };
    expectRefusal(await client.post(ping('mine'), bare), 'missing_session', 'mine');
    expectRefusal(await client.get(bare), 'missing_session');
    expectRefusal(await client.delete(bare), 'missing_session');
    // A client that looks for a newer revision falls back on this code.
    const probe = { jsonrpc: '2.0', id: 'probe', method: 'server/discover', params: {} };
    expectRefusal(await client.post(probe, { ...bare, 'mcp-protocol-version': '' }), 'unknown_method', 'probe');
    const invented = { 'mcp-session-id': 'A'.repeat(22) };
    const unknown = await client.post(ping('mine'), invented);
    expectRefusal(unknown, 'unknown', 'mine');
    expectRefusal(await client.get(invented), 'unknown');
    expectRefusal(await client.delete(invented), 'unknown');
    const bert = new RawMcp(url, { path: '/mcp?userId=bert' });
    bert.sessionId = client.sessionId;
    expect((await bert.post(ping('mine'))).text).toBe(unknown.text);
    expectRefusal(await bert.get(), 'unknown');
    expectRefusal(await bert.delete(), 'unknown');
  }));

test('[S3] a session is talked to at the door at which it was opened', () =>
  withRawMcp({}, async (client, { url }) => {
    const stream = await new RawSse(url).whenAnnounced();
    expectRefusal(await client.post(ping('mine'), { 'mcp-session-id': stream.sessionId }), 'unknown', 'mine');
    const address = `${url}/message?sessionId=${client.sessionId}`;
    const headers = { 'content-type': 'application/json' };
    expectRefusal(
      await send(address, { method: 'POST', headers, body: JSON.stringify(ping('mine')) }),
      'unknown',
      'mine',
    );
    await stream.disconnect();
  }));

test('[C-HTTP][S5] DELETE closes the session: its streams end, its calls stop, and it is told from then on', async () => {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all });
  const client = await new RawMcp(served.url).initialize();
  const [listening, asked] = [await client.listen(), await client.sendRequest(call('held', 'hold'))];
  await tools.whenHeld();
  const { status, text } = await client.delete();
  expect([status, text]).toEqual([204, '']);
  await Promise.all([listening.whenClosed(), asked.whenClosed()]);
  expect(asked.messages).toMatchObject([{ id: 'held', error: { data: { reason: 'closed' } } }]);
  expect(tools.held[0]?.context.signal.aborted).toBe(true);
  const why = { closedBecause: 'client-closed' };
  expectRefusal(await client.post(ping('mine')), 'closed', 'mine', why);
  expectRefusal(await client.get(), 'closed', null, why);
  expectRefusal(await client.delete(), 'closed', null, why);
  await served.close();
});

test('[C-HTTP] initialize with the id of any session opens a new one, and an old id is 404 everywhere else', () =>
  withRawMcp({}, async (client, { url, orchestrator }) => {
    const closed = await new RawMcp(url, { path: '/mcp?userId=anna' }).initialize();
    await closed.delete();
    const foreign = await new RawMcp(url, { path: '/mcp?userId=bert' }).initialize();
    const own = client.sessionId;
    const known = new Set([own, closed.sessionId, foreign.sessionId]);
    const answers = [];
    for (const id of [own, closed.sessionId, foreign.sessionId, 'A'.repeat(22), 'garbage', '../..']) {
      const asked = await client.sendRequest(initialize(1), { 'mcp-session-id': id });
      await asked.whenClosed();
      const opened = String(asked.headers['mcp-session-id']);
      expect([asked.status, known.has(opened)]).toEqual([200, false]);
      known.add(opened);
      answers.push(asked.messages);
    }
    // The same answer for all of them: it tells nothing about the session of somebody else.
    expect(new Set(answers.map((messages) => JSON.stringify(messages))).size).toBe(1);
    expect(orchestrator.registry.list()).toHaveLength(8);
    for (const header of [{ accept: 'text/html' }, { accept: 'application/json' }, { 'mcp-protocol-version': 'old' }]) {
      const headers = { ...header, 'mcp-session-id': closed.sessionId };
      expectRefusal(await client.post(ping('mine'), headers), 'closed', 'mine');
      expectRefusal(await client.get(headers), 'closed');
      expectRefusal(await client.delete(headers), 'closed');
    }
  }));

test('[C-HTTP] initialize with the id of another session is counted as a session that is opened', async () => {
  const served = await startTestServer({ options: { connectRate: 2 } });
  const open = () =>
    postJson(`${served.url}/mcp`, initialize(1), { accept: 'application/json', 'mcp-session-id': 'x' });
  expect([(await open()).status, (await open()).status]).toEqual([200, 200]);
  expectRefusal(await open(), 'rate_limited', 1);
  await served.close();
});

test('[C-HTTP] an Accept header that allows nothing of an answer is refused, and told what to send', () =>
  withRawMcp({}, async (client) => {
    for (const accept of ['text/html', 'application/*;q=0, text/event-stream;q=0', 'image/png'])
      expectRefusal(await client.post(ping('mine'), { accept }), 'not_acceptable', 'mine');
    for (const accept of ['application/json', 'text/html'])
      expectRefusal(await client.get({ accept }), 'not_acceptable');
    for (const accept of ['', '*/*', 'text/event-stream, application/json;q=0.1', 'application/*, text/*'])
      expect((await client.post(ping('mine'), { accept })).status).toBe(200);
  }));

test('[C-HTTP] a header that came twice counts as one if its values are the same, and is refused if they differ', () =>
  withRawMcp({}, async (client, { url }) => {
    const id = client.sessionId;
    const ask = (headers: OutgoingHttpHeaders) => postJson(`${url}/mcp`, ping('mine'), { accept: '*/*', ...headers });
    for (const headers of [
      { 'mcp-session-id': [id, id] },
      { 'MCP-SESSION-ID': `${id},${id}` },
      { 'mcp-session-id': id, 'mcp-protocol-version': ['2025-11-25', '2025-11-25'] },
      { 'mcp-session-id': id, Accept: ['application/json', 'text/event-stream'] },
    ])
      expect((await ask(headers)).status).toBe(200);
    expectRefusal(await ask({ 'mcp-session-id': [id, 'other'] }), 'invalid_parameter', 'mine');
    const versions = { 'mcp-session-id': id, 'mcp-protocol-version': ['2025-11-25', '2025-06-18'] };
    expectRefusal(await ask(versions), 'invalid_parameter', 'mine');
  }));

test('[C-HTTP] a revision that is not spoken is refused; one that is missing is what was negotiated', () =>
  withRawMcp({}, async (client) => {
    for (const version of ['invalid', '2000-01-01', '2099-01-01']) {
      const header = { 'mcp-protocol-version': version };
      expectRefusal(await client.post(ping('mine'), header), 'unsupported_version', 'mine');
      expectRefusal(await client.get(header), 'unsupported_version');
      expectRefusal(await client.delete(header), 'unsupported_version');
    }
    const bare = await client.sendRequest(ping('mine'), { 'mcp-protocol-version': [] });
    await bare.whenClosed();
    expect(bare.events).toHaveLength(2);
  }));

test('[C-HTTP] the first revision of all is spoken where it was negotiated', async () => {
  const served = await startTestServer();
  const client = await new RawMcp(served.url, { version: '2024-10-07' }).initialize();
  expect((await client.post(ping('mine'))).status).toBe(200);
  await client.delete();
  const newer = await new RawMcp(served.url).initialize();
  expectRefusal(
    await newer.post(ping('mine'), { 'mcp-protocol-version': '2024-10-07' }),
    'unsupported_version',
    'mine',
  );
  await served.close();
});

test('[C-HTTP] a connection whose client wants it to end ends after the stream', () =>
  withRawMcp({}, async (client) => {
    for (const connection of ['close', 'keep-alive']) {
      const { headers } = await client.post(ping('mine'), { connection });
      expect([headers.connection, headers['content-type']]).toEqual([connection, 'text/event-stream']);
    }
  }));

test('[C-HTTP] what is not JSON, is too large or is no message is refused by its own name', () =>
  withRawMcp({ options: { bodyLimit: '1kb' } }, async (client) => {
    expectRefusal(await client.postText('{"jsonrpc"'), 'parse_error');
    expectRefusal(
      await client.postText(JSON.stringify(ping('mine')), { 'content-type': 'text/plain' }),
      'unsupported_media_type',
    );
    expectRefusal(await client.post({ ...ping('mine'), params: { filler: 'x'.repeat(2_000) } }), 'too_large');
    expectRefusal(await client.post({ id: 'mine', method: 'ping' }), 'invalid_message', 'mine');
    for (const message of [null, 7, 'ping', {}, { ...initialize(1), jsonrpc: '1.0' }]) {
      expect((await client.post(message, { 'mcp-session-id': '' })).status).toBe(400);
    }
  }));

test('[C-HTTP] /mcp takes POST, GET and DELETE and says so; HEAD opens nothing', () =>
  withRawMcp({}, async (client) => {
    for (const method of ['PUT', 'PATCH', 'OPTIONS', 'HEAD']) {
      const { status, headers } = await send(client.address, { method, headers: client.headers });
      expect([status, headers.allow?.split(', ').toSorted()]).toEqual([405, ['DELETE', 'GET', 'POST']]);
    }
  }));

test('[S1] a session is announced on entry to connected: the header waits for browser, tools and claim', async () => {
  const [registering, claiming] = [new Gate(), new Gate()];
  const served = await startTestServer({
    onSession: () => registering.pass(),
    directory: { claim: () => claiming.pass() },
  });
  served.pool.holdLeases();
  const opening = new RawMcp(served.url).sendInitialize();
  await served.pool.whenWaiting();
  const [session] = served.orchestrator.registry.list();
  const early = new RawMcp(served.url);
  early.sessionId = session?.id ?? '';
  for (const open of [() => served.pool.releaseLeases(), () => registering.open(), () => undefined]) {
    expect(opening.status).toBeUndefined();
    expectRefusal(await early.post(ping('mine')), 'not_ready', 'mine');
    expectRefusal(await early.get(), 'not_ready');
    expectRefusal(await early.delete(), 'not_ready');
    open();
    await nextTurn();
  }
  await claiming.whenReached();
  expect([opening.status, session?.state]).toEqual([undefined, 'tools-registered']);
  claiming.open();
  await opening.whenClosed();
  expect(opening.headers['mcp-session-id']).toBe(session?.id);
  await served.close();
});

test('[S12][S8] what cannot be claimed is answered with its own status, and nobody learns an id', async () => {
  const served = await startTestServer({ directory: { claim: () => Promise.reject(new Error('nobody there')) } });
  const reply = await new RawMcp(served.url).post(initialize(1), { 'mcp-session-id': '' });
  expectRefusal(reply, 'setup_failed', 1);
  expect(reply.headers['mcp-session-id']).toBeUndefined();
  expect(served.orchestrator.registry.list()).toEqual([]);
  await served.close();
});
