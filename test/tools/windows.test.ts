import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { servePages } from '../support/servePages.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { pageTools } from '../../src/tools/pageTools.js';
import { waitUntilFound } from '../browser/support/collectedPage.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

const start = `<title>Start</title>
<a href="/window" target="_blank">Blank</a> <a href="/window" target="_blank" rel="noopener">Noopener</a>
<button onclick="window.open('/window'); window.open('/window')">Two</button>
<button onclick="setTimeout(() => window.open('/window'), 400)">Late</button>
<a href="mailto:ada@example.com">Mail</a> <button onclick="location.href = 'tel:+123'">Call</button>
<a href="data:text/plain,content of it" download="notes.txt">Download</a>`;

const chooser = `<title>Asks</title><button onclick="Object.assign(document.createElement('input'), { type: 'file', oncancel: () => (document.title = 'cancelled') }).click()">Ask</button>`;

/** By their labels, calls that ask the user in a window of the browser. The title is how they end. */
const asking = {
  Create: `navigator.credentials.create({ publicKey: { challenge: new Uint8Array(9), rp: { name: 'Shop' },
    user: { id: new Uint8Array(9), name: 'ada', displayName: 'Ada' }, pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
    authenticatorSelection: { residentKey: 'required' } } })`,
  Use: 'navigator.credentials.get({ publicKey: { challenge: new Uint8Array(9) } })',
  Account: `navigator.credentials.get({ identity: { providers: [{ configURL: origin + '/fedcm', clientId: '1' }] } })`,
  Print: 'Promise.resolve(print())',
  Colour: 'new EyeDropper().open()',
  Notify: 'Notification.requestPermission()',
  Idle: 'IdleDetector.requestPermission()',
  Device: 'navigator.usb.requestDevice({ filters: [] })',
  Screen: 'navigator.mediaDevices.getDisplayMedia()',
};
const askingPage = Object.entries(asking).map(
  ([label, call]) =>
    `<button onclick="${call}.then(() => (document.title = 'answered'), ({ name }) => (document.title = name))">${label}</button>`,
);
const endpoints = { accounts_endpoint: '/accounts', id_assertion_endpoint: '/assert', login_url: '/' };

let pages: Awaited<ReturnType<typeof servePages>>;
const redirect = createServer((_, response) => response.writeHead(302, { location: 'mailto:ada@example.com' }).end());
let harness: ToolHarness;
const site = () => pages.url.replace('127.0.0.1', 'localhost');

beforeAll(async () => {
  await new Promise<void>((resolve) => redirect.listen(0, '127.0.0.1', resolve));
  pages = await servePages({
    '/': () => [start],
    '/window': () => ['<title>Window</title><h1>Window</h1>'],
    '/files': () => [chooser],
    '/asks': () => askingPage,
    '/.well-known/web-identity': () => [JSON.stringify({ ...endpoints, provider_urls: [`${site()}/fedcm`] })],
    '/fedcm': () => [JSON.stringify(endpoints)],
    '/accounts': () => [JSON.stringify({ accounts: [{ id: '1', name: 'Ada', email: 'ada@example.com' }] })],
    '/outer': () => [
      `<script>document.write(\`<iframe src="//localhost:\${location.port}/middle"></iframe>\`)</script>`,
    ],
    '/middle': () => [
      `<script>document.write(\`<iframe src="//127.0.0.1:\${location.port}/window"></iframe>\`)</script>`,
    ],
  });
  harness = await startToolHarness([...pageTools, ...navigationTools, ...inputTools, ...lookTools]);
  await harness.run('new_page', { url: pages.url });
});

afterAll(async () => {
  await harness.close();
  pages.close();
  redirect.close();
});

beforeEach(async () => {
  harness.browser.takeNotices();
  await harness.run('navigate_page', { url: pages.url });
});

async function click(label: string) {
  const found = await harness.text('find_in_snapshot', { text: `"${label}"`, context: 0 });
  return harness.run('click', { uid: /uid=(e\d+)/.exec(found)?.[1] });
}

const untilNotice = (pattern: RegExp): Promise<string> =>
  waitUntilFound(() => harness.browser.takeNotices().find((notice) => pattern.test(notice)));

describe('a window that a click opens', () => {
  test.each([
    ['Blank', 1],
    ['Noopener', 1],
    ['Two', 2],
  ])('is named with its page by the answer of the click: %s', async (label, count) => {
    const { text, structured } = await click(label);
    const ids = structured['openedPages'] as number[];
    expect(ids).toHaveLength(count);
    for (const pageId of ids) {
      expect(text).toContain(`It opened page ${pageId}: ${pages.url}/window.`);
      expect(await harness.text('take_snapshot', { pageId })).toContain('heading "Window"');
      await harness.run('close_page', { pageId });
    }
    expect(harness.browser.takeNotices()).toEqual([]);
  });

  test('is a page for whoever waits until those that Chrome told of are adopted', async () => {
    const { browser } = harness;
    const before = browser.pages().length;
    const cdp = await browser.browser.target().createCDPSession();
    const told = new Promise((resolve) => browser.browser.once('targetcreated', resolve));
    await Promise.all([told, cdp.send('Target.createTarget', { url: `${pages.url}/window` })]);
    expect(browser.pages()).toHaveLength(before);
    await browser.whenPagesAdopted(new AbortController().signal);
    expect(browser.pages()).toHaveLength(before + 1);
    await browser.closePage(browser.pages().at(-1)?.id ?? 0);
    browser.takeNotices();
    await cdp.detach();
  });

  test('and that comes later by the next answer', async () => {
    expect((await click('Late')).structured['openedPages']).toBeUndefined();
    const notice = await untilNotice(/was opened by a page: http/);
    await harness.run('close_page', { pageId: Number(/Page (\d+)/.exec(notice)?.[1]) });
  });
});

test('when the selected page closes, the next answer names the page that is selected instead', async () => {
  const [pageId] = (await click('Blank')).structured['openedPages'] as number[];
  await harness.run('select_page', { pageId });
  await harness.browser.page().page.close();
  expect(await untilNotice(/closed, and no tool closed it/)).toContain(`Page 2 (${pages.url}/) is selected now.`);
});

test('a page with a frame of its own site within one of another site is left like any other', async () => {
  await harness.run('navigate_page', { url: `${pages.url}/outer` });
  expect(await harness.text('take_snapshot')).toContain('heading "Window"');
  expect(await harness.text('navigate_page', { url: `${pages.url}/window` })).toBe(`Now at ${pages.url}/window`);
});

test('a download is listed, waited for and read', async () => {
  expect((await click('Download')).text).toContain('list_downloads waits for it');
  const { structured } = await harness.run('list_downloads', { timeout: 30_000 });
  const row = (structured['downloads'] as { id: number }[]).at(-1);
  expect(row).toMatchObject({ name: 'notes.txt', state: 'completed', bytes: 13 });
  const { resources } = await harness.run('list_downloads', { id: row?.id });
  expect(String(await harness.resources.read(resources?.[0]?.uri ?? ''))).toBe('content of it');
  expect(await harness.refusal('list_downloads', { id: 999 })).toContain('There is no download 999');
});

test('a chooser of files is cancelled, and the click names the tool that gives them', async () => {
  await harness.run('navigate_page', { url: `${pages.url}/files` });
  expect((await click('Ask')).text).toContain('for files, and nobody is here to answer: it was refused. upload_file');
  await harness.run('wait_for', { function: `() => document.title === 'cancelled'` });
});

test.each([
  ['Use', undefined, 'NotAllowedError'],
  ['Create', /It made a passkey of ada for localhost/, 'answered'],
  ['Use', /It signed in with the passkey of ada for localhost/, 'answered'],
  ['Account', /It asked the user to sign in with an account of http:\/\/localhost:\d+ \(FedCM\)/, 'NetworkError'],
  ['Account', /It asked the user to sign in with an account/, 'NetworkError'],
  ['Print', /It asked to be printed: nothing is printed here. save_pdf/, 'answered'],
  ['Colour', /It asked the user to pick a colour from the screen \(EyeDropper\)/, 'AbortError'],
  ['Notify', undefined, 'answered'],
  ['Idle', undefined, 'answered'],
  ['Device', undefined, 'NotFoundError'],
  ['Screen', undefined, 'NotAllowedError'],
])(
  'what waits for a person in a window of the browser ends, is told, and takes no click of the page: %s %s',
  async (label, told, end) => {
    await harness.run('navigate_page', { url: `${site()}/asks` });
    const { text } = await click(label);
    expect(text).toMatch(told ?? /^Clicked e\d+\.$/);
    await harness.run('wait_for', { function: `() => document.title === '${end}'` });
  },
);

test.each([
  ['Mail', 'mailto:ada@example.com'],
  ['Call', 'tel:+123'],
])('an address for another program is told, and the page goes on: %s', async (label, address) => {
  const { text, structured } = await click(label);
  expect(text).toContain(`It hands ${address} to another program`);
  expect(text).toContain('None is started here, and the page stays.');
  expect(structured).toMatchObject({ navigated: false, settled: true });
  expect((await click('Blank')).structured['openedPages']).toHaveLength(1);
});

test('a server that redirects to an address for another program leaves the page as it was', async () => {
  const { port } = redirect.address() as AddressInfo;
  const { text, structured } = await harness.run('navigate_page', { url: `http://127.0.0.1:${port}/` });
  expect(text).toMatch(/^It hands mailto:ada@example\.com to another program .* The page stays\.$/);
  expect(structured).toMatchObject({ navigated: false, url: `${pages.url}/` });
});
