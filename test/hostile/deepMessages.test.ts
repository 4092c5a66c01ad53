import type { Socket } from 'node:net';
import { z } from 'zod';
import { hasTooManyValues, parseMessageText } from '../../src/mcp/messageText.js';
import { parseMessage, type JSONRPCMessage } from '../../src/mcp/protocol.js';
import { readArguments } from '../../src/mcp/tolerantArguments.js';
import type { Content } from '../../src/tools/client.js';
import { defineTool } from '../../src/tools/defineTool.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { textFrame } from '../support/webSocketHandshake.js';

const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;
const call = (id: string, progressToken: string): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"progress","_meta":{"progressToken":${progressToken}}}}`;

const noteTurnCall = (id: number): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'note_turn' } });

const unwritten = { type: 'text', text: 'no', _meta: { size: 1n } } as Content;
const unwritable = defineTool({
  name: 'unwritable',
  group: 'session',
  description: 'Answers what cannot be written as JSON.',
  input: z.object({}).strict(),
  output: z.object({ value: z.string() }),
  annotations: { readOnlyHint: true },
  needs: 'nothing',
  handler: () => Promise.resolve({ text: 'no', structured: { value: 'no' }, content: [unwritten] }),
});

/** The turns of the event loop in which it was called. */
const turns = new Set<number>();
let turn = 0;
const noteTurn = defineTool({
  name: 'note_turn',
  group: 'session',
  description: 'Notes the turn in which it is called.',
  input: z.object({}).strict(),
  output: z.object({ value: z.string() }),
  annotations: { readOnlyHint: true },
  needs: 'nothing',
  handler: () => {
    turns.add(turn);
    return Promise.resolve({ text: '', structured: { value: '' } });
  },
});

let served: TestServer;
beforeAll(async () => {
  served = await startTestServer({ tools: [...new TestTools().all, unwritable, noteTurn] });
});
// The ledger is checked: whatever was opened is closed.
afterAll(() => served.close());

const refused = { error: { code: -32600, data: { reason: 'invalid_message' } } };

describe('what a client wants echoed is bounded where it comes in', () => {
  test.each([
    ['a nested progress token', call('1', nested(50_000)), 1],
    ['a progress token that is an object', call('1', '{"a":1}'), 1],
    ['a long progress token', call('1', `"${'x'.repeat(1_001)}"`), 1],
    ['a long id', call(`"${'x'.repeat(1_001)}"`, '1'), null],
    ['an id that is no whole number', call('1.5', '1'), null],
    ['a nested argument', `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${nested(50_000)}}}`, 1],
    ['a nested result', `{"jsonrpc":"2.0","id":1,"result":{"a":${nested(50_000)}}}`, null],
    [
      'a list of 120,000 values',
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[${'0,'.repeat(120_000)}0]}}`,
      null,
    ],
    ['a long method', `{"jsonrpc":"2.0","id":1,"method":"${'x'.repeat(1_001)}"}`, 1],
  ])('%s is refused, and the session goes on', async (_what, body, id) => {
    const mcp = await new RawMcp(served.url).initialize();
    const reply = await mcp.postText(body);
    expect([reply.status, reply.json]).toMatchObject([400, { id, ...refused }]);
    const socket = await new RawWebSocket(served.url).whenAnnounced();
    socket.socket.send(body);
    expect(await socket.call(7, 'ping')).toMatchObject({ result: {} });
    expect(JSON.parse(socket.frames[0] ?? '')).toMatchObject({ id, ...refused });
    socket.socket.close();
    await socket.closed;
    await mcp.delete();
  });

  test('the largest of each is taken, and is answered as it came', () => {
    const id = Number.MAX_SAFE_INTEGER;
    const params = { _meta: { progressToken: 'x'.repeat(1_000) }, deep: JSON.parse(nested(98)) as unknown };
    const message = { jsonrpc: '2.0', id, method: 'ping', params };
    expect(parseMessage(message)).toBe(message);
    expect(() => parseMessage({ ...message, params: { deep: [params.deep] } })).toThrow('at most 100 levels');
  });
});

describe('values are counted before they are made, since making, checking and walking them holds the event loop', () => {
  const many = 100_001;
  const text = (values: string): string => `{"a":${values}}`;

  test.each([
    ['lists', text(`[${'[],'.repeat(many)}0]`)],
    ['objects', text(`[${'{},'.repeat(many)}0]`)],
    ['keys', text(`{${Array.from({ length: many }, (_, key) => `"${key}":0`).join()}}`)],
    ['requests of a batch', `[${'{"method":"ping"},'.repeat(many)}0]`],
    ['texts that end in backslashes', text(`[${String.raw`"\\",`.repeat(many)}0]`)],
  ])('too many %s', (_what, json) => expect(() => parseMessageText(json)).toThrow('at most 100000 values'));

  test.each([
    ['in a text', ',[{'.repeat(many)],
    ['behind an escaped quotation mark', `\\\\"${'\\",[{'.repeat(many)}`],
  ])('what looks like them %s is none', (_where, content) => {
    const json = JSON.stringify({ id: 1, content });
    expect(hasTooManyValues(json)).toBe(false);
    expect(parseMessageText(json)).toEqual({ id: 1, content });
  });

  test('nor are they made of a text that a client passes for a list', () => {
    const read = (given: string) => {
      const tool = { ...unwritable, input: z.strictObject({ list: z.array(z.unknown()) }) };
      return readArguments(tool, { list: given }, true);
    };
    expect(read('[1, 2]')).toMatchObject({ args: { list: [1, 2] } });
    expect(read(`[${'1,'.repeat(many)}0]`)).toHaveProperty('error');
  });

  test('digits of an id are kept, wherever they stand and whatever is around them', () => {
    const json = `{"a": [1, "id", {"id": 1e9}], "id" :\n 9007199254740993${' '.repeat(1_000)}, "params":{"_meta":{"progressToken":-9007199254740995}}}`;
    expect(parseMessageText(json)).toMatchObject({
      id: '\x009007199254740993',
      params: { _meta: { progressToken: '\x00-9007199254740995' } },
    });
  });
});

test.each([
  ['letters of two bytes', 'é'],
  ['escapes', '\u0001"\\'],
  ['letters of four bytes', '😀'],
])('a message as long as allowed, of %s, is parsed part by part and is the same', async (_what, part) => {
  const mcp = await new RawMcp(served.url).initialize();
  const socket = await new RawWebSocket(served.url).whenInitialized();
  const long = part.repeat(3_900_000 / (Buffer.byteLength(JSON.stringify(part)) - 2));
  const body = `\ufeff{"jsonrpc":"2.0","method":"ping","params":{"long":${JSON.stringify(long)}}, "id" : 9007199254740993}`;
  const parse = JSON.parse;
  const lengths: number[] = [];
  JSON.parse = (text: string, ...rest: []): unknown => {
    lengths.push(text.length);
    return parse(text, ...rest);
  };
  try {
    expect((await mcp.postText(body)).text).toContain('"id":9007199254740993');
    const before = socket.frames.length;
    socket.socket.send(body);
    socket.socket.send(body.slice(0, -1));
    await socket.call(8, 'ping');
    // In the order in which they came.
    const [answer, refusal, last] = socket.frames.slice(before);
    expect(answer).toContain('"id":9007199254740993,"result"');
    expect(refusal).toContain('"reason":"parse_error"');
    expect(last).toContain('"id":8,"result"');
    expect(Math.max(...lengths)).toBeLessThan(512 * 1024);
  } finally {
    JSON.parse = parse;
  }
  expect((parseMessageText(body) as { params: { long: string } }).params.long === long).toBe(true);
  expect((await mcp.postText(body.slice(0, -1))).json).toMatchObject({ error: { data: { reason: 'parse_error' } } });
  expect((await mcp.postText(`${body}}`)).json).toMatchObject({ error: { data: { reason: 'parse_error' } } });
  await mcp.delete();
  await socket.disconnect();
});

test('messages that come together over a WebSocket are handled a turn of the event loop each', async () => {
  const client = await new RawWebSocket(served.url).whenInitialized();
  const count = (): void => {
    turn += 1;
    next = setImmediate(count);
  };
  let next = setImmediate(count);
  const frames = Array.from({ length: 20 }, (_, id) => textFrame(noteTurnCall(id)));
  (Reflect.get(client.socket, '_socket') as Socket).write(Buffer.concat(frames));
  await client.answer(19);
  clearImmediate(next);
  expect(turns.size).toBe(20);
  await client.disconnect();
});

test('so are the messages of a batch', async () => {
  const mcp = await new RawMcp(served.url, { version: '2025-03-26' }).initialize();
  turns.clear();
  const count = (): void => {
    turn += 1;
    next = setImmediate(count);
  };
  let next = setImmediate(count);
  const batch = Array.from({ length: 100 }, (_, id) => JSON.parse(noteTurnCall(id)) as JSONRPCMessage);
  const stream = await mcp.sendRequest(batch);
  await stream.whenClosed();
  clearImmediate(next);
  expect([stream.messages.length, turns.size]).toEqual([100, 100]);
  await mcp.delete();
});

describe('arguments of a tool are looked at until enough of them are wrong', () => {
  const item = z.strictObject({ uid: z.string(), value: z.string() });
  const input = z.strictObject({
    list: z.array(item).optional(),
    map: z.record(z.string(), z.string()).optional(),
    anything: z.record(z.string(), z.unknown()).optional(),
  });
  const tool = { ...unwritable, input };
  /** Each wrong value costs as much as ten that are right. */
  const read = (args: Record<string, unknown>) => {
    const reading = readArguments(tool, args, true);
    return { reading, issues: 'error' in reading ? reading.error.issues : [] };
  };
  const items = Array.from({ length: 30_000 }, () => ({ uid: '1', value: '2' }));
  const named = <T>(value: T) => Object.fromEntries(Array.from({ length: 30_000 }, (_, key) => [`k${key}`, value]));

  test.each([
    ['a list of wrong items', { list: items.map(() => ({ a: 1 })) }],
    ['a list whose last item is wrong', { list: [...items, { a: 1 }] }],
    ['names that the tool does not have', named(1)],
    ['names that an item does not have', { list: [named(1)] }],
    ['wrong values by name', { map: named(1) }],
  ])('%s', (_what, args) => {
    const { issues } = read(args);
    expect(issues.length).toBeGreaterThan(0);
    expect(issues.length).toBeLessThan(2_500);
  });

  test('a wrong item is named by its place', () => {
    const { issues } = read({ list: [...items, { uid: 1, value: '' }] });
    expect(issues).toMatchObject([{ path: ['list', 30_000, 'uid'] }]);
  });

  test('long arguments that are right are taken', () => {
    expect(read({ list: items }).reading).toMatchObject({ args: { list: { length: 30_000 } } });
    expect(read({ anything: named({ a: [1] }) }).reading).toMatchObject({ args: { anything: { k1: { a: [1] } } } });
  });
});

test('an answer that cannot be written is replaced by an error, and the session goes on', async () => {
  const stream = await new RawSse(served.url).whenAnnounced();
  await stream.initialize();
  const params = { name: 'unwritable', arguments: {} };
  expect(await stream.call('bad', 'tools/call', params)).toMatchObject({ error: { data: { reason: 'internal' } } });
  expect(await stream.call('good', 'ping')).toMatchObject({ result: {} });
  const mcp = await new RawMcp(served.url).initialize();
  const answer = await mcp.sendRequest({ jsonrpc: '2.0', id: 'bad', method: 'tools/call', params });
  await answer.whenClosed();
  expect(answer.messages).toMatchObject([{ id: 'bad', error: { data: { reason: 'internal' } } }]);
  await mcp.delete();
  await stream.disconnect();
});
