import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { pageTools } from '../../src/tools/pageTools.js';
import { launchAsServer, startToolHarness, type ToolHarness } from './support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;
let workspace: string;

beforeAll(async () => {
  workspace = await mkdtemp(join(tmpdir(), 'pages-'));
  [pages, harness] = await Promise.all([
    startPageServer(),
    startToolHarness([...pageTools, ...navigationTools, ...inputTools, ...lookTools], () =>
      launchAsServer({ workspace: [workspace] }),
    ),
  ]);
});

afterAll(async () => {
  await harness.close();
  await pages.close();
  await rm(workspace, { recursive: true });
});

const go = (path: string) => harness.run('navigate_page', { url: pages.url + path });
const run = (source: string) => harness.text('evaluate_script', { function: source });

async function click(label: string): Promise<string> {
  const found = await harness.text('find_in_snapshot', { regex: `button "${label}"`, context: 0 });
  return harness.text('click', { uid: /uid=(e\d+)/.exec(found)?.[1] });
}

describe('pages', () => {
  test('new_page opens and selects, select_page goes back, close_page takes it away', async () => {
    await go('/look.html');
    const opened = await harness.run('new_page', { url: `${pages.url}/settled.html` });
    const pageId = opened.structured['pageId'];
    expect(await harness.text('list_pages')).toBe(
      `1: ${pages.url}/look.html "Look"\n${String(pageId)}: ${pages.url}/settled.html "Settled" [selected]`,
    );
    expect(await harness.text('select_page', { pageId: 1 })).toContain('"Look" [selected]');
    const closed = await harness.run('close_page', { pageId });
    expect(closed.text).toContain(`Closed page ${String(pageId)}.`);
    expect(closed.structured['pages']).toHaveLength(1);
  });

  test('a tool works on the page that pageId names', async () => {
    await go('/look.html');
    const { structured } = await harness.run('new_page', { url: `${pages.url}/settled.html`, background: true });
    const { pageId } = structured;
    expect(await harness.text('take_snapshot', { pageId })).toContain('heading "Arrived"');
    expect(await harness.text('take_snapshot')).toContain('heading "Fruit"');
    await harness.run('close_page', { pageId });
  });

  test('pages of a named context have cookies and storage of their own, and their windows stay in it', async () => {
    await go('/look.html');
    await run('() => { document.cookie = "who=one"; localStorage.who = "one" }');
    const other = await harness.run('new_page', { url: `${pages.url}/look.html`, context: 'second' });
    const { pageId } = other.structured;
    const who = '() => [document.cookie, localStorage.who ?? ""].join()';
    expect(await run(who)).toBe('","');
    await run('() => { document.cookie = "who=two"; localStorage.who = "two" }');
    expect(await harness.text('list_pages')).toContain(`"Look" [selected] [context second]`);
    const { structured } = await harness.run('new_page', { url: `${pages.url}/look.html`, context: 'second' });
    expect(await run(who)).toBe('"who=two,two"');
    const opened = await harness.run('evaluate_script', { function: '() => void open("/look.html")' });
    const [window] = /page (\d+)/.exec(opened.text)?.slice(1).map(Number) ?? [];
    expect(await harness.text('evaluate_script', { pageId: window, function: who })).toBe('"who=two,two"');
    expect(await harness.text('evaluate_script', { pageId: 1, function: who })).toBe('"who=one,one"');
    for (const id of [window, structured['pageId'], pageId]) await harness.run('close_page', { pageId: id });
  });

  test('a page behind another one runs as if it were in front, and can be pictured', async () => {
    await go('/settle.html');
    const { structured } = await harness.run('new_page', { url: `${pages.url}/settled.html` });
    expect(await harness.text('evaluate_script', { pageId: 1, function: '() => document.visibilityState' })).toBe(
      '"visible"',
    );
    expect((await harness.run('take_screenshot', { pageId: 1 })).content).toHaveLength(1);
    await harness.run('close_page', { pageId: structured['pageId'] });
  });

  test('a page that closed without a tool is told of with the next answer', async () => {
    const { structured } = await harness.run('new_page', { url: `${pages.url}/settled.html` });
    await harness.browser.page(Number(structured['pageId'])).page.close();
    expect(harness.browser.takeNotices().join()).toContain('closed, and no tool closed it');
    const again = await harness.run('new_page', { url: `${pages.url}/settled.html` });
    await harness.run('close_page', { pageId: again.structured['pageId'] });
    expect(harness.browser.takeNotices()).toEqual([]);
  });

  test('a page that could not be loaded is not left open', async () => {
    const gone = await startPageServer();
    await gone.close();
    expect(await harness.refusal('new_page', { url: gone.url })).toContain('ERR_CONNECTION_REFUSED');
    expect((await harness.run('list_pages')).structured['pages']).toHaveLength(1);
  });

  test('resize_page sets what the page measures', async () => {
    await harness.run('resize_page', { width: 640, height: 480 });
    expect(await run('() => [innerWidth, innerHeight]')).toBe('[640,480]');
  });
});

describe('navigation', () => {
  test('reload loads the page again; back and forward walk its history', async () => {
    await go('/look.html');
    await go('/settled.html');
    await run('() => { document.title = "changed" }');
    expect((await harness.run('navigate_page', { reload: true })).text).toContain('Reloaded.');
    expect(await run('() => document.title')).toBe('"Settled"');
    const back = await harness.run('navigate_page_history', { navigate: 'back' });
    expect(back.structured['url']).toBe(`${pages.url}/look.html`);
    const forward = await harness.run('navigate_page_history', { navigate: 'forward' });
    expect(forward.structured['url']).toBe(`${pages.url}/settled.html`);
    expect(await harness.refusal('navigate_page_history', { navigate: 'forward' })).toContain('no page to go forward');
  });

  test('a place within the document is arrived at too', async () => {
    await go('/look.html');
    await go('/look.html#fruit');
    const back = await harness.run('navigate_page_history', { navigate: 'back' });
    expect(back.structured['url']).toBe(`${pages.url}/look.html`);
  });

  test('a host without a scheme is taken as http', async () => {
    const { host } = new URL(pages.url);
    const { structured } = await harness.run('navigate_page', { url: `${host}/look.html` });
    expect(structured['url']).toBe(`http://${host}/look.html`);
  });

  test('an address that nobody answers is an error with the cause', async () => {
    const gone = await startPageServer();
    await gone.close();
    expect(await harness.refusal('navigate_page', { url: gone.url })).toContain('ERR_CONNECTION_REFUSED');
    // Until the error page of the browser is whole.
    await run('() => document.readyState');
    const { entries } = harness.browser.page().network.read();
    const failed = entries.map(({ value }) => value).find(({ url }) => url === `${gone.url}/`);
    expect(failed).toMatchObject({ state: 'failed', failure: { error: 'net::ERR_CONNECTION_REFUSED' } });
  });

  test('a server that does not answer in time is an error that says what to do', async () => {
    const refusal = await harness.refusal('navigate_page', { url: `${pages.url}/slow?ms=2000`, timeout: 100 });
    expect(refusal).toContain('No page loaded within 0.1 s');
  });

  test.each([
    ['javascript:alert(1)', 'javascript: addresses are not opened'],
    ['chrome://settings', 'chrome: addresses are not opened'],
    ['about:version', 'about: addresses are not opened'],
    ['view-source:file:///etc/passwd', 'view-source: addresses are not opened'],
    ['file:///etc/passwd', 'outside the folders'],
    ['dev-server:8080', 'Did you mean http://dev-server:8080?'],
    ['example', 'is no URL'],
  ])('%s is refused', async (url, why) => {
    expect(await harness.refusal('navigate_page', { url }, { workspace: [workspace] })).toContain(why);
    expect(await harness.refusal('new_page', { url }, { workspace: [workspace] })).toContain(why);
  });

  test('a file of the workspace leads to no file outside: not by a script, a frame or a window', async () => {
    const file = join(workspace, 'leaving.html');
    await writeFile(file, '<iframe src="file:///etc/passwd"></iframe>');
    const options = { workspace: [workspace] };
    const { structured } = await harness.run('new_page', { url: pathToFileURL(file).href }, options);
    const page = harness.browser.page(Number(structured['pageId'])).page;
    const texts = await Promise.all(page.frames().map((frame) => frame.evaluate('document.body.innerText')));
    expect(texts.join()).not.toContain('root:');
    await run('() => { location.href = "file:///etc/passwd" }');
    expect(await page.evaluate('document.body.innerText')).not.toContain('root:');
  });

  test('a page cannot be at a file outside the workspace, however it is sent there', async () => {
    const { page, id } = await harness.browser.newPage({ background: true });
    await expect(page.goto('file:///etc/passwd')).rejects.toThrow('ERR_BLOCKED_BY_ADMINISTRATOR');
    await harness.browser.closePage(id);
  });

  test("a page that got to one of Chrome's own is blank before it is read", async () => {
    const { page, id } = await harness.browser.newPage({ background: true });
    const isBlank = new Promise<void>((resolve) => {
      page.on('framenavigated', (frame) => frame.url() === 'about:blank' && resolve());
    });
    await page.goto('chrome://version').catch(() => undefined);
    await isBlank;
    expect(await harness.text('take_snapshot', { pageId: id })).not.toContain('Chromium');
    expect(harness.browser.takeNotices()).toContain(
      'A page went to chrome://version/, which no page of a session may open. It is blank now.',
    );
    await harness.browser.closePage(id);
  });

  test('a file of the workspace may be opened', async () => {
    const file = join(workspace, 'own.html');
    await writeFile(file, '<title>Own file</title>');
    await harness.run('navigate_page', { url: pathToFileURL(file).href }, { workspace: [workspace] });
    expect(await run('() => document.title')).toBe('"Own file"');
  });

  test('one of url and reload is wanted', async () => {
    expect(await harness.refusal('navigate_page')).toBe('Pass either url or reload: true.');
  });
});

describe('wait_for', () => {
  test('resolves to the text that came first, also behind a navigation', async () => {
    await go('/settle.html');
    const waiting = harness.text('wait_for', { text: ['never there', 'Arrived'] });
    await harness.browser.page().page.evaluate('void setTimeout(() => (location.href = "settled.html"), 100)');
    expect(await waiting).toBe('The page shows "Arrived".');
  });

  test('sees what a style sheet reveals and what a field holds', async () => {
    await go('/input.html');
    expect(await harness.text('wait_for', { text: ['fixed'] })).toContain('"fixed"');
    expect(await harness.refusal('wait_for', { text: ['never there'], timeout: 50 })).toContain('did not show');
  });
});

describe('dialogs', () => {
  test('a click that opens one answers with it; page tools are refused until it is handled, lists are not', async () => {
    await go('/settle.html');
    expect(await click('Ask')).toContain('A dialog is open (confirm: "Sure?"). Answer it with handle_dialog.');
    expect(await harness.refusal('take_snapshot')).toContain('Answer it with handle_dialog');
    expect(await harness.text('list_pages')).toContain('[dialog: confirm: Sure?]');
    expect(await harness.text('handle_dialog', { action: 'accept' })).toBe('Accepted the confirm dialog.');
    expect(await run('() => said.textContent')).toBe('"answered true"');
  });

  test('a prompt takes a text, or null when dismissed', async () => {
    await go('/settle.html');
    await click('Prompt');
    await harness.run('handle_dialog', { action: 'accept', promptText: 'Ada' });
    expect(await run('() => said.textContent')).toBe('"hello Ada"');
    await click('Prompt');
    await harness.run('handle_dialog', { action: 'dismiss' });
    expect(await run('() => said.textContent')).toBe('"hello null"');
  });

  test('leaving a page that asks back stops at the dialog, and goes on when it is accepted', async () => {
    await go('/settle.html');
    await run('() => { addEventListener("beforeunload", (event) => event.preventDefault()) }');
    await click('Nothing');
    expect(await harness.text('navigate_page', { reload: true })).toMatch(/^A dialog is open \(beforeunload/);
    await harness.run('handle_dialog', { action: 'dismiss' });
    const left = await harness.text('navigate_page', { url: `${pages.url}/look.html` });
    expect(left).toContain('A dialog is open (beforeunload: leave the page?)');
    const handled = await harness.run('handle_dialog', { action: 'accept' });
    expect(handled.structured['url']).toBe(`${pages.url}/look.html`);
  });

  test('without a dialog there is nothing to answer', async () => {
    expect(await harness.refusal('handle_dialog', { action: 'accept' })).toContain('No dialog is open');
  });
});

test('a proxy that asks for credentials, or does not answer, is named as the cause', async () => {
  const proxy = createServer((_, response) => {
    response.writeHead(407, { 'proxy-authenticate': 'Basic realm="office"', 'content-type': 'text/html' }).end('no');
  });
  proxy.on('connect', (_, socket) => {
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="office"\r\n\r\n');
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  const behind = await startToolHarness(navigationTools, () =>
    launchAsServer({ proxyServer: `http://127.0.0.1:${port}` }),
  );
  try {
    const { text } = await behind.run('navigate_page', { url: 'http://intranet.test/' });
    expect(text).toContain('(407 Proxy Authentication Required)');
    expect(text).toContain('The proxy of --proxy-server asks for credentials');
    const refusal = await behind.refusal('navigate_page', { url: 'https://intranet.test/' });
    expect(refusal).toContain('The proxy of --proxy-server asks for credentials');
    proxy.closeAllConnections();
    proxy.close();
    expect(await behind.refusal('navigate_page', { url: 'http://other.test/' })).toContain(
      'net::ERR_PROXY_CONNECTION_FAILED. The proxy of --proxy-server does not serve it',
    );
  } finally {
    await behind.close();
    proxy.close();
  }
});
