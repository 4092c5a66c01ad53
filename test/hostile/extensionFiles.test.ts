import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { withCdpScope } from '../../src/browser/cdp/cdpScope.js';
import { betweenLoads } from '../../src/browser/extensions/fileAccess.js';
import { ExtensionsPage, listExtensions } from '../../src/browser/extensions/installedExtensions.js';
import { manifestJson } from '../support/extensionBrowser.js';
import { zip } from '../support/zipWriter.js';
import { startExtensionTools } from '../tools/support/extensionTools.js';
import { openTenants, type Tenant, type TwoTenants } from './support/tenants.js';

const secret = 'what-only-the-operator-may-read';

const permissions = {
  permissions: ['storage', 'tabs', 'scripting', 'debugger', 'downloads'],
  host_permissions: ['<all_urls>', 'file:///*'],
  background: { service_worker: 'worker.js' },
};

/** Tries whatever leads to a file from a worker, from its first statement on, and keeps what came of it. */
const worker = (url: string): string => `
const url = ${JSON.stringify(url)};
const text = () => document.documentElement.innerText;
const attempts = {
  fetch: () => fetch(url).then((response) => response.text()),
  tab: async () => {
    const { id } = await chrome.tabs.create({ url });
    return chrome.scripting.executeScript({ target: { tabId: id }, func: text });
  },
  debugger: async () => {
    const { id: tabId } = await chrome.tabs.create({ url: 'about:blank' });
    await chrome.debugger.attach({ tabId }, '1.3');
    await chrome.debugger.sendCommand({ tabId }, 'Page.navigate', { url });
    const expression = 'document.documentElement.innerText';
    return chrome.debugger.sendCommand({ tabId }, 'Runtime.evaluate', { expression });
  },
  download: async () => {
    const id = await chrome.downloads.download({ url });
    return chrome.downloads.search({ id });
  },
};
globalThis.tried = Promise.all(Object.entries(attempts).map(async ([name, attempt]) => {
  try { return [name, 'got', await attempt()]; } catch (error) { return [name, 'refused', String(error)]; }
}));
chrome.runtime.onInstalled.addListener(async (details) => {
  const { reasons = [] } = await chrome.storage.local.get();
  await chrome.storage.local.set({ reasons: [...reasons, details] });
});
`;

const page = (url: string): string => `() => Promise.all([
  fetch(${JSON.stringify(url)}).then((response) => response.text()).catch(String),
  new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.onload = () => resolve(request.responseText);
    request.onerror = () => resolve('refused');
    request.open('GET', ${JSON.stringify(url)});
    request.send();
  }),
])`;

let tenants: TwoTenants;
let folder: string;
let url: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'greenroom-hostile-'));
  const file = join(folder, 'private.html');
  await writeFile(file, secret);
  url = pathToFileURL(file).href;
  await mkdir(join(folder, 'named', 'extension'), { recursive: true });
  tenants = await openTenants(['--workspace', join(folder, 'named')]);
});
afterAll(async () => {
  await tenants.close();
  await rm(folder, { recursive: true, force: true });
});

const files = (name: string, more: object = {}): { name: string; content: string }[] => [
  { name: 'manifest.json', content: manifestJson(name, { ...permissions, ...more }) },
  { name: 'worker.js', content: worker(url) },
  { name: 'page.html', content: '<title>Page</title>' },
];

async function expectNoFiles(tenant: Tenant, extensionId: unknown): Promise<void> {
  const evaluate = (expression: string) => tenant.text('evaluate_in_extension', { extensionId, expression });
  expect(await tenant.data('get_extension_details', { extensionId })).toMatchObject({ fileAccess: false });
  expect(await evaluate('globalThis.tried')).toContain('refused');
  await tenant.data('new_page', { url: `chrome-extension://${String(extensionId)}/page.html` });
  await tenant.evaluate(page(url));
  expect(tenant.heard.join('\n')).not.toContain(secret);
}

test.each([
  ['from an archive', {}],
  ['with a key', { key: Buffer.from('the bytes of a key').toString('base64') }],
])(
  '[S6] an extension %s reads no file, from its first statement on, and after each way to start again',
  async (name, more) => {
    const { attacker } = tenants;
    const archive = zip(files(name, more)).toString('base64');
    const { id } = await attacker.data('install_extension', { archive });
    await expectNoFiles(attacker, id);
    await attacker.data('reload_extension', { extensionId: id });
    await expectNoFiles(attacker, id);
    await attacker.data('set_extension_enabled', { extensionId: id, enabled: false });
    await attacker.data('set_extension_enabled', { extensionId: id, enabled: true });
    await expectNoFiles(attacker, id);
    await attacker.data('install_extension', {
      archive: zip(files(name, { ...more, version: '2.0' })).toString('base64'),
    });
    await expectNoFiles(attacker, id);
    expect(await attacker.text('list_extensions')).not.toContain('being installed');
    await attacker.data('uninstall_extension', { extensionId: id });
  },
);

test('[S6] nor does one from a folder whose key is another one at its reload', async () => {
  const { attacker } = tenants;
  const path = join(folder, 'named', 'extension');
  const write = (more: object) =>
    Promise.all(files('Folder', more).map(({ name, content }) => writeFile(join(path, name), content)));
  await write({});
  const { id } = await attacker.data('install_extension', { path });
  await expectNoFiles(attacker, id);
  await write({ key: Buffer.from('another key').toString('base64') });
  const { extensionId = id } = await attacker.data('reload_extension', { extensionId: id });
  await expectNoFiles(attacker, extensionId);
  const { extensions } = await attacker.data('list_extensions');
  for (const one of extensions as { id: string }[]) await expectNoFiles(attacker, one.id);
});

test('the first install is told to the extension as one', async () => {
  const { victim } = tenants;
  const { id } = await victim.data('install_extension', { archive: zip(files('First')).toString('base64') });
  const stored = await victim.text('inspect_extension_storage', { extensionId: id });
  expect(stored).toContain('install');
  expect(stored).not.toContain('update');
});

test('[S6] an installation that is cancelled at any of its commands leaves no extension with files behind', async () => {
  const tools = await startExtensionTools();
  const { browser } = tools.browser;
  const signal = new AbortController().signal;
  const connection = (await browser.target().createCDPSession()).connection() as object;
  const send = Reflect.get(connection, '_rawSend') as (...given: unknown[]) => unknown;
  let onCommand = (): void => undefined;
  Reflect.set(connection, '_rawSend', (...given: unknown[]) => {
    const sent = Reflect.apply(send, connection, given);
    onCommand();
    return sent;
  });
  const installed = (): Promise<string[]> =>
    withCdpScope(browser, signal, async (scope) => (await listExtensions(scope)).map(({ id }) => id));
  const withFiles = (): Promise<string[]> =>
    withCdpScope(browser, signal, async (scope) => {
      const page = await ExtensionsPage.open(scope);
      const extensions = await listExtensions(scope);
      const infos = await Promise.all(extensions.map(({ id }) => page.info(id)));
      return extensions.filter((_, index) => infos[index]?.fileAccess.isActive).map(({ name }) => name);
    });
  try {
    let isWhole = false;
    for (let at = 1; !isWhole; at += 1) {
      const cancel = new AbortController();
      let commands = 0;
      const path = await tools.write(`Cancelled ${at}`, permissions, { 'worker.js': '' });
      onCommand = () => {
        commands += 1;
        if (commands === at) cancel.abort(new Error('cancelled'));
      };
      const options = { workspace: [tools.workspace], signal: cancel.signal };
      isWhole = await tools.run('install_extension', { path }, options).then(
        () => !cancel.signal.aborted,
        () => false,
      );
      onCommand = () => undefined;
      // What was begun ends by itself.
      await betweenLoads(browser, signal, () => Promise.resolve());
      expect([at, await withFiles()]).toEqual([at, []]);
      for (const id of await installed()) await tools.run('uninstall_extension', { extensionId: id });
      expect(at).toBeLessThan(500);
    }
    expect(await tools.text('list_extensions')).not.toContain('being installed');
  } finally {
    await tools.close();
  }
});
