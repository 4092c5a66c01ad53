import { startExtensionTools, type ExtensionTools } from './support/extensionTools.js';

let tools: ExtensionTools;
let extensionId: string;
const block = { type: 'block' };

beforeAll(async () => {
  tools = await startExtensionTools();
  const rules = [
    { id: 1, action: block, condition: { urlFilter: '/blocked', resourceTypes: ['xmlhttprequest', 'script'] } },
    { id: 2, action: { type: 'blok' }, condition: {} },
    {
      id: 3,
      action: { type: 'redirect', redirect: { url: 'https://elsewhere.example/' } },
      condition: { urlFilter: '/moved', resourceTypes: ['main_frame'] },
    },
    {
      id: 4,
      action: { type: 'modifyHeaders', responseHeaders: [{ header: 'x-made', operation: 'set', value: 'here' }] },
      condition: { urlFilter: '/settled', resourceTypes: ['xmlhttprequest'] },
    },
    { id: 5, action: block, condition: { urlFilter: '/sleeping' } },
  ];
  extensionId = await tools.install(
    'Ruling',
    {
      permissions: ['declarativeNetRequest'],
      host_permissions: ['<all_urls>'],
      declarative_net_request: {
        rule_resources: [
          { id: 'on', enabled: true, path: 'on.json' },
          { id: 'off', enabled: false, path: 'off.json' },
        ],
      },
      background: { service_worker: 'w.js' },
    },
    {
      'on.json': JSON.stringify(rules),
      'off.json': JSON.stringify([{ id: 1, action: block, condition: {} }]),
      'w.js': '',
    },
  );
  const session = { id: 9, action: { type: 'allow' }, condition: { urlFilter: '/blocked/not' }, priority: 2 };
  await tools.evaluate(
    extensionId,
    `Promise.all([chrome.declarativeNetRequest.updateSessionRules({ addRules: [${JSON.stringify(session)}] }),
      chrome.declarativeNetRequest.updateStaticRules({ rulesetId: 'on', disableRuleIds: [5] })]).then(() => 1)`,
  );
  await tools.openPage('/settled.html');
  const load = `Promise.all(['/blocked/a', '/blocked/b', '/settled.html'].map((url) => fetch(url).catch(() => 0)))`;
  await tools.browser.page().page.evaluate(load);
});

afterAll(() => tools.close());

it('lists the rules of files and of code, how often each acted, which are off, and which are broken', async () => {
  const { structured, text } = await tools.run('list_request_rules', { extensionId });
  const rows = structured['rules'] as Record<string, unknown>[];
  const find = (ruleset: string, id: number) => rows.find((row) => row['ruleset'] === ruleset && row['id'] === id);
  expect(find('on', 1)).toMatchObject({ at: 'on.json:1 [0]', enabled: true, action: 'block', matches: 2 });
  expect(find('on', 4)).toMatchObject({ action: 'set response header x-made: here', matches: 1 });
  expect(find('on', 5)).toMatchObject({ enabled: false });
  expect(find('off', 1)).toMatchObject({ enabled: false, matches: 0 });
  expect(find('_session', 9)).toMatchObject({ action: 'allow', priority: 2, enabled: true });
  expect(structured['problems']).toEqual([
    expect.stringMatching(/"Ruling": on\.json: Rule with id 2 couldn't be parsed/),
  ]);
  expect(text).toContain('on #1 (on.json:1 [0]): block {"urlFilter":"/blocked"');
  expect((await tools.run('list_request_rules', { text: 'moved' })).structured).toMatchObject({ total: 1 });
});

it.each([
  [{ url: 'https://a.example/blocked' }, 'As script, xmlhttprequest: rule 1 of ruleset on (on.json:1 [0])'],
  [{ url: 'https://a.example/moved', type: 'main_frame' }, /rule 3 .*: redirect to "https:\/\/elsewhere\.example\/"/],
  [{ url: 'https://a.example/blocked/not', type: 'script' }, /rule 9 of ruleset _session of .*: allow/],
  [{ url: 'https://a.example/sleeping' }, 'No rule acts on https://a.example/sleeping'],
])('tells what would happen to the request %j', async (question, expected) => {
  const text = await tools.text('list_request_rules', question);
  if (typeof expected === 'string') expect(text).toContain(expected);
  else expect(text).toMatch(expected);
});

it('refuses what is no address', async () => {
  expect(await tools.refusal('list_request_rules', { url: 'blocked' })).toContain('blocked is no address');
});

it('names the extension that has no access to a host, where its redirects and headers do nothing', async () => {
  const changed = (id: number, action: object, urlFilter: string) => ({
    ...{ id, action, condition: { urlFilter, resourceTypes: ['main_frame'] } },
  });
  const id = await tools.install(
    'Powerless',
    {
      permissions: ['declarativeNetRequest'],
      host_permissions: ['https://allowed.example/*'],
      declarative_net_request: { rule_resources: [{ id: 'r', enabled: true, path: 'r.json' }] },
    },
    {
      'r.json': JSON.stringify([
        changed(1, { type: 'redirect', redirect: { url: 'https://b.example/' } }, '||other.example/moved'),
        changed(2, { type: 'modifyHeaders', requestHeaders: [{ header: 'cookie', operation: 'remove' }] }, 'headers'),
        changed(3, block, 'blocked'),
      ]),
    },
  );
  const about = (url: string) => tools.text('list_request_rules', { extensionId: id, url, type: 'main_frame' });
  for (const path of ['moved', 'headers']) {
    const text = await about(`https://other.example/${path}`);
    expect(text).toContain('No rule acts on');
    expect(text).toContain('has no access to other.example, so its rules that redirect or change headers do nothing');
  }
  expect(await about('https://other.example/blocked')).toContain('rule 3 of ruleset r');
  expect(await about('https://allowed.example/headers')).toMatch(/rule 2 of ruleset r.*/);
  expect(await about('https://allowed.example/headers')).not.toContain('has no access');
});
