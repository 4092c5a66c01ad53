import type { BrowserLease } from '../../src/browser/lease/lease.js';
import { catalogue, type Reason } from '../../src/errors.js';
import { FakePool } from '../support/fakePool.js';
import { Gate, nextTurn } from '../support/gate.js';
import { send, type Reply } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { serve, type Served, type ServeOptions } from '../support/serve.js';
import { TestTools } from '../support/testTools.js';

const ping = { jsonrpc: '2.0', id: 'mine', method: 'ping' };
const initialized = { jsonrpc: '2.0', method: 'notifications/initialized' };
const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
};
const call = (id: string, name: string, args: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});

function expectRefusal(reply: Reply, reason: Reason, id: unknown = null, data: object = {}): void {
  expect([reply.status, reply.json]).toMatchObject([
    catalogue[reason].status,
    { jsonrpc: '2.0', id, error: { code: catalogue[reason].code, data: { reason, ...data } } },
  ]);
}

/** Serves, opens a session, runs, and checks that the session still answers and that nothing is left afterwards. */
async function withSession(given: ServeOptions, run: (client: RawMcp, served: Served) => Promise<void>): Promise<void> {
  const served = await serve({ tools: new TestTools().all, ...given });
  const client = await new RawMcp(served.url).initialize();
  await run(client, served);
  await client.ask({ ...ping, id: 'afterwards' });
  expect(await client.answer('afterwards')).toMatchObject({ result: {} });
  await client.vanish();
  await served.close();
}

test('[C-HTTP] initialize is answered by a stream: the id in the header, an event to come back to, the answer, the end', async () => {
  const served = await serve();
  const opening = new RawMcp(served.url).begin();
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
  const served = await serve();
  const client = await new RawMcp(served.url, { version: '2025-06-18' }).initialize();
  const [opening, asked] = [client.streams[0], await client.ask(ping)];
  await asked.whenClosed();
  for (const stream of [opening, asked]) expect(stream?.events).toMatchObject([{ event: 'message' }]);
  await served.close();
});

test('[C-HTTP] what asks nothing is 202 without a body', () =>
  withSession({}, async (client) => {
    for (const message of [initialized, { jsonrpc: '2.0', id: 1, result: {} }]) {
      const { status, text } = await client.post(message);
      expect([status, text]).toEqual([202, '']);
    }
  }));

test('[S3] a request without a session id, of an unknown one, and of somebody else', () =>
  withSession({}, async (client, { url }) => {
    const bare = { 'mcp-session-id': '' };
    expectRefusal(await client.post(ping, bare), 'missing_session', 'mine');
    expectRefusal(await client.get(bare), 'missing_session');
    expectRefusal(await client.delete(bare), 'missing_session');
    const invented = { 'mcp-session-id': 'A'.repeat(22) };
    const unknown = await client.post(ping, invented);
    expectRefusal(unknown, 'unknown', 'mine');
    expectRefusal(await client.get(invented), 'unknown');
    expectRefusal(await client.delete(invented), 'unknown');
    const bert = new RawMcp(url, { path: '/mcp?userId=bert' });
    bert.sessionId = client.sessionId;
    expect((await bert.post(ping)).text).toBe(unknown.text);
    expectRefusal(await bert.get(), 'unknown');
    expectRefusal(await bert.delete(), 'unknown');
  }));

test('[S3] a session is talked to at the door at which it was opened', () =>
  withSession({}, async (client, { url }) => {
    const stream = await new RawSse(url).whenAnnounced();
    expectRefusal(await client.post(ping, { 'mcp-session-id': stream.sessionId }), 'unknown', 'mine');
    const address = `${url}/message?sessionId=${client.sessionId}`;
    const headers = { 'content-type': 'application/json' };
    expectRefusal(await send(address, { method: 'POST', headers, body: JSON.stringify(ping) }), 'unknown', 'mine');
    await stream.hangUp();
  }));

test('[C-HTTP][S5] DELETE closes the session: its streams end, its calls stop, and it is told from then on', async () => {
  const tools = new TestTools();
  const served = await serve({ tools: tools.all });
  const client = await new RawMcp(served.url).initialize();
  const [listening, asked] = [await client.listen(), await client.ask(call('held', 'hold'))];
  await tools.whenHeld();
  const { status, text } = await client.delete();
  expect([status, text]).toEqual([204, '']);
  await Promise.all([listening.whenClosed(), asked.whenClosed()]);
  expect(asked.messages).toMatchObject([{ id: 'held', error: { data: { reason: 'closed' } } }]);
  expect(tools.held[0]?.context.signal.aborted).toBe(true);
  const why = { closedBecause: 'client-closed' };
  expectRefusal(await client.post(ping), 'closed', 'mine', why);
  expectRefusal(await client.get(), 'closed', null, why);
  expectRefusal(await client.delete(), 'closed', null, why);
  await served.close();
});

test('[C-HTTP] initialize within a session is refused, and names no other session', () =>
  withSession({}, async (client, { orchestrator }) => {
    expectRefusal(await client.post(initialize), 'invalid_message', 1);
    expectRefusal(await client.post(initialize, { 'mcp-session-id': 'A'.repeat(22) }), 'unknown', 1);
    expect(orchestrator.registry.list()).toHaveLength(1);
  }));

test('[C-HTTP] the Accept header must name what the answer may be', () =>
  withSession({}, async (client) => {
    for (const accept of [
      '',
      'application/json',
      'text/event-stream',
      'text/html',
      'application/json, text/event-stream;q=0',
    ])
      expectRefusal(await client.post(ping, { accept }), 'not_acceptable', 'mine');
    for (const accept of ['', 'application/json']) expectRefusal(await client.get({ accept }), 'not_acceptable');
    for (const accept of ['*/*', 'text/event-stream, application/json;q=0.1', 'application/*, text/*'])
      expect((await client.post(ping, { accept })).status).toBe(200);
  }));

test('[C-HTTP] a revision that is not spoken is refused; one that is missing is what was negotiated', () =>
  withSession({}, async (client) => {
    for (const version of ['invalid', '2000-01-01', '2099-01-01']) {
      const header = { 'mcp-protocol-version': version };
      expectRefusal(await client.post(ping, header), 'unsupported_version', 'mine');
      expectRefusal(await client.get(header), 'unsupported_version');
      expectRefusal(await client.delete(header), 'unsupported_version');
    }
    const bare = await client.ask(ping, { 'mcp-protocol-version': [] });
    await bare.whenClosed();
    expect(bare.events).toHaveLength(2);
  }));

test('[C-HTTP] what is not JSON, is too large or is no message is refused by its own name', () =>
  withSession({ options: { bodyLimit: '1kb' } }, async (client) => {
    expectRefusal(await client.postText('{"jsonrpc"'), 'parse_error');
    expectRefusal(
      await client.postText(JSON.stringify(ping), { 'content-type': 'text/plain' }),
      'unsupported_media_type',
    );
    expectRefusal(await client.post({ ...ping, params: { filler: 'x'.repeat(2_000) } }), 'too_large');
    expectRefusal(await client.post({ id: 'mine', method: 'ping' }), 'invalid_message', 'mine');
    for (const message of [null, 7, 'ping', {}, { ...initialize, jsonrpc: '1.0' }]) {
      expect((await client.post(message, { 'mcp-session-id': '' })).status).toBe(400);
    }
  }));

test('[C-HTTP] /mcp takes POST, GET and DELETE and says so; HEAD opens nothing', () =>
  withSession({}, async (client) => {
    for (const method of ['PUT', 'PATCH', 'OPTIONS', 'HEAD']) {
      const { status, headers } = await send(client.address, { method, headers: client.headers });
      expect([status, headers.allow?.split(', ').toSorted()]).toEqual([405, ['DELETE', 'GET', 'POST']]);
    }
  }));

test('[C-HTTP] a batch belongs to revision 2025-03-26, is bounded, and each of its requests is answered once', async () => {
  const served = await serve({ tools: new TestTools().all });
  const [recent, old] = [
    await new RawMcp(served.url).initialize(),
    await new RawMcp(served.url, { version: '2025-03-26' }).initialize(),
  ];
  const batch = [call('a', 'echo', { value: 'A' }), initialized, call('b', 'echo', { value: 'B' })];
  expectRefusal(await recent.post(batch), 'invalid_message');
  const stream = await old.ask(batch);
  await stream.whenClosed();
  expect(stream.messages.map((message) => ('id' in message ? message.id : null)).toSorted()).toEqual(['a', 'b']);
  expect((await old.post([initialized, initialized])).status).toBe(202);
  const many = Array.from({ length: 101 }, (_, id) => ({ ...ping, id }));
  for (const wrong of [[], many, [ping, ping], [ping, initialize], [ping, 'x']])
    expectRefusal(await old.post(wrong), 'invalid_message');
  const most = await old.ask(many.slice(1));
  await most.whenClosed();
  expect(most.messages).toHaveLength(100);
  await served.close();
});

test('[C-HTTP] a request of a batch that cannot be taken is answered for itself', async () => {
  const tools = new TestTools();
  const served = await serve({ tools: tools.all });
  const client = await new RawMcp(served.url, { version: '2025-03-26' }).initialize();
  const held = Array.from({ length: 3 }, (_, part) =>
    Array.from({ length: 85 }, (_item, index) => call(`${part} ${index}`, 'hold')),
  );
  await Promise.all(held.map((batch) => client.ask(batch)));
  await tools.whenHeld(255);
  const stream = await client.ask([call('fits', 'hold'), ping]);
  expect(await client.answer('mine')).toMatchObject({ error: { data: { reason: 'queue_full' } } });
  expectRefusal(await client.post(ping), 'queue_full', 'mine');
  tools.release();
  await stream.whenClosed();
  expect(stream.messages).toMatchObject([{ id: 'mine' }, { id: 'fits', result: {} }]);
  await served.close();
});

test('[C-HTTP] an id that is in flight is refused and does not disturb the stream that waits for it', async () => {
  const tools = new TestTools();
  await withSession({ tools: tools.all }, async (client) => {
    const stream = await client.ask(call('same', 'hold'));
    await tools.whenHeld();
    expectRefusal(await client.post(call('same', 'echo', { value: 'x' })), 'invalid_message', 'same');
    tools.release();
    await stream.whenClosed();
    expect(stream.messages).toMatchObject([{ id: 'same', result: { structuredContent: { value: 'held' } } }]);
    expect((await client.post(call('same', 'echo', { value: 'x' }))).status).toBe(200);
  });
});

test('[C-HTTP] a cancelled request ends its stream without an answer', async () => {
  const tools = new TestTools();
  await withSession({ tools: tools.all }, async (client) => {
    const stream = await client.ask(call('long', 'hold'));
    await tools.whenHeld();
    await client.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'long' } });
    await stream.whenClosed();
    expect(stream.messages).toEqual([]);
    // 204: an event source that lost the end is not to come again.
    expect((await client.get({ 'last-event-id': stream.events[0]?.id ?? '' })).status).toBe(204);
  });
});

test('[C-HTTP] what belongs to no request goes to the GET stream; a new one ends the old at once', () =>
  withSession({}, async (client, { orchestrator }) => {
    const session = orchestrator.registry.find(client.sessionId, 'anyone');
    session.server.log('info', 'before anybody listens');
    const first = await client.listen();
    session.server.log('info', 'one');
    await first.when(({ messages }) => messages.length === 2);
    const second = await client.listen();
    await first.whenClosed();
    session.server.log('info', 'two');
    await second.when(({ messages }) => messages.length === 1);
    const said = client.messages.flatMap((message) => ('method' in message ? [message.params?.['data']] : []));
    expect(said).toEqual(['before anybody listens', 'one', 'two']);
    await second.hangUp();
  }));

test('[S10] a client that does not read has its stream cut at the bound, and its session waits for it', () =>
  withSession({}, async (client, { orchestrator, url }) => {
    const session = orchestrator.registry.find(client.sessionId, 'anyone');
    const detached = new Promise<void>((resolve) => {
      session.actor.subscribe((snapshot) => snapshot.matches({ active: 'detached' }) && resolve());
    });
    const stream = await client.listen();
    stream.pause();
    // More than the bound and the kernel's buffers take.
    for (let sent = 0; sent < 80; sent += 1) {
      session.server.log('info', 'x'.repeat(500_000));
      await send(`${url}/ready`);
    }
    await detached;
    await stream.hangUp();
  }));

test('[C-DETACH] a client that was listening is waited for, keeps its pages, and comes back by any request', async () => {
  const clock = new ManualClock();
  const served = await serve({ clock, options: { resumeGrace: '60s' } });
  const client = await new RawMcp(served.url).initialize();
  const session = served.orchestrator.registry.find(client.sessionId, 'anyone');
  const is = (state: 'serving' | 'detached') =>
    new Promise<void>((resolve) => {
      const { unsubscribe } = session.actor.subscribe((snapshot) => snapshot.matches({ active: state }) && resolve());
      void session.closed.then(unsubscribe);
    });
  const back: (() => Promise<unknown>)[] = [
    () => client.post(ping),
    () => client.post(initialized),
    () => client.listen(),
  ];
  for (const comeBack of back) {
    const [listening, detached] = [await client.listen(), is('detached')];
    await listening.hangUp();
    await detached;
    clock.advance(59_999);
    expect(served.pool.closed).toEqual([]);
    await comeBack();
    expect(session.actor.getSnapshot().matches({ active: 'serving' })).toBe(true);
    clock.advance(60_000);
    expect(session.state).toBe('active');
  }
  const detached = is('detached');
  await client.vanish();
  await detached;
  clock.advance(60_000);
  await session.ended;
  expectRefusal(await client.post(ping), 'closed', 'mine', { closedBecause: 'client-closed' });
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[C-DETACH] a client that never listened is not waited for, and a call that is open counts as being there', async () => {
  const clock = new ManualClock();
  const tools = new TestTools();
  const served = await serve({ clock, tools: tools.all, options: { resumeGrace: '60s', idleTimeout: '30m' } });
  const client = await new RawMcp(served.url).initialize();
  const session = served.orchestrator.registry.find(client.sessionId, 'anyone');
  clock.advance(600_000);
  expect(session.state).toBe('active');
  const listening = await client.listen();
  const asked = await client.ask(call('held', 'hold'));
  await tools.whenHeld();
  await listening.hangUp();
  await send(`${served.url}/health`);
  expect(session.actor.getSnapshot().matches({ active: { serving: 'busy' } })).toBe(true);
  clock.advance(600_000);
  const detached = new Promise<void>((resolve) => {
    session.actor.subscribe((snapshot) => snapshot.matches({ active: 'detached' }) && resolve());
  });
  tools.release();
  await Promise.all([asked.whenClosed(), detached]);
  clock.advance(60_000);
  await session.ended;
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[S1] a session is announced on entry to connected: the header waits for browser, tools and claim', async () => {
  const [registering, claiming] = [new Gate(), new Gate()];
  const served = await serve({ onSession: () => registering.pass(), directory: { claim: () => claiming.pass() } });
  served.pool.hold();
  const opening = new RawMcp(served.url).begin();
  await served.pool.whenWaiting();
  const [session] = served.orchestrator.registry.list();
  const early = new RawMcp(served.url);
  early.sessionId = session?.id ?? '';
  for (const open of [() => served.pool.open(), () => registering.open(), () => undefined]) {
    expect(opening.status).toBeUndefined();
    expectRefusal(await early.post(ping), 'not_ready', 'mine');
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
  const served = await serve({ directory: { claim: () => Promise.reject(new Error('nobody there')) } });
  const reply = await new RawMcp(served.url).post(initialize, { 'mcp-session-id': '' });
  expectRefusal(reply, 'setup_failed', 1);
  expect(reply.headers['mcp-session-id']).toBeUndefined();
  expect(served.orchestrator.registry.list()).toEqual([]);
  await served.close();
});

test('[S5] a legacy client that comes again has a new session at once, while the old one is still being released', async () => {
  const releasing = new Gate();
  class SlowPool extends FakePool {
    override lease(...given: Parameters<FakePool['lease']>): BrowserLease {
      const lease = super.lease(...given);
      return { ...lease, release: () => releasing.pass().then(() => lease.release()) };
    }
  }
  const served = await serve({ pool: new SlowPool(), options: { maxSessionsPerUser: 2 } });
  const streams = [await new RawSse(served.url).whenAnnounced()];
  for (let round = 1; round <= 20; round += 1) {
    const [old] = served.orchestrator.registry.list();
    // It is back before the server can have heard that it was gone.
    const gone = streams.at(-1)?.hangUp();
    streams.push(await new RawSse(served.url).whenAnnounced());
    await Promise.all([gone, old?.closed, releasing.whenReached(round)]);
  }
  expect(new Set(streams.map(({ sessionId }) => sessionId)).size).toBe(21);
  expect([served.pool.opened.length, served.pool.closed.length]).toEqual([21, 0]);
  releasing.open();
  await streams.at(-1)?.hangUp();
  await served.close();
});
