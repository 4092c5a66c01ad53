import { expect, jest, test } from '@jest/globals';
import type { ActivityReport, WorkerActivity } from '../../src/browser/injected/extensionContract.js';
import { flushReports, instrumentContext, readWorkerActivity } from '../../src/browser/cdp/injectedFunctions.js';
import { fakeEvent, openContext, type AnyFunction } from './support/injectedContext.js';

function fakePort(name: string) {
  return {
    name,
    sender: { id: 'me' },
    postMessage: jest.fn<AnyFunction>(),
    onMessage: fakeEvent(),
    onDisconnect: fakeEvent(),
  };
}

/** An instrumented context of an extension. `reports` takes what it reported since the last call. */
function openExtension({ isTracing = false, ...parts }: { isTracing?: boolean; [part: string]: unknown } = {}) {
  const runtime = {
    id: 'a'.repeat(32),
    sendMessage: jest.fn<AnyFunction>() as AnyFunction,
    connect: ((info: { name: string }) => fakePort(info.name)) as (info: {
      name: string;
    }) => ReturnType<typeof fakePort>,
    onMessage: fakeEvent(),
    onConnect: fakeEvent(),
  };
  const chrome = { runtime, ...parts };
  const taken: string[] = [];
  const { context, call } = openContext({
    chrome,
    location: { protocol: 'https:' },
    record: (text: string) => void taken.push(text),
  });
  const instrument = (tracing: boolean) => call(instrumentContext, 'record', tracing);
  const send = jest.fn<AnyFunction>();
  runtime.sendMessage = send;
  expect(instrument(isTracing)).toBe(false);
  const reports = () => taken.splice(0).map((text) => ({ ...(JSON.parse(text) as ActivityReport), at: 0 }));
  return { runtime, chrome, context, call, instrument, send, reports };
}

const begin = (id: number, kind: string, api: string, details: object) => {
  return { id, phase: 'begin', kind, api, at: 0, ...details };
};
const end = (id: number, kind: string, api: string, details: object = {}) => {
  return { id, phase: 'end', kind, api, at: 0, ...details };
};

test('a message is reported with its reply, which its sender gets', async () => {
  const { runtime, send, reports } = openExtension();
  send.mockImplementation(() => Promise.resolve({ ripe: true }));
  expect(await runtime.sendMessage({ ask: 'plum' })).toEqual({ ripe: true });
  expect(send).toHaveBeenCalledWith({ ask: 'plum' });
  expect(reports()).toEqual([
    begin(1, 'send', 'runtime.sendMessage', { value: '{"ask":"plum"}' }),
    end(1, 'send', 'runtime.sendMessage', { value: '{"ripe":true}' }),
  ]);
});

test('the message to another extension is the argument after its id', async () => {
  const { runtime, send, reports } = openExtension();
  send.mockImplementation(() => Promise.resolve());
  await runtime.sendMessage('b'.repeat(16) + 'p'.repeat(16), 'hello');
  await runtime.sendMessage('not an id', 'options');
  expect(reports().flatMap(({ phase, value }) => (phase === 'begin' ? [value] : []))).toEqual([
    '"hello"',
    '"not an id"',
  ]);
});

test('a rejection, a throw and a callback reach the caller as they were, and are reported', async () => {
  const { runtime, send, reports } = openExtension();
  const refused = new Error('Could not establish connection.');
  send.mockImplementationOnce(() => Promise.reject(refused));
  await expect(runtime.sendMessage(1)).rejects.toBe(refused);
  send.mockImplementationOnce(() => {
    throw refused;
  });
  expect(() => runtime.sendMessage(2)).toThrow(refused);
  send.mockImplementationOnce((_message, reply) => (reply as AnyFunction)('late', 'later'));
  const heard = jest.fn();
  runtime.sendMessage(3, heard);
  expect(heard).toHaveBeenCalledWith('late', 'later');
  expect(reports().filter(({ phase }) => phase === 'end')).toEqual([
    end(1, 'send', 'runtime.sendMessage', { error: 'Could not establish connection.' }),
    end(2, 'send', 'runtime.sendMessage', { error: 'Could not establish connection.' }),
    end(3, 'send', 'runtime.sendMessage', { value: '"late", "later"' }),
  ]);
});

test('a received message is reported with its sender and the reply', () => {
  const { runtime, reports } = openExtension();
  const answered = jest.fn();
  runtime.onMessage.addListener((message, _sender, reply) => {
    (reply as AnyFunction)({ got: message });
    return true;
  });
  expect(runtime.onMessage.fire('ping', { tab: 1 }, answered)).toEqual([true]);
  expect(answered).toHaveBeenCalledWith({ got: 'ping' });
  expect(reports()).toEqual([
    begin(1, 'receive', 'runtime.onMessage', { value: '"ping"', sender: '{"tab":1}' }),
    end(1, 'receive', 'runtime.onMessage', { value: '{"got":"ping"}', outcome: 'answered' }),
  ]);
});

test('a listener is found and removed under its own name', () => {
  const { runtime } = openExtension();
  const listener = jest.fn();
  runtime.onMessage.addListener(listener);
  runtime.onMessage.addListener(listener);
  expect(runtime.onMessage.hasListener(listener)).toBe(true);
  runtime.onMessage.fire('once');
  expect(listener).toHaveBeenCalledTimes(1);
  runtime.onMessage.removeListener(listener);
  expect(runtime.onMessage.hasListener(listener)).toBe(false);
});

test('what passes a port is reported in both directions, once however many listen', () => {
  const { runtime, reports } = openExtension();
  const ports: unknown[] = [];
  for (const _ of [1, 2]) runtime.onConnect.addListener((port) => void ports.push(port));
  const port = fakePort('news');
  const { postMessage } = port;
  runtime.onConnect.fire(port);
  port.postMessage('out');
  port.onMessage.fire('in');
  port.onDisconnect.fire();
  expect(ports).toEqual([port, port]);
  expect(postMessage).toHaveBeenCalledWith('out');
  const sender = '{"id":"me"}';
  expect(reports().filter(({ phase }) => phase === 'begin')).toEqual([
    begin(1, 'receive', 'runtime.onConnect', { value: '"news"', sender }),
    begin(2, 'send', 'port "news"', { value: '"out"' }),
    begin(3, 'receive', 'port "news"', { value: '"in"', sender }),
    begin(4, 'receive', 'port "news" disconnected', { value: '', sender }),
  ]);
  runtime.connect({ name: 'mine' }).postMessage('first');
  expect(reports().filter(({ phase }) => phase === 'begin')).toEqual([
    begin(5, 'send', 'runtime.connect', { value: '"mine"' }),
    begin(6, 'send', 'port "mine"', { value: '"first"' }),
  ]);
});

test('calls are reported while tracing is on, however often the context is instrumented', () => {
  const get = jest.fn((..._: unknown[]) => 'stored');
  const local = { get };
  const { instrument, reports } = openExtension({ storage: { local, onChanged: fakeEvent() } });
  expect(local.get).toBe(get);
  instrument(true);
  instrument(true);
  expect(local.get('key', 2)).toBe('stored');
  instrument(false);
  local.get('quiet');
  expect(get.mock.calls).toEqual([['key', 2], ['quiet']]);
  expect(reports()).toEqual([
    begin(1, 'call', 'storage.local.get', { value: '"key", 2' }),
    end(1, 'call', 'storage.local.get', { value: '"stored"' }),
  ]);
});

test('a property that throws keeps nothing from being traced, and a long argument is capped', () => {
  const set = jest.fn<AnyFunction>();
  const alarms = {
    get forbidden(): never {
      throw new Error('not in this context');
    },
    set: set as AnyFunction,
  };
  const { reports } = openExtension({ isTracing: true, alarms });
  alarms.set('x'.repeat(5_000));
  expect(set).toHaveBeenCalledWith('x'.repeat(5_000));
  expect(reports()[0]?.value).toHaveLength(4_001);
});

test('reports wait for the binding, 500 of them', () => {
  const { context, call, reports } = openExtension();
  const record: unknown = Reflect.get(context, 'record');
  Reflect.deleteProperty(context, 'record');
  const { runtime } = context['chrome'] as { runtime: { sendMessage: AnyFunction } };
  for (let sent = 0; sent < 300; sent += 1) runtime.sendMessage(sent);
  Reflect.set(context, 'record', record);
  expect(reports()).toEqual([]);
  call(flushReports);
  expect(reports()).toHaveLength(500);
  call(flushReports);
  expect(reports()).toEqual([]);
});

test('of one second 1,000 reports are sent, and the next tells of the rest', () => {
  const { runtime, context, reports } = openExtension();
  let now = 5_000;
  Reflect.set(context, 'Date', { now: () => now });
  for (let sent = 0; sent < 700; sent += 1) void runtime.sendMessage(sent);
  expect(reports()).toHaveLength(1_000);
  now += 1_000;
  void runtime.sendMessage('next');
  expect(reports()[0]).toMatchObject({ api: 'left out', value: '400 reports beyond 1000 of one second' });
});

test('a context without an extension stays as it is', () => {
  for (const globals of [{}, { chrome: {} }, { chrome: { runtime: { sendMessage: 1 } } }]) {
    const { context, call } = openContext(globals);
    expect(call(instrumentContext, 'record', true)).toBe(false);
    expect(Object.getOwnPropertySymbols(context)).toEqual([]);
    expect(call(flushReports)).toBeUndefined();
  }
});

test('a worker tells what it heard first, how often since, and which ports are open', () => {
  const onAlarm = fakeEvent();
  const { runtime, call } = openExtension({ alarms: { onAlarm } });
  const heard = jest.fn();
  onAlarm.addListener(heard);
  onAlarm.fire({ name: 'tick' });
  runtime.onConnect.addListener(() => undefined);
  const [kept, closed] = [fakePort('kept'), fakePort('closed')];
  runtime.onConnect.fire(kept);
  runtime.onConnect.fire(closed);
  closed.onDisconnect.fire();
  expect(heard).toHaveBeenCalledWith({ name: 'tick' });
  expect(onAlarm.hasListener(heard)).toBe(true);
  onAlarm.removeListener(heard);
  expect(onAlarm.hasListener(heard)).toBe(false);
  const { first, events, ports } = call(readWorkerActivity) as WorkerActivity;
  expect(first?.name).toBe('alarms.onAlarm');
  expect(events.map(({ name }) => name)).toEqual(['alarms.onAlarm', 'runtime.onConnect']);
  expect(ports).toEqual(['kept']);
});
