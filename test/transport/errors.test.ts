import { once } from 'node:events';
import { systemClock } from '../../src/clock.js';
import { StdioTransport } from '../../src/transport/stdio.js';
import { ManualClock } from '../support/manualClock.js';
import { ping } from '../support/messages.js';
import { RawSse } from '../support/rawSse.js';
import { streamPair } from '../support/rawStdio.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer, type TestServer, type TestServerOptions } from '../support/testServer.js';
import { recordingLog } from '../tenancy/support/guardedServer.js';

const internal = { error: { code: -32603, data: { reason: 'internal' } } };

/** A server, its log, and its only session with a defect: no message can be delivered to it. */
async function logged(given: TestServerOptions = {}) {
  const lines: string[] = [];
  const served = await startTestServer({ log: recordingLog(lines), ...given });
  const failures = () =>
    lines.map((line) => JSON.parse(line) as [string, object]).filter(([message]) => message === 'transport failed');
  return { served, failures };
}

function breakSession({ orchestrator }: TestServer): string {
  const [session] = orchestrator.registry.list();
  if (session === undefined) throw new Error('There is no session.');
  session.receive = () => {
    throw new TypeError('a defect');
  };
  return session.id.slice(0, 8);
}

const defect = (transport: string, session: string) => [
  ['transport failed', { transport, session, error: 'A message could not be handled: a defect' }],
];

test('[C-WS] a defect while a message is delivered is logged with its cause, and its request is answered', async () => {
  const { served, failures } = await logged();
  const socket = await new RawWebSocket(served.url).whenAnnounced();
  const session = breakSession(served);
  socket.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  expect(await socket.call('asked', 'ping')).toMatchObject({ id: 'asked', ...internal });
  expect(socket.frames).toHaveLength(1);
  expect(failures()).toEqual([...defect('websocket', session), ...defect('websocket', session)]);
  await socket.disconnect();
  await served.close();
});

test('[C-STDIO] a defect while a message is delivered is logged with its cause, and its request is answered', async () => {
  const { served, failures } = await logged();
  const { input, output, client } = streamPair();
  const transport = new StdioTransport(input, output, { clock: systemClock, bodyLimit: 10_000 });
  const { ended } = served.orchestrator.connect(transport);
  const session = breakSession(served);
  client.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  client.send(ping('asked'));
  expect(await client.answer('asked')).toMatchObject({ id: 'asked', ...internal });
  expect(client.values).toHaveLength(1);
  expect(failures()).toEqual([...defect('stdio', session), ...defect('stdio', session)]);
  client.closeInput();
  await ended;
  await served.close();
});

test('[C-STDIO] a stream that breaks is logged with its cause; a client that hung up is no error', async () => {
  const { served, failures } = await logged();
  for (const error of [Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }), new Error('read EIO')]) {
    const { input, output } = streamPair();
    const transport = new StdioTransport(input, output, { clock: systemClock, bodyLimit: 10_000 });
    const session = served.orchestrator.connect(transport);
    (error.message === 'read EIO' ? input : output).destroy(error);
    await session.ended;
  }
  expect(failures()).toMatchObject([['transport failed', { transport: 'stdio', error: 'read EIO' }]]);
  await served.close();
});

test('[C-WS] a client that does not answer pings is logged as that', async () => {
  const clock = new ManualClock();
  const { served, failures } = await logged({ clock, options: { initializeTimeout: '1h' } });
  const socket = await new RawWebSocket(served.url, { options: { autoPong: false } }).whenAnnounced();
  const [session] = served.orchestrator.registry.list();
  const pinged = once(socket.socket, 'ping');
  clock.advance(15_000);
  await pinged;
  clock.advance(15_000);
  await session?.ended;
  const source = { transport: 'websocket', session: session?.id.slice(0, 8) };
  expect(failures()).toEqual([['transport failed', { ...source, error: 'The client does not answer pings.' }]]);
  await served.close();
});

test('[C-WS] a frame that breaks the protocol is logged with its cause', async () => {
  const { served, failures } = await logged({ options: { bodyLimit: 1_000 } });
  const socket = await new RawWebSocket(served.url).whenAnnounced();
  socket.send({ ...ping(1), params: { x: 'x'.repeat(2_000) } });
  await socket.closed;
  expect(failures()).toMatchObject([['transport failed', { error: expect.stringContaining('payload size') }]]);
  await served.close();
});

test('[C-SSE] a defect while a message is delivered is logged with its cause and answered with 500', async () => {
  const lines: string[] = [];
  const served = await startTestServer({ log: recordingLog(lines) });
  const stream = await new RawSse(served.url).whenAnnounced();
  breakSession(served);
  expect(await stream.post(ping(1))).toMatchObject({ status: 500, json: internal });
  expect(lines.join()).toContain('a defect');
  await stream.disconnect();
  await served.close();
});
