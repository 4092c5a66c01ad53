import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { manifestJson } from '../support/extensionBrowser.js';
import { zip } from '../support/zipWriter.js';
import { waitUntil } from '../e2e/support/serverProcess.js';
import { openTenants, type Tenant, type TwoTenants } from './support/tenants.js';

let pages: PageServer;
let tenants: TwoTenants;
let home: string;
const realHome = process.env['HOME'];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'greenroom-hostile-'));
  process.env['HOME'] = home;
  process.env['A_PASSWORD_OF_THE_OPERATOR'] = 'only-for-the-server';
  pages = await startPageServer();
  tenants = await openTenants();
});
afterAll(async () => {
  process.env['HOME'] = realHome;
  delete process.env['A_PASSWORD_OF_THE_OPERATOR'];
  await tenants.close();
  await pages.close();
  await rm(home, { recursive: true, force: true });
});

const filesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

async function downloadFromPage(tenant: Tenant, href: string, name: string): Promise<void> {
  await tenant.data('new_page', { url: `${pages.url}/index.html` });
  await tenant.evaluate(`() => {
    const link = document.createElement('a');
    Object.assign(link, { href: ${JSON.stringify(href)}, download: ${JSON.stringify(name)} });
    document.body.append(link);
    link.click();
    return 1;
  }`);
}

test("[S6] what a page downloads comes to the session's own folder, whatever it is called", async () => {
  const { attacker, victim } = tenants;
  const downloads = join(await attacker.ownFolder(), 'downloads');
  await downloadFromPage(attacker, 'data:text/plain,mine', '../../../mine.txt');
  // Chrome renames the file when it is complete.
  await waitUntil(async () => {
    const names = await filesIn(downloads);
    const texts = names.map((name) => readFile(join(downloads, name), 'utf8').catch(() => ''));
    return names.length === 1 && (await texts[0]) === 'mine';
  });
  expect(await filesIn(join(await victim.ownFolder(), 'downloads'))).toEqual([]);
  expect(await filesIn(home)).toEqual([]);
});

test("[S6] and what an extension downloads too, and nothing comes to the home of the server's user", async () => {
  const { victim } = tenants;
  const archive = zip([
    {
      name: 'manifest.json',
      content: manifestJson('Downloads', { permissions: ['downloads'], background: { service_worker: 'worker.js' } }),
    },
    {
      name: 'worker.js',
      content: `chrome.downloads.download({ url: 'data:text/plain,from-extension', filename: 'a.txt' })`,
    },
  ]);
  const downloads = join(await victim.ownFolder(), 'downloads');
  await victim.data('install_extension', { archive: archive.toString('base64') });
  await waitUntil(async () => (await filesIn(downloads)).length === 1);
  expect(await filesIn(home)).toEqual([]);
});

describe('one that is bigger than a session may have', () => {
  let endless: Server;

  beforeAll(async () => {
    endless = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': 400 * 1024 ** 2 });
      response.write('x'.repeat(100_000));
    });
    await new Promise<void>((resolve) => endless.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    endless.closeAllConnections();
    endless.close();
  });

  test('[S10] is cancelled, and the next answer says so', async () => {
    const { attacker } = tenants;
    const { port } = endless.address() as AddressInfo;
    await downloadFromPage(attacker, `http://127.0.0.1:${port}/big.bin`, 'big.bin');
    await waitUntil(async () => {
      await attacker.text('list_pages');
      return attacker.heard.some((answer) =>
        answer.includes('was cancelled: the downloads of a session may take 256 MB'),
      );
    });
  });
});

test('[S6] no browser process knows the environment of the server', async () => {
  const pids = await tenants.server.browsers();
  expect(pids.length).toBeGreaterThan(1);
  for (const pid of pids) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    expect(environment).not.toContain('only-for-the-server');
    expect(environment).not.toContain(`HOME=${home}`);
  }
});
