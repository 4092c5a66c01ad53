import { Client as NewClient, StreamableHTTPClientTransport as NewTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { createOrchestrator, type Orchestrator } from '../../src/index.js';

const page = `data:text/html,${encodeURIComponent(
  '<title>waiting</title><button onclick="document.title = \'clicked\'">Go</button>',
)}`;

interface Answer {
  readonly text: string;
  readonly failed: boolean;
}

type Call = (name: string, args?: Record<string, unknown>) => Promise<Answer>;

const answerOf = (result: unknown): Answer => {
  const { content, isError = false } = result as { content: { text?: string }[]; isError?: boolean };
  return { text: content.map(({ text = '' }) => text).join('\n'), failed: isError };
};

/** Loads a page, clicks its button and reads its title. */
async function clickAndRead(call: Call, browser: Record<string, unknown>): Promise<string> {
  await call('navigate_page', { ...browser, url: page });
  const { text: snapshot } = await call('take_snapshot', browser);
  await call('click', { ...browser, uid: /uid=(\S+) button/.exec(snapshot)?.[1] });
  return (await call('evaluate_script', { ...browser, function: '() => document.title' })).text;
}

let server: Orchestrator;
let url: URL;

beforeAll(async () => {
  server = await createOrchestrator({ options: { port: 0, prewarm: 1 } });
  url = new URL('/mcp', (await server.listen()).url);
});
afterAll(() => server.close());

test('the official clients of both revisions find theirs at one address, and work on one browser', async () => {
  const client = new NewClient({ name: 'new', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  await client.connect(new NewTransport(url));
  expect(client.getNegotiatedProtocolVersion()).toBe('2026-07-28');
  const names = (await client.listTools()).tools.map(({ name }) => name);
  expect(names.slice(0, 4)).toEqual(['open_browser', 'close_browser', 'list_browsers', 'get_connected_browser']);
  const call: Call = async (name, args = {}) => answerOf(await client.callTool({ name, arguments: args }));
  const browser = { browser_id: /browser_id: (\S+)/.exec((await call('open_browser')).text)?.[1] };
  expect(await clickAndRead(call, browser)).toBe('"clicked"');

  const earlier = new Client({ name: 'earlier', version: '1' });
  await earlier.connect(new StreamableHTTPClientTransport(url));
  const callEarlier: Call = async (name, args = {}) => answerOf(await earlier.callTool({ name, arguments: args }));
  expect(await clickAndRead(callEarlier, {})).toBe('"clicked"');
  expect((await callEarlier('list_pages', browser)).text).toContain('clicked');

  expect((await call('close_browser', browser)).text).toBe('Closed.');
  expect(await call('list_pages', browser)).toMatchObject({ failed: true });
  expect((await callEarlier('list_pages')).text).toContain('clicked');
  await Promise.all([client.close(), earlier.close()]);
});
