import { startExtensionTools, type ExtensionTools } from './support/extensionTools.js';

let tools: ExtensionTools;
let extensionId: string;
let pageId: number;

const change = async (args: object = {}) => tools.run('set_extension_permissions', { extensionId, ...args });
const inOptions = (expression: string) => tools.evaluate(extensionId, expression, { target: 'options' });
const openOptions = () => tools.run('open_extension_page', { extensionId });
const ask = (permissions: object) => `chrome.permissions.request(${JSON.stringify(permissions)})`;

beforeAll(async () => {
  tools = await startExtensionTools();
  extensionId = await tools.install(
    'Asking',
    {
      permissions: ['storage', 'activeTab', 'scripting'],
      optional_permissions: ['bookmarks', 'history'],
      optional_host_permissions: ['https://*/*'],
      host_permissions: ['http://127.0.0.1/*'],
      background: { service_worker: 'w.js' },
      options_page: 'o.html',
      content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['c.js'] }],
    },
    {
      'w.js':
        'self.marks = () =>\n  chrome.bookmarks.getTree().then(([first]) => [first.title]);\nself.old = () => chrome.cookies.getAll({});',
      'c.js': '',
      'o.html': '<title>Options</title>',
    },
  );
  pageId = await tools.openPage('/settled.html');
});

afterAll(() => tools.close());

it('tells what is granted, what may be asked for, and which calls of the code lack their permission', async () => {
  const { structured, text } = await change();
  expect(structured).toMatchObject({
    granted: { hosts: ['http://127.0.0.1/*'] },
    optional: ['bookmarks', 'history', 'https://*/*'],
    hostAccess: 'on_all_sites',
    activeTab: true,
    needs: [
      { api: 'chrome.bookmarks.getTree', at: 'w.js:2', permission: 'bookmarks', state: 'optional' },
      { api: 'chrome.cookies.getAll', at: 'w.js:3', permission: 'cookies', state: 'missing' },
    ],
  });
  expect(text).toContain('"bookmarks" is not granted yet: chrome.bookmarks.getTree (w.js:2) cannot be used now.');
});

it('refuses what the extension asks for, in an open page, in a new one and with a callback, until it may ask', async () => {
  await openOptions();
  await change({ prompts: 'refuse' });
  expect(await inOptions(ask({ permissions: ['bookmarks'] }))).toBe(false);
  expect(await inOptions(ask({ permissions: ['storage'] }))).toBe(true);
  await tools.browser.page().page.reload();
  const calledBack = `new Promise((resolve) => chrome.permissions.request({ permissions: ['history'] }, resolve))`;
  expect(await inOptions(calledBack)).toBe(false);
  const { structured } = await change({ prompts: 'ask' });
  expect(structured['asked']).toEqual([
    { permissions: '{"permissions":["bookmarks"]}', context: '/o.html', answer: 'false' },
    { permissions: '{"permissions":["storage"]}', context: '/o.html', answer: 'true' },
    { permissions: '{"permissions":["history"]}', context: '/o.html', answer: 'false' },
  ]);
});

it('names a prompt that is open, and that no tool can answer it', async () => {
  await openOptions();
  await inOptions(`void ${ask({ permissions: ['history'] })}, 1`);
  const { structured, text } = await change();
  expect(structured['asked']).toContainEqual(expect.objectContaining({ answer: 'open' }));
  expect(text).toMatch(/\/o\.html asked for {"permissions":\["history"\]}: its prompt is open/);
});

it('has Chrome grant optional APIs and hosts, which keeps the storage, and takes them back', async () => {
  await tools.run('set_extension_storage', { extensionId, set: { kept: 1 } });
  const { structured, text } = await change({ grant: ['bookmarks', 'https://a.example/*'] });
  expect(structured).toMatchObject({ reloaded: true, optional: ['history', 'https://*/*'] });
  expect(structured['staleContentScripts']).toEqual([{ pageId, url: `${tools.pages.url}/settled.html` }]);
  expect(text).toContain(`Page ${pageId} (${tools.pages.url}/settled.html) has the old content script`);
  await tools.run('reload_extension', { extensionId });
  expect(await tools.evaluate(extensionId, 'self.marks().then((tree) => tree.length)')).toBe(1);
  expect(await tools.evaluate(extensionId, 'chrome.storage.local.get(null)')).toEqual({ kept: 1 });
  await openOptions();
  const both = { permissions: ['bookmarks'], origins: ['https://a.example/*'] };
  expect(await inOptions(ask(both))).toBe(true);
  await change({ revoke: ['bookmarks', 'https://a.example/*'] });
  expect(await inOptions(`chrome.permissions.contains(${JSON.stringify(both)})`)).toBe(false);
});

it('withholds the hosts of the manifest, and grants one of them', async () => {
  const tabId = await tools.evaluate(extensionId, `chrome.tabs.query({ url: '*://*/*' }).then(([tab]) => tab.id)`);
  const seen = () =>
    tools.evaluate(extensionId, `chrome.tabs.get(${String(tabId)}).then(({ url }) => url ?? 'hidden')`);
  const withheld = await change({ hosts: 'on_click' });
  expect(withheld.structured).toMatchObject({ withheld: ['http://127.0.0.1/*'], hostAccess: 'on_click' });
  expect(await seen()).toBe('hidden');
  const granted = await change({ grant: ['http://127.0.0.1/*'] });
  expect(granted.structured).toMatchObject({ withheld: [], reloaded: false, hostAccess: 'on_specific_sites' });
  expect(await seen()).toBe(`${tools.pages.url}/settled.html`);
  expect((await change({ hosts: 'on_all_sites' })).structured).toMatchObject({ hostAccess: 'on_all_sites' });
});

it.each([
  [{ grant: ['cookies'] }, /does not let it ask for cookies\. Add it to optional_permissions.*Now: bookmarks, history/],
  [{ revoke: ['storage'] }, /did not revoke storage: .*required permissions.* Only optional ones/],
  [{ grant: ['history'], revoke: ['history'] }, 'Either grant or revoke history.'],
])('refuses %j with what is possible', async (args, reason) => {
  expect(await tools.refusal('set_extension_permissions', { extensionId, ...args })).toMatch(reason);
});
