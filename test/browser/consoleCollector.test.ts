import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import type { ConsoleMessage } from '../../src/browser/collectors/consoleCollector.js';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { launchChromium, openCollectedPage, waitUntilFound, type CollectedPage } from './support/collectedPage.js';

let server: PageServer;
let browser: Browser;
let extension: string;
let opened: CollectedPage;

beforeAll(async () => {
  extension = await mkdtemp(join(tmpdir(), 'console-extension-'));
  const manifest = {
    manifest_version: 3,
    name: 'Speaker',
    version: '1',
    content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['content.js'], run_at: 'document_idle' }],
  };
  await writeFile(join(extension, 'manifest.json'), JSON.stringify(manifest));
  await writeFile(join(extension, 'content.js'), 'console.log("from the content script");');
  server = await startPageServer();
  browser = await launchChromium({ enableExtensions: [extension], pipe: true });
});

afterAll(async () => {
  await browser.close();
  await server.close();
  await rm(extension, { recursive: true });
});

beforeEach(async () => {
  opened = await openCollectedPage(browser);
  await opened.page.goto(`${server.url}/console.html`);
  await message('from the content script');
});

afterEach(() => opened.close());

const said = (): ConsoleMessage[] => opened.console.read().entries.map(({ value }) => value);

/** The first message with this text, as soon as there is one. */
function message(text: string): Promise<ConsoleMessage> {
  return waitUntilFound(() => said().find((candidate) => candidate.text.includes(text)));
}

/** Answers of one session come in order: what was asked before has been answered then. */
const settled = (): Promise<unknown> => opened.cdp.send('Runtime.evaluate', { expression: '1' });

describe('what the page says', () => {
  it('is kept in order with its type, level and place', async () => {
    await opened.page.evaluate('sayKinds()');
    await message('group');
    await settled();
    const own = said().filter(({ extension: from }) => from === undefined);
    expect(own.map(({ type, level, text }) => `${level} ${type} ${text}`)).toEqual([
      'info log plain',
      'info info info',
      'warning warn careful',
      'error error wrong',
      'debug debug detail',
      'error assert one is two',
      'info table [{name: "Ada", born: 1815}]',
      'info startGroupCollapsed group',
    ]);
    expect(own[0]?.location).toMatchObject({ url: `${server.url}/console.html`, line: 12 });
    expect(own[0]?.stack.map(({ functionName }) => functionName)).toContain('sayKinds');
  });

  it('has values in depth and directives filled in', async () => {
    await opened.page.evaluate('sayValues()');
    await message('told');
    await settled();
    const texts = said().map(({ text }) => text);
    expect(texts).toContain('Ada has 3 points {nested: {list: [1, [2, {deep: true}]]}}');
    expect(texts).toContain('Map {"key" => {value: 1}} Set {1} [1, "two", null] undefined 12n Symbol(mark)');
    expect(texts.at(-1)).toMatch(/^Error: told\n {4}at sayValues .* \/x\/g NaN body$/s);
  });

  it('keeps no value alive in the page', async () => {
    await opened.page.evaluate('sayObject()');
    await message('large');
    // The browser itself remembers the last thousand messages with their values.
    await opened.page.evaluate('for (let line = 0; line < 1100; line++) console.log("line " + line)');
    await message('line 1099');
    await waitUntilFound(async () => {
      await opened.cdp.send('HeapProfiler.collectGarbage');
      return (await opened.page.evaluate('said.deref() === undefined')) === true ? true : undefined;
    });
  });

  it('says that it comes from a content script', async () => {
    const { extension: origin, source } = await message('from the content script');
    expect(origin).toMatch(/^chrome-extension:\/\/[a-p]{32}$/);
    expect(source).toBe('page');
  });

  it('is kept with the page it belongs to when the page navigates', async () => {
    await opened.page.evaluate('console.log("before")');
    await opened.page.goto(`${server.url}/console.html?second`);
    await opened.page.evaluate('console.log("after")');
    const before = await message('before');
    const after = await message('after');
    expect(before.page).toBe(`${server.url}/console.html`);
    expect(after.page).toBe(`${server.url}/console.html?second`);
    expect(after.navigation).toBe(before.navigation + 1);
  });
});

describe('frames and workers', () => {
  it('are heard from their first line on, once', async () => {
    await opened.page.evaluate('startWorker()');
    expect(await message('from the worker')).toMatchObject({ source: 'worker' });
    expect(await message('worker failed')).toMatchObject({ source: 'worker', type: 'exception', level: 'error' });
    await opened.page.evaluate(`addFrame('${server.url.replace('127.0.0.1', 'localhost')}/console.html#speak')`);
    expect(await message('from the frame')).toMatchObject({ source: 'iframe', type: 'log' });
    await settled();
    expect(said().filter(({ text }) => text.includes('from the worker'))).toHaveLength(1);
    await message('from the worker {a: {b: 1}}');
  });
});

describe('what goes wrong in the page', () => {
  it('is an exception with the stack of who threw', async () => {
    await opened.page.evaluate('throwLater()');
    const thrown = await message('thrown on purpose');
    expect(thrown).toMatchObject({ type: 'exception', level: 'error', text: 'Uncaught TypeError: thrown on purpose' });
    expect(thrown.stack[0]).toMatchObject({ functionName: 'failing', url: `${server.url}/console.html` });
  });

  it('is an unhandled rejection, marked when it is handled after all', async () => {
    await opened.page.evaluate('rejectThenHandle()');
    const { cursor } = opened.console.read();
    expect(await message('rejected on purpose')).toMatchObject({
      text: 'Uncaught (in promise) Error: rejected on purpose',
    });
    await waitUntilFound(() => said().find(({ handledLater }) => handledLater));
    expect(opened.console.read(cursor).entries.map(({ value }) => value.handledLater)).toContain(true);
  });

  it('includes what the browser says about failed loads', async () => {
    await opened.page.evaluate('fetch("/status?code=503")');
    const failed = await message('503');
    expect(failed).toMatchObject({ type: 'network', level: 'error' });
    expect(failed.location?.url).toBe(`${server.url}/status?code=503`);
  });
});

describe('bounds', () => {
  it('counts equal messages in a row and tells readers of the new count', async () => {
    await opened.page.evaluate('sayAgain(3); void 0');
    await waitUntilFound(() => said().find(({ text, count }) => text === 'again' && count === 3));
    const { cursor } = opened.console.read();
    await opened.page.evaluate('console.log("different")');
    await message('different');
    await opened.page.evaluate('sayAgain(2); void 0');
    await waitUntilFound(() => said().findLast(({ text, count }) => text === 'again' && count === 2));
    const since = opened.console.read(cursor).entries.map(({ value }) => `${value.text} x${value.count}`);
    expect(since).toEqual(['different x1', 'again x2']);
  });

  it('lists a message again when its count grew', async () => {
    await opened.page.evaluate('sayAgain(2)');
    await waitUntilFound(() => said().find(({ count }) => count === 2));
    const { cursor } = opened.console.read();
    await opened.page.evaluate('sayAgain(1)');
    await waitUntilFound(() => said().find(({ count }) => count === 3));
    expect(opened.console.read(cursor).entries).toMatchObject([{ value: { text: 'again', count: 3 } }]);
  });

  it('keeps the newest of many lines and says how many are gone', async () => {
    await opened.page.evaluate('sayLines(3_000)');
    await message('last line');
    const { entries, dropped } = opened.console.read();
    expect(entries.length).toBeLessThanOrEqual(2_000);
    expect(entries.length + dropped).toBe(3_002);
    expect(entries.at(-2)?.value.text).toBe('line 3000 {line: 3000}');
  });

  it('cuts a long text and says how much is missing', async () => {
    await opened.page.evaluate('console.log("x".repeat(100_000))');
    const long = await message('xxx');
    expect(long.text.length).toBeLessThan(2_100);
    expect(long.args[0]).toMatch(/x… \(92000 more characters\)$/);
  });

  it('hears nothing any more once it is disposed', async () => {
    opened.console.dispose();
    const { cursor } = opened.console.read();
    await opened.page.evaluate('console.log("unheard")');
    await settled();
    expect(opened.console.read(cursor).entries).toEqual([]);
  });
});
