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

describe('fire_extension_event', () => {
  const worker = `
    chrome.runtime.onInstalled.addListener(({ reason, previousVersion }) => {
      console.log('installed', reason, previousVersion);
      chrome.contextMenus.removeAll(() => chrome.contextMenus.create({ id: 'look', title: 'Look', contexts: ['link'] }));
      if (reason === 'update') chrome.tabs.create({ url: 'panel.html' });
    });
    chrome.commands.onCommand.addListener((name, tab) => console.log('command', name, tab.index));
    chrome.contextMenus.onClicked.addListener((info) => {
      console.log('menu', info.menuItemId, info.linkUrl);
      missing();
    });
    chrome.alarms.onAlarm.addListener(({ name }) => console.log('alarm', name));
    chrome.alarms.create('tick', { periodInMinutes: 30 });
    chrome.omnibox.onInputChanged.addListener((text, suggest) => suggest([{ content: text + '!', description: 'one' }]));
    chrome.sidePanel.setPanelBehavior({ openPanelOnActionClick: true });`;
  let extensionId: string;
  const fire = (args: object): Promise<string> => tools.text('fire_extension_event', { extensionId, ...args });

  beforeAll(async () => {
    await tools.openPage('/settled.html');
    extensionId = await tools.install(
      'Eventful',
      {
        permissions: ['alarms', 'contextMenus', 'sidePanel'],
        action: {},
        side_panel: { default_path: 'panel.html' },
        omnibox: { keyword: 'ev' },
        commands: { go: { suggested_key: { default: 'Ctrl+Shift+Y' }, description: 'Go' } },
        background: { service_worker: 'w.js' },
      },
      { 'w.js': worker, 'panel.html': '<title>Panel</title>' },
    );
  });

  it('lists what there is to fire, also of a worker that sleeps', async () => {
    await tools.run('stop_extension_service_worker', { extensionId });
    const listed = await fire({});
    expect(listed).toContain('commands.onCommand go (Ctrl+Shift+Y)');
    expect(listed).toContain('contextMenus.onClicked look ("Look", on link)');
    expect(listed).toMatch(/alarms\.onAlarm tick \(next \d{4}-.*, every 30 min\)/);
    expect(listed).toContain('omnibox.onInputEntered (keyword ev)');
  });

  it.each([
    [{ event: 'commands.onCommand', subject: 'go' }, 'Called the listeners', /command go \d/],
    [{ event: 'alarms.onAlarm', subject: 'tick' }, 'Chrome fired', /alarm tick/],
    [{ event: 'chrome.omnibox.onInputChanged', subject: 'ab' }, 'Called the listeners', /Suggestions: .*"ab!"/],
    [
      { event: 'runtime.onInstalled', subject: '0.9' },
      'Called the listeners',
      /installed update 0\.9[^]*It opened page/,
    ],
    [
      { event: 'contextMenus.onClicked', subject: 'look', args: [{ linkUrl: 'https://a.example/' }] },
      'Called the listeners',
      /It threw in service_worker: .*missing is not defined at .*w\.js:10:7[^]*menu look https:\/\/a\.example\//,
    ],
  ])('wakes the worker for %j and says how, and what came of it', async (args, how, effect) => {
    await tools.run('stop_extension_service_worker', { extensionId });
    const text = await fire(args);
    expect(text).toContain(how);
    expect(text).toMatch(effect);
  });

  it('says what is not there to fire', async () => {
    const refusal = (args: object) => tools.refusal('fire_extension_event', { extensionId, ...args });
    expect(await refusal({ event: 'alarms.onAlarm', subject: 'tock' })).toContain('no alarm "tock"');
    expect(await refusal({ event: 'runtime.onStartup' })).toContain('no listener of chrome.runtime.onStartup');
    expect(await refusal({ event: 'bookmarks.onCreated' })).toContain('no event chrome.bookmarks.onCreated');
  });

  it('leaves a click that opens the side panel to trigger_extension_action, which says so', async () => {
    const text = await tools.text('trigger_extension_action', { extensionId });
    expect(text).toContain('It opens the side panel');
    expect(text).not.toContain('fires in its service worker');
  });
});

it('tells of a click what its listener throws and which pages it opens, and where the id comes from', async () => {
  const path = await tools.write(
    'Opener',
    { action: {}, background: { service_worker: 'w.js' } },
    {
      'w.js':
        'chrome.action.onClicked.addListener(() => {\n  chrome.tabs.create({ url: "about:blank" });\n  missing();\n});',
    },
  );
  const { structured } = await tools.run('install_extension', { path }, { workspace: [tools.workspace] });
  const details = await tools.text('get_extension_details', { extensionId: structured['id'] });
  expect(details).toContain("Its id is made from the folder's path");
  expect(details).toContain('Commands: none');
  const clicked = await tools.text('trigger_extension_action', { extensionId: structured['id'] });
  expect(clicked).toMatch(/It threw in service_worker: .*missing is not defined at .*w\.js:3:3/);
  expect(clicked).toMatch(/It opened page \d+: about:blank/);
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
    `rule 7 of ruleset list (rules.json [0]) of extension "Blocker" (${extensionId}): block`,
  ]);
  expect(await rules({ type: 'image' })).toEqual([]);
  await tools.openPage('/settled.html');
  const page = tools.browser.page();
  await page.page.evaluate((url) => fetch(url).catch(() => 0), request.url);
  const { entries } = page.network.read();
  const blocked = entries.find(({ value }) => value.url === request.url);
  expect(blocked?.value.failure?.error).toBe('net::ERR_BLOCKED_BY_CLIENT');
});
