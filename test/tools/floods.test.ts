import { EventEmitter } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { CDPSession } from 'puppeteer-core';
import type { CdpScope } from '../../src/browser/cdp/cdpScope.js';
import { ExtensionLog } from '../../src/browser/extensions/extensionLog.js';
import { consoleTools } from '../../src/tools/consoleTools.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { pageTools } from '../../src/tools/pageTools.js';
import { mergedErrors } from '../../src/browser/extensions/serviceWorkers.js';
import { waitUntil } from '../browser/support/testPool.js';
import { servePages } from '../support/servePages.js';
import { startExtensionTools, type ExtensionTools } from './support/extensionTools.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

describe('[S10] what a page throws at a session', () => {
  let site: Awaited<ReturnType<typeof servePages>>;
  let harness: ToolHarness;

  beforeAll(async () => {
    site = await servePages({ '/': () => ['<!doctype html><title>Small</title><p>small</p>'] });
    harness = await startToolHarness([...consoleTools, ...lookTools, ...navigationTools]);
  });
  afterAll(async () => {
    await harness.close();
    site.close();
  });

  test('100,000 console lines: the newest stay, the rest is counted, and the page goes on', async () => {
    await harness.run('navigate_page', { url: site.url });
    await harness.run('evaluate_script', {
      function: '() => { for (let i = 1; i <= 100000; i++) console.log("line", i); }',
    });
    const { text, structured } = await harness.run('list_console_messages', { limit: 1 });
    expect(text).toContain('line 100000');
    expect(structured).toMatchObject({ total: 2_000, dropped: 98_000 });
    expect(await harness.text('evaluate_script', { function: '() => document.title' })).toContain('Small');
  });
});

describe('[S10] a page whose own script does not end', () => {
  let site: Awaited<ReturnType<typeof servePages>>;
  let harness: ToolHarness;
  const held = /answers nothing: a script in it does not end/;

  beforeAll(async () => {
    site = await servePages({
      '/': () => ['<!doctype html><title>Small</title><p>small</p>'],
      '/loops': () => ['<!doctype html><title>Loops</title><button onclick="for (;;);">Loop</button>'],
      '/stuck': () => ['<!doctype html><title>Stuck</title><script>for (;;);</script>'],
    });
    harness = await startToolHarness([...inputTools, ...lookTools, ...navigationTools, ...pageTools]);
  });
  afterAll(async () => {
    await harness.close();
    site.close();
  });

  test('is told as such by what began it and by what comes after, and ended by loading something', async () => {
    await harness.run('navigate_page', { url: `${site.url}/loops` });
    const found = await harness.text('find_in_snapshot', { text: 'Loop"' });
    const uid = /uid=(e\d+) button/.exec(found)?.[1];
    const told = await harness.refusal('click', { uid });
    expect(told).toMatch(held);
    expect(told).toContain('Whether the action was done is not known.');
    expect(await harness.refusal('take_snapshot')).toMatch(held);
    await harness.run('new_page', { url: site.url });
    expect(await harness.text('take_snapshot')).toContain('small');
    await harness.run('select_page', { pageId: 1 });
    expect(await harness.text('navigate_page', { reload: true })).toContain('Reloaded.');
    expect(await harness.text('take_snapshot')).toContain('button "Loop"');
  });

  test('while it loads leaves its page to the next navigation', async () => {
    const { text, structured } = await harness.run('navigate_page', { url: `${site.url}/stuck`, timeout: 500 });
    expect(text).toContain('a script in it does not end');
    expect(structured).toMatchObject({ settled: false });
    expect(await harness.text('navigate_page', { url: site.url })).toBe(`Now at ${site.url}/`);
  });
});

describe('[S10] what a worker throws at a session', () => {
  let tools: ExtensionTools;
  beforeAll(async () => {
    tools = await startExtensionTools();
  });
  afterAll(() => tools.close());

  test('10,000 lines a second: of each second the first 1,000 are kept, and the answer tells how many are not', async () => {
    const extensionId = await tools.install(
      'Loud',
      { background: { service_worker: 'worker.js' } },
      { 'worker.js': '' },
    );
    await tools.run('get_extension_logs', { extensionId, keepAlive: true });
    const flood = `for (let i = 1; i <= 10000; i++) console.log('loud', i)`;
    await tools.evaluate(extensionId, `() => { ${flood}; return 1; }`);
    await tools.evaluate(extensionId, `() => { console.warn('after all'); return 1; }`);
    const { structured, text } = await tools.run('get_extension_logs', { extensionId, limit: 1 });
    const { total, dropped, droppedAtSource } = structured as Record<string, number>;
    expect(Number(total) + Number(dropped) + Number(droppedAtSource)).toBe(10_001);
    expect(droppedAtSource).toBeGreaterThan(0);
    expect(text).toContain(`${droppedAtSource} lines were dropped: the first`);
    await tools.run('get_extension_logs', { extensionId, keepAlive: false });
  });

  test('a worker that logs without end: what it has logged is asked for, and at once no more', async () => {
    const sent: string[] = [];
    const session = Object.assign(new EventEmitter(), {
      send(method: string) {
        sent.push(method);
        session.emit('Runtime.consoleAPICalled', { type: 'log', args: [], timestamp: sent.length });
        return Promise.resolve({});
      },
    });
    const sentBefore: string[][] = [];
    const scope = { untilAborted: (answer: Promise<unknown>) => (sentBefore.push([...sent]), answer) };
    const log = new ExtensionLog();
    await log.captureFromWorker(scope as unknown as CdpScope, 'a', 'worker', session as unknown as CDPSession);
    expect(sentBefore[0]).toEqual(['Runtime.enable', 'Runtime.disable', 'Log.enable', 'Log.disable']);
    expect(log.read().entries).toHaveLength(4);
  });

  test('an extension that closes tabs: the call that opens one says so', async () => {
    const code = 'chrome.tabs.onCreated.addListener(({ id }) => chrome.tabs.remove(id));';
    const extensionId = await tools.install('Closing', { background: { service_worker: 'w.js' } }, { 'w.js': code });
    await expect(tools.browser.newPage()).rejects.toThrow(
      'was closed or crashed as it opened. Does an extension do that to tabs?',
    );
    await tools.run('uninstall_extension', { extensionId });
    await tools.browser.closePage((await tools.browser.newPage()).id);
  });

  test('a content script that does not end holds its page no longer than its extension is installed', async () => {
    const loops = ['setTimeout(() => { for (;;); }, 100);', 'setInterval(() => { for (;;); }, 100);'];
    for (const [index, code] of loops.entries()) {
      const extensionId = await tools.install(
        `Holding ${index}`,
        { content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['c.js'] }] },
        { 'c.js': code },
      );
      const pageId = await tools.openPage('/settled.html');
      const page = tools.browser.pages().find(({ id }) => id === pageId);
      const answers = (): Promise<boolean> =>
        page === undefined ? Promise.resolve(true) : page.isAnswering(new AbortController().signal);
      await waitUntil(async () => !(await answers()));
      const text = await tools.text('uninstall_extension', { extensionId });
      expect(text).toContain(`Page ${pageId} was blocked by a script, which was terminated.`);
      await waitUntil(answers);
      // A timer that held it would do so again.
      const waits = () => page?.page.evaluate('new Promise((done) => setTimeout(done, 300, true))').catch(() => false);
      await waitUntil(async () => (await waits()) === true);
      await tools.browser.closePage(pageId);
    }
  });

  test('a content script that logs without end: the page, its extension and what came last can be asked for', async () => {
    const code = 'let n = 0; setInterval(() => { for (let i = 0; i < 100; i++) console.log("endless", n++); }, 10);';
    const extensionId = await tools.install(
      'Endless',
      { content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['c.js'] }] },
      { 'c.js': code },
    );
    const pageId = await tools.openPage('/settled.html');
    const page = tools.browser.pages().find(({ id }) => id === pageId);
    const isWarned = (): boolean =>
      page?.console.read().entries.some(({ value }) => value.text.startsWith('Messages came faster')) ?? false;
    await waitUntil(() => Promise.resolve(isWarned()));
    expect(await page?.page.evaluate(() => 1 + 1)).toBe(2);
    await tools.run('get_extension_details', { extensionId });
    const { text } = await tools.run('get_extension_logs', { extensionId, limit: 1 });
    expect(text).toMatch(/More than \d+ lines were dropped/);
    await tools.run('uninstall_extension', { extensionId });
    await tools.browser.closePage(pageId);
  });

  test('errors that differ only in numbers take one line, and an answer has at most ten', () => {
    const errors = Array.from({ length: 300 }, (_, at) => ({ text: `boom ${at}`, place: `worker.js:${at % 2}` }));
    expect(mergedErrors([...errors, ...errors])).toEqual([
      'boom 0 (worker.js:0; and 149 more that differ only in numbers)',
      'boom 1 (worker.js:1; and 149 more that differ only in numbers)',
    ]);
    const many = Array.from({ length: 12 }, (_, at) => ({ text: 'x'.repeat(at), place: '' }));
    expect(mergedErrors(many).slice(9)).toEqual([
      'xxxxxxxxx',
      '2 further errors: get_extension_runtime_errors lists them.',
    ]);
  });
});
