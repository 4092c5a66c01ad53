import { AsyncLocalStorage } from 'node:async_hooks';
import {
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  trace,
  type Context,
  type ContextManager,
  type TextMapPropagator,
} from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';
import { z } from 'zod';
import { defineTool } from '../../src/tools/defineTool.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { nextTurn } from '../support/gate.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

/** What an application registers beside its tracer: contexts that follow asynchronous calls. */
class LocalContexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();
  active = (): Context => this.#storage.getStore() ?? ROOT_CONTEXT;
  with: ContextManager['with'] = (active, run, self, ...args) =>
    this.#storage.run(active, () => run.call(self as ThisParameterType<typeof run>, ...args));
  bind = <Target>(_context: Context, target: Target): Target => target;
  enable = (): this => this;
  disable = (): this => this;
}

/** `traceparent` of W3C Trace Context, as far as a parent needs it. */
const traceContext: TextMapPropagator = {
  fields: () => ['traceparent'],
  inject: () => undefined,
  extract: (into, carrier, getter) => {
    const [, traceId = '', spanId = ''] = String(getter.get(carrier, 'traceparent')).split('-');
    const parent = { traceId, spanId, traceFlags: 1, isRemote: true };
    return isSpanContextValid(parent) ? trace.setSpanContext(into, parent) : into;
  },
};

let activeInTool: string | undefined;
const lookInside = defineTool({
  name: 'look_inside',
  group: 'session',
  description: 'Notes which span is active while it runs.',
  input: z.object({}),
  output: z.object({}),
  annotations: { readOnlyHint: true },
  needs: 'nothing',
  handler: async () => {
    await nextTurn();
    activeInTool = trace.getActiveSpan()?.spanContext().spanId;
    return { text: 'looked', structured: {} };
  },
});

const exporter = new InMemorySpanExporter();
const caller = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const traceparent = `00-${caller.traceId}-${caller.spanId}-01`;
const pool = new FakeBrowserPool();
let served: TestServer;

beforeAll(async () => {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  context.setGlobalContextManager(new LocalContexts());
  propagation.setGlobalPropagator(traceContext);
  const awaited = { onSession: () => undefined, directory: { claim: () => Promise.resolve() } };
  served = await startTestServer({ tools: [...new TestTools().all, lookInside], pool, ...awaited });
});
beforeEach(() => exporter.reset());
afterAll(async () => {
  await served.close();
  trace.disable();
  context.disable();
  propagation.disable();
});

const spans = () => exporter.getFinishedSpans();
const named = (name: string): ReadableSpan => {
  const span = spans().find((candidate) => candidate.name === name);
  if (!span)
    throw new Error(
      `No span ${name} among ${spans()
        .map((one) => one.name)
        .join()}`,
    );
  return span;
};
const parentOf = ({ parentSpanContext }: ReadableSpan) => parentSpanContext?.spanId;

test('[C-TRACE] a connect is a span below its caller, with one for each step that the client waited for', async () => {
  const stream = await new RawSse(served.url, { headers: { traceparent } }).whenInitialized();
  const connect = named('session.connect');
  expect([connect.spanContext().traceId, parentOf(connect)]).toEqual([caller.traceId, caller.spanId]);
  expect(connect.attributes).toEqual({ 'mcp.session.id': stream.sessionId.slice(0, 8) });
  const steps = ['session.lease', 'session.registerTools', 'session.claim'];
  expect(
    spans()
      .map(({ name }) => name)
      .sort(),
  ).toEqual([...steps, 'session.connect'].sort());
  for (const step of steps) expect(parentOf(named(step))).toBe(connect.spanContext().spanId);
  await stream.disconnect();
});

test('[C-TRACE] a connect that fails ends its spans with the reason', async () => {
  pool.holdLeases();
  const stream = new RawSse(served.url);
  await pool.whenWaiting();
  pool.failLeases('browser_failed', 'Chrome is broken.');
  await stream.whenClosed();
  pool.releaseLeases();
  for (const name of ['session.connect', 'session.lease'])
    expect(named(name).status).toEqual({ code: 2, message: 'browser-failed' });
  expect(named('session.registerTools').status.code).toBe(0);
  expect(parentOf(named('session.connect'))).toBeUndefined();
});

test('[C-TRACE] with a lazy lease and no set-up nothing is waited for', async () => {
  const lazy = await startTestServer({ options: { lease: 'lazy' } });
  const stream = await new RawSse(lazy.url).whenInitialized();
  expect(spans().map(({ name }) => name)).toEqual(['session.connect']);
  await stream.disconnect();
  await lazy.close();
});

test('[C-TRACE] a tool call is a span below the HTTP request, or nearer below what its _meta names', async () => {
  const stream = await new RawSse(served.url).whenInitialized();
  const call = (id: number, how: object) =>
    stream.call(id, 'tools/call', { name: 'echo', arguments: { value: 'x' }, ...how });
  await call(1, {});
  expect(parentOf(named('tools/call echo'))).toBeUndefined();
  expect(named('tools/call echo').attributes).toMatchObject({
    'gen_ai.tool.name': 'echo',
    'mcp.method.name': 'tools/call',
  });
  exporter.reset();
  await call(2, { _meta: { traceparent } });
  expect(parentOf(named('tools/call echo'))).toBe(caller.spanId);
  exporter.reset();
  const message = { jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name: 'fail', arguments: { how: 'tool' } } };
  await stream.post(message, { traceparent });
  await stream.answer(3);
  expect(parentOf(named('tools/call fail'))).toBe(caller.spanId);
  expect(named('tools/call fail').status).toEqual({ code: 2, message: 'tool_error' });
  await stream.disconnect();
});

test('a traceparent that is none is ignored', async () => {
  const stream = await new RawSse(served.url, { headers: { traceparent: 'nonsense' } }).whenInitialized();
  expect(parentOf(named('session.connect'))).toBeUndefined();
  expect(
    await stream.call(1, 'tools/call', { name: 'echo', arguments: { value: 'x' }, _meta: { traceparent: 7 } }),
  ).toMatchObject({ result: {} });
  await stream.disconnect();
});

test('[C-TRACE] the span of a call is active while its tool runs: what the tool does becomes its child', async () => {
  const stream = await new RawSse(served.url).whenInitialized();
  await stream.call(1, 'tools/call', { name: 'look_inside' });
  expect(activeInTool).toBe(named('tools/call look_inside').spanContext().spanId);
  await stream.disconnect();
});
