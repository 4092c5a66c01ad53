import { access, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crx, zip } from '../support/zipWriter.js';
import { startExtensionTools, type ExtensionTools } from './support/extensionTools.js';

let tools: ExtensionTools;

const worker = { background: { service_worker: 'worker.js' }, permissions: ['storage'] };
const unknown = 'p'.repeat(32);

beforeAll(async () => {
  tools = await startExtensionTools();
});
afterAll(() => tools.close());

const row = async (extensionId: string): Promise<unknown> => {
  const { structured } = await tools.run('list_extensions');
  return (structured['extensions'] as { id: string }[]).find(({ id }) => id === extensionId);
};

describe('get_extension_details', () => {
  it('tells permissions, hosts, pages, commands and errors', async () => {
    const extensionId = await tools.install(
      'Detailed',
      {
        description: 'What it is for',
        permissions: ['tabs'],
        host_permissions: ['https://example.com/*'],
        options_page: 'options.html',
        commands: { greet: { description: 'Greets', suggested_key: 'Ctrl+Shift+9' } },
        nonsense: 1,
      },
      { 'options.html': '' },
    );
    const { text, structured } = await tools.run('get_extension_details', { extensionId });
    expect(structured).toMatchObject({
      id: extensionId,
      name: 'Detailed',
      description: 'What it is for',
      location: 'unpacked',
      enabled: true,
      disabledBecause: [],
      permissions: ['Read your browsing history'],
      hosts: [{ host: 'https://example.com/*', granted: true }],
      pages: ['options'],
      commands: [expect.stringContaining('greet')],
      serviceWorker: 'none',
      manifestErrors: ["Unrecognized manifest key 'nonsense'."],
      runtimeErrors: [],
    });
    expect(text).toContain('Hosts: https://example.com/*');
    expect(text).toContain("Manifest: Unrecognized manifest key 'nonsense'.");
  });

  it('names the extensions that exist when the id is unknown', async () => {
    const extensionId = await tools.install('Known', {});
    for (const name of [
      'get_extension_details',
      'reload_extension',
      'uninstall_extension',
      'list_extension_contexts',
    ]) {
      expect(await tools.refusal(name, { extensionId: unknown })).toContain(`${extensionId} (Known)`);
    }
  });
});

describe('reload_extension', () => {
  const manifest = {
    ...worker,
    content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['content.js'] }],
  };

  it('takes the new code and says which pages and content scripts are stale', async () => {
    const extensionId = await tools.install(
      'Changing',
      { ...manifest, version: '1.0' },
      {
        'worker.js': 'self.code = "old"; chrome.storage.local.set({ kept: true });',
        'content.js': '',
        'page.html': '<title>Its page</title>',
      },
    );
    const page = await tools.browser.newPage();
    await page.page.goto(`${tools.pages.url}/settled.html`);
    const opened = await tools.run('open_extension_page', { extensionId, page: 'page.html' });
    await tools.write('Changing', { ...manifest, version: '2.0' }, { 'worker.js': 'self.code = "new";' });
    expect(await tools.evaluate(extensionId, 'code')).toBe('old');
    const { text, structured } = await tools.run('reload_extension', { extensionId });
    expect(structured).toEqual({
      extensionId,
      version: '2.0',
      previousVersion: '1.0',
      warnings: [],
      closedPages: [opened.structured['url']],
      stalePages: [],
      staleContentScripts: [{ pageId: page.id, url: `${tools.pages.url}/settled.html` }],
    });
    expect(text).toContain(`Page ${page.id} (${tools.pages.url}/settled.html) has the old content script`);
    expect(await tools.evaluate(extensionId, 'chrome.storage.local.get().then((all) => [code, all])')).toEqual([
      'new',
      { kept: true },
    ]);
    await tools.browser.closePage(page.id);
  });

  it('waits for the start of the worker and reports its error and the warnings of the manifest', async () => {
    const extensionId = await tools.install('Breaking', worker, { 'worker.js': '' });
    await tools.write('Breaking', { ...worker, nonsense: 1 }, { 'worker.js': '\nthrow new Error("at the start");' });
    const { structured, text } = await tools.run('reload_extension', { extensionId });
    expect(structured['warnings']).toContain("Unrecognized manifest key 'nonsense'.");
    expect(structured['warnings']).toContainEqual(expect.stringMatching(/at the start \(.*worker\.js:2\)/));
    expect(text).toContain('at the start');
  });

  it('refuses a broken manifest in the words of Chrome; what was loaded before goes on', async () => {
    const extensionId = await tools.install('Whole', worker, { 'worker.js': 'self.code = "whole";' });
    await tools.write('Whole', {}, { 'manifest.json': '{ "name": ' });
    const said = await tools.refusal('reload_extension', { extensionId });
    expect(said).toContain('Manifest is not valid JSON.');
    expect(said).toContain('Whole 1.0 stays loaded as it was before.');
    expect(await tools.evaluate(extensionId, 'code')).toBe('whole');
  });
});

describe('watch_extension_folder', () => {
  const manifest = { ...worker, content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['content.js'] }] };
  const files = { 'worker.js': 'self.code = "one";', 'content.js': '' };
  const reloadsOf = ({ structured }: { structured: Record<string, unknown> }) => structured['reloads'] as object[];

  it('loads what has changed before the next tool runs, and says what that affected', async () => {
    const extensionId = await tools.install('Watched', manifest, files);
    const watching = (args = {}) => tools.run('watch_extension_folder', { extensionId, ...args });
    const settle = () => tools.browser.ensureProcess(new AbortController().signal);
    await tools.openPage('/settled.html');
    const page = tools.browser.page();
    expect((await watching()).text).toMatch(/^Watching .*Watched \(3 files\)/);
    tools.browser.takeNotices();
    await tools.write('Watched', manifest, { 'worker.js': 'self.code = "two";', 'inner/deep/new.js': '' });
    await settle();
    expect(await tools.evaluate(extensionId, 'code')).toBe('two');
    expect(tools.browser.takeNotices()).toEqual([expect.stringMatching(/changed in the folder of "Watched"/)]);
    const { structured, text } = await watching();
    const changed = reloadsOf({ structured }).flatMap((reload) => (reload as { changed: string[] }).changed);
    expect(changed).toEqual(expect.arrayContaining(['worker.js', '+inner/deep/new.js']));
    expect(reloadsOf({ structured })[0]).toMatchObject({
      staleContentScripts: [{ pageId: page.id, url: `${tools.pages.url}/settled.html` }],
    });
    expect(text).toContain('has the old content script');

    await tools.write('Watched', {}, { 'manifest.json': '{ "name": ' });
    await settle();
    const { cursor: since } = structured;
    const refused = await watching({ since });
    expect(reloadsOf(refused)).toEqual([expect.objectContaining({ refusal: expect.stringMatching(/not valid JSON/) })]);
    expect(refused.text).toContain('stays loaded as it was before');
    await tools.write('Watched', { ...manifest, version: '2.0' }, { 'inner/deep/new.js': '1;' });
    await watching({ reloadPages: true });
    await settle();
    const mended = await watching({ since: refused.structured['cursor'] });
    expect(mended.text).toContain('Reloaded "Watched" 2.0');
    await tools.run('uninstall_extension', { extensionId });
    await tools.browser.closePage(page.id);
  });

  it('notices a change without a call, and ends with its extension', async () => {
    const extensionId = await tools.install('Noticed', worker, files);
    await tools.run('watch_extension_folder', { extensionId });
    await tools.write('Noticed', worker, { 'worker.js': 'self.code = "by itself";' });
    const notices = tools.browser.folderWatches;
    let seen: string[] = [];
    while (seen.length === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      seen = notices.takeNotices();
    }
    expect(seen[0]).toMatch(/ changed in the folder of "Noticed", and it was loaded again\./);
    await tools.run('watch_extension_folder', { extensionId, stop: true });
    const again = { extensionId, stop: true };
    expect(await tools.refusal('watch_extension_folder', again)).toContain('is not watched');
    await tools.run('uninstall_extension', { extensionId });
  });
});

describe('install_extension once more', () => {
  it('names the pages that Chrome closed and the page that is selected now', async () => {
    const extensionId = await tools.install('Again', worker, { 'worker.js': '', 'page.html': '' });
    const below = await tools.browser.newPage();
    const opened = await tools.run('open_extension_page', { extensionId, page: 'page.html' });
    const { pageId, url } = opened.structured;
    const path = `${tools.workspace}/Again`;
    const { text, structured } = await tools.run('install_extension', { path }, { workspace: [tools.workspace] });
    expect(structured['closedPages']).toEqual([url]);
    expect(text).toContain(`Chrome closed page ${String(pageId)} of the extension: ${String(url)}`);
    expect(text).toContain(`Page ${below.id} is selected now: about:blank`);
    await tools.browser.closePage(below.id);
  });

  it('leaves a page selected where a tab that another opened is the only one', async () => {
    const { signal } = new AbortController();
    await Promise.all(tools.browser.pages().map(({ id }) => tools.browser.closePage(id)));
    const opened = await tools.browser.browser.newPage();
    await tools.browser.whenPagesAdopted(signal);
    await tools.browser.ensureFirstPage(signal);
    expect(tools.browser.page().page).toBe(opened);
  });

  it('says that it needs a folder when it gets a file', async () => {
    const options = { workspace: [tools.workspace] };
    await tools.write('Present', worker, { 'worker.js': '' });
    const file = `${tools.workspace}/Present/worker.js`;
    expect(await tools.refusal('install_extension', { path: file }, options)).toContain(`${file} is not a folder`);
  });
});

describe('set_extension_enabled', () => {
  it('switches off and on again, keeps the storage, and says when nothing changed', async () => {
    const extensionId = await tools.install('Switched', worker, { 'worker.js': 'self.up = true;' });
    await tools.run('set_extension_storage', { extensionId, set: { kept: 1 } });
    const set = (enabled: boolean) => tools.run('set_extension_enabled', { extensionId, enabled });
    expect((await set(false)).structured).toEqual({ extensionId, enabled: false, before: true, warnings: [] });
    expect(await row(extensionId)).toMatchObject({ enabled: false, contexts: 0 });
    expect((await set(false)).text).toBe('"Switched" was disabled already.');
    expect(await tools.text('get_extension_details', { extensionId })).toContain('disabled');
    expect(await tools.refusal('inspect_extension_storage', { extensionId })).toContain('set_extension_enabled');
    expect(await tools.text('reload_extension', { extensionId })).toContain('It is disabled');
    expect((await set(true)).structured).toMatchObject({ enabled: true, before: false });
    expect(await tools.evaluate(extensionId, 'up')).toBe(true);
    expect(await tools.text('inspect_extension_storage', { extensionId })).toContain('kept = 1');
  });
});

describe('uninstall_extension', () => {
  it('removes the extension and leaves its folder', async () => {
    const extensionId = await tools.install('Leaving', {});
    const { structured, text } = await tools.run('uninstall_extension', { extensionId });
    expect(structured).toMatchObject({ extensionId, name: 'Leaving' });
    expect(structured['left']).not.toContain(extensionId);
    expect(text).toContain('Uninstalled "Leaving"');
    expect(await row(extensionId)).toBeUndefined();
    await access(`${tools.workspace}/Leaving/manifest.json`);
    expect(await tools.refusal('uninstall_extension', { extensionId })).toContain(`No extension ${extensionId}`);
  });
});

describe('install_extension from an archive', () => {
  const archive = (version: string): Buffer =>
    zip([
      { name: 'manifest.json', content: JSON.stringify({ manifest_version: 3, name: 'Packed', version, ...worker }) },
      { name: 'worker.js', content: `self.code = ${JSON.stringify(version)};` },
    ]);
  const installed = async (bytes: Buffer) =>
    (await tools.run('install_extension', { archive: bytes.toString('base64') })).structured;

  it('works with nothing in the workspace, and an update keeps id and storage', async () => {
    const first = await installed(archive('1.0'));
    const extensionId = String(first['id']);
    expect(first).toEqual({ id: extensionId, name: 'Packed', version: '1.0', warnings: [], closedPages: [] });
    await tools.run('set_extension_storage', { extensionId, set: { kept: true } });
    expect(await installed(crx(archive('2.0')))).toMatchObject({ id: extensionId, version: '2.0' });
    expect(await tools.evaluate(extensionId, 'code')).toBe('2.0');
    expect(await tools.text('inspect_extension_storage', { extensionId })).toContain('kept = true');
    const { path } = (await row(extensionId)) as { path: string };
    expect(path.startsWith(await tools.browser.folder())).toBe(true);
    expect(await readFile(`${path}/worker.js`, 'utf8')).toContain('2.0');
    await tools.run('uninstall_extension', { extensionId });
    await expect(access(path)).rejects.toThrow('ENOENT');
  });

  it('fetches it from a url', async () => {
    const server = createServer((_request, response) => response.end(archive('3.0')));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const { structured } = await tools.run('install_extension', { url: `http://127.0.0.1:${port}/packed.zip` });
    expect(structured).toMatchObject({ name: 'Packed', version: '3.0' });
    await new Promise((resolve) => server.close(resolve));
  });

  it('refuses what is not base64, not an archive, or not exactly one source', async () => {
    const refusal = (args: Record<string, string>): Promise<string> => tools.refusal('install_extension', args);
    expect(await refusal({ archive: '{not base64}' })).toContain('not base64');
    expect(await refusal({ archive: 'aGVsbG8=' })).toContain('neither a zip nor a crx');
    expect(await refusal({})).toBe('Pass exactly one of path, archive and url.');
    expect(await refusal({ path: '/tmp', url: 'http://127.0.0.1/' })).toContain('exactly one');
    expect(await refusal({ url: 'file:///etc/passwd' })).toContain('http and https only');
  });
});

describe('the storage tools', () => {
  it('read and write every area while the worker sleeps, and do not wake it', async () => {
    const extensionId = await tools.install('Keeps', worker, { 'worker.js': '' });
    await tools.run('stop_extension_service_worker', { extensionId });
    for (const area of ['local', 'sync', 'session']) {
      const set = { plain: 'text', deep: { list: [1, null, 'é'] } };
      const written = await tools.run('set_extension_storage', { extensionId, area, set });
      expect(written.structured).toMatchObject({
        area,
        keys: 2,
        entries: [
          { key: 'plain', value: '"text"' },
          { key: 'deep', value: '{"list":[1,null,"é"]}' },
        ],
      });
      const read = await tools.run('inspect_extension_storage', { extensionId, area });
      expect(read.text.split('\n').slice(1)).toEqual(['deep = {"list":[1,null,"é"]}', 'plain = "text"']);
    }
    const managed = await tools.run('inspect_extension_storage', { extensionId, area: 'managed' });
    expect(managed.structured).toMatchObject({ area: 'managed', keys: 0, entries: [] });
    const { structured } = await tools.run('get_service_worker_status', { extensionId });
    expect(structured['state']).toBe('stopped');
  });

  it('clear, then remove, then set, and tell what is there then', async () => {
    const extensionId = await tools.install('Changes', worker, { 'worker.js': '' });
    const change = (args: object) => tools.run('set_extension_storage', { extensionId, ...args });
    await change({ set: { a: 1, b: 2, c: 3 } });
    const removed = await change({ remove: ['a'], set: { b: 20 } });
    expect(removed.structured).toMatchObject({ keys: 2, entries: [{ key: 'b', value: '20', length: 2 }] });
    expect(removed.text).toContain('a: not set');
    expect((await change({ clear: true, set: { d: 4 } })).structured).toMatchObject({ keys: 1 });
    expect(await tools.evaluate(extensionId, 'chrome.storage.local.get()')).toEqual({ d: 4 });
    expect(await tools.refusal('set_extension_storage', { extensionId })).toContain('pass set, remove or clear');
  });

  it('cut long values and say so; named keys come whole', async () => {
    const extensionId = await tools.install('Long', worker, { 'worker.js': '' });
    const long = 'x'.repeat(20_000);
    await tools.run('set_extension_storage', { extensionId, set: { long, short: 1 } });
    const listed = await tools.text('inspect_extension_storage', { extensionId });
    expect(listed).toContain('… (20002 characters)');
    expect(listed.length).toBeLessThan(1_000);
    const whole = await tools.text('inspect_extension_storage', { extensionId, keys: ['long', 'missing'] });
    expect(whole).toContain(`long = "${long}"`);
    expect(whole).toContain('missing: not set');
  });

  it('quote Chrome on a missing permission, a quota, and an area that is read only', async () => {
    const bare = await tools.install('Bare', {});
    expect(await tools.refusal('inspect_extension_storage', { extensionId: bare })).toBe(
      'The storage area local of Bare: its manifest lacks the permission "storage"',
    );
    const extensionId = await tools.install('Limits', worker, { 'worker.js': '' });
    const refusal = (area: string, value: string): Promise<string> =>
      tools.refusal('set_extension_storage', { extensionId, area, set: { value } });
    expect(await refusal('sync', 'x'.repeat(10_000))).toMatch(/quota exceeded/i);
    expect(await refusal('managed', 'x')).toContain('read-only');
  });
});
