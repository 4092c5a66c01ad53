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
