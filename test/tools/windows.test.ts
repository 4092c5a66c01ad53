import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { servePages } from '../support/servePages.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { emulationTools } from '../../src/tools/emulationTools.js';
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

const asks = (call: string): string => `<title>Asks</title><button onclick="${call}">Ask</button>`;

const passkeys = `const challenge = new Uint8Array(8), user = { id: challenge, name: 'a', displayName: 'a' };
const publicKey = { challenge, user, rp: { name: 'a' }, pubKeyCredParams: [{ type: 'public-key', alg: -7 }] };
`;

let pages: Awaited<ReturnType<typeof servePages>>;
let harness: ToolHarness;

beforeAll(async () => {
  pages = await servePages({
    '/': () => [start],
    '/window': () => ['<title>Window</title><h1>Window</h1>'],
    '/notify': () => [asks('Notification.requestPermission().then((answer) => (document.title = answer))')],
    '/where': () => [
      asks(
        `navigator.geolocation.getCurrentPosition(() => (document.title = 'found'), ({ code }) => (document.title = code))`,
      ),
    ],
    '/key?get': () => [
      asks(
        `${passkeys}navigator.credentials.get({ publicKey: { challenge } }).catch(({ name }) => (document.title = name))`,
      ),
    ],
    '/key?create': () => [
      asks(`${passkeys}navigator.credentials.create({ publicKey }).then(({ type }) => (document.title = type))`),
    ],
    '/files': () => [
      asks(
        `Object.assign(document.createElement('input'), { type: 'file', oncancel: () => (document.title = 'cancelled') }).click()`,
      ),
    ],
    '/print': () => [asks("print(); document.title = 'printed'")],
    '/outer': () => [
      `<script>document.write(\`<iframe src="//localhost:\${location.port}/middle"></iframe>\`)</script>`,
    ],
    '/middle': () => [
      `<script>document.write(\`<iframe src="//127.0.0.1:\${location.port}/window"></iframe>\`)</script>`,
    ],
    '/early': () => ['<title>Early</title><script>Notification.requestPermission()</script>'],
  });
  harness = await startToolHarness([...pageTools, ...navigationTools, ...inputTools, ...lookTools, ...emulationTools]);
});

afterAll(async () => {
  await harness.close();
  pages.close();
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
  expect(await untilNotice(/closed, and no tool closed it/)).toContain(`Page 1 (${pages.url}/) is selected now.`);
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

describe('what a page asks its user outside of its document', () => {
  test.each([
    ['/where', 'to allow its location', '1', 'found'],
    ['/notify', 'to allow notifications', 'denied', 'granted'],
  ])('a permission is refused at once and told; handle_dialog allows it: %s', async (path, wants, refused, allowed) => {
    await harness.run('navigate_page', { url: pages.url + path });
    expect((await click('Ask')).text).toContain(
      `It asked the user ${wants}, and nobody is here to answer: it was refused.`,
    );
    expect(await harness.text('list_pages')).toContain(`"${refused}"`);
    expect(await harness.text('handle_dialog', { action: 'accept' })).toBe(
      `Accepted what the page asked ${wants}. It was refused before: act again.`,
    );
    await harness.run('emulate', { geolocation: { latitude: 1, longitude: 2 } });
    expect((await click('Ask')).text).not.toContain('It asked');
    await harness.run('wait_for', { function: `() => document.title === '${allowed}'` });
  });

  test('a script that waits for the answer does not hold the call', async () => {
    await harness.run('navigate_page', { url: `${pages.url.replace('127.0.0.1', 'localhost')}/key?get` });
    const script = { function: '() => navigator.credentials.get({ publicKey: { challenge: new Uint8Array(8) } })' };
    expect(await harness.text('evaluate_script', script)).toContain('The script has not ended. It asks the user');
    await harness.run('handle_dialog', { action: 'dismiss' });
  });

  test.each([
    ['get', 'dismiss', 'NotAllowedError'],
    ['create', 'accept', 'public-key'],
  ])('a passkey waits without a window of the browser: %s, %s', async (call, action, title) => {
    await harness.run('navigate_page', { url: `${pages.url.replace('127.0.0.1', 'localhost')}/key?${call}` });
    expect((await click('Ask')).text).toContain('It asks the user for a passkey. handle_dialog answers');
    expect(await harness.text('list_pages')).toContain('[dialog: asks the user for a passkey]');
    expect(await harness.text('handle_dialog', { action })).toContain('what the page asked for a passkey');
    await harness.run('wait_for', { function: `() => document.title === '${title}'` });
  });

  test('files are cancelled, and the click names the tool that gives them', async () => {
    await harness.run('navigate_page', { url: `${pages.url}/files` });
    expect((await click('Ask')).text).toContain('for files, and nobody is here to answer: it was refused. upload_file');
    await harness.run('wait_for', { function: `() => document.title === 'cancelled'` });
  });

  test('printing is told and holds nothing', async () => {
    await harness.run('navigate_page', { url: `${pages.url}/print` });
    expect((await click('Ask')).text).toContain('save_pdf makes what would be printed');
    expect(await harness.text('list_pages')).toContain('"printed"');
  });

  test('a load that asks says so, and the functions look as before', async () => {
    const loaded = await harness.text('navigate_page', { url: `${pages.url.replace('127.0.0.1', 'localhost')}/early` });
    expect(loaded).toContain('It asked the user to allow notifications');
    const looks =
      '() => [print.name, String(print).includes("native code"), Object.getOwnPropertyNames(window).some((name) => name.startsWith("greenroom"))]';
    expect(await harness.text('evaluate_script', { function: looks })).toBe('["print",true,false]');
  });
});

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
