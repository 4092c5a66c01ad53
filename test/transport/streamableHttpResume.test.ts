import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MemoryEventLog, type StreamAddress } from '../../src/cluster/eventLog.js';
import type { Session } from '../../src/session/session.js';
import { SseWriter } from '../../src/transport/sseWriter.js';
import { StreamableHttpTransport } from '../../src/transport/streamableHttp.js';
import { nextTurn } from '../support/gate.js';
import { expectRefusal, type Reply } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawMcp } from '../support/rawMcp.js';
import type { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer, type TestServerOptions } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

interface SessionFixture {
  readonly served: TestServer;
  readonly client: RawMcp;
  readonly session: Session;
  readonly tools: TestTools;
  readonly log: MemoryEventLog;
}

async function withSession(
  { log = new MemoryEventLog(), ...given }: Omit<TestServerOptions, 'log'> & { readonly log?: MemoryEventLog },
  run: (given: SessionFixture) => Promise<void>,
): Promise<void> {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all, eventLog: log, ...given });
  const client = await new RawMcp(served.url).initialize();
  const session = served.orchestrator.registry.find(client.sessionId, 'anyone');
  await run({ served, client, session, tools, log });
  await client.disconnect();
  tools.releaseCalls();
  await served.close();
  await nextTurn();
  expect(log.size).toBe(0);
}

const call = (id: string, name: string, args: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args, _meta: { progressToken: id } },
});

const lastId = (stream: RawSse): string => stream.events.filter(({ id }) => id !== '').at(-1)?.id ?? '';

const messagesOn = (...streams: RawSse[]): unknown[] =>
  streams.flatMap(({ messages }) => messages.map((one) => ('method' in one ? one.params?.['data'] : null)));

/** Resolves when the server has noticed that nobody listens. */
const detached = (session: Session) =>
  new Promise<void>((resolve) => {
    session.actor.subscribe((snapshot) => snapshot.matches({ active: 'detached' }) && resolve());
  });

const resume = (client: RawMcp, id: string): Promise<Reply> => client.get({ 'last-event-id': id });

test('[C-RESUME] the answer to a call whose stream was lost is there for the client that comes back', () =>
  withSession({}, async ({ client, tools }) => {
    const lost = await (await client.sendRequest(call('held', 'hold'))).when(({ events }) => events.length === 1);
    await tools.whenHeld();
    await lost.disconnect();
    tools.releaseCalls();
    const resumed = await client.listen(lastId(lost));
    await resumed.whenClosed();
    expect(resumed.messages).toMatchObject([{ id: 'held', result: { structuredContent: { value: 'held' } } }]);
    // It has everything now: 204 says that there is nothing to come back for.
    expect((await resume(client, lastId(resumed))).status).toBe(204);
    const again = await client.listen(lastId(lost));
    await again.whenClosed();
    expect(again.messages).toEqual(resumed.messages);
  }));

test('[C-RESUME] a stream that is resumed while its call runs carries what comes next, and the one before is ended', () =>
  withSession({}, async ({ client, tools }) => {
    const first = await (await client.sendRequest(call('held', 'hold'))).when(({ events }) => events.length === 1);
    await tools.whenHeld();
    const second = await client.listen(lastId(first));
    await first.whenClosed();
    tools.releaseCalls();
    await second.whenClosed();
    expect([first.messages, second.messages]).toMatchObject([[], [{ id: 'held' }]]);
  }));

test('[C-RESUME] the server may end the socket of a call: the client is told when to come back', () =>
  withSession({}, async ({ client, session, tools }) => {
    const first = await (await client.sendRequest(call('held', 'hold'))).when(({ events }) => events.length === 1);
    await tools.whenHeld();
    session.channel.suspend?.('held', 250);
    await first.whenClosed();
    expect(first.text).toContain('retry: 250\n\n');
    const second = await client.listen(lastId(first));
    tools.releaseCalls();
    await second.whenClosed();
    expect(second.messages).toMatchObject([{ id: 'held' }]);
    session.channel.suspend?.('held', 250);
  }));

test('[S6] an event id of another session, of another user or of nobody opens nothing', () =>
  withSession({}, async ({ client, session, served }) => {
    const listening = await client.listen();
    session.server.log('info', 'secret');
    await listening.when(({ messages }) => messages.length === 1);
    const other = await new RawMcp(served.url, { path: '/mcp?userId=bert' }).initialize();
    const known = lastId(listening);
    const stream = known.split('.')[0] ?? '';
    for (const id of [
      known,
      `${stream}.1`,
      `${'A'.repeat(22)}.1`,
      'garbage',
      '_GET_stream_1',
      '../1',
      '1'.repeat(4_000),
    ])
      expectRefusal(await resume(other, id), 'unknown_event');
    expectRefusal(await resume(client, `${stream}.99`), 'unknown_event');
    expect(listening.isClosed).toBe(false);
    expect(other.messages).toHaveLength(1);
    await other.disconnect();
  }));

test('[C-RESUME][S10] a gap is told with 410, and one who begins anew hears that messages were dropped', () =>
  withSession({ log: new MemoryEventLog({ stream: { count: 3, bytes: 10_000 } }) }, async ({ client, session }) => {
    const first = await client.listen();
    session.server.log('info', 0);
    await first.when(({ messages }) => messages.length === 1);
    const noticed = detached(session);
    await Promise.all([first.disconnect(), noticed]);
    for (let n = 1; n <= 5; n += 1) session.server.log('info', n);
    expectRefusal(await resume(client, lastId(first)), 'gap');
    const second = await client.listen();
    await second.when(({ messages }) => messages.length === 4);
    expect(messagesOn(second)).toEqual(['Messages were dropped while no stream was open.', 3, 4, 5]);
    await second.disconnect();
    session.server.log('info', 6);
    const third = await client.listen(lastId(second));
    await third.when(({ messages }) => messages.length === 1);
    expect(messagesOn(third)).toEqual([6]);
  }));

test('[C-RESUME] what the log does not take is not sent: the stream is cut, and the client hears of the gap', async () => {
  class FailingLog extends MemoryEventLog {
    isBroken = false;
    override append(stream: StreamAddress, data: string): Promise<string> {
      return this.isBroken ? Promise.reject(new Error('The log cannot be reached.')) : super.append(stream, data);
    }
  }
  const log = new FailingLog();
  await withSession({ log }, async ({ client, session }) => {
    const first = await client.listen();
    session.server.log('info', 'one');
    await first.when(({ messages }) => messages.length === 1);
    log.isBroken = true;
    session.server.log('info', 'two');
    await first.whenClosed();
    log.isBroken = false;
    expect(messagesOn(first)).toEqual(['one']);
    expectRefusal(await resume(client, lastId(first)), 'gap');
    const second = await client.listen();
    session.server.log('info', 'three');
    await second.when(({ messages }) => messages.length === 2);
    expect(messagesOn(second)).toEqual(['Messages were dropped while no stream was open.', 'three']);
  });
});

test('[S10] answers that were sent are kept for a minute, and those of 64 requests at most', async () => {
  const clock = new ManualClock();
  await withSession({ clock }, async ({ client }) => {
    const answered = async (id: string): Promise<string> => {
      const stream = await client.sendRequest(call(id, 'echo', { value: id }));
      await stream.whenClosed();
      return stream.events[0]?.id ?? '';
    };
    const first = await answered('first');
    expect((await resume(client, first)).status).toBe(200);
    for (let n = 0; n < 63; n += 1) await answered(`${n}`);
    expect((await resume(client, first)).status).toBe(200);
    const last = await answered('last');
    expectRefusal(await resume(client, first), 'unknown_event');
    clock.advance(59_999);
    expect((await resume(client, last)).status).toBe(200);
    clock.advance(1);
    expectRefusal(await resume(client, last), 'unknown_event');
  });
  expect(clock.pending).toBe(0);
});

test('[S7] a session that has ended writes nothing more, and its events are gone', () =>
  withSession({}, async ({ client, session, log }) => {
    const listening = await client.listen();
    session.server.log('info', 'last');
    await listening.when(({ messages }) => messages.length === 1);
    session.close('operator-closed');
    await listening.whenClosed();
    session.channel.deliver({ jsonrpc: '2.0', method: 'notifications/message', params: { data: 'late' } });
    await nextTurn();
    expect([messagesOn(listening), log.size]).toEqual([['last'], 0]);
    expectRefusal(await resume(client, lastId(listening)), 'closed');
  }));

test('[S5][C-DETACH] a GET whose client hung up before it was looked at leaves no socket and no timer behind', async () => {
  const clock = new ManualClock();
  const eventLog = new MemoryEventLog();
  const channel = new StreamableHttpTransport({ clock, eventLog });
  const absences: string[] = [];
  channel.onabsent = (because) => absences.push(because);
  channel.announce('an-id');
  let late: Promise<void> = Promise.resolve();
  const http = createServer((_request, response) => {
    late = once(response, 'close').then(() => channel.attachStandalone(new SseWriter(response, { clock }), true));
    client.destroy();
  });
  await once(http.listen(0, '127.0.0.1'), 'listening');
  const client = request({ port: (http.address() as AddressInfo).port, host: '127.0.0.1' });
  client.on('error', () => undefined);
  client.end();
  await new Promise((resolve) => client.once('close', resolve));
  await once(http.close(), 'close');
  await late;
  expect([absences, clock.pending]).toEqual([['client-closed'], 0]);
  await channel.close();
});

/** Numbers from 0 up to 1 that are the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const [notifications, cuts] = [10_000, 1_000];
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

test(
  `[C-RESUME][S4] ${cuts} cuts during ${notifications} notifications lose, repeat and reorder none (SEED=${seed})`,
  () =>
    withSession({}, async ({ client, session }) => {
      const random = randomFrom(seed);
      const received: unknown[] = [];
      let [stream, cursor, sent] = [await client.listen(), '', 0];
      await stream.when(({ events }) => events.length > 0);
      const take = (): void => {
        received.push(...messagesOn(stream));
        cursor = lastId(stream) || cursor;
      };
      const send = (count: number): void => {
        for (const end = Math.min(notifications, sent + count); sent < end; sent += 1) session.server.log('info', sent);
      };
      for (let cut = 0; cut < cuts; cut += 1) {
        send(Math.floor(random() * 12));
        // At once, in the middle of what arrives, or when it has arrived.
        const turns = Math.floor(random() * 4);
        for (let turn = 0; turn < turns; turn += 1) await nextTurn();
        const gone = stream.disconnect();
        send(Math.floor(random() * 6));
        await gone;
        take();
        const resuming = client.listen(cursor);
        for (let turn = 0; turn < turns; turn += 1) {
          await nextTurn();
          send(Math.floor(random() * 3));
        }
        stream = await resuming;
        expect(stream.status).toBe(200);
      }
      send(notifications);
      await stream.when((open) => messagesOn(open).includes(notifications - 1));
      take();
      expect(received).toEqual(Array.from({ length: notifications }, (_, index) => index));
    }),
  240_000,
);
