import { startExtensionTools, type ExtensionTools } from './support/extensionTools.js';

let tools: ExtensionTools;

beforeAll(async () => {
  tools = await startExtensionTools();
});

afterAll(() => tools.close());

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
        commands: { go: { suggested_key: { default: 'Ctrl+Shift+Y' }, description: 'Go' }, _execute_action: {} },
        background: { service_worker: 'w.js' },
      },
      { 'w.js': worker, 'panel.html': '<title>Panel</title>' },
    );
  });

  it('lists what there is to fire, also of a worker that sleeps', async () => {
    await tools.run('stop_extension_service_worker', { extensionId });
    const listed = await fire({});
    expect(listed).toContain('commands.onCommand go (Ctrl+Shift+Y)');
    expect(listed).toContain('_execute_action (no shortcut) clicks the action: trigger_extension_action');
    expect(listed).toContain('contextMenus.onClicked look ("Look", on link)');
    expect(listed).toMatch(/alarms\.onAlarm tick \(next \d{4}-.*, every 30 min\)/);
    expect(listed).toContain('omnibox.onInputEntered (keyword ev)');
  });

  it.each([
    [{ event: 'commands.onCommand', subject: 'go' }, 'Called the listeners', /command go \d/],
    [{ event: 'alarms.onAlarm' }, 'Chrome fired chrome.alarms.onAlarm({"name":"tick"})', /alarm tick/],
    [{ event: 'chrome.omnibox.onInputChanged', subject: 'ab' }, 'Called the listeners', /Suggested: .*"ab!"/],
    [
      { event: 'runtime.onInstalled', subject: '0.9' },
      'Called the listeners',
      /installed update 0\.9[^]*It opened page/,
    ],
    [
      { event: 'contextMenus.onClicked', subject: 'look', args: [{ linkUrl: 'https://a.example/' }] },
      'Called the listeners',
      /It threw in service_worker: .*missing is not defined at .*w\.js:10:7\n[^]*menu look https:\/\/a\.example\//,
    ],
  ])('wakes the worker for %j and says how, and what came of it', async (args, how, effect) => {
    await tools.run('stop_extension_service_worker', { extensionId });
    const text = await fire(args);
    expect(text).toContain(how);
    expect(text).toMatch(effect);
  });

  it('waits for a worker that starts slowly', async () => {
    const id = await tools.install(
      'Slow starter',
      { permissions: ['alarms'], background: { service_worker: 'w.js' } },
      {
        'w.js': `
          for (const end = Date.now() + 2_000; Date.now() < end; );
          chrome.alarms.onAlarm.addListener(({ name }) => console.log('late', name));
          chrome.alarms.create('tick', { periodInMinutes: 30 });`,
      },
    );
    await tools.run('stop_extension_service_worker', { extensionId: id });
    expect(await fire({ extensionId: id, event: 'alarms.onAlarm' })).toContain('late tick');
  });

  it('says what is not there to fire', async () => {
    const refusal = (args: object) => tools.refusal('fire_extension_event', { extensionId, ...args });
    expect(await refusal({ event: 'alarms.onAlarm', subject: 'tock' })).toContain('no alarm "tock"');
    expect(await refusal({ event: 'runtime.onStartup' })).toContain('no listener of chrome.runtime.onStartup');
    expect(await refusal({ event: 'bookmarks.onCreated' })).toContain('no event chrome.bookmarks.onCreated');
    expect(await refusal({ event: 'commands.onCommand', subject: 'gone' })).toContain(
      'no command "gone". It has "go".',
    );
    expect(await refusal({ event: 'commands.onCommand' })).toContain('Pass the command as subject: "go".');
    expect(await refusal({ event: 'contextMenus.onClicked', subject: 'no' })).toContain(
      'menu entry "no". It has "look"',
    );
    expect(await refusal({ event: 'contextMenus.onClicked', subject: 'look' })).toContain(
      'The menu entry "look" is on link. Pass args [{"linkUrl": "…"}].',
    );
  });

  it('makes the click on a menu entry of what the page and the entry say, and names events that only Chrome fires', async () => {
    const id = await tools.install(
      'Menus',
      {
        permissions: ['contextMenus', 'webRequest'],
        host_permissions: ['<all_urls>'],
        background: { service_worker: 'w.js' },
      },
      {
        'w.js': `
          chrome.runtime.onInstalled.addListener(() => {
            chrome.contextMenus.create({ id: 'sel', title: 'Search', contexts: ['selection'] });
            chrome.contextMenus.create({ id: 'box', title: 'Box', type: 'checkbox', checked: true });
          });
          chrome.contextMenus.onClicked.addListener((info) => console.log(JSON.stringify(info)));
          chrome.webRequest.onBeforeRequest.addListener(() => {}, { urls: ['<all_urls>'] });`,
      },
    );
    const on = (args: object) => ({ extensionId: id, event: 'contextMenus.onClicked', ...args });
    expect(await tools.refusal('fire_extension_event', on({ subject: 'sel' }))).toContain(
      'Select text in the page first',
    );
    await tools.browser.page().page.evaluate('getSelection().selectAllChildren(document.body)');
    const selected = (await tools.browser.page().page.evaluate('String(getSelection())')) as string;
    expect(await fire(on({ subject: 'sel' }))).toContain(`"selectionText":${JSON.stringify(selected).slice(0, 20)}`);
    expect(await fire(on({ subject: 'box' }))).toContain('"wasChecked":true,"checked":false');
    const event = 'webRequest.onBeforeRequest';
    expect(await tools.refusal('fire_extension_event', { extensionId: id, event })).toContain('cannot be fired');
  });

  it('delivers a push message, and hands listeners what they answer with', async () => {
    const id = await tools.install(
      'Answering',
      {
        permissions: ['downloads', 'sidePanel', 'webRequest', 'webRequestAuthProvider'],
        host_permissions: ['<all_urls>'],
        side_panel: { default_path: 'panel.html' },
        commands: { go: { description: 'Go' } },
        background: { service_worker: 'w.js' },
      },
      {
        'w.js': `
          self.addEventListener('push', ({ data }) => console.log('pushed', data.text()));
          chrome.downloads.onDeterminingFilename.addListener(({ filename }, suggest) => suggest({ filename: 'kept/' + filename }));
          chrome.webRequest.onAuthRequired.addListener((details, answer) => answer({}), { urls: ['<all_urls>'] }, ['asyncBlocking']);
          chrome.commands.onCommand.addListener((name, { windowId }) => chrome.sidePanel.open({ windowId }));`,
        'panel.html': '<title>Panel</title>',
      },
    );
    await tools.run('stop_extension_service_worker', { extensionId: id });
    const pushed = await fire({ extensionId: id, event: 'push', subject: 'news' });
    expect(pushed).toContain('Chrome fired push("news").');
    expect(pushed).toContain('pushed news');
    const named = await fire({ extensionId: id, event: 'downloads.onDeterminingFilename', subject: 'a.zip' });
    expect(named).toContain('Suggested: {"filename":"kept/a.zip"}');
    expect(named).toContain('in this browser it does not ask extensions for the names of downloads');
    const event = 'webRequest.onAuthRequired';
    expect(await tools.refusal('fire_extension_event', { extensionId: id, event })).toContain('set_credentials');
    expect(await tools.text('get_extension_details', { extensionId: id })).toContain('onAuthRequired never fires');
    const opened = await fire({ extensionId: id, event: 'commands.onCommand', subject: 'go' });
    expect(opened).toContain(`chrome.commands.onCommand("go", the tab of page ${tools.browser.page().id})`);
    expect(opened).toMatch(/user gesture\.[^]*That is no error of the extension/);
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
