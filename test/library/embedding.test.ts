import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { ElicitRequestSchema, ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { createOrchestrator, defineTextTool, defineTool, Refusal, type OpenSession } from '../../src/index.js';
import { toolGroups } from '../../src/tools/defineTool.js';
import { allTools } from '../../src/tools/allTools.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { Gate, nextTurn } from '../support/gate.js';
import { send } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { connectClient, startTestServer } from '../support/testServer.js';
import { serveNotes } from './example.js';

const noInput = z.strictObject({});
const hello = defineTextTool({ name: 'hello', description: 'Greets', input: noInput, handler: () => 'Hello.' });

describe('the example of the page on embedding', () => {
  let notes: Awaited<ReturnType<typeof serveNotes>>;
  let url: string;
  beforeAll(async () => {
    notes = await serveNotes(0);
    if (!notes.server.listening) await once(notes.server, 'listening');
    const { port } = notes.server.address() as AddressInfo;
    url = `http://127.0.0.1:${port}/notes/`;
  });
  afterAll(async () => {
    await notes.close();
    // The clients keep theirs alive.
    notes.server.closeAllConnections();
  });

  const doors = {
    sse: (address: URL): Transport => new SSEClientTransport(address),
    mcp: (address: URL) => new StreamableHTTPClientTransport(address) as Transport,
  };

  test.each(['sse', 'mcp'] as const)(
    '[C-LIBRARY] serves its own tools and notes below its path, over %s',
    async (door) => {
      const client = new Client({ name: 'test', version: '1' }, { capabilities: { elicitation: {} } });
      await client.connect(doors[door](new URL(door, url)));
      expect(client.getServerVersion()).toMatchObject({ name: 'notes', version: '1.0.0' });
      expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['write_note', 'who_am_i']);
      const call = async (name: string, args = {}) =>
        JSON.stringify((await client.callTool({ name, arguments: args })).content);
      expect(await call('who_am_i')).toContain('You are local, with');

      const uri = `notes://${door}`;
      await client.subscribeResource({ uri });
      const updated = new Promise((resolve) =>
        client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => resolve(params.uri)),
      );
      expect(await call('write_note', { name: door, text: 'first' })).toContain(`Wrote ${door}.`);
      expect(await updated).toBe(uri);
      expect(await client.readResource({ uri })).toMatchObject({ contents: [{ text: 'first' }] });

      let replace = false;
      client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { replace } }));
      expect(await call('write_note', { name: door, text: 'second' })).toContain('Nothing was written.');
      replace = true;
      expect(await call('write_note', { name: door, text: 'third' })).toContain(`Wrote ${door}.`);
      expect(await client.readResource({ uri })).toMatchObject({ contents: [{ text: 'third' }] });
      const { messages } = await client.getPrompt({ name: 'tidy_up', arguments: { about: 'milk' } });
      expect(JSON.stringify(messages)).toContain('every note about milk');
      await client.close();
    },
  );

  test('[C-LIBRARY] has no browser and needs none', async () => {
    expect(await notes.health()).toMatchObject({ browsers: { total: 0 } });
    expect((await send(`${url}health`)).json).toMatchObject({ status: 'ok' });
  });
});

test('[S1] a session is not announced before its own set-up is done', async () => {
  const gate = new Gate();
  const served = await startTestServer({ tools: [hello], onSession: () => gate.pass() });
  const stream = new RawSse(served.url);
  await gate.whenReached();
  await nextTurn();
  expect(stream.text).toBe('');
  gate.open();
  await stream.whenAnnounced();
  await stream.disconnect();
  await served.close();
});

test.each([
  ['a Refusal', new Refusal('too_many_sessions', { limit: 'one' }), 429, 'too_many_sessions'],
  ['any other error', new Error('no desk left'), 500, 'setup_failed'],
])(
  '[S8] a set-up that fails with %s is what the client hears, and nothing is left',
  async (_, error, status, reason) => {
    const ended: Promise<void>[] = [];
    const served = await startTestServer({
      tools: [hello],
      onSession(session) {
        ended.push(session.ended);
        throw error;
      },
    });
    expect(await send(`${served.url}/sse`)).toMatchObject({ status, json: { error: { data: { reason } } } });
    await Promise.all(ended);
    expect(served.orchestrator.registry.list()).toEqual([]);
    await served.close();
  },
);

test('an embedder says what a session hears, and ends it', async () => {
  const sessions: OpenSession[] = [];
  const served = await startTestServer({ tools: [hello], onSession: (session) => void sessions.push(session) });
  const stream = await new RawSse(served.url, { path: '/sse?userId=anna' }).whenAnnounced();
  await stream.initialize();
  const [session] = sessions;
  expect(session?.facts).toMatchObject({ id: stream.sessionId, user: 'anna', state: 'active' });
  session?.log('warning', 'Closing soon.');
  await stream.call(1, 'ping');
  expect(stream.messages).toContainEqual(expect.objectContaining({ method: 'notifications/message' }));
  session?.close();
  await session?.ended;
  await stream.whenClosed();
  const { text } = stream;
  session?.log('error', 'Too late.');
  session?.add({ tools: [defineTextTool({ ...hello, name: 'late', handler: () => 'late' })] });
  expect(stream.text).toBe(text);
  await served.close();
});

test("tools of one's own are all listed, and their groups can be selected", async () => {
  const bye = defineTextTool({ ...hello, name: 'bye', group: 'leaving', handler: () => 'Bye.' });
  const served = await startTestServer({ tools: [hello, bye] });
  const namesOf = async (path: string) => {
    const client = await connectClient(served.url, path);
    const { tools } = await client.listTools();
    await client.close();
    return tools.map(({ name }) => name);
  };
  expect(await namesOf('/sse')).toEqual(['hello', 'bye']);
  expect(await namesOf('/sse?tools=leaving')).toEqual(['bye']);
  expect(await namesOf('/sse?tools=own,core')).toEqual(['hello']);
  const unknown = await send(`${served.url}/sse?tools=coming`);
  expect(unknown).toMatchObject({ status: 400, text: expect.stringContaining('leaving') });
  await served.close();
  await expect(startTestServer({ tools: [{ ...bye, group: 'all' }] })).rejects.toThrow('cannot be called "all"');
});

test('a server without a browser says so to a tool that needs one after all', async () => {
  const look = defineTool({
    name: 'look',
    group: 'own',
    description: 'Looks',
    needs: 'browser',
    input: noInput,
    output: noInput,
    annotations: { readOnlyHint: true },
    handler: () => Promise.resolve({ text: '', structured: {} }),
  });
  const orchestrator = await createOrchestrator({
    tools: [hello],
    options: { port: 0 },
    onSession: (session) => session.add({ tools: [look] }),
  });
  const { url } = await orchestrator.listen();
  const client = await connectClient(url);
  expect(await client.callTool({ name: 'look' })).toMatchObject({
    isError: true,
    content: [{ text: expect.stringContaining('This server has no browser') }],
  });
  await client.close();
  await orchestrator.close();
});

test('without tools of its own it is the server of this package, with its prompts and instructions', async () => {
  const orchestrator = await createOrchestrator({ pool: new FakeBrowserPool(), options: { port: 0 } });
  const { url } = await orchestrator.listen();
  const client = await connectClient(url);
  expect(client.getInstructions()).toContain('list_pages');
  expect(client.getServerCapabilities()).toMatchObject({ prompts: {}, completions: {} });
  expect((await client.listPrompts()).prompts.map(({ name }) => name)).toContain('diagnose_extension');
  await client.close();
  await orchestrator.close();
});

test('every tool of this package is in a group that can be selected', () => {
  const known: readonly string[] = toolGroups;
  expect(allTools.filter(({ group }) => !known.includes(group))).toEqual([]);
});

test.each([
  ['2024-11-05', ['text', 'text', 'text']],
  ['2025-03-26', ['text', 'audio', 'text']],
  ['2025-06-18', ['text', 'audio', 'resource_link']],
])('a client of %s gets no content that it cannot read', async (revision, types) => {
  const tool = defineTextTool({
    name: 'media',
    description: 'Answers a sound and a link',
    input: noInput,
    async handler(_args, { resources }) {
      const link = await resources.add({ name: 'n', mimeType: 'text/plain', data: 'd' });
      return { text: 'both', content: [{ type: 'audio', data: 'AA==', mimeType: 'audio/wav' }], resources: [link] };
    },
  });
  const served = await startTestServer({ tools: [tool] });
  const stream = await new RawSse(served.url).whenAnnounced();
  await stream.initialize(revision);
  const answer = await stream.call(1, 'tools/call', { name: 'media' });
  const content = z.object({ result: z.object({ content: z.array(z.object({ type: z.string() })) }) }).parse(answer);
  expect(content.result.content.map(({ type }) => type)).toEqual(types);
  expect(JSON.stringify(answer)).toContain('greenroom://resources/');
  await stream.disconnect();
  await served.close();
});

test('[C-LIBRARY] a test in the same process connects by the in-memory transport of the SDK; what is none is named', async () => {
  const fail = new Refusal('setup_failed', { detail: 'No notes today.' });
  let isBroken = false;
  const orchestrator = await createOrchestrator({
    tools: [hello],
    onSession: () => {
      if (isBroken) throw fail;
    },
  });
  const client = new Client({ name: 'in memory', version: '1' });
  const [near, far] = InMemoryTransport.createLinkedPair();
  const session = orchestrator.connect(far);
  await client.connect(near);
  expect(await client.callTool({ name: 'hello', arguments: {} })).toMatchObject({ content: [{ text: 'Hello.' }] });
  await client.close();
  await session.ended;
  isBroken = true;
  const [nearer, farther] = InMemoryTransport.createLinkedPair();
  orchestrator.connect(farther);
  await expect(new Client({ name: 'refused', version: '1' }).connect(nearer)).rejects.toThrow('No notes today.');
  expect(() => orchestrator.connect({} as never)).toThrow(/^connect\(\) takes an MCP transport, .*InMemoryTransport/);
  await orchestrator.close();
});
