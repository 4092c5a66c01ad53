import { once } from 'node:events';
import puppeteer, { type Browser } from 'puppeteer-core';
import { startUserChrome, type UserChrome } from '../browser/support/userChrome.js';
import { withBrowserCdpSession } from '../../src/browser/cdp/cdpSessions.js';
import { startServerProcess, waitUntil, type ServerProcess } from '../e2e/support/serverProcess.js';
import { postJson } from '../support/http.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { StatelessClient } from '../support/statelessClient.js';
import { RedisServer } from '../support/redisServer.js';
import { whenReady } from './clusterNodes.js';

let redis: RedisServer;
let chrome: UserChrome;
const nodes: ServerProcess[] = [];

beforeAll(async () => {
  [redis, chrome] = await Promise.all([RedisServer.start(), startUserChrome()]);
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.dispose()));
});
afterAll(() => Promise.all([redis.stop(), chrome.end()]));

async function startNode(lease: string, isolation: string, more: readonly string[] = []): Promise<ServerProcess> {
  const shared = ['--redis-url', redis.url, '--browser-url', chrome.url, '--isolation', isolation];
  const flags = [...shared, '--node-lease', lease, '--tools', 'all', ...more];
  const node = await startServerProcess(flags);
  nodes.push(node);
  await whenReady(node.url);
  return node;
}

let lastId = 0;

async function call(client: RawMcp, name: string, args: object): Promise<unknown> {
  const id = (lastId += 1);
  const params = { name, arguments: args };
  const stream = await client.sendRequest({ jsonrpc: '2.0', id, method: 'tools/call', params });
  await stream.whenClosed();
  const [answer] = stream.answersTo(id);
  return answer === undefined ? stream.text : 'result' in answer ? answer.result : answer;
}

test.each([
  // Of a profile, the tab that Chrome began with is the first.
  ['SIGKILL', 'profile', 2],
  ['SIGKILL', 'context', 1],
  ['SIGTERM', 'context', 1],
] as const)(
  '[C-TAKEOVER] %s of the node of a session with a %s in a remote browser: the same id and page, with its variables',
  async (end, isolation, pageId) => {
    const other = await startNode('30s', isolation);
    // It has been connected to the browser for long when the session begins.
    const early = await new RawMcp(other.url).initialize();
    expect(await call(early, 'list_pages', {})).not.toHaveProperty('isError', true);
    const one = await startNode('2s', isolation);
    const client = await new RawMcp(one.url).initialize();
    await call(client, 'new_page', { url: 'data:text/html,<title>second</title>' });
    const opened = await call(client, 'new_page', { url: 'data:text/html,<title>third</title>' });
    expect(opened).not.toHaveProperty('isError', true);
    await call(client, 'select_page', { pageId });
    const set = await call(client, 'evaluate_script', { function: '() => (window.kept = 42)' });
    expect(set).toMatchObject({ content: [{ text: expect.stringContaining('42') }] });
    const listed = await call(client, 'list_pages', {});
    const exited = once(one.child, 'exit');
    one.child.kill(end);
    await exited;
    const away = client.atNode(other.url);
    const kept = await call(away, 'evaluate_script', { function: '() => window.kept + document.title' });
    expect(kept).toMatchObject({ content: [{ text: expect.stringContaining('42second') }] });
    expect(await call(away, 'list_pages', {})).toEqual(listed);
    expect((await away.delete()).status).toBe(204);
  },
);

/**
 * The contexts of a browser beside its profile, also those that others opened. Each connection is a target of the browser,
 * so that puppeteer's own may be that of a node which is dead.
 */
const contextsOf = (browser: Browser): Promise<readonly string[]> =>
  withBrowserCdpSession(browser, async (cdp) => (await cdp.send('Target.getBrowserContexts')).browserContextIds);

test('[C-SHARED] kill -9 of a node: of an SSE session the context goes, and it hears why; a browser_id keeps its page; all else in that browser stays', async () => {
  const named = ['--prewarm', '0', '--node-id'];
  const [mortal, other] = await Promise.all([
    startNode('30s', 'context', [...named, 'mortal']),
    startNode('9s', 'context', [...named, 'other']),
  ]);
  const [before, after] = [new StatelessClient(mortal.url), new StatelessClient(other.url)];
  const handle = { browser_id: await before.open() };
  await before.text('new_page', { ...handle, url: 'data:text/html,<title>kept</title>' });
  await before.text('evaluate_script', { ...handle, function: '() => (window.kept = 43)' });
  const pages = await before.text('list_pages', handle);
  const browser = await puppeteer.connect({ browserURL: chrome.url });
  const foreign = await browser.createBrowserContext();
  /** A session with its context, which is the one that was not there before. */
  const open = async ({ url }: ServerProcess): Promise<readonly [RawSse, string]> => {
    const before = new Set(await contextsOf(browser));
    const stream = await new RawSse(url).whenAnnounced();
    await stream.initialize();
    const [contextId = ''] = (await contextsOf(browser)).filter((id) => !before.has(id));
    return [stream, contextId];
  };
  const [[dying, left], [living, kept]] = [await open(mortal), await open(other)];
  const evaluate = (code: string) => ({ name: 'evaluate_script', arguments: { function: `() => ${code}` } });
  for (const stream of [dying, living]) await stream.call(1, 'tools/call', evaluate('(window.kept = 42)'));
  expect(await contextsOf(browser)).toEqual(expect.arrayContaining([left, kept, foreign.id]));
  const exited = once(mortal.child, 'exit');
  mortal.child.kill('SIGKILL');
  await exited;
  // Its lease is over, as it would be in half a minute.
  const [keys] = await redis.sendCommands('KEYS greenroom:node:mortal.*');
  for (const key of [keys].flat()) await redis.sendCommands(`DEL ${String(key)}`);
  await waitUntil(async () => !(await contextsOf(browser)).includes(left));
  expect(await contextsOf(browser)).toEqual(expect.arrayContaining([kept, foreign.id]));
  const still = await living.call(2, 'tools/call', evaluate('window.kept'));
  expect(still).toMatchObject({ result: { content: [{ text: expect.stringContaining('42') }] } });
  const url = new URL(dying.endpoint ?? '', other.url).href;
  const { json } = await postJson(url, { jsonrpc: '2.0', id: 3, method: 'ping' });
  expect(json).toMatchObject({ error: { data: { reason: 'closed', closedBecause: 'node-lost' } } });
  const ofHandle = { ...handle, function: '() => window.kept + document.title' };
  expect(await after.text('evaluate_script', ofHandle)).toContain('43kept');
  expect(await after.text('list_pages', handle)).toBe(pages);
  expect(await after.text('close_browser', handle)).toBe('Closed.');
  await living.disconnect();
  await foreign.close();
  await browser.disconnect();
});
