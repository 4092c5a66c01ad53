import { mkdtemp, readdir, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { z } from 'zod';
import { ResourceStore } from '../../src/mcp/resourceStore.js';
import { defineTool } from '../../src/tools/defineTool.js';
import { connectClient, startTestServer, type TestServer } from '../support/testServer.js';

const keep = defineTool({
  name: 'keep',
  group: 'session',
  needs: 'nothing',
  description: 'Keeps what it was given.',
  input: z.strictObject({ name: z.string(), mimeType: z.string(), base64: z.string(), times: z.int().default(1) }),
  output: z.object({ uri: z.string() }),
  annotations: { readOnlyHint: true },
  async handler({ name, mimeType, base64, times }, { resources }) {
    for (let time = 1; time < times; time++) await resources.add({ name: `${name} ${time}`, mimeType, data: 'x' });
    const link = await resources.add({ name, mimeType, data: Buffer.from(base64, 'base64') });
    return { text: `Kept ${link.uri}.`, structured: { uri: link.uri }, resources: [link] };
  },
});

let served: TestServer;
const clients: Client[] = [];
beforeAll(async () => {
  served = await startTestServer({ tools: [keep] });
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});
afterAll(() => served.close());

async function connect(): Promise<Client> {
  const client = await connectClient(served.url);
  clients.push(client);
  return client;
}

const base64 = (data: string | Buffer) => Buffer.from(data).toString('base64');

const call = (client: Client, args: Record<string, unknown>) => client.callTool({ name: 'keep', arguments: args });

async function kept(client: Client, args: Record<string, unknown>): Promise<string> {
  const { structuredContent } = await call(client, args);
  return z.object({ uri: z.string() }).parse(structuredContent).uri;
}

test('a big result is a link in the answer, is listed, and is read as text', async () => {
  const client = await connect();
  expect(client.getServerCapabilities()).toHaveProperty('resources');
  expect(await client.listResources()).toEqual({ resources: [] });
  const data = '{"ü":1}';
  const args = { name: 'a b.json', mimeType: 'application/json', base64: base64(data) };
  const { content } = await call(client, args);
  const link = {
    uri: expect.stringMatching(/^greenroom:\/\/resources\/[0-9a-f-]{36}\/a%20b\.json$/),
    name: 'a b.json',
  };
  expect(content).toMatchObject([{ type: 'text' }, { type: 'resource_link', ...link, size: Buffer.byteLength(data) }]);
  const { resources } = await client.listResources();
  expect(resources).toEqual([{ ...link, mimeType: 'application/json', size: Buffer.byteLength(data) }]);
  const { contents } = await client.readResource({ uri: resources[0]?.uri ?? '' });
  expect(contents).toEqual([{ uri: resources[0]?.uri, mimeType: 'application/json', text: data }]);
});

test('binary data is read as base64, byte for byte', async () => {
  const client = await connect();
  const data = base64(Buffer.from([0, 255, 128, 10]));
  const uri = await kept(client, { name: 'x', mimeType: 'application/gzip', base64: data });
  expect((await client.readResource({ uri })).contents).toEqual([{ uri, mimeType: 'application/gzip', blob: data }]);
});

test("[S6] a session neither lists nor reads another session's resources", async () => {
  const [owner, other] = [await connect(), await connect()];
  const uri = await kept(owner, { name: 'x', mimeType: 'text/plain', base64: base64('mine') });
  expect(await other.listResources()).toEqual({ resources: [] });
  await expect(other.readResource({ uri })).rejects.toMatchObject({ code: -32002 });
  await expect(owner.readResource({ uri })).resolves.toMatchObject({ contents: [{ text: 'mine' }] });
});

test('an unknown address, and one that is none, are errors that say so', async () => {
  const client = await connect();
  const uri = 'greenroom://resources/none';
  await expect(client.readResource({ uri })).rejects.toThrow(`Resource not found: ${uri}`);
  expect(await client.listResourceTemplates()).toEqual({ resourceTemplates: [] });
});

test('[S10] the oldest gives way to the newest, and the client is told', async () => {
  const client = await connect();
  const args = { name: 'x', mimeType: 'text/plain', base64: base64('last'), times: 25 };
  const { content } = await call(client, args);
  expect(JSON.stringify(content)).toMatch(/Note: Resource greenroom:\S+x%201 was dropped/);
  const { resources } = await client.listResources();
  expect(resources.map(({ name }) => name)).toEqual([...Array.from({ length: 23 }, (_, at) => `x ${at + 2}`), 'x']);
});

test('[S10] bytes are bounded, in all and each', async () => {
  const store = new ResourceStore({ count: 9, bytes: 10, bytesEach: 8 });
  const add = (name: string, data: string) => store.add({ name, mimeType: 'text/plain', data });
  await add('a', '12345678');
  await add('b', '12');
  await add('c', '1');
  expect(store.list().map(({ name }) => name)).toEqual(['b', 'c']);
  await expect(add('d', '123456789')).rejects.toThrow('more than 8 bytes');
  expect(store.list()).toHaveLength(2);
  await store.close();
});

test('[S5] nothing stays on the disk, and what comes after the end is not kept', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  const store = new ResourceStore(undefined, folder);
  const { uri } = await store.add({ name: 'x', mimeType: 'text/plain', data: 'kept' });
  expect(await readdir(folder)).toEqual([]);
  expect((await store.read(uri)).toString()).toBe('kept');
  const late = store.add({ name: 'y', mimeType: 'text/plain', data: 'late' });
  await store.close();
  await expect(late).rejects.toThrow('session is closed');
  await expect(store.read(uri)).rejects.toThrow('There is none yet');
  await rmdir(folder);
});
