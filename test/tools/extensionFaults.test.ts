import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { withCdpScope } from '../../src/browser/cdp/cdpScope.js';
import { matchingRules, ruleText } from '../../src/browser/extensions/requestRules.js';
import { startExtensionTools, type ExtensionTools } from './support/extensionTools.js';

let tools: ExtensionTools;

beforeAll(async () => {
  tools = await startExtensionTools();
});

afterAll(() => tools.close());

describe('what cannot be installed, or does not start', () => {
  const options = () => ({ workspace: [tools.workspace] });

  it('is refused with all that the audit finds wrong, and can be audited without an installation', async () => {
    const path = await tools.write('Holes', {
      background: { service_worker: 'gone.js' },
      content_scripts: [{ matches: ['<all_urls>'], js: ['c.js'], css: ['d.css'] }],
    });
    const refusal = await tools.refusal('install_extension', { path }, options());
    for (const file of ['gone.js', 'c.js', 'd.css']) expect(refusal).toContain(`The file ${file} does not exist`);
    expect(refusal).not.toContain("background script ''");
    const audit = await tools.text('inspect_extension_manifest', { path }, options());
    for (const file of ['gone.js', 'c.js', 'd.css']) expect(audit).toContain(`The file ${file} does not exist`);
    expect(await tools.refusal('inspect_extension_manifest', {})).toContain('either extensionId or path');
    const outside = await tools.refusal('inspect_extension_manifest', { path: '/' }, options());
    expect(outside).toContain('outside the folders');
  });

  it.each([
    [
      'a folder in which the manifest is further in',
      { 'dist/chrome/manifest.json': '{}' },
      'is in dist/chrome: pass that',
    ],
    ['a folder that is to be built', { 'src/a.ts': '' }, 'Is the extension to be built first?'],
    ['a browser that is too old', { minimum_chrome_version: '999' }, 'manifest.json:5 minimum_chrome_version'],
    [
      'a key that is none',
      { key: 'no key!' },
      /Plain: Value 'key' is missing[^]*manifest\.json:5 key: key is not base64/,
    ],
  ])('says what to do about %s', async (_name, content, expected) => {
    const isFiles = Object.keys(content).some((name) => name.includes('/'));
    const manifest = isFiles ? {} : { manifest_version: 3, name: 'Plain', version: '1.0', ...content };
    const path = await tools.write(
      'Plain',
      {},
      {
        ...(isFiles ? content : {}),
        'manifest.json': JSON.stringify(manifest, undefined, 1),
      },
    );
    if (isFiles) await rm(join(path, 'manifest.json'));
    const refusal = await tools.refusal('install_extension', { path }, options());
    expect(refusal).toMatch(expected);
    await rm(path, { recursive: true });
  });

  it('what Chrome only warns of, and a worker that does not start, have line and fix', async () => {
    const path = await tools.write(
      'Warned',
      { background: { service_worker: 'w.js', type: 'module' }, host_permissions: ['http://*bad.example/*'] },
      { 'w.js': "import './data.js';", 'data.js': "\nexport const data = await fetch('data.json');" },
    );
    const { structured } = await tools.run('install_extension', { path }, options());
    expect(structured['warnings']).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^manifest\.json:1 host_permissions\[0\]: .* Fix: /),
        expect.stringMatching(/^data\.js:2: It waits outside of an async function.* Fix: /),
      ]),
    );
  });

  it('a theme is installed as one', async () => {
    const path = await tools.write('Colours', { theme: { colors: { frame: [1, 2, 3] } } });
    expect(await tools.text('install_extension', { path }, options())).toContain('Installed the theme "Colours" 1.0');
  });
});

it('places errors of listeners, counts each once for all addresses of a document, and leaves warnings out', async () => {
  const id = await tools.install(
    'Erring',
    { background: { service_worker: 'w.js' }, options_page: 'o.html', action: {} },
    {
      'w.js': 'console.warn("only a warning");\nchrome.action.onClicked.addListener(() => {\n  missing();\n});',
      'o.html': '<script src="o.js"></script>',
      'o.js': 'null.property;',
    },
  );
  await tools.run('trigger_extension_action', { extensionId: id });
  await tools.run('open_extension_page', { extensionId: id });
  await tools.run('open_extension_page', { extensionId: id, page: 'o.html?second#part' });
  const { structured, text } = await tools.run('get_extension_runtime_errors', { extensionId: id });
  expect(text).not.toContain('only a warning');
  expect(text).not.toContain('(inline)');
  expect(structured['errors']).toEqual([
    expect.objectContaining({ url: `chrome-extension://${id}/w.js`, line: 3, column: 3, count: 1 }),
    expect.objectContaining({ url: `chrome-extension://${id}/o.js`, line: 1, count: 2 }),
  ]);
});

describe('an extension that means harm', () => {
  const status = (extensionId: string) => tools.run('get_service_worker_status', { extensionId });

  it.each([
    ['loads itself again and again', 'setTimeout(() => chrome.runtime.reload(), 50);', /"Harmful" 1\.0/],
    ['removes itself', 'setTimeout(() => chrome.management.uninstallSelf(), 3_000);', /No extension/],
    ['logs without end', 'setInterval(() => { for (let i = 0; i < 100; i++) console.log(i); }, 10);', /"Harmful" 1\.0/],
    [
      'breaks what is built in',
      'Promise = Map = null; JSON.stringify = () => { throw 1; };',
      /"Harmful" 1\.0: running/,
    ],
  ])('that %s is told of, and removed', async (_name, code, expected) => {
    const extensionId = await tools.install('Harmful', { background: { service_worker: 'w.js' } }, { 'w.js': code });
    const told = () => status(extensionId).then(({ text }) => text, String);
    await until(told, (text) => expected.test(text));
    const removed = async () => {
      await tools.run('uninstall_extension', { extensionId }).catch(() => undefined);
      return tools.text('list_extensions');
    };
    await until(removed, (text) => !text.includes('Harmful'));
    expect(await tools.browser.page().page.evaluate('6 * 7')).toBe(42);
  });

  it('that holds its worker is told of by each reading, which ends', async () => {
    const code = 'chrome.runtime.onMessage.addListener(() => { for (;;); });';
    const extensionId = await tools.install('Busy', { background: { service_worker: 'w.js' } }, { 'w.js': code });
    const message = { extensionId, message: 1, timeoutMs: 100 };
    expect(await tools.refusal('send_extension_message', message)).toContain('No reply within 100 ms');
    expect(tools.browser.takeNotices().join()).toContain(`${extensionId} does not answer`);
    expect((await status(extensionId)).text).toContain('does not answer: its code is busy');
    await tools.run('uninstall_extension', { extensionId });
  });

  it('that removes itself at once is told of by its installation', async () => {
    const manifest = { background: { service_worker: 'w.js' } };
    const path = await tools.write('Vanishing', manifest, { 'w.js': 'chrome.management.uninstallSelf();' });
    const installing = tools.run('install_extension', { path }, { workspace: [tools.workspace] });
    const answer = await installing.then(({ text }) => text, String);
    expect(answer).toMatch(/perhaps by itself|No extension|Installed "Vanishing"/);
    const listed = () => tools.text('list_extensions');
    await until(listed, (text) => !text.includes('Vanishing'));
  });

  it('that disables itself says so in its details', async () => {
    const code = 'chrome.management.setEnabled(chrome.runtime.id, false);';
    const manifest = { permissions: ['management'], background: { service_worker: 'w.js' } };
    const path = await tools.write('Disabling', manifest, { 'w.js': code });
    const { structured } = await tools.run('install_extension', { path }, { workspace: [tools.workspace] });
    const details = () => tools.run('get_extension_details', { extensionId: structured['id'] });
    const off = await until(details, (answer) => answer.structured['enabled'] === false);
    expect(off.structured['disabledBecause']).toContainEqual(expect.stringMatching(/: Disabling$/));
    await tools.run('uninstall_extension', { extensionId: structured['id'] });
  });

  /** Chrome acts a moment after it was asked. */
  async function until<T>(call: () => Promise<T>, fits: (answer: T) => boolean): Promise<T> {
    for (;;) {
      const answer = await call();
      if (fits(answer)) return answer;
    }
  }
});

describe('get_service_worker_status', () => {
  it('says what woke the worker, what it heard since, and what of the session keeps it awake', async () => {
    const code = `
      chrome.alarms.onAlarm.addListener(() => undefined);
      chrome.runtime.onMessage.addListener((message, sender, reply) => reply('heard'));`;
    const manifest = { permissions: ['alarms'], background: { service_worker: 'w.js' } };
    const extensionId = await tools.install('Woken', manifest, { 'w.js': code });
    await tools.evaluate(extensionId, 'chrome.alarms.create("tick", { periodInMinutes: 30 }).then(() => 0)');
    await tools.run('stop_extension_service_worker', { extensionId });
    await tools.run('fire_extension_event', { extensionId, event: 'alarms.onAlarm', subject: 'tick' });
    await tools.run('send_extension_message', { extensionId, message: 1 });
    const { structured, text } = await tools.run('get_service_worker_status', { extensionId });
    expect(structured).toMatchObject({ wokenBy: 'alarms.onAlarm', keptAwakeBy: [] });
    const heard = (structured['events'] as { name: string }[]).map(({ name }) => name);
    expect(heard).toEqual(['alarms.onAlarm', 'runtime.onMessage']);
    expect(text).toMatch(/Its first event was alarms\.onAlarm, \d+ ms after its start\./);
    await tools.run('trace_extension_api_calls', { extensionId, action: 'start' });
    const kept = await tools.run('get_service_worker_status', { extensionId });
    expect(kept.text).toContain('This session keeps it awake: trace_extension_api_calls.');
    await tools.run('trace_extension_api_calls', { extensionId, action: 'stop' });
    await tools.run('uninstall_extension', { extensionId });
  });
});

describe('content scripts', () => {
  let extensionId: string;

  beforeAll(async () => {
    extensionId = await tools.install(
      'Injected',
      {
        permissions: ['scripting', 'storage', 'activeTab'],
        host_permissions: ['http://127.0.0.1/*'],
        background: { service_worker: 'w.js' },
        content_scripts: [
          { matches: ['http://127.0.0.1/*'], js: ['main.js'], world: 'MAIN' },
          { matches: ['http://127.0.0.1/*'], js: ['c.js'] },
          { matches: ['https://other.example/*', 'http://127.0.0.1/nowhere/*'], js: ['c.js'] },
        ],
      },
      {
        'w.js': 'let count = 3;\nconst seen = new Set([1, 2]);',
        'main.js': 'console.log("main here");\nsetTimeout(() => { throw new Error("main broke"); });',
        'c.js': '',
        'late.js': 'self.late = 1;',
      },
    );
    await tools.openPage('/settled.html');
  });

  const check = (args: object = {}): Promise<string> =>
    tools.text('check_content_script_injection', { extensionId, ...args });

  it('says what differs from a pattern, and what executeScript put in', async () => {
    expect(await check()).toContain('the path of http://127.0.0.1/nowhere/* differs.');
    expect(await check({ url: 'https://third.example/' })).toContain('none is for the host third.example');
    await tools.evaluate(
      extensionId,
      `chrome.tabs.query({ active: true }).then(([{ id: tabId }]) =>
        chrome.scripting.executeScript({ target: { tabId }, files: ['late.js'] })).then(() => 0)`,
    );
    expect(await check()).toMatch(/put in by chrome\.scripting\.executeScript.*: late\.js/);
  });

  it('of the MAIN world are in the logs and errors of the extension', async () => {
    const { structured } = await tools.run('get_extension_logs', { extensionId });
    const context = `content_script (MAIN world) ${tools.pages.url}/settled.html`;
    expect(structured['entries']).toEqual(
      expect.arrayContaining([expect.objectContaining({ text: 'main here', context })]),
    );
    expect(await tools.text('get_extension_runtime_errors', { extensionId })).toContain('main broke');
  });

  it('are said to be cut off after a reload, and running again after one of the page', async () => {
    await tools.run('reload_extension', { extensionId });
    expect(await check()).toContain('is cut off from it: reload the page');
    await tools.browser.page().page.reload();
    expect(await check()).not.toContain('cut off');
  });

  it('belong to an extension whose details name its permissions, and whose worker loses its variables', async () => {
    const { structured } = await tools.run('get_extension_details', { extensionId });
    expect(structured['apis']).toEqual(['scripting', 'storage', 'activeTab']);
    const stopped = await tools.run('stop_extension_service_worker', { extensionId });
    expect(stopped.structured['lost']).toEqual(['count = 3', 'seen = Set(2)']);
  });

  it('starts its worker once for five calls at the same time, and all are answered', async () => {
    const wake = () => tools.run('activate_extension_service_worker', { extensionId });
    const woken = await Promise.all([wake(), wake(), wake(), wake(), wake()]);
    expect(woken.map(({ structured }) => structured['errors'])).toEqual([[], [], [], [], []]);
    await tools.run('set_extension_enabled', { extensionId, enabled: false });
    const args = { extensionId, expression: '1', target: 'service_worker' };
    expect(await tools.refusal('evaluate_in_extension', args)).toContain('is disabled. Call set_extension_enabled');
  });
});

it('names extension, ruleset and rule of what declarativeNetRequest would do to a request', async () => {
  const rule = {
    id: 7,
    action: { type: 'block' },
    condition: { urlFilter: 'blocked-thing', resourceTypes: ['xmlhttprequest'] },
  };
  const extensionId = await tools.install(
    'Blocker',
    {
      permissions: ['declarativeNetRequest'],
      declarative_net_request: { rule_resources: [{ id: 'list', enabled: true, path: 'rules.json' }] },
    },
    { 'rules.json': JSON.stringify([rule]) },
  );
  const request = {
    url: `${tools.pages.url}/blocked-thing`,
    method: 'GET',
    type: 'fetch',
    documentUrl: `${tools.pages.url}/settled.html`,
  };
  const rules = (more: object = {}) =>
    withCdpScope(tools.browser.browser, new AbortController().signal, (scope) =>
      matchingRules(scope, { ...request, ...more }).then((found) => found.map(ruleText)),
    );
  expect(await rules()).toEqual([
    `rule 7 of ruleset list (rules.json:1 [0]) of extension "Blocker" (${extensionId}): block`,
  ]);
  expect(await rules({ type: 'image' })).toEqual([]);
  await tools.openPage('/settled.html');
  const page = tools.browser.page();
  await page.page.evaluate((url) => fetch(url).catch(() => 0), request.url);
  const { entries } = page.network.read();
  const blocked = entries.find(({ value }) => value.url === request.url);
  expect(blocked?.value.failure?.error).toBe('net::ERR_BLOCKED_BY_CLIENT');
});
