import { mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { FileEncryption } from '../../src/tools/encryptedFiles.js';
import { storageTools } from '../../src/tools/storageTools.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;
let workspace: string;

beforeAll(async () => {
  [pages, harness, workspace] = await Promise.all([
    startPageServer(),
    startToolHarness([...storageTools, ...lookTools, ...navigationTools]),
    mkdtemp(join(tmpdir(), 'greenroom-test-')).then((folder) => realpath(folder)),
  ]);
});

beforeEach(async () => {
  await harness.run('navigate_page', { url: `${pages.url}/look.html` });
  await change({ action: 'clear' });
});

afterAll(async () => {
  await harness.close();
  await pages.close();
  await rm(workspace, { recursive: true, force: true });
});

const run = async (source: string): Promise<unknown> =>
  JSON.parse(await harness.text('evaluate_script', { function: source }));
const change = (args: Record<string, unknown>) => harness.run('set_page_storage', args, options());
const refused = (args: Record<string, unknown>) => harness.refusal('set_page_storage', args, options());
const options = (owner = 'local me', dataDir = join(workspace, 'data')) => ({
  workspace: [workspace],
  saving: { owner, encryption: new FileEncryption(dataDir) },
});
const items = async (args: Record<string, unknown> = {}) =>
  (await harness.run('inspect_page_storage', args)).structured['items'];
const stored = '() => [{ ...localStorage }, { ...sessionStorage }, document.cookie]';

test('shows what the page stored, and the cookies that its scripts cannot see', async () => {
  await run(`() => { localStorage.theme = 'dark'; sessionStorage.step = '2'; document.cookie = 'seen=yes'; return 1 }`);
  await change({ action: 'set', area: 'cookies', items: { own: '1' }, cookie: { httpOnly: true, sameSite: 'Strict' } });
  expect(await run('() => document.cookie')).toBe('seen=yes');
  const { text, structured } = await harness.run('inspect_page_storage', { showSecrets: true });
  expect(structured).toMatchObject({ origin: pages.url, total: 4 });
  expect(structured['items']).toEqual(
    expect.arrayContaining([
      { area: 'cookies', name: 'seen', value: 'yes', hidden: false, attributes: '127.0.0.1/ session' },
      {
        area: 'cookies',
        name: 'own',
        value: '1',
        hidden: false,
        attributes: '127.0.0.1/ session HttpOnly SameSite=Strict',
      },
      { area: 'local', name: 'theme', value: 'dark', hidden: false, attributes: '' },
      { area: 'session', name: 'step', value: '2', hidden: false, attributes: '' },
    ]),
  );
  expect(text).toContain('  theme = dark');
});

test('secrets are hidden until asked for: HttpOnly cookies, telling names, tokens', async () => {
  const jwt = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.signature';
  await change({ action: 'set', area: 'local', items: { authToken: 'hush', plain: jwt, theme: 'dark' } });
  await change({ action: 'set', area: 'cookies', items: { x: 'hush' }, cookie: { httpOnly: true } });
  const answer = await harness.run('inspect_page_storage');
  expect(JSON.stringify(answer)).not.toMatch(/hush|eyJ/);
  expect(answer.text).toContain('3 hidden: showSecrets shows them.');
  expect(answer.text).toContain('theme = dark');
  expect(await harness.text('inspect_page_storage', { showSecrets: true })).toContain('authToken = hush');
});

test('long values and long lists are cut, and one by name is not', async () => {
  await run(`() => { for (let i = 0; i < 300; i++) localStorage['k' + i] = 'v'.repeat(1000); return 1 }`);
  const { text, structured } = await harness.run('inspect_page_storage', { area: 'local' });
  expect(structured).toMatchObject({ total: 300, items: { length: 200 } });
  expect(text).toContain('100 more of 300 left out');
  expect(text.length).toBeLessThan(64 * 1024);
  expect(await items({ name: 'k7' })).toMatchObject([{ value: 'v'.repeat(1000) }]);
});

test('sets, removes and clears what the page then sees', async () => {
  await change({ action: 'set', area: 'local', items: { a: '1', b: '2' } });
  await change({ action: 'set', area: 'session', items: { c: '3' } });
  await change({ action: 'set', area: 'cookies', items: { d: '4' } });
  expect(await run(stored)).toEqual([{ a: '1', b: '2' }, { c: '3' }, 'd=4']);
  expect((await change({ action: 'remove', area: 'local', names: ['a'] })).structured).toMatchObject({ count: 1 });
  expect((await change({ action: 'clear', area: 'session' })).structured).toMatchObject({ count: 1 });
  expect(await run(stored)).toEqual([{ b: '2' }, {}, 'd=4']);
  expect((await change({ action: 'clear' })).structured).toMatchObject({ count: 2 });
  expect(await run(stored)).toEqual([{}, {}, '']);
});

test('a state that was saved is restored, in a file that only its owner reads or as a resource', async () => {
  await change({ action: 'set', area: 'local', items: { a: '1' } });
  await change({ action: 'set', area: 'session', items: { b: '2' } });
  const expires = Math.round(Date.now() / 1000) + 3600;
  await change({ action: 'set', area: 'cookies', items: { c: '3' }, cookie: { httpOnly: true, expires } });
  const before = await items({ showSecrets: true });
  const file = join(workspace, 'state.json');
  const { structured, resources } = await change({ action: 'save' });
  await change({ action: 'save', file: 'state.json' });
  expect((await stat(file)).mode & 0o077).toBe(0);
  const json = (await harness.resources.read(String(structured['file']))).toString('utf8');
  expect(JSON.parse(json)).toMatchObject({
    cookies: [{ name: 'c', value: '3', httpOnly: true, expires }],
    origins: [{ origin: pages.url, localStorage: [{ name: 'a', value: '1' }] }],
  });
  expect(resources).toEqual(harness.resources.list());
  const plain = join(workspace, 'plain.json');
  await writeFile(plain, json);
  for (const from of [file, plain, structured['file']]) {
    await change({ action: 'clear' });
    await change({ action: 'set', area: 'local', items: { other: 'x' } });
    expect((await change({ action: 'restore', file: from })).structured).toMatchObject({ count: 3 });
    expect(await items({ showSecrets: true })).toEqual(before);
  }
});

test('a file with logins shows none of them, and is restored by its user and this server alone', async () => {
  const secret = 'the-token-of-the-login';
  await change({ action: 'set', area: 'cookies', items: { login: secret }, cookie: { httpOnly: true } });
  await change({ action: 'save', file: 'login.json' });
  const file = join(workspace, 'login.json');
  const content = await readFile(file);
  expect([content.includes(secret), content.includes('cookies')]).toEqual([false, false]);
  await change({ action: 'clear' });
  const refusedWith = (...of: Parameters<typeof options>) =>
    harness.refusal('set_page_storage', { action: 'restore', file }, options(...of));
  expect(await refusedWith('local other')).toContain('was saved by another user');
  expect(await refusedWith('local me', join(workspace, 'lost'))).toContain('is missing: put it back');
  expect(await items()).toEqual([]);
  expect((await change({ action: 'restore', file })).structured).toMatchObject({ count: 1 });
  expect(await items({ showSecrets: true })).toMatchObject([{ name: 'login', value: secret }]);
});

test('what is missing, unknown or elsewhere is named, and nothing changes', async () => {
  await change({ action: 'set', area: 'local', items: { a: '1' } });
  expect(await refused({ action: 'set', area: 'local' })).toBe('set needs the argument items.');
  expect(await refused({ action: 'restore' })).toBe('restore needs the argument file.');
  expect(await refused({ action: 'remove', area: 'local', names: ['a', 'z'] })).toContain('local has no z, but a.');
  expect(await refused({ action: 'save', file: '/etc/state.json' })).toContain('outside the folders');
  expect(await refused({ action: 'restore', file: 'none.json' })).toContain('ENOENT');
  expect(await refused({ action: 'restore', file: 'greenroom://resources/none' })).toContain('There is no resource');
  expect(await refused({ action: 'set', area: 'cookies', items: { a: 'b' }, cookie: { domain: 'x.test' } })).toContain(
    'Chrome refused the cookie "a"',
  );
  expect(await harness.refusal('inspect_page_storage', { name: 'z' })).toContain('Stored: local a.');
  expect(await run(stored)).toEqual([{ a: '1' }, {}, '']);
});

test('a file that holds no state, or one of another site, is refused before anything changes', async () => {
  await change({ action: 'set', area: 'local', items: { a: '1' } });
  const restore = async (content: string): Promise<string> => {
    await writeFile(join(workspace, 'bad.json'), content);
    return refused({ action: 'restore', file: 'bad.json' });
  };
  expect(await restore('{')).toContain('is not a saved storage state');
  expect(await restore('{"cookies":[{}],"origins":[]}')).toContain('"cookies.0.name"');
  const many = Array.from({ length: 20_001 }, (_, index) => ({ name: `k${index}`, value: '' }));
  expect(await restore(JSON.stringify({ cookies: many, origins: [] }))).toContain('more than 20000 cookies and items');
  expect(await restore('['.repeat(5e4) + ']'.repeat(5e4))).toContain('is not a saved storage state');
  const foreign = { cookies: [], origins: [{ origin: 'https://x.test', localStorage: [{ name: 'a', value: '2' }] }] };
  expect(await restore(JSON.stringify(foreign))).toContain('only of https://x.test');
  expect(await run(stored)).toEqual([{ a: '1' }, {}, '']);
});

test('as much as a site may store is read and saved, and never parsed or written in one piece', async () => {
  await run(`() => { localStorage.a = 'あ'.repeat(5e6); sessionStorage.b = '"\\u0001'.repeat(2e6); return 1 }`);
  const [parse, stringify] = [JSON.parse, JSON.stringify];
  let longest = 0;
  JSON.parse = (text: string, ...rest: []): unknown => {
    longest = Math.max(longest, text.length);
    return parse(text, ...rest);
  };
  JSON.stringify = ((value: unknown, ...rest: []) => {
    const text = stringify(value, ...rest);
    longest = Math.max(longest, text.length);
    return text;
  }) as typeof stringify;
  let file: string;
  try {
    expect((await harness.run('inspect_page_storage')).structured).toMatchObject({ total: 2 });
    file = String((await change({ action: 'save' })).structured['file']);
  } finally {
    [JSON.parse, JSON.stringify] = [parse, stringify];
  }
  expect(longest).toBeLessThan(512 * 1024);
  const saved = JSON.parse(String(await harness.resources.read(file))) as {
    origins: { localStorage: { value: string }[]; sessionStorage: { value: string }[] }[];
  };
  const [{ localStorage, sessionStorage } = { localStorage: [], sessionStorage: [] }] = saved.origins;
  expect(localStorage[0]?.value === 'あ'.repeat(5e6)).toBe(true);
  expect(sessionStorage[0]?.value === '"\u0001'.repeat(2e6)).toBe(true);
});

test('of very many items the first are shown, and all of them are counted, found, saved and cleared', async () => {
  const count = 50_000;
  await run(`() => { for (let i = 0; i < ${count}; i++) localStorage['k' + i] = 'v"' + i; return 1 }`);
  const { structured } = await harness.run('inspect_page_storage', { area: 'local' });
  expect(structured).toMatchObject({ total: count, items: { length: 200 } });
  expect(await items({ name: 'k49999' })).toMatchObject([{ value: 'v"49999' }]);
  expect(await refused({ action: 'remove', area: 'local', names: ['k1', 'none'] })).toContain(
    'local has no none, but k',
  );
  const { structured: result } = await change({ action: 'save' });
  expect(result).toMatchObject({ count });
  const saved = JSON.parse(String(await harness.resources.read(String(result['file'])))) as {
    origins: { localStorage: object[] }[];
  };
  expect(saved.origins[0]?.localStorage).toHaveLength(count);
  expect((await change({ action: 'clear' })).structured).toMatchObject({ count });
  expect(await run(stored)).toEqual([{}, {}, '']);
});

test('a page without an origin says why it has no storage', async () => {
  const blank = await harness.browser.newPage();
  expect(await harness.refusal('inspect_page_storage')).toContain('about:blank has no storage');
  await harness.browser.closePage(blank.id);
});
