import { send } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

let served: TestServer;
let stream: RawSse;
beforeEach(async () => {
  served = await startTestServer({ tools: new TestTools().all });
  stream = await new RawSse(served.url).whenAnnounced();
});
afterEach(async () => {
  await stream.disconnect();
  await served.close();
});

test.each(['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07'])(
  'a client that asks for %s gets it',
  async (version) => {
    expect(await stream.initialize(version)).toMatchObject({
      result: {
        protocolVersion: version,
        capabilities: { tools: {}, logging: {}, resources: {} },
        serverInfo: { name: 'greenroom', version: expect.any(String) },
      },
    });
  },
);

test.each(['1999-01-01', '', 7, null, undefined])(
  'a client that asks for the revision %p is offered the newest',
  async (asked) => {
    const answer = await stream.call(1, 'initialize', { protocolVersion: asked, capabilities: {} });
    expect(answer).toMatchObject({ result: { protocolVersion: '2025-11-25' } });
  },
);

test('an unknown method is -32601 and names it; an unknown notification and an answer to nothing are ignored', async () => {
  expect(await stream.call(1, 'tools/destroy')).toMatchObject({
    error: { code: -32601, message: 'Method not found: tools/destroy' },
  });
  expect((await stream.post({ jsonrpc: '2.0', method: 'notifications/nothing' })).status).toBe(202);
  expect((await stream.post({ jsonrpc: '2.0', id: 99, result: {} })).status).toBe(202);
  expect((await stream.post({ jsonrpc: '2.0', id: 99, error: { code: 1, message: 'no' } })).status).toBe(202);
  expect(await stream.call(2, 'ping')).toEqual({ jsonrpc: '2.0', id: 2, result: {} });
  expect(stream.messages).toHaveLength(2);
});

test('an unknown tool, and parameters of the wrong shape, are -32602 and say what is right', async () => {
  await stream.whenInitialized();
  const errorOf = async (id: number, params: object) => {
    const answer = await stream.call(id, 'tools/call', params);
    return 'error' in answer ? [answer.error.code, answer.error.message] : answer;
  };
  expect(await errorOf(1, { name: 'nothing' })).toEqual([-32602, 'Unknown tool: nothing']);
  expect(await errorOf(2, {})).toEqual([-32602, '"name" is the name of a tool.']);
  expect(await errorOf(3, { name: 'echo', arguments: [1] })).toEqual([-32602, '"arguments" is an object.']);
  const level = await stream.call(4, 'logging/setLevel', { level: 'loud' });
  expect(level).toMatchObject({ error: { code: -32602, message: expect.stringContaining('emergency') } });
  const cursor = await stream.call(5, 'tools/list', { cursor: 'x' });
  expect(cursor).toMatchObject({ error: { code: -32602, message: expect.stringContaining('cursor') } });
});

test('a cursor without text is none, and a level is the same in any case', async () => {
  await stream.whenInitialized();
  expect(await stream.call(1, 'tools/list', { cursor: '' })).toMatchObject({ result: { tools: expect.any(Array) } });
  for (const level of ['WARN', 'Notice'])
    expect(await stream.call(level, 'logging/setLevel', { level })).toMatchObject({ result: {} });
});

test('a number that is no whole one is named where it is refused', async () => {
  const answers: string[] = [];
  for (const message of [
    { id: 1.5, method: 'ping' },
    { id: 1, method: 'ping', params: { _meta: { progressToken: 0.1 } } },
  ])
    answers.push((await stream.post({ jsonrpc: '2.0', ...message })).text);
  expect(answers).toEqual([expect.stringContaining('whole number, not 1.5.'), expect.stringContaining('not 0.1.')]);
});

test('[C-TOOL-ERROR] wrong arguments are a result that names each of them and those that exist', async () => {
  await stream.whenInitialized();
  const textOf = async (id: number, args: object) => {
    const answer = await stream.call(id, 'tools/call', { name: 'echo', arguments: args });
    expect(answer).toMatchObject({ result: { isError: true } });
    return JSON.stringify(answer);
  };
  const wrong = await textOf(1, { value: {}, colour: 'red' });
  expect(wrong).toContain('\\"value\\": ');
  expect(wrong).toContain('unknown argument \\"colour\\"');
  expect(wrong).toContain('Its arguments: value.');
  expect(await textOf(2, {})).toContain('\\"value\\" is missing');
});

test('tools/list names the tools of the groups that were asked for, with their schemas', async () => {
  await stream.whenInitialized();
  const namesOf = async (open: RawSse) => {
    const answer = await open.call('list', 'tools/list');
    const { tools } = ('result' in answer ? answer.result : {}) as { tools: { name: string; inputSchema: object }[] };
    for (const { inputSchema } of tools) expect(inputSchema).toMatchObject({ type: 'object', properties: {} });
    return tools.map(({ name }) => name);
  };
  expect(await namesOf(stream)).toEqual(new TestTools().all.map(({ name }) => name));
  const core = await new RawSse(served.url, { path: '/sse?tools=core' }).whenInitialized();
  expect(await namesOf(core)).toEqual(['echo', 'hold', 'late', 'fail', 'count', 'large']);
  const hidden = await core.call('hidden', 'tools/call', { name: 'browse' });
  expect(hidden).toMatchObject({ error: { code: -32602 } });
  await core.disconnect();
});

test('progress goes out only with a token, only while it grows, and before the answer', async () => {
  await stream.whenInitialized();
  await stream.call(1, 'tools/call', { name: 'count', arguments: {} });
  expect(stream.messages).toHaveLength(1);
  await stream.call(2, 'tools/call', { name: 'count', arguments: {}, _meta: { progressToken: 'token' } });
  const [, ...rest] = stream.messages;
  const progress = (step: number) => ({
    jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken: 'token', progress: step, total: 3, message: `step ${step}` },
  });
  expect(rest).toEqual([progress(1), progress(2), progress(3), expect.objectContaining({ id: 2 })]);
});

test('a progress token of zero is a token', async () => {
  await stream.whenInitialized();
  await stream.call(1, 'tools/call', { name: 'count', arguments: {}, _meta: { progressToken: 0 } });
  expect(stream.messages).toHaveLength(4);
});

test('logging/setLevel holds back what is less important', async () => {
  await stream.initialize();
  const session = served.orchestrator.registry.find(stream.sessionId, 'anyone');
  session.server.log('info', 'first');
  session.server.log('debug', 'not wanted');
  await stream.call(1, 'logging/setLevel', { level: 'error' });
  session.server.log('warning', 'not wanted');
  session.server.log('critical', 'last');
  await stream.call(2, 'ping');
  const logged = stream.messages.flatMap((message) => ('method' in message ? [message.params] : []));
  expect(logged).toEqual([
    { level: 'info', logger: 'greenroom', data: 'first' },
    { level: 'critical', logger: 'greenroom', data: 'last' },
  ]);
});

test.each(['{"toString":1,"valueOf":1}', '['.repeat(90) + ']'.repeat(90), 'null'])(
  '[S4] a tool name that is not even printable is answered, and leaves no request in flight (%#)',
  async (name) => {
    await stream.whenInitialized();
    const headers = { 'content-type': 'application/json' };
    const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":${name}}}`;
    const url = new URL(stream.endpoint ?? '', served.url).href;
    expect(await send(url, { method: 'POST', headers, body })).toMatchObject({ status: 202 });
    expect(await stream.answer(1)).toMatchObject({ error: { code: -32602 } });
    await stream.call(2, 'ping');
    const session = served.orchestrator.registry.find(stream.sessionId, 'anyone');
    expect(session.actor.getSnapshot().context.inFlight).toBe(0);
  },
);

test('a tool of another group names its group and how to ask for it; a wrong name, the nearest ones', async () => {
  const errorOf = async (served: string, id: number, name: string): Promise<string> => {
    const client = await new RawSse(served, { path: '/sse?tools=session' }).whenInitialized();
    const answer = await client.call(id, 'tools/call', { name });
    await client.disconnect();
    return 'error' in answer ? answer.error.message : '';
  };
  expect(await errorOf(served.url, 1, 'large')).toBe(
    'Unknown tool: large. It is in the group "network", which this session has not selected: connect with ' +
      '?tools=network or ?tools=all, or start the server with --tools all.',
  );
  expect(await errorOf(served.url, 9, 'largo')).toMatch(
    /^Unknown tool: largo\. Did you mean large\? It is in the group "network", .*connect with \?tools=network/,
  );
  expect(await errorOf(served.url, 2, 'ecco')).toBe('Unknown tool: ecco. Did you mean echo?');
  for (const [id, name] of ['mcp__greenroom__echo', 'greenroom-echo', 'greenroom.echo'].entries())
    expect(await errorOf(served.url, 3 + id, name)).toBe(`Unknown tool: ${name}. Did you mean echo?`);
});

test('a session without structured answers gets everything once, as text; null counts as left out', async () => {
  const client = await new RawSse(served.url, { path: '/sse?structured=0' }).whenInitialized();
  await client.post({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: null });
  const { result: listed } = (await client.answer(1)) as unknown as { result: { tools: object[] } };
  expect(listed.tools.length).toBeGreaterThan(3);
  expect(listed.tools.filter((tool) => 'outputSchema' in tool)).toEqual([]);
  const echo = { name: 'echo', arguments: { value: 'a\ud800\u202eb', toolCallId: 'x' }, _meta: null };
  expect(await client.call(2, 'tools/call', echo)).toEqual({
    jsonrpc: '2.0',
    id: 2,
    result: { content: [{ type: 'text', text: 'a\ufffd\\u202eb' }] },
  });
  await client.post({ jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name: 'echo', arguments: [] } });
  expect(await client.answer(3)).toMatchObject({ result: { content: [{ text: expect.stringContaining('missing') }] } });
  const { text } = await send(`${served.url}/metrics`);
  expect(text).toContain('greenroom_tolerated_requests_total{client="unknown",kind="null"} 2');
  expect(text).toContain('greenroom_tolerated_requests_total{client="unknown",kind="extra_key"} 1');
  await client.disconnect();
});

test('an unknown profile is refused with what exists', async () => {
  const refused = await send(`${served.url}/sse?profile=nobody`);
  expect(refused.status).toBe(400);
  expect(refused.text).toContain('claude-code');
});
