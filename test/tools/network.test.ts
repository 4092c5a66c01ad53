import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { networkTools } from '../../src/tools/networkTools.js';
import { waitUntilFound } from '../browser/support/collectedPage.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let server: PageServer;
let harness: ToolHarness;

beforeAll(async () => {
  server = await startPageServer();
  harness = await startToolHarness(networkTools);
  await harness.browser.page().page.goto(`${server.url}/network.html`);
});

afterAll(async () => {
  await harness.close();
  await server.close();
});

const ask = (url: string, options: object = {}): Promise<unknown> =>
  harness.browser.page().page.evaluate(`ask(${JSON.stringify(url)}, ${JSON.stringify(options)})`);

/** The row of the request whose address ends so, once it is over. */
function row(urlEnd: string): Promise<{ id: number }> {
  return waitUntilFound(async () => {
    const { structured } = await harness.run('list_network_requests', { url: `*${urlEnd}` });
    const rows = structured['requests'] as { id: number; state: string }[];
    return rows.findLast(({ state }) => state !== 'pending');
  });
}

describe('list_network_requests', () => {
  it('has a line a request with method, status, type and address', async () => {
    await ask('/status?code=404&listed', { method: 'POST' });
    const { id } = await row('listed');
    const text = await harness.text('list_network_requests', { status: '4xx' });
    expect(text).toMatch(new RegExp(`^#${id} POST 404 fetch [\\d.]+ k?B \\d+ ms ${server.url}/status`, 'm'));
    expect(text).not.toContain('network.html\n');
    expect(await harness.text('list_network_requests', { types: ['document'] })).toContain('GET 200 document');
    expect(await harness.text('list_network_requests', { method: 'post', url: 'LISTED' })).toContain(`#${id} `);
    expect(await harness.text('list_network_requests', { url: '/no such/' })).toContain('No such requests.');
  });

  it('names a status that it does not know', async () => {
    await expect(harness.run('list_network_requests', { status: 'odd' })).rejects.toThrow(
      'a status such as 404 or 4xx',
    );
  });
});

describe('get_network_request', () => {
  it('hides credentials unless asked', async () => {
    await ask('/echo?private', { headers: { authorization: 'Bearer secret-token' } });
    const { id } = await row('/echo?private');
    const answer = await harness.run('get_network_request', { id, body: 'none' });
    expect(answer.text).toContain('authorization: (hidden; includeSensitive shows it)');
    expect(JSON.stringify(answer)).not.toContain('secret-token');
    const open = await harness.text('get_network_request', { id, body: 'none', includeSensitive: true });
    expect(open).toContain('authorization: Bearer secret-token');
  });

  it('gives the bodies in parts and says how to go on', async () => {
    await ask('/echo?parts', { method: 'POST', body: 'sent along' });
    const { id } = await row('/echo?parts');
    const { text } = await harness.run('get_network_request', { id, limit: 20 });
    expect(text).toMatch(/Request body \(10 characters\):\nsent along\n/);
    expect(text).toMatch(
      /Response body \(\d+ characters\):\n\{"method":"POST","ur\n\(0 to 20 of \d+; continue with offset: 20\)/,
    );
    const { structured } = await harness.run('get_network_request', { id, offset: 20, limit: 15 });
    expect(structured['responseBody']).toMatchObject({ content: 'l":"/echo?parts', offset: 20 });
  });

  it('says why there is no body', async () => {
    await ask('http://127.0.0.1:9/');
    const { id } = await row('127.0.0.1:9/');
    const { text } = await harness.run('get_network_request', { id });
    expect(text).toContain('Failure: net::ERR_');
    expect(text).toContain('Response body: None: the request failed.');
  });

  it('says which id is unknown', async () => {
    expect(await harness.refusal('get_network_request', { id: 9999 })).toContain('There is no request 9999');
  });
});

describe('list_websocket_frames', () => {
  it('says that there are none', async () => {
    expect(await harness.text('list_websocket_frames')).toMatch(/^No frames\.\n\nCursor: 0-0\./);
  });
});

describe('mock_network', () => {
  it('adds a rule, counts its hits, shows them on the request and removes it', async () => {
    const added = await harness.text('mock_network', { action: 'add', url: '*/api/*', status: 503, body: 'down' });
    expect(added).toMatch(/^Added rule 1\..*\nRule 1: any method \*\/api\/\*: answers 503, down; hits: 0$/);
    expect(await ask('/api/user')).toBe('503 down');
    await row('/api/user');
    expect(await harness.text('list_network_requests', { url: '/api/user' })).toContain('[mocked by rule 1]');
    expect(await harness.text('mock_network', { action: 'list' })).toContain('hits: 1');
    const removed = await harness.text('mock_network', { action: 'remove', id: 1 });
    expect(removed).toBe('Removed rule 1.\nNo rules: nothing is intercepted.');
    expect(await ask('/api/user')).toMatch(/^404/);
  });

  it.each([
    [{ action: 'add', status: 200 }, 'add needs url'],
    [{ action: 'add', url: '*' }, 'add needs an effect'],
    [{ action: 'add', url: '*', abort: 'offline', body: 'x' }, 'either answers'],
    [{ action: 'add', url: '*', headers: { 'a b': 'c' } }, '"a b" is not the name of a header'],
    [{ action: 'add', url: '*', headers: { '': 'c' } }, '"" is not the name of a header'],
    [{ action: 'add', url: '*', headers: { a: 'b\r\nc: d' } }, 'header "a" has line ends'],
    [{ action: 'add', url: '*', headers: { a: '…' } }, 'letters outside Latin-1'],
    [{ action: 'add', url: '/(a+)+(?=b)/', status: 200 }, 'it has a look-ahead'],
    [{ action: 'remove' }, 'remove needs the id'],
    [{ action: 'remove', id: 7 }, 'There is no rule 7'],
  ])('refuses %j and says why', async (args, reason) => {
    expect(await harness.refusal('mock_network', args)).toContain(reason);
    expect(await harness.text('mock_network', { action: 'list' })).toBe('No rules: nothing is intercepted.');
  });
});
