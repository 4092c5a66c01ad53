import { once } from 'node:events';
import { startUserChrome, type UserChrome } from '../browser/support/userChrome.js';
import { startServerProcess, type ServerProcess } from '../e2e/support/serverProcess.js';
import { RawMcp } from '../support/rawMcp.js';
import { RedisServer } from '../support/redisServer.js';
import { whenReady } from './support.js';

let redis: RedisServer;
let chrome: UserChrome;
const nodes: ServerProcess[] = [];

beforeAll(async () => {
  [redis, chrome] = await Promise.all([RedisServer.start(), startUserChrome()]);
}, 60_000);
afterAll(async () => {
  await Promise.all(nodes.map((node) => node.dispose()));
  await Promise.all([redis.stop(), chrome.end()]);
}, 60_000);

async function startNode(lease: string, isolation: string): Promise<ServerProcess> {
  const shared = ['--redis-url', redis.url, '--browser-url', chrome.url, '--isolation', isolation];
  const flags = [...shared, '--node-lease', lease, '--tools', 'all'];
  const node = await startServerProcess(flags);
  nodes.push(node);
  await whenReady(node.url);
  return node;
}

let lastId = 0;

async function call(client: RawMcp, name: string, args: object): Promise<unknown> {
  const id = (lastId += 1);
  const params = { name, arguments: args };
  const stream = await client.ask({ jsonrpc: '2.0', id, method: 'tools/call', params });
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
    const [one, other] = [await startNode('2s', isolation), await startNode('30s', isolation)];
    const client = await new RawMcp(one.url).initialize();
    await call(client, 'new_page', { url: 'data:text/html,<title>second</title>' });
    const opened = await call(client, 'new_page', { url: 'data:text/html,<title>third</title>' });
    expect(opened).not.toHaveProperty('isError', true);
    await call(client, 'select_page', { pageId });
    const set = await call(client, 'evaluate_script', { function: '() => (window.kept = 42)' });
    expect(set).toMatchObject({ content: [{ text: expect.stringContaining('42') }] });
    const before = await call(client, 'list_pages', {});
    const exited = once(one.child, 'exit');
    one.child.kill(end);
    await exited;
    const away = Object.assign(new RawMcp(other.url), { sessionId: client.sessionId });
    const kept = await call(away, 'evaluate_script', { function: '() => window.kept + document.title' });
    expect(kept).toMatchObject({ content: [{ text: expect.stringContaining('42second') }] });
    expect(await call(away, 'list_pages', {})).toEqual(before);
    expect((await away.delete()).status).toBe(204);
  },
  90_000,
);
