import { expectRefusal, send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { call, initialize, initialized, ping } from '../support/messages.js';
import { RawMcp, withRawMcp } from '../support/rawMcp.js';
import { startTestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

test('[C-HTTP] a batch belongs to revision 2025-03-26, is bounded, and each of its requests is answered once', async () => {
  const served = await startTestServer({ tools: new TestTools().all });
  const [recent, old] = [
    await new RawMcp(served.url).initialize(),
    await new RawMcp(served.url, { version: '2025-03-26' }).initialize(),
  ];
  const batch = [call('a', 'echo', { value: 'A' }), initialized, call('b', 'echo', { value: 'B' })];
  expectRefusal(await recent.post(batch), 'invalid_message');
  const stream = await old.sendRequest(batch);
  await stream.whenClosed();
  expect(stream.messages.map((message) => ('id' in message ? message.id : null)).toSorted()).toEqual(['a', 'b']);
  expect((await old.post([initialized, initialized])).status).toBe(202);
  const many = Array.from({ length: 101 }, (_, id) => ping(id));
  for (const wrong of [[], many, [ping('mine'), ping('mine')], [ping('mine'), 'x']])
    expectRefusal(await old.post(wrong), 'invalid_message');
  expectRefusal(await old.post([ping('mine'), initialize(1)]), 'already_initialized');
  const most = await old.sendRequest(many.slice(1));
  await most.whenClosed();
  expect(most.messages).toHaveLength(100);
  await served.close();
});

test('[C-HTTP] a request of a batch that cannot be taken is answered for itself', async () => {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all });
  const client = await new RawMcp(served.url, { version: '2025-03-26' }).initialize();
  const held = Array.from({ length: 3 }, (_, part) =>
    Array.from({ length: 85 }, (_item, index) => call(`${part} ${index}`, 'hold')),
  );
  await Promise.all(held.map((batch) => client.sendRequest(batch)));
  await tools.whenHeld(255);
  const stream = await client.sendRequest([call('fits', 'hold'), ping('mine')]);
  expect(await client.answer('mine')).toMatchObject({ error: { data: { reason: 'queue_full' } } });
  expectRefusal(await client.post(ping('mine')), 'queue_full', 'mine');
  tools.releaseCalls();
  await stream.whenClosed();
  expect(stream.messages).toMatchObject([{ id: 'mine' }, { id: 'fits', result: {} }]);
  await served.close();
});

test('[C-HTTP] an id that is in flight is refused and does not disturb the stream that waits for it', async () => {
  const tools = new TestTools();
  await withRawMcp({ tools: tools.all }, async (client) => {
    const stream = await client.sendRequest(call('same', 'hold'));
    await tools.whenHeld();
    expectRefusal(await client.post(call('same', 'echo', { value: 'x' })), 'invalid_message', 'same');
    tools.releaseCalls();
    await stream.whenClosed();
    expect(stream.messages).toMatchObject([{ id: 'same', result: { structuredContent: { value: 'held' } } }]);
    expect((await client.post(call('same', 'echo', { value: 'x' }))).status).toBe(200);
  });
});

test('[C-HTTP] a cancelled request ends its stream without an answer', async () => {
  const tools = new TestTools();
  await withRawMcp({ tools: tools.all }, async (client) => {
    const stream = await client.sendRequest(call('long', 'hold'));
    await tools.whenHeld();
    await client.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'long' } });
    await stream.whenClosed();
    expect(stream.messages).toEqual([]);
    // 204: an event source that lost the end is not to come again.
    expect((await client.get({ 'last-event-id': stream.events[0]?.id ?? '' })).status).toBe(204);
  });
});

test('[C-HTTP] what belongs to no request goes to the GET stream; a new one ends the old at once', () =>
  withRawMcp({}, async (client, { orchestrator }) => {
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
    await second.disconnect();
  }));

test('[S10] a client that does not read has its stream cut at the bound, and its session waits for it', () =>
  withRawMcp({}, async (client, { orchestrator, url }) => {
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
    await stream.disconnect();
  }));

test('[C-DETACH] a client that was listening is waited for, keeps its pages, and comes back by any request', async () => {
  const clock = new ManualClock();
  const served = await startTestServer({ clock, options: { resumeGrace: '60s' } });
  const client = await new RawMcp(served.url).initialize();
  const session = served.orchestrator.registry.find(client.sessionId, 'anyone');
  const is = (state: 'serving' | 'detached') =>
    new Promise<void>((resolve) => {
      const { unsubscribe } = session.actor.subscribe((snapshot) => snapshot.matches({ active: state }) && resolve());
      void session.closed.then(unsubscribe);
    });
  const back: (() => Promise<unknown>)[] = [
    () => client.post(ping('mine')),
    () => client.post(initialized),
    () => client.listen(),
  ];
  for (const comeBack of back) {
    const [listening, detached] = [await client.listen(), is('detached')];
    await listening.disconnect();
    await detached;
    clock.advance(59_999);
    expect(served.pool.closed).toEqual([]);
    await comeBack();
    expect(session.actor.getSnapshot().matches({ active: 'serving' })).toBe(true);
    clock.advance(60_000);
    expect(session.state).toBe('active');
  }
  const detached = is('detached');
  await client.disconnect();
  await detached;
  clock.advance(60_000);
  await session.ended;
  expectRefusal(await client.post(ping('mine')), 'closed', 'mine', { closedBecause: 'client-closed' });
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[C-DETACH] a client that never listened is not waited for, and a call that is open counts as being there', async () => {
  const clock = new ManualClock();
  const tools = new TestTools();
  const served = await startTestServer({
    clock,
    tools: tools.all,
    options: { resumeGrace: '60s', idleTimeout: '30m' },
  });
  const client = await new RawMcp(served.url).initialize();
  const session = served.orchestrator.registry.find(client.sessionId, 'anyone');
  clock.advance(600_000);
  expect(session.state).toBe('active');
  const listening = await client.listen();
  const asked = await client.sendRequest(call('held', 'hold'));
  await tools.whenHeld();
  await listening.disconnect();
  await send(`${served.url}/health`);
  expect(session.actor.getSnapshot().matches({ active: { serving: 'busy' } })).toBe(true);
  clock.advance(600_000);
  const detached = new Promise<void>((resolve) => {
    session.actor.subscribe((snapshot) => snapshot.matches({ active: 'detached' }) && resolve());
  });
  tools.releaseCalls();
  await Promise.all([asked.whenClosed(), detached]);
  clock.advance(60_000);
  await session.ended;
  await served.close();
  expect(clock.pending).toBe(0);
});
