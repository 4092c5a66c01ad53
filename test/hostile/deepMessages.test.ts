import { z } from 'zod';
import { parseMessage } from '../../src/mcp/protocol.js';
import type { Content } from '../../src/tools/client.js';
import { defineTool } from '../../src/tools/defineTool.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;
const call = (id: string, progressToken: string): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"progress","_meta":{"progressToken":${progressToken}}}}`;

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

let served: TestServer;
beforeAll(async () => {
  served = await startTestServer({ tools: [...new TestTools().all, unwritable] });
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
