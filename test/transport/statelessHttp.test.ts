import { z } from 'zod';
import { definePrompt, defineTextTool, defineTool } from '../../src/index.js';
import { catalogue, type Reason } from '../../src/errors/errors.js';
import { notes, text } from '../library/offered.js';
import { postJson, send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawMcp } from '../support/rawMcp.js';
import { envelope, StatelessClient, type Sent } from '../support/statelessClient.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

const steps = defineTextTool({
  name: 'steps',
  description: 'Reports three steps and logs two lines.',
  input: z.strictObject({}),
  handler: (_args, { progress, client }) => {
    for (const step of [1, 2, 3]) progress(step, 3);
    client.log('info', 'said');
    client.log('error', 'shouted');
    return 'done';
  },
});

const sampler = defineTextTool({
  name: 'sampler',
  description: 'Asks the model of the client.',
  input: z.strictObject({}),
  handler: async (_args, { client }) => {
    await client.createMessage({ messages: [], maxTokens: 1 });
    return 'unreachable';
  },
});

const region = defineTextTool({
  name: 'region',
  description: 'Has arguments that headers repeat.',
  input: z.strictObject({ region: z.string().optional(), rows: z.number().optional() }),
  inputSchema: {
    type: 'object',
    properties: {
      region: { type: 'string', 'x-mcp-header': 'Region' },
      rows: { type: 'integer', 'x-mcp-header': 'Rows' },
    },
  },
  handler: () => 'served',
});

const mine = defineTool({
  ...{
    name: 'mine',
    group: 'session',
    description: 'Works on what a session holds.',
    needs: 'nothing',
    ofSession: true,
  },
  ...{ input: z.strictObject({}), output: z.object({}), annotations: { readOnlyHint: true } },
  handler: () => Promise.resolve({ text: 'mine', structured: {} }),
});

const greeting = definePrompt({
  name: 'greeting',
  description: 'Greets',
  arguments: z.strictObject({}),
  messages: () => 'Hello',
});

let served: TestServer;
let client: StatelessClient;
let tools: TestTools;
const clock = new ManualClock();

beforeAll(async () => {
  tools = new TestTools();
  served = await startTestServer({
    tools: [...tools.all, steps, sampler, region, mine],
    prompts: [greeting],
    resources: [text('docs://guide'), notes],
    clock,
  });
  client = new StatelessClient(served.url);
});

afterAll(async () => {
  tools.releaseCalls();
  await served.close();
});

const serverInfo = { name: 'greenroom', title: 'Greenroom', version: expect.any(String) };

test('server/discover says what a client can do here, and no session is created for it', async () => {
  const { status, response } = await client.request('server/discover');
  expect(status).toBe(200);
  expect(response.result).toEqual({
    resultType: 'complete',
    supportedVersions: ['2026-07-28'],
    capabilities: {
      tools: {},
      prompts: {},
      completions: {},
      resources: { subscribe: true, listChanged: true },
      extensions: { 'io.modelcontextprotocol/tasks': {} },
    },
    instructions: expect.stringMatching(/^Call open_browser first/),
    ttlMs: 300_000,
    cacheScope: 'public',
    _meta: { 'io.modelcontextprotocol/serverInfo': serverInfo },
  });
  expect(served.orchestrator.registry.list()).toEqual([]);
});

test.each<[string, Sent, object]>([
  ['tools/list', {}, { tools: expect.any(Array), ttlMs: 300_000, cacheScope: 'public' }],
  ['prompts/list', {}, { prompts: [expect.objectContaining({ name: 'greeting' })], cacheScope: 'public' }],
  ['prompts/get', { params: { name: 'greeting' } }, { messages: [{ role: 'user', content: { text: 'Hello' } }] }],
  ['resources/list', {}, { resources: [{ uri: 'docs://guide' }], ttlMs: 0, cacheScope: 'private' }],
  ['resources/templates/list', {}, { resourceTemplates: [{ uriTemplate: 'notes://{folder}/{name}' }] }],
  ['resources/read', { params: { uri: 'docs://guide' } }, { contents: [{ text: 'docs://guide' }], ttlMs: 0 }],
  [
    'completion/complete',
    {
      params: {
        ref: { type: 'ref/resource', uri: 'notes://{folder}/{name}' },
        argument: { name: 'folder', value: 'h' },
      },
    },
    { completion: { values: ['home'] } },
  ],
  ['tools/call', { params: { name: 'echo', arguments: { value: 'x' } } }, { content: [{ text: 'x' }] }],
])('%s is served by what all revisions share, with the fields of this one', async (method, sent, result) => {
  const { response } = await client.request(method, { ...sent, id: 'mine' });
  expect(response).toMatchObject({ id: 'mine', result: { resultType: 'complete', ...result } });
  expect(response.result?.['_meta']).toEqual({ 'io.modelcontextprotocol/serverInfo': serverInfo });
});

const withMeta = (changed: Record<string, unknown>, without = ''): Sent => ({
  meta: Object.fromEntries(Object.entries(envelope(changed)).filter(([key]) => !without || !key.endsWith(without))),
});

type Refused = [what: string, method: string, sent: Sent, reason: Reason, data: object];

test.each<Refused>([
  ['no _meta but the header', 'tools/list', { meta: {} }, 'invalid_envelope', { envelope: { problem: 'missing' } }],
  ['no version', 'tools/list', withMeta({}, '/protocolVersion'), 'invalid_envelope', {}],
  ['no capabilities', 'tools/list', withMeta({}, '/clientCapabilities'), 'invalid_envelope', {}],
  ['capabilities of another kind', 'tools/list', withMeta({ clientCapabilities: [] }), 'invalid_envelope', {}],
  ['a client without a version', 'tools/list', withMeta({ clientInfo: { name: 'x' } }), 'invalid_envelope', {}],
  ['a level that is none', 'tools/list', withMeta({ logLevel: 'loud' }), 'invalid_envelope', {}],
  [
    'a version that is not served',
    'server/discover',
    { ...withMeta({ protocolVersion: '2031-01-01' }), headers: { 'mcp-protocol-version': '2031-01-01' } },
    'unsupported_revision',
    { supported: ['2026-07-28'], requested: '2031-01-01' },
  ],
  [
    'an earlier version in the envelope',
    'tools/list',
    { ...withMeta({ protocolVersion: '2025-11-25' }), headers: { 'mcp-protocol-version': '2025-11-25' } },
    'unsupported_revision',
    { requested: '2025-11-25' },
  ],
  ['a header of another version', 'tools/list', withMeta({ protocolVersion: 'v9' }), 'header_mismatch', {}],
  ['no version header', 'tools/list', { headers: { 'mcp-protocol-version': undefined } }, 'header_mismatch', {}],
  ['no method header', 'tools/list', { headers: { 'mcp-method': undefined } }, 'header_mismatch', {}],
  ['another method in the header', 'tools/list', { headers: { 'mcp-method': 'tools/call' } }, 'header_mismatch', {}],
  [
    'no name header',
    'prompts/get',
    { params: { name: 'greeting' }, headers: { 'mcp-name': undefined } },
    'header_mismatch',
    { mismatch: { header: 'Mcp-Name' } },
  ],
  [
    'another resource in the header',
    'resources/read',
    { params: { uri: 'docs://guide' }, headers: { 'mcp-name': 'docs://other' } },
    'header_mismatch',
    {},
  ],
  [
    'a name header that is no base64',
    'prompts/get',
    { params: { name: 'greeting' }, headers: { 'mcp-name': '=?base64?%%%?=' } },
    'header_mismatch',
    {},
  ],
  [
    'no header of an argument that has one',
    'tools/call',
    { params: { name: 'region', arguments: { region: 'west' } } },
    'header_mismatch',
    { mismatch: { header: 'Mcp-Param-Region' } },
  ],
  [
    'another number in the header of an argument',
    'tools/call',
    { params: { name: 'region', arguments: { rows: 4 } }, headers: { 'mcp-param-rows': '5' } },
    'header_mismatch',
    {},
  ],
  ['a method of earlier revisions', 'ping', {}, 'unknown_method', {}],
  ['initialize with a whole envelope', 'initialize', {}, 'unknown_method', {}],
  ['initialize with the header alone', 'initialize', { meta: {} }, 'header_mismatch', {}],
  ['a method named like a member of objects', 'constructor', {}, 'unknown_method', {}],
  ['a capability that was not declared', 'tools/call', { params: { name: 'sampler' } }, 'missing_capability', {}],
])('%s is refused', async (...[, method, sent, reason, data]) => {
  const { status, response } = await client.request(method, { ...sent, id: 'asked' });
  const { code } = catalogue[reason];
  expect([status, response]).toMatchObject([
    catalogue[reason].status,
    { id: 'asked', error: { code, data: { reason, ...data } } },
  ]);
});

test('a missing capability is named in the form in which a client declares it', async () => {
  const { response } = await client.call('sampler');
  expect(response.error?.data).toMatchObject({ requiredCapabilities: { sampling: {} } });
});

test.each([
  ['as it is', { region: 'west' }, { 'mcp-param-region': 'west' }],
  ['in base64', { region: 'wést' }, { 'mcp-param-region': `=?base64?${Buffer.from('wést').toString('base64')}?=` }],
  ['as another form of the number', { rows: 42 }, { 'mcp-param-rows': '42.0' }],
  ['twice', { region: 'a, b' }, { 'mcp-param-region': 'a, b, a, b', 'mcp-name': 'region, region' }],
  ['though the argument is left out', {}, { 'mcp-param-region': 'ignored' }],
])('the header of an argument may have its value %s', async (_how, args, headers) => {
  expect(await client.text('region', args, { headers })).toBe('served');
});

test('errors that are no fault of the message stand in an answer with 200', async () => {
  const missing = await client.request('resources/read', { params: { uri: 'docs://none' } });
  expect([missing.status, missing.response.error]).toMatchObject([200, { code: -32602, data: { uri: 'docs://none' } }]);
  const unknown = await client.call('no_such_tool');
  expect([unknown.status, unknown.response.error?.code]).toEqual([200, -32602]);
});

test('a call with progress is answered by a stream: its messages, then the response', async () => {
  const meta = { ...envelope({ logLevel: 'warning' }), progressToken: 'p' };
  const { notices, response } = await client.call('steps', {}, { meta });
  expect(notices.map(({ method, params }) => [method, params])).toEqual([
    ...[1, 2, 3].map((progress) => ['notifications/progress', { progressToken: 'p', progress, total: 3 }]),
    ['notifications/message', { level: 'error', logger: 'greenroom', data: 'shouted' }],
  ]);
  expect(response.result).toMatchObject({ resultType: 'complete', content: [{ text: 'done' }] });
});

test('without a log level in the request nothing is logged to its client, whatever another one wants', async () => {
  expect((await client.call('steps')).notices).toEqual([]);
});

test('a client that takes JSON alone gets the answer alone, and one that takes a stream alone a stream', async () => {
  const meta = { ...envelope(), progressToken: 1 };
  const json = await client.post('tools/call', {
    ...{ params: { name: 'steps' }, meta },
    headers: { accept: 'application/json' },
  });
  expect(json.json).toMatchObject({ result: { content: [{ text: 'done' }] } });
  const stream = await client.post('tools/list', { headers: { accept: 'text/event-stream' } });
  expect(stream.headers['content-type']).toBe('text/event-stream');
});

test('closing the stream of a call cancels the call, and a silent call shows that it lives', async () => {
  const before = tools.held.length;
  const { head, close } = client.stream('tools/call', { params: { name: 'hold' } });
  await tools.whenHeld(before + 1);
  const call = tools.held[before];
  clock.advance(2_000);
  expect((await head).headers['content-type']).toBe('text/event-stream');
  const stopped = new Promise((resolve) => call?.context.signal.addEventListener('abort', resolve));
  close();
  await stopped;
  call?.gate.open();
});

test('a notification is accepted, and a batch with an envelope in it is refused', async () => {
  const headers = { 'mcp-protocol-version': '2026-07-28', accept: 'application/json, text/event-stream' };
  const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
  expect((await postJson(`${served.url}/mcp`, cancelled, headers)).status).toBe(202);
  const listing = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: envelope() } };
  expect(await postJson(`${served.url}/mcp`, [listing], headers)).toMatchObject({
    status: 400,
    json: { error: { code: -32600 } },
  });
});

test('a session of an earlier revision at the same address goes on as before', async () => {
  const legacy = await new RawMcp(served.url).initialize();
  expect((await client.request('tools/list', { headers: { 'mcp-session-id': legacy.sessionId } })).status).toBe(200);
  const answer = await legacy.post({ jsonrpc: '2.0', id: 1, method: 'server/discover' });
  expect(answer.text).toContain('-32601');
  await legacy.delete();
});

test('a request is counted once: by itself, or by the session that serves it', async () => {
  const counted = async (...labels: string[]): Promise<number[]> => {
    const { text } = await send(`${served.url}/metrics`);
    const value = (label: string): number =>
      Number(
        text
          .split('\n')
          .find((line) => line.includes(label))
          ?.split(' ')[1],
      );
    return labels.map((label) => value(label) || 0);
  };
  const labels = ['method="server/discover",outcome="ok"', 'tool="echo",outcome="ok"', 'tool="mine",outcome="ok"'];
  const before = await counted(...labels);
  await client.request('server/discover');
  await client.text('echo', { value: 'x' });
  const id = await client.open();
  await client.text('mine', { browser_id: id });
  await client.text('close_browser', { browser_id: id });
  expect(await counted(...labels)).toEqual(before.map((count) => count + 1));
});
