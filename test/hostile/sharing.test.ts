import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { BrowsingClient } from '../e2e/support/browsingClient.js';
import { startServerProcess } from '../e2e/support/serverProcess.js';
import { send } from '../support/http.js';
import { openTenants, type Tenant, type TwoTenants } from './support/tenants.js';

const secret = 'copied-by-the-victim';

let pages: PageServer;
let tenants: TwoTenants;

beforeAll(async () => {
  pages = await startPageServer();
  tenants = await openTenants();
  for (const tenant of [tenants.victim, tenants.attacker]) {
    await tenant.data('new_page', { url: `${pages.url}/index.html` });
    await tenant.evaluate(`() => {
      document.body.innerHTML = '<textarea aria-label=Field></textarea>';
      return 1;
    }`);
  }
});
afterAll(async () => {
  await tenants.close();
  await pages.close();
});

async function press(tenant: Tenant, ...keys: readonly string[]): Promise<void> {
  await tenant.data('click', { uid: await tenant.uid('Field') });
  for (const key of keys) await tenant.data('press_key', { key });
}

test('[S6] sessions of two users are in two browser processes from the start', async () => {
  const { victim, attacker } = tenants;
  for (const tenant of [victim, attacker]) {
    expect(await tenant.data('get_connected_browser')).toMatchObject({ isolation: 'process' });
  }
  const own = await Promise.all([victim, attacker].map((tenant) => tenant.ownFolder()));
  const [first, second] = own.map((folder) => folder.replace(/\/tmp\/greenroom-session-.*$/, ''));
  expect(first).not.toBe(second);
});

test('[S6] what one user copies no other one pastes', async () => {
  const { victim, attacker } = tenants;
  await victim.data('fill', { uid: await victim.uid('Field'), value: secret });
  await press(victim, 'Control+A', 'Control+C', 'End', 'Control+V');
  expect(await victim.evaluate(`() => document.querySelector('textarea').value`)).toBe(secret + secret);
  await press(attacker, 'Control+V');
  expect(await attacker.evaluate(`() => document.querySelector('textarea').value`)).toBe('');
});

describe('what a client may ask for, with an id that it has learned of another user', () => {
  const stored = 'stored-by-the-victim';
  let [uri, session] = ['', ''];

  beforeAll(async () => {
    const { victim } = tenants;
    await victim.evaluate(
      `() => { localStorage.setItem('key', '${stored}'); document.title = '${stored}'; return 1; }`,
    );
    uri = String((await victim.data('set_page_storage', { action: 'save' }))['file']);
    session = String((await victim.data('get_session_info'))['id']);
    expect(await victim.text('list_pages')).toContain(stored);
    expect(JSON.stringify(await victim.client.readResource({ uri }))).toContain(stored);
  });

  const ways: Record<string, (of: TwoTenants['attacker']['client']) => Promise<unknown>> = {
    'reads its resource': (client) => client.readResource({ uri }),
    'reads its resource by another spelling': (client) =>
      client.readResource({ uri: uri.replace('greenroom', 'GREENROOM') }),
    'subscribes to its resource': (client) => client.subscribeResource({ uri }),
    'lists resources': (client) => client.listResources(),
    'lists templates of resources': (client) => client.listResourceTemplates(),
    'completes the ids of resources': (client) =>
      client.complete({ ref: { type: 'ref/resource', uri }, argument: { name: 'id', value: '' } }),
    'completes an argument of a prompt': (client) =>
      client.complete({
        ref: { type: 'ref/prompt', name: 'diagnose_extension' },
        argument: { name: 'extensionId', value: '' },
      }),
    'gets a prompt about its session': (client) =>
      client.getPrompt({ name: 'diagnose_extension', arguments: { extensionId: session } }),
    'restores its storage': (client) =>
      client.callTool({ name: 'set_page_storage', arguments: { action: 'restore', file: uri } }),
    'uploads its resource': (client) =>
      client.callTool({ name: 'upload_file', arguments: { uid: 'e1', filePaths: [uri] } }),
    'names its session as a browser': (client) =>
      client.callTool({ name: 'list_pages', arguments: { browser_id: session } }),
    'reads a page of its session': (client) =>
      client.callTool({ name: 'take_snapshot', arguments: { browser_id: session, pageId: 1 } }),
    'closes its session': (client) => client.callTool({ name: 'close_browser', arguments: { browser_id: session } }),
    'lists browsers': (client) => client.callTool({ name: 'list_browsers', arguments: {} }),
    'cancels its calls, and answers its questions': async (client) => {
      for (const id of [0, 1, 2, 3]) {
        await client.notification({ method: 'notifications/cancelled', params: { requestId: id } });
        await client.transport?.send({ jsonrpc: '2.0', id, result: { action: 'accept', content: {} } });
      }
    },
    'tells progress of its calls': (client) =>
      client.notification({ method: 'notifications/progress', params: { progressToken: 1, progress: 1 } }),
  };

  test.each(Object.entries(ways))('[S6] gets nothing of it: who %s', async (_what, ask) => {
    const { victim, attacker } = tenants;
    const told = await ask(attacker.client).then((answer) => JSON.stringify(answer ?? {}), String);
    expect(told).not.toContain(stored);
    expect(told).not.toContain(await victim.ownFolder());
    expect(await attacker.text('inspect_page_storage')).not.toContain(stored);
    expect(await victim.text('list_pages')).toContain(stored);
  });
});

test('[S10] who waits for a process in vain is told that all are taken, and when to come again', async () => {
  const flags = ['--isolation', 'process', '--max-browsers', '1', '--setup-timeout', '5s'];
  const server = await startServerProcess(flags);
  const first = await BrowsingClient.open(server.url);
  const { status, headers, text } = await send(`${server.url}/sse`);
  expect([status, headers['retry-after']]).toEqual([429, '5']);
  expect(text).toContain('Every browser process is taken, and none became free');
  expect(text).toContain('--max-browsers');
  await first.close();
  await server.dispose();
});
