import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  sampleExtensionFolder,
  startPageServer,
  type PageServer,
  sampleExtensionId,
} from '../../src/selftest/pageServer.js';
import { extensionTools } from '../../src/tools/allTools.js';
import { waitUntilFound } from '../browser/support/collectedPage.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let tools: ToolHarness;
let pages: PageServer;
let workspace: string;

beforeAll(async () => {
  pages = await startPageServer();
  workspace = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  tools = await startToolHarness(extensionTools);
  await tools.run('install_extension', { path: sampleExtensionFolder }, { workspace: [sampleExtensionFolder] });
});

afterAll(async () => {
  await tools.close();
  await pages.close();
  await rm(workspace, { recursive: true, force: true });
});

async function install(name: string, manifest: object, files: Record<string, string | Buffer> = {}): Promise<string> {
  const path = join(workspace, name);
  const whole = { manifest_version: 3, name, version: '1.0', ...manifest };
  for (const [file, content] of Object.entries({ 'manifest.json': JSON.stringify(whole), ...files })) {
    await mkdir(dirname(join(path, file)), { recursive: true });
    await writeFile(join(path, file), content);
  }
  const { structured } = await tools.run('install_extension', { path }, { workspace: [workspace] });
  return String(structured['id']);
}

interface Finding {
  readonly severity: string;
  readonly at: string;
  readonly problem: string;
  readonly fix: string;
}

async function findings(extensionId: string): Promise<Finding[]> {
  const { structured } = await tools.run('inspect_extension_manifest', { extensionId });
  return structured['findings'] as Finding[];
}

/** A PNG as far as its header. */
function png(width: number, height: number): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.write('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1');
  bytes.writeUInt32BE(width, 16);
  bytes.writeUInt32BE(height, 20);
  return bytes;
}

describe('inspect_extension_manifest', () => {
  it('finds nothing grave in a good extension', async () => {
    const found = await findings(sampleExtensionId);
    expect(found.filter(({ severity }) => severity !== 'advice')).toEqual([]);
  });

  it('finds permissions that are unused, misplaced, broad or missing, each with its fix', async () => {
    const id = await install(
      'Permissions',
      {
        permissions: ['bookmarks', 'storage', 'tabs', 'https://example.com/*'],
        host_permissions: ['<all_urls>'],
        background: { service_worker: 'worker.js' },
      },
      {
        'worker.js':
          '\nchrome.tabs.query({});\nchrome.alarms.create({});\nconst { storage } = chrome;\nstorage.local.get();',
      },
    );
    const found = await findings(id);
    const problems = found.map(({ severity, at, problem }) => `${severity} ${at}: ${problem}`);
    expect(problems).toContain(
      'advice manifest.json:1 permissions: "bookmarks" is not used by any code of the extension.',
    );
    expect(problems).toContain(
      'breaks manifest.json:1 permissions: "https://example.com/*" is a host, which Chrome ignores here.',
    );
    expect(problems).toContain('advice manifest.json:1 permissions: "tabs" is not used by any code of the extension.');
    expect(problems).toContainEqual(expect.stringMatching(/^breaks worker.js:3: The code uses chrome.alarms/));
    expect(problems).toContainEqual(
      expect.stringMatching(/^advice manifest.json:1 host_permissions\[0\]: "<all_urls>" takes in every site/),
    );
    expect(problems.join()).not.toContain('"storage"');
    expect(found.every(({ fix }) => fix !== '')).toBe(true);
  });

  it('finds what Manifest V3 does not have, in manifest, pages and code', async () => {
    const id = await install(
      'Old',
      {
        background: { service_worker: 'worker.js' },
        browser_action: {},
        action: { default_popup: 'popup.html' },
        web_accessible_resources: [{ resources: ['*'], matches: ['<all_urls>'] }],
      },
      {
        'worker.js': '// eval()\nlocalStorage.x = 1;\nchrome.browserAction.setTitle({});\n',
        'popup.html': '<p>\n<script>alert(1)</script><b onclick="x()">b</b>',
      },
    );
    const at = (await findings(id)).map(({ severity, at }) => `${severity} ${at}`);
    expect(at).toEqual(
      expect.arrayContaining([
        'breaks manifest.json:1 browser_action',
        'breaks worker.js:2',
        'breaks worker.js:3',
        'breaks popup.html:2',
        'advice manifest.json:1 web_accessible_resources[0]',
      ]),
    );
    expect(JSON.stringify(await findings(id))).not.toContain('eval');
  });

  it('reads a manifest with a byte order mark, as Chrome does', async () => {
    const manifest = JSON.stringify({ manifest_version: 3, name: 'Marked', version: '1.0' });
    const extensionId = await install('Marked', {}, { 'manifest.json': `\uFEFF${manifest}` });
    expect(await tools.text('inspect_extension_manifest', { extensionId })).toContain('finding in "Marked"');
  });

  it('finds files that vanished, icons of a wrong size and a broken manifest on the disk', async () => {
    const id = await install(
      'Files',
      { icons: { 16: 'icon.png', 48: 'icon.png' }, action: { default_popup: 'popup.html' } },
      { 'icon.png': png(16, 16), 'popup.html': '' },
    );
    await rm(join(workspace, 'Files', 'popup.html'));
    const problems = (await findings(id)).map(({ at, problem }) => `${at}: ${problem}`);
    expect(problems).toContain('manifest.json:1 action.default_popup: The file popup.html does not exist.');
    expect(problems).toContain('manifest.json:1 icons.48: icon.png has 16 x 16 pixels and is listed as 48.');
    expect(problems).toContain(
      'manifest.json:1 icons: There is no icon of 128 pixels, which the Web Store and the installation show.',
    );
    await writeFile(join(workspace, 'Files', 'manifest.json'), '{ "name": ');
    expect(await findings(id)).toMatchObject([{ severity: 'refused', at: 'manifest.json:1', fix: 'Mend the JSON.' }]);
  });
});

describe('get_extension_runtime_errors', () => {
  /** An error is reported a moment after it was thrown. */
  function errorsOf(extensionId: string, fits: (total: unknown, text: string) => boolean) {
    return waitUntilFound(async () => {
      const answer = await tools.run('get_extension_runtime_errors', { extensionId });
      return fits(answer.structured['total'], answer.text) ? answer : undefined;
    });
  }

  it('has a line for errors of one place that differ only in numbers', async () => {
    const code =
      'for (let i = 0; i < 30; i += 1) Promise.reject(new Error(`turn ${i}`));\nsetTimeout(() => missing());';
    const id = await install('Counting', { background: { service_worker: 'w.js' } }, { 'w.js': code });
    const { text, structured } = await errorsOf(id, (total) => total === 2);
    const line = /^30x \[service_worker\] .*: turn \d+ \(and 29 more that differ only in numbers\) at .*w\.js:1:/m;
    expect(text).toMatch(line);
    expect(structured['errors']).toContainEqual(expect.objectContaining({ count: 30, variants: 30, line: 1 }));
    expect(await tools.text('clear_extension_errors', { extensionId: id })).toContain('Cleared 2 errors');
  });

  it('has each call of a native host that is missing, if nothing handles its failure', async () => {
    const code = "chrome.runtime.sendNativeMessage('a.b', {}, () => {}); chrome.runtime.connectNative('a.b');";
    const manifest = { permissions: ['nativeMessaging'], background: { service_worker: 'w.js' } };
    const id = await install('Native', manifest, { 'w.js': code });
    const { text } = await errorsOf(id, (_total, errors) => errors.startsWith('2x'));
    expect(text).toContain('native messaging host not found');
  });

  it('has what Chrome refused a content script, and the place of a rejection only where one is known', async () => {
    const worker = `chrome.storage.session.set({ note: 'a' });\n\nchrome.tabs.sendMessage(99999, 'x');`;
    const script = `chrome.storage.session.get('note', () => {});\n(async () => {\n  await chrome.storage.session.get('note');\n})();`;
    const manifest = {
      permissions: ['storage'],
      background: { service_worker: 'w.js' },
      content_scripts: [{ matches: ['http://other.localhost/*'], js: ['c.js'] }],
    };
    const id = await install('Session', manifest, { 'w.js': worker, 'c.js': script });
    const { page } = await tools.browser.newPage();
    const url = pages.url.replace('127.0.0.1', 'other.localhost');
    await page.goto(`${url}/settled.html`);
    const { text } = await errorsOf(id, (total) => total === 3);
    const denied = 'Access to storage is not allowed from this context.';
    const from = `[content_script ${url}/settled.html]`;
    expect(text).toContain(`${from} Unchecked runtime.lastError: ${denied}\n`);
    expect(text).toMatch(
      new RegExp(`Uncaught \\(in promise\\) Error: ${denied} at chrome-extension://${id}/c\\.js:\\d`),
    );
    // No line: Chrome does not say it, and the first one would be wrong.
    expect(text).toContain(`Receiving end does not exist. at chrome-extension://${id}/w.js\n`);
    // A worker may reject after the answer of its reload.
    await waitUntilFound(async () => {
      const reloaded = await tools.text('reload_extension', { extensionId: id });
      return reloaded.includes(`Receiving end does not exist. (chrome-extension://${id}/w.js)`) || undefined;
    });
    const stored = await tools.text('inspect_extension_storage', { extensionId: id, area: 'session' });
    expect(stored).toContain('storage.session of "Session": 1 key\nnote = "a"');
  });
});

describe('check_content_script_injection', () => {
  let id: string;

  beforeAll(async () => {
    id = await install(
      'Injected',
      {
        host_permissions: ['http://127.0.0.1/*'],
        permissions: ['scripting'],
        content_scripts: [
          { matches: ['http://127.0.0.1/*'], js: ['a.js'], run_at: 'document_start' },
          { matches: ['http://127.0.0.1/*'], js: ['main.js'], world: 'MAIN', all_frames: true },
          { matches: ['https://127.0.0.1/*'], js: ['a.js'] },
          { matches: ['http://127.0.0.1/look*'], js: ['a.js'] },
          { matches: ['http://127.0.0.1/*'], exclude_matches: ['*://*/settled.html'], js: ['a.js'] },
        ],
      },
      {
        'a.js': 'globalThis.keep = () => 1;',
        'main.js': 'window.fromMain = () => 2;',
        'dynamic.js': 'globalThis.dyn = () => 3;',
      },
    );
  });

  const check = async (args: object = {}): Promise<Record<string, unknown>[]> => {
    const { structured } = await tools.run('check_content_script_injection', { extensionId: id, ...args });
    return structured['scripts'] as Record<string, unknown>[];
  };

  it('says for a page which scripts match and run, in both worlds, and why others do not', async () => {
    await tools.browser.page().page.goto(`${pages.url}/settled.html`);
    const [start, main, scheme, path, excluded] = await check();
    expect(start).toMatchObject({ expected: true, running: ['a.js'], reasons: ['matches http://127.0.0.1/*'] });
    expect(main).toMatchObject({ expected: true, running: ['main.js'], world: 'MAIN', allFrames: true });
    expect(scheme).toMatchObject({ expected: false });
    expect(String(scheme?.['reasons'])).toContain('the scheme differs, use *://');
    expect(String(path?.['reasons'])).toContain('no pattern of matches fits (http://127.0.0.1/look*)');
    expect(String(excluded?.['reasons'])).toContain('exclude_matches "*://*/settled.html" fits');
  });

  it('judges addresses without a page', async () => {
    const reasons = async (url: string): Promise<string> => String((await check({ url }))[0]?.['reasons']);
    expect(await reasons('http://127.0.0.1/anything')).toBe('matches http://127.0.0.1/*');
    expect(await reasons('chrome://settings')).toContain('Chrome lets no extension into chrome: pages');
    expect(await reasons('https://chromewebstore.google.com/x')).toContain('Web Store');
    expect(await reasons('about:blank')).toContain('match_origin_as_fallback');
    expect(await reasons('file:///tmp/a.html')).toContain('matches fits');
    const own = await tools.text('check_content_script_injection', {
      extensionId: id,
      url: `chrome-extension://${id}/a.html`,
    });
    expect(own).toContain('It is a page of an extension: Chrome puts no content scripts there.');
    expect(await tools.refusal('check_content_script_injection', { extensionId: id, url: 'nowhere' })).toContain(
      '"nowhere" is not a URL',
    );
  });

  it('knows scripts that the extension registered, and pages that were there before', async () => {
    const code = `chrome.scripting.registerContentScripts([{ id: 'late', matches: ['http://127.0.0.1/*'], js: ['dynamic.js'] }])`;
    await tools.browser.page().page.goto(`chrome-extension://${id}/manifest.json`);
    await tools.browser.page().page.evaluate(code);
    const before = await tools.browser.newPage();
    await before.page.goto(`${pages.url}/settled.html`);
    const late = (await check({ pageId: before.id })).find(({ name }) => name === 'registered "late"');
    expect(late).toMatchObject({ expected: true, running: ['dynamic.js'], runAt: 'document_idle' });
    const young = await install(
      'Young',
      { content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['y.js'] }] },
      { 'y.js': 'globalThis.y = () => 1;' },
    );
    const text = await tools.text('check_content_script_injection', { extensionId: young, pageId: before.id });
    expect(text).toContain('not running yet: y.js. Reload the page');
    expect(text).toContain('Running there now: nothing of it.');
  });

  it('says that a disabled extension injects nothing', async () => {
    await tools.run('set_extension_enabled', { extensionId: id, enabled: false });
    const [start] = await check({ url: 'http://127.0.0.1/' });
    expect(start).toMatchObject({ expected: false });
    expect(String(start?.['reasons'])).toContain('disabled: call set_extension_enabled');
  });
});
