import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { postJson, type Reply } from '../support/http.js';
import { initialize } from '../support/messages.js';
import { RawMcp } from '../support/rawMcp.js';
import { startTestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

const json = { accept: 'application/json, text/event-stream;q=0.5' };
const call = (id: string, name: string, rest: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {}, ...rest },
});
const headersOf = ({ headers }: Reply) => ({ ...json, 'mcp-session-id': String(headers['mcp-session-id']) });

test('[C-HTTP][S1] who would rather not read a stream gets one JSON answer, with the id of the session when it is ready', async () => {
  const pool = new FakeBrowserPool();
  pool.holdLeases();
  const { url, close } = await startTestServer({ pool, tools: new TestTools().all });
  const opening = postJson(`${url}/mcp`, initialize(1, '2025-11-25'), json);
  await pool.whenWaiting();
  pool.releaseLeases();
  const opened = await opening;
  expect([opened.status, opened.headers['content-type']]).toEqual([200, 'application/json']);
  expect(opened.json).toMatchObject({ id: 1, result: { protocolVersion: '2025-11-25' } });
  expect(opened.headers['mcp-session-id']).toMatch(/^[\w-]{22}$/);
  const echoed = await postJson(`${url}/mcp`, call('a', 'echo', { arguments: { value: 'hello' } }), headersOf(opened));
  expect(echoed.json).toMatchObject({ id: 'a', result: { structuredContent: { value: 'hello' } } });
  await close();
});

test.each([
  ['application/json, text/event-stream', 'text/event-stream'],
  ['application/json;q=0.1, text/event-stream;q=0.9', 'text/event-stream'],
  ['application/json;q=0.5, text/event-stream;q=0.5', 'text/event-stream'],
  ['*/*', 'text/event-stream'],
  ['application/json;version=1, text/event-stream;version=1', 'text/event-stream'],
  ['application/json, text/event-stream;charset=utf-8;q=0.1', 'application/json'],
  ['APPLICATION/JSON ; charset="UTF-8", Text/Event-Stream ; q=0.1', 'application/json'],
  ['application/json, */*;q=0.1', 'application/json'],
  ['application/json;q=0.9, text/*;q=1, text/event-stream;q=0.2', 'application/json'],
  ['', 'text/event-stream'],
  ['text/event-stream', 'text/event-stream'],
  ['application/json', 'application/json'],
  ['application/*', 'application/json'],
  ['application/json, text/event-stream;q=0', 'application/json'],
  ['text/event-stream;q=0, */*', 'application/json'],
])('[C-HTTP] `Accept: %s` is answered with %s', async (accept, type) => {
  const { url, close } = await startTestServer();
  const opened = await postJson(`${url}/mcp`, initialize(1, '2025-11-25'), { accept });
  expect([opened.status, opened.headers['content-type']]).toEqual([200, type]);
  await close();
});

test.each([',', 'text/html', 'text/plain;q=1, */*;q=0', '"'])(
  '[C-HTTP] `Accept: %s` allows neither type, and is refused',
  async (accept) => {
    const { url, close } = await startTestServer();
    const refused = await postJson(`${url}/mcp`, initialize(1, '2025-11-25'), { accept });
    expect(refused).toMatchObject({ status: 406, json: { error: { data: { reason: 'not_acceptable' } } } });
    await close();
  },
);

test('[C-HTTP] a set-up that fails, a wrong message and a batch are answered as JSON too', async () => {
  const pool = new FakeBrowserPool();
  const { url, close } = await startTestServer({ pool, tools: new TestTools().all });
  const { headers } = await postJson(`${url}/mcp`, initialize(1, '2025-03-26'), json);
  const session = { ...json, 'mcp-session-id': String(headers['mcp-session-id']) };
  const batch = await postJson(
    `${url}/mcp`,
    [call('a', 'echo', { arguments: { value: '1' } }), call('b', 'count')],
    session,
  );
  expect([batch.status, batch.json]).toMatchObject([200, [{ id: expect.any(String) }, { id: expect.any(String) }]]);
  const wrong = await postJson(`${url}/mcp`, { jsonrpc: '2.0', id: 'x', method: 7 }, session);
  expect([wrong.status, wrong.json]).toMatchObject([400, { error: { data: { reason: 'invalid_message' } } }]);
  pool.holdLeases();
  const failing = postJson(`${url}/mcp`, initialize(1, '2025-11-25'), json);
  await pool.whenWaiting();
  pool.failLeases('browser_failed', 'No browser.');
  expect(await failing).toMatchObject({ status: 502, json: { error: { data: { reason: 'browser_failed' } } } });
  await close();
});

test('[C-HTTP] what belongs to a request that wants one answer is told where the client listens', async () => {
  const served = await startTestServer({ tools: new TestTools().all });
  const client = await new RawMcp(served.url).initialize();
  const listening = await client.listen();
  const counted = await client.post(call('c', 'count', { _meta: { progressToken: 'p' } }), json);
  expect(counted.json).toMatchObject({ id: 'c', result: { structuredContent: { value: 'counted' } } });
  await listening.when(({ messages }) => messages.length === 3);
  expect(listening.messages).toMatchObject([1, 2, 3].map((progress) => ({ params: { progressToken: 'p', progress } })));
  await client.disconnect();
  await served.close();
});

test('[C-HTTP][S5] what is cancelled is answered by 202, and leaves nothing', async () => {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all });
  const client = await new RawMcp(served.url).initialize();
  const cancelled = client.post(call('h', 'hold', { arguments: { value: 'never' } }), json);
  await tools.whenHeld();
  await client.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'h' } });
  expect(await cancelled).toMatchObject({ status: 202, text: '' });
  await client.disconnect();
  await served.close();
});
