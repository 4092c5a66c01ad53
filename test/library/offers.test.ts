import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  PromptListChangedNotificationSchema,
  ResourceListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import {
  allPrompts,
  allTools,
  defineResource,
  ToolError,
  type OpenSession,
  type OrchestratorOptions,
} from '../../src/index.js';
import { ManualClock } from '../support/manualClock.js';
import { connectClient, startTestServer, type TestServer } from '../support/testServer.js';
import { greet, notes, poem, text } from './offered.js';

let served: TestServer;
const clients: Client[] = [];
const sessions: OpenSession[] = [];

async function start(given: Partial<Omit<OrchestratorOptions, 'pool'>> = {}): Promise<Client> {
  served = await startTestServer({ tools: [greet('greet')], ...given });
  return connect();
}

async function connect(path = '/sse'): Promise<Client> {
  const client = await connectClient(served.url, path);
  clients.push(client);
  return client;
}

/** Remembers every session, so that a test can change what it offers. */
const onSession = (session: OpenSession): void => void sessions.push(session);

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  sessions.splice(0);
  await served.close();
});

test('[C-OFFER] a prompt is listed with its arguments, and made of them and of the session', async () => {
  const client = await start({ prompts: [poem] });
  expect((await client.listPrompts()).prompts).toEqual([
    {
      name: 'poem',
      title: 'A poem',
      description: 'Writes a poem',
      arguments: [
        { name: 'about', description: 'What it is about', required: true },
        { name: 'form', required: false },
      ],
    },
  ]);
  const { messages } = await client.getPrompt({ name: 'poem', arguments: { about: 'rain' } });
  expect(messages).toEqual([{ role: 'user', content: { type: 'text', text: 'A poem about rain for local.' } }]);
});

test.each([
  [{ name: 'poem', arguments: {} }, /Wrong arguments for poem: "about"/],
  [{ name: 'poem', arguments: { about: 'x', colour: 'red' } }, /unknown argument "colour".*about, form/],
  [{ name: 'none' }, /Unknown prompt: none/],
])('a prompt that is asked for in a wrong way is -32602 and says what is right (%#)', async (params, message) => {
  const client = await start({ prompts: [poem] });
  await expect(client.getPrompt(params)).rejects.toMatchObject({
    code: -32602,
    message: expect.stringMatching(message),
  });
});

test('[C-OFFER] an argument is completed by what contains what was typed, beginnings first, a hundred at most', async () => {
  const client = await start({ prompts: [poem], resources: [notes] });
  const complete = async (name: string, value: string, others: Record<string, string> = {}) => {
    const ref = { type: 'ref/prompt', name: 'poem' } as const;
    return (await client.complete({ ref, argument: { name, value }, context: { arguments: others } })).completion;
  };
  expect(await complete('about', 'SPRING')).toEqual({ values: ['Spring', 'the spring'], total: 2, hasMore: false });
  expect(await complete('about', 'springt', { form: 'ode' })).toMatchObject({ values: ['springtime'] });
  expect(await complete('form', '')).toMatchObject({ total: 150, hasMore: true });
  expect((await complete('form', '')).values).toHaveLength(100);
  const ref = { type: 'ref/resource', uri: notes.uri } as const;
  const folders = await client.complete({ ref, argument: { name: 'folder', value: 'w' } });
  expect(folders.completion.values).toEqual(['work']);
  const names = await client.complete({ ref, argument: { name: 'name', value: 'w' } });
  expect(names.completion).toEqual({ values: [], total: 0, hasMore: false });
});

test.each([
  [{ ref: { type: 'ref/prompt', name: 'none' }, argument: { name: 'a', value: '' } }, 'Unknown prompt: none'],
  [{ ref: { type: 'ref/prompt', name: 'poem' }, argument: { name: 'size', value: '' } }, 'There are: about, form'],
  [{ ref: { type: 'ref/resource', uri: 'x://{y}' }, argument: { name: 'y', value: '' } }, 'Unknown resource template'],
] as const)('a completion of nothing that exists is -32602 (%#)', async (params, message) => {
  const client = await start({ prompts: [poem] });
  await expect(client.complete(params)).rejects.toMatchObject({
    code: -32602,
    message: expect.stringContaining(message),
  });
});

test('[C-OFFER] resources are listed and read, fixed ones and those of a template', async () => {
  const bytes = Uint8Array.of(0, 255);
  const picture = defineResource({ uri: 'test://b', name: 'b', mimeType: 'image/png', read: () => bytes });
  const client = await start({ resources: [text('test://a'), picture, notes] });
  expect((await client.listResources()).resources).toEqual([
    { uri: 'test://a', name: 'test://a', mimeType: 'text/plain' },
    { uri: 'test://b', name: 'b', mimeType: 'image/png' },
  ]);
  expect((await client.listResourceTemplates()).resourceTemplates).toEqual([
    { uriTemplate: notes.uri, name: 'Notes', description: 'A note of a folder', mimeType: 'text/plain' },
  ]);
  const read = async (uri: string) => (await client.readResource({ uri })).contents;
  expect(await read('test://a')).toEqual([{ uri: 'test://a', mimeType: 'text/plain', text: 'test://a' }]);
  expect(await read('test://b')).toEqual([{ uri: 'test://b', mimeType: 'image/png', blob: 'AP8=' }]);
  expect(await read('notes://home/milk')).toMatchObject([{ uri: 'notes://home/milk', text: 'home and milk' }]);
  await expect(read('notes://home/none')).rejects.toMatchObject({ code: -32002 });
  await expect(read('notes://home')).rejects.toMatchObject({ code: -32002 });
});

test('[S10] a resource that is larger than a message may be is refused; one that never ends is ended', async () => {
  const clock = new ManualClock();
  let asked = (): void => undefined;
  const reading = new Promise<void>((resolve) => (asked = resolve));
  const never = text('test://never', () => {
    asked();
    return new Promise(() => undefined);
  });
  const client = await start({ clock, resources: [text('test://large', () => 'x'.repeat(9_000_000)), never] });
  await expect(client.readResource({ uri: 'test://large' })).rejects.toMatchObject({ code: -32602 });
  const late = client.readResource({ uri: 'test://never' });
  const failure = expect(late).rejects.toMatchObject({ code: -32603, message: expect.stringContaining('30 s') });
  await reading;
  clock.advance(30_000);
  await failure;
});

test('a resource that fails says so in its own words, or in none that would tell of the inside', async () => {
  const known = text('test://known', () => Promise.reject(new ToolError('The notes are locked.')));
  const client = await start({ resources: [known, text('test://defect', () => Promise.reject(new Error('secret')))] });
  await expect(client.readResource({ uri: known.uri })).rejects.toThrow('The notes are locked.');
  const defect = client.readResource({ uri: 'test://defect' });
  await expect(defect).rejects.toMatchObject({ code: -32603, message: expect.not.stringContaining('secret') });
});

test('[C-OFFER] a client hears of changes to what it subscribed to, and of nothing else', async () => {
  const client = await start({ resources: [text('test://a'), text('test://b')] });
  const other = await connect();
  const heard: string[] = [];
  for (const [name, one] of Object.entries({ client, other })) {
    one.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void heard.push(name + params.uri));
  }
  await client.subscribeResource({ uri: 'test://a' });
  const { orchestrator } = served;
  for (const uri of ['test://a', 'test://b', 'test://none']) orchestrator.resourceUpdated(uri);
  await client.unsubscribeResource({ uri: 'test://a' });
  orchestrator.resourceUpdated('test://a');
  await Promise.all([client.ping(), other.ping()]);
  expect(heard).toEqual(['clienttest://a']);
  await expect(client.subscribeResource({ uri: 'test://none' })).rejects.toMatchObject({ code: -32002 });
});

test('[S10] a client watches no more than 256 resources', async () => {
  const client = await start({ resources: [notes] });
  const uri = (index: number) => `notes://home/${index}`;
  await Promise.all(Array.from({ length: 256 }, (_, index) => client.subscribeResource({ uri: uri(index) })));
  await client.subscribeResource({ uri: uri(0) });
  await expect(client.subscribeResource({ uri: uri(256) })).rejects.toMatchObject({ code: -32602 });
  await client.unsubscribeResource({ uri: uri(0) });
  await client.subscribeResource({ uri: uri(256) });
  const long = client.subscribeResource({ uri: `notes://home/${'x'.repeat(5_000)}` });
  await expect(long).rejects.toMatchObject({ code: -32602, message: expect.stringContaining('4096') });
});

test('[C-OFFER] what one session is offered more is its own, before and after its client is there', async () => {
  const client = await start({
    onSession: (session) => {
      sessions.push(session);
      session.add({ tools: [greet(`own_${sessions.length}`)] });
    },
  });
  const other = await connect();
  const namesOf = async (one: Client) => (await one.listTools()).tools.map(({ name }) => name);
  expect(await namesOf(client)).toEqual(['greet', 'own_1']);
  expect(await namesOf(other)).toEqual(['greet', 'own_2']);
  expect(JSON.stringify(await client.callTool({ name: 'own_1' }))).toContain('Hello from own_1.');
  await expect(other.callTool({ name: 'own_1' })).rejects.toMatchObject({ code: -32602 });

  const heard: string[] = [];
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void heard.push('tools'));
  client.setNotificationHandler(PromptListChangedNotificationSchema, () => void heard.push('prompts'));
  client.setNotificationHandler(ResourceListChangedNotificationSchema, () => void heard.push('resources'));
  other.setNotificationHandler(ToolListChangedNotificationSchema, () => void heard.push('other'));
  expect(client.getServerCapabilities()).toMatchObject({
    tools: { listChanged: true },
    prompts: { listChanged: true },
  });
  sessions[0]?.add({ tools: [greet('later')], prompts: [poem] });
  sessions[0]?.add({ resources: [text('test://own')] });
  await Promise.all([client.ping(), other.ping()]);
  expect(heard).toEqual(['tools', 'prompts', 'resources']);
  expect(await namesOf(client)).toEqual(['greet', 'later']);
  expect((await client.listPrompts()).prompts).toHaveLength(1);
  expect((await client.listResources()).resources).toHaveLength(1);
  expect((await other.listPrompts()).prompts).toEqual([]);
});

test('a name that is taken is refused, and what was offered stays', async () => {
  const client = await start({ onSession });
  expect(() => sessions[0]?.add({ tools: [greet('greet')] })).toThrow('same name: greet');
  expect(() => sessions[0]?.add({ tools: [greet('a')], resources: [notes, notes] })).toThrow(notes.uri);
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['greet']);
  await expect(startTestServer({ prompts: [poem, poem] })).rejects.toThrow('poem');
});

test('a server that changes nothing does not declare that it might, nor prompts that it has not', async () => {
  const client = await start();
  expect(client.getServerCapabilities()).toEqual({
    tools: {},
    logging: {},
    resources: { subscribe: true, listChanged: true },
  });
  expect(client.getInstructions()).toBeUndefined();
});

test('a long list comes in pages, each once; a cursor that was never given is refused', async () => {
  const tools = Array.from({ length: 450 }, (_, index) => greet(`tool_${index}`));
  const client = await start({ tools });
  const sizes: number[] = [];
  const names = new Set<string>();
  let cursor: string | undefined;
  do {
    const page = await client.listTools(cursor === undefined ? {} : { cursor });
    sizes.push(page.tools.length);
    for (const { name } of page.tools) names.add(name);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  expect(sizes).toEqual([200, 200, 50]);
  expect(names.size).toBe(450);
  for (const wrong of ['7', '600', '-200', 'NaN']) {
    await expect(client.listTools({ cursor: wrong })).rejects.toMatchObject({ code: -32602 });
  }
});

describe('the prompts of this package', () => {
  test('speak of tools that exist, and of each that they need', async () => {
    const known = new Set(allTools.map(({ name }) => name));
    for (const { name, tools = [] } of allPrompts) {
      expect({ name, unknown: tools.filter((tool) => !known.has(tool)) }).toEqual({ name, unknown: [] });
    }
    const client = await start({ tools: allTools, prompts: allPrompts, options: { tools: ['all'] } });
    const { prompts } = await client.listPrompts();
    expect(prompts.map(({ name }) => name)).toEqual([
      'diagnose_extension',
      'audit_manifest',
      'profile_page',
      'debug_page',
      'diagnose_worker',
      'find_leak',
      'diagnose_request',
    ]);
    for (const prompt of allPrompts) {
      const args = Object.fromEntries(Object.keys(prompt.arguments.shape).map((name) => [name, `<${name}>`]));
      const said = JSON.stringify(await client.getPrompt({ name: prompt.name, arguments: args }));
      for (const name of [...Object.keys(args).map((argument) => `<${argument}>`), ...(prompt.tools ?? [])]) {
        expect(said).toContain(name);
      }
      const spoken = said.match(/\b[a-z]+(_[a-z]+)+\b/g) ?? [];
      expect(spoken.filter((word) => known.has(word) && !prompt.tools?.includes(word))).toEqual([]);
    }
  });

  test('are offered only with the tools that they speak of', async () => {
    await start({ tools: allTools, prompts: allPrompts, options: { tools: ['extension', 'core'] } });
    const namesOf = async (path: string) => {
      const client = await connect(path);
      return (await client.listPrompts()).prompts.map(({ name }) => name);
    };
    expect(await namesOf('/sse')).toEqual([
      'diagnose_extension',
      'audit_manifest',
      'diagnose_worker',
      'diagnose_request',
    ]);
    expect(await namesOf('/sse?tools=core')).toEqual([]);
    const core = await connect('/sse?tools=core');
    await expect(core.getPrompt({ name: 'audit_manifest' })).rejects.toThrow('Unknown prompt');
  });

  test('complete nothing while the session has no browser open', async () => {
    const client = await start({ tools: allTools, prompts: allPrompts, options: { lease: 'lazy' } });
    const ref = { type: 'ref/prompt', name: 'audit_manifest' } as const;
    const { completion } = await client.complete({ ref, argument: { name: 'extensionId', value: '' } });
    expect(completion.values).toEqual([]);
    expect(served.pool.opened).toEqual([]);
  });
});
