import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { systemClock } from '../../src/clock.js';
import { LineReader, StdioTransport } from '../../src/transport/stdio.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { nextTurn } from '../support/gate.js';
import { ManualClock } from '../support/manualClock.js';
import { initialize, ping } from '../support/messages.js';
import { streamPair } from '../support/rawStdio.js';
import { startTestServer, type TestServer, type TestServerOptions } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

async function connect(given: TestServerOptions = {}, bodyLimit = 10_000) {
  const served: TestServer = await startTestServer(given);
  const { input, output, client } = streamPair();
  const clock = given.clock ?? systemClock;
  const transport = new StdioTransport(input, output, { clock, bodyLimit });
  return { served, client, input, output, transport, session: served.orchestrator.connect(transport) };
}

test('[C-STDIO][S1][S3] what the client writes early waits, and is read in order when the session is connected', async () => {
  const pool = new FakeBrowserPool();
  pool.holdLeases();
  const { served, client, session } = await connect({ pool });
  client.send(ping('first'));
  client.send(ping('second'));
  await pool.whenWaiting();
  await nextTurn();
  expect([client.text, session.state]).toEqual(['', 'created']);
  pool.releaseLeases();
  await client.answer('second');
  expect(client.messages.map((message) => 'id' in message && message.id)).toEqual(['first', 'second']);
  client.closeInput();
  await session.ended;
  await served.close();
});

test('[C-STDIO][S5] a client that leaves while the session is set up leaves nothing behind, also what opens late', async () => {
  const pool = new FakeBrowserPool();
  pool.holdLeases();
  const { served, client, session, transport } = await connect({ pool });
  client.send(ping(1));
  await pool.whenWaiting();
  client.closeInput();
  await session.ended;
  await transport.finished;
  expect(session.actor.getSnapshot().context.closedBecause).toBe('client-closed');
  await served.close();
  expect(client.text).toBe('');
});

test('[C-STDIO][S8] a set-up that fails is the answer to the first request; a notification before it is not answered', async () => {
  const pool = new FakeBrowserPool();
  pool.holdLeases();
  const { served, client, transport } = await connect({ pool });
  client.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  await pool.whenWaiting();
  pool.failLeases('browser_failed', 'No Chrome is installed.');
  client.send(ping('hello'));
  client.send(ping('never'));
  await client.ended;
  await transport.finished;
  expect(client.values).toEqual([
    {
      jsonrpc: '2.0',
      id: 'hello',
      error: { code: -32014, message: 'No Chrome is installed.', data: { reason: 'browser_failed' } },
    },
  ]);
  await served.close();
});

test('[C-STDIO][S8] a client that never asks is not waited for when the set-up has failed', async () => {
  const [pool, clock] = [new FakeBrowserPool(), new ManualClock()];
  pool.holdLeases();
  const { served, client, session, transport } = await connect({ pool, clock });
  await pool.whenWaiting();
  pool.failLeases('browser_failed', 'No Chrome is installed.');
  await session.ended;
  clock.advance(5_000);
  await transport.finished;
  await served.close();
  expect([client.text, clock.pending]).toEqual(['', 0]);
});

test.each([
  ['not JSON', '{"jsonrpc":', 'parse_error', null],
  ['not UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22]), 'parse_error', null],
  ['a batch', JSON.stringify([ping(1)]), 'invalid_message', null],
  ['a request with a wrong "params"', '{"jsonrpc":"2.0","id":7,"method":"ping","params":1}', 'invalid_message', 7],
  ['larger than allowed', JSON.stringify({ ...ping(1), params: { x: 'x'.repeat(10_000) } }), 'too_large', null],
])('[C-STDIO] a line that is %s is answered with an error, and the session goes on', async (_, line, reason, id) => {
  const { served, client, session } = await connect();
  client.write(Buffer.concat([Buffer.from(line), Buffer.from('\n')]));
  expect(await client.first((value) => 'error' in value)).toMatchObject({ id, error: { data: { reason } } });
  client.write('\r\n \n');
  client.send(ping('next'));
  expect(await client.answer('next')).toMatchObject({ result: {} });
  expect(client.values).toHaveLength(2);
  client.closeInput();
  await session.ended;
  await served.close();
});

test('[C-STDIO] a client that frames its messages in another way is told how to', async () => {
  const { served, client, session } = await connect();
  client.write('Content-Length: 52\r\n');
  const { error } = await client.first((value) => 'error' in value);
  expect(error).toMatchObject({ message: expect.stringMatching(/on one line, .*without headers/) });
  client.closeInput();
  await session.ended;
  await served.close();
});

test('[C-STDIO][S10] a line without an end is not kept', () => {
  const reader = new LineReader(1_000);
  let lines = 0;
  const before = process.memoryUsage().arrayBuffers;
  for (let count = 0; count < 2_000; count += 1) lines += [...reader.read(Buffer.alloc(100_000))].length;
  expect(lines).toBe(0);
  // 200 MB went through it.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(150_000_000);
  expect([...reader.read(Buffer.from('x\n{"a":1}\n'))]).toEqual([{ fault: 'too_large' }, { text: '{"a":1}' }]);
});

test('[C-STDIO] lines are the same however they are cut into chunks, also between the bytes of a character', () => {
  const bytes = Buffer.from('{"ü":"€"}\r\n\n  \n{"b":2}\n"\u{1f600}"\nrest');
  const whole = [...new LineReader(100).read(bytes)];
  expect(whole).toEqual([{ text: '{"ü":"€"}' }, { text: '{"b":2}' }, { text: '"\u{1f600}"' }]);
  for (let size = 1; size < bytes.length; size += 1) {
    const reader = new LineReader(100);
    const lines = [];
    for (let at = 0; at < bytes.length; at += size) lines.push(...reader.read(bytes.subarray(at, at + size)));
    expect(lines).toEqual(whole);
  }
});

test('[C-STDIO][S5] a client whose end of the output breaks is gone', async () => {
  const { served, output, session, transport, client } = await connect();
  client.send(ping(1));
  await client.answer(1);
  output.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  await session.ended;
  await transport.finished;
  await served.close();
});

test('[C-STDIO][S5] an output that is gone without an error is not waited for', async () => {
  const clock = new ManualClock();
  const { served, client, output, session, transport } = await connect({ clock });
  client.send(ping(1));
  await client.answer(1);
  output.destroy();
  client.closeInput();
  await session.ended;
  await transport.finished;
  expect(clock.pending).toBe(0);
  await served.close();
});

test('[S7] nothing is written after the session is closed, also not what a call answers late', async () => {
  const tools = new TestTools();
  const { served, client, session } = await connect({ tools: tools.all });
  client.send(initialize('first'));
  client.send({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hold', arguments: {} } });
  await tools.whenHeld();
  session.close('operator-closed');
  await client.ended;
  tools.releaseCalls();
  await nextTurn();
  expect(client.values).toMatchObject([
    { id: 'first', result: {} },
    { id: 1, error: { data: { closedBecause: 'operator-closed' } } },
  ]);
  await served.close();
});

test('[C-STDIO][S10] what a client does not read is waited for only a while', async () => {
  const clock = new ManualClock();
  const { served, output, session, transport, client } = await connect({ clock });
  client.send(ping(1));
  await client.answer(1);
  client.pause();
  output.write('x'.repeat(100_000));
  session.close('operator-closed');
  let isFinished = false;
  void transport.finished.then(() => (isFinished = true));
  clock.advance(4_999);
  await nextTurn();
  expect(isFinished).toBe(false);
  clock.advance(1);
  await transport.finished;
  output.resume();
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[S10] past what one message may be, an early client waits in its pipe', async () => {
  const pool = new FakeBrowserPool();
  pool.holdLeases();
  const served = await startTestServer({ pool });
  const [input, output] = [new PassThrough({ highWaterMark: 1_000 }), new PassThrough()];
  const session = served.orchestrator.connect(
    new StdioTransport(input, output, { clock: systemClock, bodyLimit: 5_000 }),
  );
  await pool.whenWaiting();
  const line = `${JSON.stringify({ ...ping(1), method: 'notifications/x', params: { x: 'x'.repeat(900) } })}\n`;
  let sent = 0;
  while (input.write(line) && sent < 1_000) {
    sent += 1;
    await nextTurn();
  }
  expect(sent).toBeLessThan(20);
  pool.releaseLeases();
  await once(input, 'drain');
  input.end();
  await session.ended;
  await served.close();
});
