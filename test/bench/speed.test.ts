import { Socket } from 'node:net';
import type { InspectionEvent } from 'xstate';
import { z } from 'zod';
import { LateAbort } from '../../src/async.js';
import { systemClock, type Clock } from '../../src/clock.js';
import { chunkOf, SharedText, shareResult, textOf } from '../../src/mcp/messageText.js';
import type { Observation } from '../../src/telemetry/observer.js';
import { defineTextTool } from '../../src/tools/defineTool.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { leaseRequest, openTestPool, recordingListener } from '../browser/support/testPool.js';

/**
 * A guard of speed that does not look at a clock: what a session and a message cost, as counts, with the limits beside
 * them. They are what was counted: who needs one more says so here.
 */
const limits = {
  /** The head with the endpoint event. */
  writesOfAnAnnouncement: 1,
  /** The answer on the stream, and 202. */
  writesOfAPing: 2,
  /** Head, primer, answer and end leave together. */
  writesOfAPingOverHttp: 1,
  /** The idle timeout, and one more: the next keep-alive, or the time to forget answers. */
  timersOfAnIdleSession: 2,
  microstepsOfASession: 10,
  microstepsOfAPing: 2,
  /** The session and its browser lease: nothing else is waited for. */
  actorsOfASession: 2,
  observationsOfAPing: 4,
};

const cafe = defineTextTool({
  name: 'serve_cafe',
  group: 'session',
  description: 'Serves a café.',
  input: z.strictObject({}),
  annotations: { readOnlyHint: true },
  handler: () => Promise.resolve({ text: 'served' }),
});

interface Counted {
  readonly served: TestServer;
  /** Of the server's sockets. */
  writes(): number;
  /** Armed and neither fired nor cleared. */
  timers(): number;
  readonly inspected: Map<InspectionEvent['type'], number>;
  readonly observed: Observation[];
}

const restore: (() => void)[] = [];
afterEach(() => {
  for (const undo of restore.splice(0)) undo();
});

async function counted(): Promise<Counted> {
  const observed: Observation[] = [];
  const inspected = new Map<InspectionEvent['type'], number>();
  const armed = new Set<unknown>();
  const clock: Clock = {
    now: () => systemClock.now(),
    elapsed: () => systemClock.elapsed(),
    setTimeout: (callback, ms) => {
      const timer = systemClock.setTimeout(() => {
        armed.delete(timer);
        callback();
      }, ms);
      armed.add(timer);
      return timer;
    },
    clearTimeout: (timer) => {
      armed.delete(timer);
      systemClock.clearTimeout(timer);
    },
  };
  const served = await startTestServer({ clock, observe: (observation) => observed.push(observation) });
  const { registry } = served.orchestrator;
  const open = registry.open.bind(registry);
  registry.open = (parts, request) => {
    const inspect = (event: InspectionEvent): void => {
      inspected.set(event.type, (inspected.get(event.type) ?? 0) + 1);
      parts.inspect(event);
    };
    return open({ ...parts, inspect }, request);
  };
  const atRest = armed.size;
  return {
    served,
    writes: countWrites(Number(new URL(served.url).port)),
    timers: () => armed.size - atRest,
    inspected,
    observed,
  };
}

/** Counts what goes to the system: one for each chunk, or for each bundle of chunks. */
function countWrites(port: number): () => number {
  let writes = 0;
  const { _write: write, _writev: writev } = Socket.prototype;
  const count = (socket: Socket): void => {
    if (socket.localPort === port) writes += 1;
  };
  Socket.prototype._write = function (...given) {
    count(this);
    write.apply(this, given);
  };
  Socket.prototype._writev = function (...given) {
    count(this);
    writev?.apply(this, given);
  };
  restore.push(() => Object.assign(Socket.prototype, { _write: write, _writev: writev }));
  return () => writes;
}

test('a session over SSE: what its announcement, a ping and its rest cost', async () => {
  const { served, writes, timers, inspected, observed } = await counted();
  const stream = await new RawSse(served.url).whenAnnounced();
  expect(writes()).toBe(limits.writesOfAnAnnouncement);
  await stream.initialize();
  expect(timers()).toBe(limits.timersOfAnIdleSession);
  expect(inspected.get('@xstate.microstep')).toBeLessThanOrEqual(limits.microstepsOfASession);
  expect(inspected.get('@xstate.actor')).toBeLessThanOrEqual(limits.actorsOfASession);

  inspected.clear();
  observed.length = 0;
  const before = writes();
  await stream.call('a', 'ping');
  expect(writes() - before).toBe(limits.writesOfAPing);
  expect(inspected.get('@xstate.microstep')).toBeLessThanOrEqual(limits.microstepsOfAPing);
  expect(inspected.get('@xstate.actor')).toBeUndefined();
  expect(observed.length).toBeLessThanOrEqual(limits.observationsOfAPing);
  expect(timers()).toBe(limits.timersOfAnIdleSession);

  await stream.disconnect();
  await served.close();
  expect(timers()).toBeLessThanOrEqual(0);
});

test('a session over Streamable HTTP: what a ping and its rest cost', async () => {
  const { served, writes, timers, inspected } = await counted();
  const client = await new RawMcp(served.url).initialize();
  await client.post({ jsonrpc: '2.0', id: 'first', method: 'ping' });
  inspected.clear();
  const before = writes();
  await (await client.sendRequest({ jsonrpc: '2.0', id: 'a', method: 'ping' })).whenClosed();
  expect(writes() - before).toBe(limits.writesOfAPingOverHttp);
  expect(inspected.get('@xstate.microstep')).toBeLessThanOrEqual(limits.microstepsOfAPing);
  expect(timers()).toBeLessThanOrEqual(limits.timersOfAnIdleSession);
  await served.close();
});

test('a signal that is wanted after the end is aborted, with the first reason', () => {
  const [late, early] = [new LateAbort(), new LateAbort()];
  const { signal } = early;
  for (const ending of [late, early]) for (const reason of ['first', 'second']) ending.abort(() => new Error(reason));
  for (const ended of [late.signal, early.signal]) expect(ended.reason).toEqual(new Error('first'));
  expect(early.signal).toBe(signal);
});

test('a lease that nobody used holds nothing, and refuses who comes after its release', async () => {
  const { pool, close } = await openTestPool();
  const lease = pool.lease(leaseRequest('context', 'unused'), recordingListener());
  expect(lease.usage?.keptBytes).toBe(0);
  await lease.release();
  await expect(lease.browser()).rejects.toThrow('its browser is released');
  expect(await close()).toEqual([]);
});

test('the list of tools is the same text for all sessions, on every transport', async () => {
  const served = await startTestServer({ tools: [...new TestTools().all, cafe] });
  const lists: unknown[] = [];
  for (let session = 0; session < 3; session += 1) {
    const stream = await new RawSse(served.url).whenAnnounced();
    await stream.initialize();
    await stream.call('list', 'tools/list');
    lists.push(stream.events.at(-1)?.data);
    await stream.disconnect();
  }
  for (const accept of ['application/json', 'text/event-stream']) {
    const client = await new RawMcp(served.url).initialize();
    const reply = await client.sendRequest({ jsonrpc: '2.0', id: 'list', method: 'tools/list' }, { accept });
    await reply.whenClosed();
    lists.push(accept === 'application/json' ? reply.text : reply.events.at(-1)?.data);
  }
  expect(new Set(lists).size).toBe(1);
  expect(JSON.parse(String(lists[0]))).toMatchObject({ id: 'list', result: { tools: expect.any(Array) } });
  expect(lists[0]).toContain('Serves a café.');
  await served.close();
});

test('a shared result is made into bytes once, the second time that it is written', () => {
  const result = shareResult({ tools: [{ name: 'serve_cafe', description: 'Serves a café.' }] });
  const messages = [1, 'two', 3].map((id) => ({ jsonrpc: '2.0' as const, id, result }));
  const texts = messages.map((message) => textOf(message));
  expect(texts.map(String)).toEqual(messages.map((message) => JSON.stringify(message)));
  expect(texts.map((text) => text.length)).toEqual(texts.map((text) => String(text).length));
  const shared = texts.filter((text) => text instanceof SharedText);
  expect(shared.map((text) => Buffer.byteLength(chunkOf(text)))).toEqual(
    shared.map((text) => Buffer.byteLength(String(text))),
  );
  expect(new Set(shared.map((text) => text.parts('', '')[1])).size).toBe(1);
  expect(shared).toHaveLength(2);
});
