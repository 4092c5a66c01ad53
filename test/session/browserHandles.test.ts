import { z } from 'zod';
import { defineTool } from '../../src/index.js';
import { Gate, nextTurn } from '../support/gate.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { StatelessClient } from '../support/statelessClient.js';
import { startTestServer, type TestServer } from '../support/testServer.js';

/** Calls of `hold`, in order. */
const held: { readonly signal: AbortSignal; readonly gate: Gate }[] = [];
let arrived: () => void = () => undefined;

const output = z.object({});
const whose = defineTool({
  name: 'whose',
  group: 'session',
  description: 'Names the session that holds the browser.',
  needs: 'nothing',
  ofSession: true,
  input: z.strictObject({ store: z.string().optional() }),
  output,
  annotations: { readOnlyHint: true },
  async handler({ store }, { session, resources }) {
    const links =
      store === undefined ? [] : [await resources.add({ name: store, mimeType: 'text/plain', data: store })];
    return { text: session.id, structured: {}, resources: links };
  },
});
const hold = defineTool({
  name: 'hold',
  group: 'session',
  description: 'Ends when the test says so.',
  needs: 'nothing',
  ofSession: true,
  input: z.strictObject({}),
  output,
  annotations: { readOnlyHint: true },
  async handler(_args, { signal, progress }) {
    const gate = new Gate('shut');
    held.push({ signal, gate });
    progress(1);
    arrived();
    await gate.pass();
    return { text: 'held', structured: {} };
  },
});

let served: TestServer;
let client: StatelessClient;

beforeAll(async () => {
  served = await startTestServer({ tools: [whose, hold] });
  client = new StatelessClient(served.url);
});
afterAll(() => served.close());

const whenHeld = (): Promise<void> => new Promise((resolve) => (arrived = resolve));

const stateOf = (id: string) => served.orchestrator.registry.peek(id)?.state;

test('[S1][S2] open_browser answers when the session is connected and not before; the answer is the announcement', async () => {
  served.pool.holdLeases();
  let answered = '';
  const opening = client.open().then((id) => (answered = id));
  await served.pool.whenWaiting();
  const [session] = served.orchestrator.registry.list();
  expect(session?.state).toBe('created');
  await nextTurn();
  expect(answered).toBe('');
  expect(await client.text('whose', { browser_id: session?.id })).toBe(
    'ERROR This browser is not ready yet (created). Call again in a moment.',
  );
  served.pool.releaseLeases();
  const id = await opening;
  expect(id).toBe(session?.id);
  expect(Buffer.from(id, 'base64url').length * 8).toBeGreaterThanOrEqual(128);
  expect(stateOf(id)).toBe('active');
  expect(session?.facts()).toMatchObject({
    transport: 'handle',
    protocolVersion: '2026-07-28',
    client: { name: 'raw' },
  });
  expect(await client.text('whose', { browser_id: id })).toBe(id);
  expect(await client.text('close_browser', { browser_id: id })).toBe('Closed.');
  expect(stateOf(id)).toBeUndefined();
});

test('a browser whose session awaits its own client is not ready yet', async () => {
  const stream = await new RawSse(served.url).whenAnnounced();
  expect(await client.text('whose', { browser_id: stream.sessionId })).toBe(
    'ERROR This browser is not ready yet (its client has not initialized it). Call again in a moment.',
  );
  await stream.initialize();
  expect(await client.text('whose', { browser_id: stream.sessionId })).toBe(stream.sessionId);
  await stream.disconnect();
});

test('[S8] a browser that cannot be opened is a failure of the call with its cause, and leaves nothing behind', async () => {
  served.pool.holdLeases();
  const opening = client.text('open_browser');
  await served.pool.whenWaiting();
  served.pool.failLeases('browser_unreachable', 'Nothing listens there.');
  expect(await opening).toBe('ERROR Nothing listens there.');
  served.pool.releaseLeases();
  expect(served.orchestrator.registry.list()).toEqual([]);
});

test('what a browser shall emulate is checked before it is opened, and what cannot be emulated leaves none', async () => {
  expect(await client.text('open_browser', { emulation: { colour: 'dark', viewport: { width: 0 } } })).toMatch(
    /^ERROR .*emulation\.viewport\.width: .*"colour".* It takes networkConditions, .*, viewport, extraHttpHeaders\.$/,
  );
  // The browser of these tests has no pages.
  expect(await client.text('open_browser', { emulation: { colorScheme: 'dark' } })).toMatch(
    /^ERROR The emulation failed: /,
  );
  expect(served.orchestrator.registry.list()).toEqual([]);
});

test('[S5] a client that leaves while its browser is being opened leaves nothing behind', async () => {
  served.pool.holdLeases();
  const { close } = client.stream('tools/call', { params: { name: 'open_browser' } });
  await served.pool.whenWaiting();
  const [session] = served.orchestrator.registry.list();
  close();
  await session?.closed;
  served.pool.releaseLeases();
  await session?.ended;
});

test('[S6] the handle of somebody else is unknown, byte for byte, to every tool', async () => {
  const anna = new StatelessClient(served.url, '/mcp?userId=anna');
  const bert = new StatelessClient(served.url, '/mcp?userId=bert');
  const id = await anna.open();
  const never = 'A'.repeat(22);
  for (const tool of ['whose', 'close_browser']) {
    const [foreign, invented] = [
      await bert.call(tool, { browser_id: id }),
      await bert.call(tool, { browser_id: never }),
    ];
    expect(foreign.text).toBe(invented.text);
    expect(foreign.response.result).toMatchObject({
      isError: true,
      content: [{ text: expect.stringMatching(/^Unknown browser_id/) }],
    });
  }
  expect(await bert.text('list_browsers')).toBe('No browser is open. Call open_browser.');
  expect(await anna.text('list_browsers')).toContain(id);
  await anna.text('close_browser', { browser_id: id });
  expect(await anna.text('whose', { browser_id: id })).toBe(
    'ERROR This browser is closed (client-closed). Call open_browser for a new one; list_browsers shows yours.',
  );
  expect(await bert.text('whose', { browser_id: id })).toMatch(/^ERROR Unknown browser_id/);
});

test('a tool that works on a browser names its handle in the list, and is told how to get one', async () => {
  const { response } = await client.request('tools/list');
  const tools = response.result?.['tools'] as {
    name: string;
    inputSchema: { properties: object; required?: string[] };
  }[];
  expect(tools.map(({ name }) => name)).toEqual(['open_browser', 'close_browser', 'list_browsers', 'whose', 'hold']);
  const header = { type: 'string', 'x-mcp-header': 'Browser' };
  for (const name of ['whose', 'close_browser'])
    expect(tools.find((tool) => tool.name === name)?.inputSchema).toMatchObject({
      properties: { browser_id: header },
      required: ['browser_id'],
    });
  expect(await client.text('whose')).toMatch(/^ERROR whose works on a browser: pass browser_id. open_browser gives/);
  const id = await client.open();
  const wrongHeader = await client.call('whose', { browser_id: id }, { headers: { 'mcp-param-browser': 'other' } });
  expect([wrongHeader.status, wrongHeader.response.error?.code]).toEqual([400, -32020]);
  await client.text('close_browser', { browser_id: id });
});

test('[S4] closing the stream of a call cancels it in its browser; the browser goes on', async () => {
  const id = await client.open();
  const arrival = whenHeld();
  const { head, close } = client.stream('tools/call', { params: { name: 'hold', arguments: { browser_id: id } } });
  await arrival;
  const call = held.at(-1);
  const stopped = new Promise((resolve) => call?.signal.addEventListener('abort', resolve));
  close();
  await stopped;
  await head.catch(() => undefined);
  expect(await client.text('whose', { browser_id: id })).toBe(id);
  call?.gate.open();
  await client.text('close_browser', { browser_id: id });
});

test('[S7] a browser that is closed during a call ends the call as a failure that says so', async () => {
  const id = await client.open();
  const arrival = whenHeld();
  const call = client.text('hold', { browser_id: id });
  await arrival;
  served.orchestrator.registry.peek(id)?.close('operator-closed');
  expect(await call).toBe(
    'ERROR This browser is closed (operator-closed). Call open_browser for a new one; list_browsers shows yours.',
  );
  held.at(-1)?.gate.open();
});

test('clients of both kinds work on the same browsers of one user, and the results of a browser are readable', async () => {
  const legacy = await new RawMcp(served.url).initialize();
  const callLegacy = async (id: string, name: string, args: object): Promise<string> => {
    await legacy.sendRequest({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args } });
    const answer = await legacy.answer(id);
    return 'result' in answer ? JSON.stringify(answer.result) : JSON.stringify(answer);
  };
  const own = legacy.sessionId;
  expect(await client.text('whose', { browser_id: own })).toBe(own);
  expect(await callLegacy('a', 'whose', {})).toContain(own);
  const id = await client.open();
  expect(await callLegacy('b', 'whose', { browser_id: id })).toContain(id);
  expect(await callLegacy('c', 'list_browsers', {})).toMatch(new RegExp(`${own}.*this session.*${id}`));
  expect(await callLegacy('d', 'close_browser', { browser_id: own })).toContain('"isError":true');
  const stored = await client.call('whose', { browser_id: id, store: 'kept' });
  const [, link] = stored.response.result?.['content'] as { uri: string }[];
  const read = await client.request('resources/read', { params: { uri: link?.uri } });
  expect(read.response.result).toMatchObject({ contents: [{ text: 'kept' }] });
  await callLegacy('e', 'close_browser', { browser_id: id });
  expect(stateOf(id)).toBeUndefined();
  await legacy.delete();
});

test('the limits of sessions hold for browsers, and are told with the way out', async () => {
  const small = await startTestServer({ tools: [whose], options: { maxSessionsPerUser: 1 } });
  const user = new StatelessClient(small.url);
  const id = await user.open();
  expect(await user.text('open_browser')).toMatch(/^ERROR Too many browsers are open \(--max-sessions-per-user 1\)/);
  await user.text('close_browser', { browser_id: id });
  expect(await user.open()).toHaveLength(22);
  await small.close();
});
