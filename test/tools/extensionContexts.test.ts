import { setTimeout as delay } from 'node:timers/promises';
import { startExtensionTools, type ExtensionTools } from './support/extensionTools.js';
import { manyContexts } from './support/manyContexts.js';

let tools: ExtensionTools;
let id: string;

const worker = { background: { service_worker: 'worker.js' } };

beforeAll(async () => {
  tools = await startExtensionTools();
  id = await tools.install('Many places', manyContexts.manifest, manyContexts.files);
});
afterAll(() => tools.close());

const evaluateSelected = async (expression: string): Promise<unknown> => {
  const { structured } = await tools.run('evaluate_in_extension', { expression });
  return [structured['target'], JSON.parse(String(structured['result']))];
};

describe('list_extension_contexts', () => {
  it('lists the worker, documents with their page, and content scripts by page and frames', async () => {
    const pageId = await tools.openPage('/extension-notes.html');
    await tools.browser.page(pageId).page.evaluate(`new Promise((resolve) => {
      const frame = Object.assign(document.createElement('iframe'), { src: '/settled.html', onload: resolve });
      document.body.append(frame);
    }).then(() => undefined)`);
    const options = await tools.run('open_extension_page', { extensionId: id });
    const { text, structured } = await tools.run('list_extension_contexts', { extensionId: id });
    expect(structured['contexts']).toEqual([
      {
        contextId: `worker:${id}`,
        extensionId: id,
        kind: 'service_worker',
        url: `chrome-extension://${id}/worker.js`,
        title: '',
        state: 'running',
      },
      {
        contextId: expect.stringMatching(/^[0-9A-F]{32}$/),
        extensionId: id,
        kind: 'options',
        url: `chrome-extension://${id}/options.html`,
        title: 'Options',
        pageId: options.structured['pageId'],
      },
      {
        contextId: `content:${pageId}:${id}`,
        extensionId: id,
        kind: 'content_script',
        url: `${tools.pages.url}/extension-notes.html`,
        title: 'A page with notes',
        pageId,
        frames: 2,
      },
    ]);
    expect(text).toContain(`content:${pageId}:${id} content_script ${tools.pages.url}/extension-notes.html (page`);
    await tools.browser.closePage(Number(options.structured['pageId']));
    await tools.browser.closePage(pageId);
  });

  it('names the pages that cannot tell, instead of waiting for them', async () => {
    const pageId = await tools.openPage('/settled.html');
    const { page, dialogs } = tools.browser.page(pageId);
    const asked = page.evaluate('setTimeout(() => alert("wait"))');
    await asked;
    while (!dialogs.open) await delay(5);
    const { text, structured } = await tools.run('list_extension_contexts', { extensionId: id });
    expect(structured['silentPages']).toEqual([pageId]);
    expect(text).toContain(`Page ${pageId} is busy or waits for a dialog`);
    await tools.browser.closePage(pageId);
  });
});

describe('switch_extension_context', () => {
  it('makes evaluate_in_extension work in the context until another is named', async () => {
    const pageId = await tools.openPage('/extension-notes.html');
    await tools.run('switch_extension_context', { contextId: `content:${pageId}:${id}` });
    expect(await evaluateSelected('mark')).toEqual(['content_script', 'content /extension-notes.html']);
    expect(await tools.evaluate(id, 'kept', { target: 'service_worker' })).toBe('in a variable');
    await tools.run('switch_extension_context', { contextId: `worker:${id}` });
    expect(await evaluateSelected('kept')).toEqual(['service_worker', 'in a variable']);
    await tools.browser.closePage(pageId);
  });

  it('selects the page that shows a document, and says so when that is gone', async () => {
    const first = await tools.openPage('/settled.html');
    const { structured } = await tools.run('open_extension_page', { extensionId: id, page: 'other.html' });
    tools.browser.select(first);
    const { contextId } = await tools.contextOf(id, 'page');
    expect(await tools.text('switch_extension_context', { contextId })).toContain(
      `Page ${String(structured['pageId'])} is selected.`,
    );
    expect(tools.browser.page().id).toBe(structured['pageId']);
    expect(await evaluateSelected('document.title')).toEqual(['page', 'Other']);
    await tools.browser.closePage(Number(structured['pageId']));
    const said = await tools.refusal('evaluate_in_extension', { expression: '1' });
    expect(said).toContain(`the page at chrome-extension://${id}/other.html, is gone`);
    expect(said).toContain('list_extension_contexts');
    await tools.browser.closePage(first);
  });

  it('refuses an id that is not there, and names the tool that lists them', async () => {
    for (const contextId of ['nonsense', `content:999:${id}`, 'A'.repeat(32)]) {
      const said = await tools.refusal('switch_extension_context', { contextId });
      expect(said).toBe(
        `There is no context ${contextId} now. list_extension_contexts shows the ids of those that are.`,
      );
    }
    expect(await tools.refusal('switch_extension_context', { contextId: `worker:${'a'.repeat(32)}` })).toContain(
      `${id} (Many places)`,
    );
  });
});

describe('the service worker', () => {
  it('is stopped, reported without being woken, and loses its variables', async () => {
    await tools.run('activate_extension_service_worker', { extensionId: id });
    await tools.evaluate(id, 'void (kept = "changed")', { target: 'service_worker' }).catch(() => undefined);
    const running = await tools.run('get_service_worker_status', { extensionId: id });
    expect(running.structured).toMatchObject({ state: 'running', phase: 'activated', version: '1.0', errors: [] });
    const startedAt = new Date(String(running.structured['startedAt'])).getTime();
    expect(Math.abs(Date.now() - startedAt)).toBeLessThan(60_000);
    const { structured } = await tools.run('stop_extension_service_worker', { extensionId: id });
    expect(structured).toEqual({ extensionId: id, before: 'running', state: 'stopped', lost: [] });
    const stopped = await tools.run('get_service_worker_status', { extensionId: id });
    expect(stopped.structured).toMatchObject({ state: 'stopped', script: `chrome-extension://${id}/worker.js` });
    expect(stopped.structured).not.toHaveProperty('startedAt');
    expect(await tools.text('stop_extension_service_worker', { extensionId: id })).toContain('was stopped already');
    await tools.run('activate_extension_service_worker', { extensionId: id });
    expect(await tools.evaluate(id, 'kept', { target: 'service_worker' })).toBe('in a variable');
  });

  it('that none is registered for is told as such', async () => {
    const bare = await tools.install('No worker', {});
    const { structured } = await tools.run('get_service_worker_status', { extensionId: bare });
    expect(structured['state']).toBe('none');
    expect(await tools.text('stop_extension_service_worker', { extensionId: bare })).toBe(
      '"No worker" has no service worker.',
    );
    await tools.run('uninstall_extension', { extensionId: bare });
  });

  it('that throws is reported with its error', async () => {
    const extensionId = await tools.install('Throws', worker, {
      'worker.js': 'setTimeout(() => { throw new RangeError("too far"); });',
    });
    const errors = async (): Promise<unknown[]> => {
      const { structured } = await tools.run('get_service_worker_status', { extensionId });
      return structured['errors'] as unknown[];
    };
    while ((await errors()).length === 0) await delay(20);
    expect(JSON.stringify(await errors())).toContain('RangeError: too far');
    await tools.run('uninstall_extension', { extensionId });
  });
});

describe('the popup', () => {
  it('opens over the tab as a page that tools work in, and gives the page below back', async () => {
    const pageId = await tools.openPage('/extension-notes.html');
    const { text, structured } = await tools.run('open_extension_popup', { extensionId: id, includeSnapshot: true });
    expect(structured).toMatchObject({ popup: true, url: `chrome-extension://${id}/popup.html` });
    expect(text).toContain('button "Press"');
    const popup = tools.browser.page();
    expect(popup.id).toBe(structured['pageId']);
    await popup.page.click('button');
    await popup.page.waitForFunction('document.querySelector("output").textContent !== ""');
    expect(await popup.page.evaluate('document.querySelector("output").textContent')).toBe(
      'pressed over A page with notes',
    );
    expect(await tools.contextOf(id, 'popup')).toMatchObject({ pageId: popup.id });
    const closed = await tools.run('close_extension_popup', { extensionId: id });
    expect(closed.structured).toEqual({ closed: 1, selectedPageId: pageId });
    expect((await tools.contexts(id)).some(({ kind }) => kind === 'popup')).toBe(false);
    expect(await tools.text('close_extension_popup', { extensionId: id })).toContain(
      'No popup of "Many places" is open.',
    );
    expect(tools.browser.takeNotices()).toEqual([]);
    await tools.browser.closePage(pageId);
  });

  it('that closes itself leaves a notice with the page that is selected then', async () => {
    const pageId = await tools.openPage('/settled.html');
    await tools.run('open_extension_popup', { extensionId: id });
    const popup = tools.browser.page();
    const gone = new Promise<void>((resolve) => popup.page.once('close', () => resolve()));
    await popup.page.evaluate('setTimeout(() => window.close())');
    await gone;
    expect(tools.browser.page().id).toBe(pageId);
    expect(tools.browser.takeNotices()).toEqual([
      `Page ${popup.id}, the popup of an extension, closed. Page ${pageId} is selected now.`,
    ]);
    await tools.browser.closePage(pageId);
  });

  it('opens again while it is open, also when it is the selected page', async () => {
    const pageId = await tools.openPage('/settled.html');
    const first = await tools.run('open_extension_popup', { extensionId: id });
    const second = await tools.run('open_extension_popup', { extensionId: id });
    expect(second.structured['pageId']).not.toBe(first.structured['pageId']);
    expect(second.text).toContain(`over page ${pageId}`);
    await tools.run('close_extension_popup', { extensionId: id });
    await tools.browser.closePage(pageId);
  });

  it('is refused on what is no tab, without harm to the browser', async () => {
    const pageId = await tools.openPage('/settled.html');
    const { structured } = await tools.run('open_extension_popup', { extensionId: id });
    const popupId = structured['pageId'];
    expect(await tools.refusal('trigger_extension_action', { extensionId: id, pageId: popupId })).toBe(
      `Page ${String(popupId)} is no tab, so an action cannot be triggered on it. select_page one that is.`,
    );
    await tools.run('close_extension_popup', { extensionId: id });
    await tools.browser.closePage(pageId);
  });

  it('of an extension without one is refused; its action reaches the worker, asleep or not', async () => {
    const extensionId = await tools.install(
      'Clicks',
      { ...worker, permissions: ['storage', 'tabs'], action: {} },
      manyContexts.files,
    );
    const pageId = await tools.openPage('/settled.html');
    expect(await tools.refusal('open_extension_popup', { extensionId })).toContain('trigger_extension_action');
    await tools.run('stop_extension_service_worker', { extensionId });
    const { text, structured } = await tools.run('trigger_extension_action', { extensionId });
    expect(structured).toMatchObject({ popup: false, pageId });
    expect(text).toContain('chrome.action.onClicked');
    const stored = async (): Promise<string> =>
      tools.text('inspect_extension_storage', { extensionId, keys: ['clicked'] });
    while ((await stored()).includes('not set')) await delay(20);
    expect(await stored()).toContain(`clicked = "${tools.pages.url}/settled.html"`);
    await tools.run('uninstall_extension', { extensionId });
    await tools.browser.closePage(pageId);
  });

  it('that closes itself at once is told as such, and the tab is selected again', async () => {
    const extensionId = await tools.install(
      'Shy',
      { action: { default_popup: 'popup.html' } },
      {
        'popup.html': '<script src="popup.js"></script>',
        'popup.js': 'window.close();',
      },
    );
    const pageId = await tools.openPage('/settled.html');
    const said = await tools.text('open_extension_popup', { extensionId }).catch(String);
    expect(said).toMatch(/opened and closed again at once|closed itself/);
    expect(tools.browser.page().id).toBe(pageId);
    tools.browser.takeNotices();
    await tools.run('uninstall_extension', { extensionId });
    await tools.browser.closePage(pageId);
  });

  it('over the popup of another extension closes that one', async () => {
    const extensionId = await tools.install('Another', { action: { default_popup: 'popup.html' } }, manyContexts.files);
    const pageId = await tools.openPage('/settled.html');
    await tools.run('open_extension_popup', { extensionId: id });
    expect(await tools.text('open_extension_popup', { extensionId })).toContain(`over page ${pageId}`);
    expect((await tools.contexts(id)).some(({ kind }) => kind === 'popup')).toBe(false);
    await tools.run('uninstall_extension', { extensionId });
    expect(tools.browser.page().id).toBe(pageId);
    await tools.browser.closePage(pageId);
  });

  it('is refused while the extension is disabled, and where there is no action', async () => {
    const extensionId = await tools.install('No action', {});
    expect(await tools.refusal('trigger_extension_action', { extensionId })).toContain('has no action');
    await tools.run('set_extension_enabled', { extensionId, enabled: false });
    expect(await tools.refusal('trigger_extension_action', { extensionId })).toBe(
      `No action is disabled. Call set_extension_enabled with extensionId ${extensionId} first.`,
    );
    await tools.run('uninstall_extension', { extensionId });
  });
});

describe('open_extension_page', () => {
  it('opens options, or any path, as the selected page', async () => {
    const before = tools.browser.pages().length;
    const options = await tools.run('open_extension_page', { extensionId: id, includeSnapshot: true });
    expect(options.text).toContain('heading "Options of it"');
    const other = await tools.run('open_extension_page', { extensionId: id, page: 'other.html?x=1' });
    expect(other.structured).toMatchObject({ url: `chrome-extension://${id}/other.html?x=1` });
    expect(tools.browser.page().id).toBe(other.structured['pageId']);
    for (const { structured } of [options, other]) await tools.browser.closePage(Number(structured['pageId']));
    expect(tools.browser.pages()).toHaveLength(before);
  });

  it('refuses what the extension has not, and leaves no page behind', async () => {
    const before = tools.browser.pages().length;
    const refusal = (page: string): Promise<string> => tools.refusal('open_extension_page', { extensionId: id, page });
    expect(await refusal('side_panel')).toBe(
      'The manifest of Many places declares no side_panel page. It declares: popup, options; any other file opens by its path.',
    );
    expect(await refusal('https://example.com/')).toContain('is not a page of Many places');
    expect(await refusal('missing.html')).toContain('could not be loaded');
    expect(tools.browser.pages()).toHaveLength(before);
  });
});

describe('pages and scripts that Chrome shows or allows elsewhere', () => {
  let extensionId: string;
  const open = (page: string) => tools.run('open_extension_page', { extensionId, page });

  beforeAll(async () => {
    extensionId = await tools.install(
      'Elsewhere',
      {
        ...worker,
        permissions: ['userScripts'],
        devtools_page: 'devtools.html',
        chrome_url_overrides: { newtab: 'tab.html' },
        sandbox: { pages: ['sandbox.html'] },
      },
      {
        'worker.js': 'chrome.userScripts?.getScripts();',
        'devtools.html': '<title>Devtools</title>',
        'tab.html': '<title>Tab</title><iframe src="sandbox.html"></iframe>',
        'sandbox.html': '<script src="sandbox.js"></script>',
        'user.js': '',
        'sandbox.js': 'console.log("in the sandbox", typeof chrome.runtime);',
      },
    );
  });

  it.each([
    ['devtools', 'devtools.html', 'Chrome loads it within DevTools alone'],
    ['newtab', 'tab.html', "Chrome shows it in a user's new tabs"],
    ['sandbox', 'sandbox.html', 'It is sandboxed: it has no chrome.* APIs.'],
  ])('%s is opened by its name, with a word on the difference', async (name, path, difference) => {
    const { text, structured } = await open(name);
    expect(structured['url']).toBe(`chrome-extension://${extensionId}/${path}`);
    expect(text).toContain(difference);
    const details = await tools.run('get_extension_details', { extensionId });
    expect(details.structured['pages']).toContain(name);
    await tools.browser.closePage(Number(structured['pageId']));
  });

  it('what a sandboxed page logs is its own, also in a frame', async () => {
    await tools.run('get_extension_logs', { extensionId });
    const { structured } = await open('newtab');
    await tools.browser.page().page.waitForFrame((frame) => frame.url().endsWith('sandbox.html'));
    const logs = await tools.run('get_extension_logs', { extensionId });
    const contexts = (logs.structured['entries'] as { context: string }[]).map(({ context }) => context);
    expect(new Set(contexts)).toEqual(new Set(['sandboxed page /sandbox.html']));
    await tools.browser.closePage(Number(structured['pageId']));
  });

  it('user scripts need a switch, which granting them turns', async () => {
    const permissions = (args = {}) => tools.run('set_extension_permissions', { extensionId, ...args });
    expect((await permissions()).text).toContain('"userScripts" is not granted yet: chrome.userScripts.getScripts');
    expect((await permissions({ grant: ['userScripts'] })).text).toContain('Chrome granted userScripts');
    expect(await tools.evaluate(extensionId, 'chrome.userScripts.getScripts().then((all) => all.length)')).toBe(0);
    const script = '{ id: "mine", matches: ["http://*/*"], js: [{ file: "user.js" }] }';
    await tools.evaluate(extensionId, `chrome.userScripts.register([${script}]).then(() => 1)`);
    const check = { extensionId, url: 'http://a.example/' };
    const injection = await tools.text('check_content_script_injection', check);
    expect(injection).toContain('registered "mine"');
    expect(injection).toContain('user.js');
    const incognito = { extensionId, grant: ['incognito'] };
    expect(await tools.refusal('set_extension_permissions', incognito)).toContain('outside of the session');
  });
});

it('knows a side panel that a script sets for a tab, and says when a tab has none', async () => {
  await tools.openPage('/settled.html');
  const extensionId = await tools.install(
    'Late panel',
    { permissions: ['sidePanel'], action: {}, background: { service_worker: 'w.js' } },
    {
      'w.js': 'chrome.sidePanel.setPanelBehavior({ openPanelOnActionClick: true });',
      'late.html': '<title>Late</title><h1>Here late</h1>',
    },
  );
  await tools.evaluate(
    extensionId,
    'chrome.sidePanel.setPanelBehavior({ openPanelOnActionClick: true }).then(() => 1)',
  );
  expect(await tools.text('trigger_extension_action', { extensionId })).toContain(
    'this tab has none, so nothing opens',
  );
  expect(await tools.refusal('open_extension_page', { extensionId, page: 'side_panel' })).toContain(
    'no side_panel page',
  );
  await tools.evaluate(extensionId, 'chrome.sidePanel.setOptions({ path: "late.html", enabled: true }).then(() => 1)');
  expect(await tools.text('trigger_extension_action', { extensionId })).toContain('It opens the side panel');
  expect((await tools.contextOf(extensionId, 'side_panel')).url).toContain('/late.html');
  const target = { extensionId, target: 'side_panel', expression: 'document.body.innerText' };
  expect(await tools.text('evaluate_in_extension', target)).toContain('Here late');
  expect(await tools.text('open_extension_page', { extensionId, page: 'side_panel' })).toContain('/late.html as page');
  const pageId = await tools.openPage('/settled.html');
  const ofTab = `chrome.tabs.query({}).then((tabs) =>
    chrome.sidePanel.setOptions({ tabId: Math.max(...tabs.map(({ id }) => id)), path: 'manifest.json' }).then(() => 1))`;
  await tools.evaluate(extensionId, ofTab);
  tools.browser.select(pageId);
  expect(await tools.text('open_extension_page', { extensionId, page: 'side_panel' })).toContain(
    '/manifest.json as page',
  );
});
