import { nextTurn } from '../support/gate.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

let served: TestServer;
let stream: RawSse;
let tools: TestTools;
let clock: ManualClock;
beforeEach(async () => {
  [tools, clock] = [new TestTools(), new ManualClock()];
  served = await startTestServer({ tools: tools.all, clock });
  stream = await new RawSse(served.url).whenInitialized();
});
afterEach(async () => {
  tools.releaseCalls();
  await stream.disconnect();
  await served.close();
  expect(clock.pending).toBe(0);
});

/** Posts a call of a tool that does not end by itself; resolves when it runs. */
async function start(id: number | string, name = 'hold'): Promise<AbortSignal> {
  const before = tools.held.length;
  await stream.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name } });
  await tools.whenHeld(before + 1);
  const signal = tools.held.at(-1)?.context.signal;
  if (!signal) throw new Error('unreachable');
  return signal;
}

const cancel = (requestId: unknown, params: object = {}) =>
  stream.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId, ...params } });

const call = (id: number | string, name: string, args: object) =>
  stream.call(id, 'tools/call', { name, arguments: args });

test('[S4] a long call holds up neither ping nor another call', async () => {
  await start('long');
  expect(await stream.call(1, 'ping')).toMatchObject({ result: {} });
  expect(await call(2, 'echo', { value: 'x' })).toMatchObject({ result: { structuredContent: { value: 'x' } } });
  expect(stream.answersTo('long')).toEqual([]);
  tools.releaseCalls();
  expect(await stream.answer('long')).toMatchObject({ result: { structuredContent: { value: 'held' } } });
});

test('[S4] quick requests are answered in the order in which they came', async () => {
  const ids = Array.from({ length: 20 }, (_, id) => id);
  for (const id of ids) await stream.post({ jsonrpc: '2.0', id, method: 'ping' });
  await stream.answer(19);
  expect(stream.messages).toEqual(ids.map((id) => ({ jsonrpc: '2.0', id, result: {} })));
});

test('a cancelled call is stopped and not answered, also when it ends later', async () => {
  const signal = await start(1);
  await cancel(1, { reason: 'changed my mind' });
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toEqual(new Error('changed my mind'));
  tools.releaseCalls();
  await stream.call(2, 'ping');
  await nextTurn();
  expect(stream.messages).toHaveLength(1);
  expect(served.orchestrator.registry.list()[0]?.actor.getSnapshot().context.inFlight).toBe(0);
});

test('a cancellation of what is not in flight, twice, or of nothing, changes nothing', async () => {
  await start(1);
  for (const id of [2, '1', undefined, null, {}]) await cancel(id);
  await cancel(1);
  await cancel(1);
  expect(await stream.call(3, 'ping')).toMatchObject({ result: {} });
  expect(stream.messages).toHaveLength(1);
});

test('[S4] an id as a number and the same as a string are two requests', async () => {
  await start(1);
  await start('1');
  tools.releaseCalls();
  await stream.when(({ messages }) => messages.length === 2);
  expect([stream.answersTo(1), stream.answersTo('1')]).toMatchObject([[{ id: 1 }], [{ id: '1' }]]);
});

test('[C-TOOL-ERROR] a tool that fails is a result with what to do next; a defect names the tool', async () => {
  const failed = (text: string) => ({ result: { isError: true, content: [{ type: 'text', text }] } });
  expect(await call(1, 'fail', { how: 'tool' })).toMatchObject(failed('No page is open: call new_page.'));
  expect(await call(2, 'fail', { how: 'defect' })).toMatchObject(failed('fail failed: boom'));
  expect(await call(3, 'fail', { how: 'sync' })).toMatchObject(failed('fail failed: thrown at once'));
  expect(JSON.stringify(await call(4, 'fail', { how: 'full' }))).toMatch(/disk of the server is full, and nothing was/);
});

test('a missing argument is said to be missing', async () => {
  const answer = JSON.stringify(await call(1, 'echo', {}));
  expect(answer).toContain('Wrong arguments for echo: \\"value\\" is missing. Its arguments: value.');
  expect(JSON.stringify(await call(2, 'echo', { value: {} }))).toContain('\\"value\\": Invalid input');
});

test('[S10] a tool past its deadline is stopped, and its client told what to try', async () => {
  const signal = await start(1, 'late');
  clock.advance(4_999);
  expect(signal.aborted).toBe(false);
  clock.advance(1);
  const answer = await stream.answer(1);
  expect(answer).toMatchObject({ result: { isError: true } });
  expect(JSON.stringify(answer)).toContain('late did not finish within 5 s and was stopped.');
  expect(signal.aborted).toBe(true);
  tools.releaseCalls();
  await stream.call(2, 'ping');
  expect(stream.answersTo(1)).toHaveLength(1);
});

test('[S7] a session that is closed in mid-call answers the call with why, stops it, and writes nothing more', async () => {
  const signals = [await start(1), await start(2)];
  served.orchestrator.registry.list()[0]?.close('operator-closed');
  await stream.whenClosed();
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  expect(stream.messages).toMatchObject([1, 2].map((id) => ({ id, error: { data: { reason: 'closed' } } })));
  const { text } = stream;
  tools.releaseCalls();
  await nextTurn();
  expect(stream.text).toBe(text);
});

test('[S5] a client that hangs up stops its calls and releases its browser', async () => {
  const signal = await start(1);
  const [session] = served.orchestrator.registry.list();
  await stream.disconnect();
  await session?.ended;
  expect(signal.aborted).toBe(true);
  expect(served.pool.closed).toEqual(served.pool.opened);
});

test('a tool that needs a browser gets the one of its session', async () => {
  expect(await call(1, 'browse', {})).toMatchObject({ result: { structuredContent: { value: 'browsed' } } });
});

test('a lazy session leases its browser at the first tool that needs one, and only then', async () => {
  const lazy = await startTestServer({ tools: tools.all, options: { lease: 'lazy' } });
  const own = await new RawSse(lazy.url).whenInitialized();
  await own.call(1, 'tools/call', { name: 'echo', arguments: { value: 'x' } });
  expect(lazy.pool.opened).toEqual([]);
  await Promise.all([2, 3].map((id) => own.call(id, 'tools/call', { name: 'browse' })));
  expect(lazy.pool.opened).toHaveLength(1);
  await own.disconnect();
  await lazy.close();
});
