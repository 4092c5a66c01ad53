import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { consoleTools } from '../../src/tools/consoleTools.js';
import { waitUntilFound } from '../browser/support/collectedPage.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let server: PageServer;
let harness: ToolHarness;

beforeAll(async () => {
  server = await startPageServer();
  harness = await startToolHarness(consoleTools);
  const { page } = harness.browser.page();
  await page.goto(`${server.url}/console.html`);
  await page.evaluate('sayKinds(); sayAgain(3); throwLater()');
  await waitUntilFound(async () => {
    const text = await list();
    return text.includes('Ada') && text.includes('thrown on purpose') ? true : undefined;
  });
});

afterAll(async () => {
  await harness.close();
  await server.close();
});

const list = (args: object = {}): Promise<string> => harness.text('list_console_messages', { ...args });

describe('list_console_messages', () => {
  it('has a line a message with level, count, text and place', async () => {
    const text = await list();
    expect(text).toContain(`On ${server.url}/console.html:\n`);
    expect(text).toMatch(/^#\d+ info log: plain \(http:.*console\.html:12:\d+\)$/m);
    expect(text).toMatch(/^#\d+ info log x3: again \(/m);
    expect(text).toMatch(/^#\d+ error exception: Uncaught TypeError: thrown on purpose \(/m);
  });

  it('filters by level, type and text', async () => {
    const rows = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('#'));
    expect(rows(await list({ types: ['warning'] }))).toEqual([expect.stringContaining('warning: careful')]);
    expect(rows(await list({ types: ['exception', 'assert'] }))).toHaveLength(2);
    expect(rows(await list({ text: 'ADA' }))).toEqual([expect.stringContaining('{name: "Ada", born: 1815}')]);
  });

  it('pages from the newest', async () => {
    const { structured, text } = await harness.run('list_console_messages', { limit: 2, page: 2 });
    expect(structured).toMatchObject({ total: 10, page: 2, pages: 5 });
    expect((structured['messages'] as { text: string }[]).map((message) => message.text)).toEqual([
      expect.stringContaining('Ada'),
      'group',
    ]);
    expect(text).toContain('Page 2 of 5 (10 in all');
  });

  it('answers a cursor with nothing but news', async () => {
    const { structured } = await harness.run('list_console_messages');
    expect(await list({ since: structured['cursor'] })).toContain('Nothing new since then.');
    await harness.browser.page().page.evaluate('console.info("news")');
    await waitUntilFound(async () =>
      (await list({ since: structured['cursor'] })).includes('news') ? true : undefined,
    );
    expect(await list({ since: structured['cursor'] })).not.toContain('plain');
    expect(await harness.refusal('list_console_messages', { since: '7' })).toContain('is not a cursor');
  });
});

describe('get_console_message', () => {
  it('has the arguments and the stack', async () => {
    const { structured } = await harness.run('list_console_messages', { text: 'thrown on purpose' });
    const [row] = structured['messages'] as { id: number }[];
    const { text } = await harness.run('get_console_message', { id: row?.id });
    expect(text).toContain('Argument 1: TypeError: thrown on purpose');
    expect(text).toMatch(/Stack:\n {2}at failing \(http:.*console\.html:\d+:\d+\)/);
  });

  it('says which id is unknown and where ids come from', async () => {
    expect(await harness.refusal('get_console_message', { id: 9999 })).toBe(
      'There is no console message 9999 on this page, or it was dropped. list_console_messages shows the kept ones.',
    );
  });
});

describe('errors and values', () => {
  const run = (expression: string): Promise<unknown> => harness.browser.page().page.evaluate(expression);
  const rowWith = async (wanted: string): Promise<{ id: number; text: string }> => {
    const rows = async (): Promise<{ id: number; text: string }[]> => {
      const { structured } = await harness.run('list_console_messages', { limit: 100 });
      return structured['messages'] as { id: number; text: string }[];
    };
    return waitUntilFound(async () => (await rows()).find(({ text }) => text.includes(wanted)));
  };

  it('tell what caused an error, with its place, and the fields of the error', async () => {
    await run(`setTimeout(function outer() {
      try { (function low() { null.x; })(); } catch (cause) {
        throw Object.assign(new Error('mid failed', { cause }), { status: 503 });
      }
    })`);
    const { id, text } = await rowWith('mid failed');
    expect(text).toMatch(/^Uncaught Error: mid failed \(caused by: TypeError: Cannot read .*null/);
    const whole = await harness.text('get_console_message', { id });
    expect(whole).toContain('{status: 503}\nCaused by: TypeError: Cannot read');
    expect(whole).toMatch(/\n {4}at low \(/);
    expect(whole.match(/at outer/g)).toHaveLength(2);
  });

  it('tell the errors that one is made of, also where it is logged', async () => {
    await run(`void Promise.any([Promise.reject(new Error('north')), Promise.reject(new RangeError('south'))])`);
    expect((await rowWith('AggregateError')).text).toContain('(one of it: Error: north; one of it: RangeError: south)');
    await run(`console.error('gave up', new Error('shown', { cause: 'a text' }))`);
    expect((await rowWith('gave up')).text).toContain('gave up Error: shown (caused by: a text)');
    await run(`console.log('held', { failure: new TypeError('within', { cause: new Error('deeper') }) })`);
    expect((await rowWith('held')).text).toContain('{failure: TypeError: within (caused by Error: deeper)}');
  });

  it('come once for equal errors with a cause', async () => {
    await run(`for (const cause of [1, 1, 1]) console.error(new Error('again and again', { cause }));`);
    const { id } = await rowWith('again and again');
    expect(await harness.text('get_console_message', { id })).toContain('x3: Error: again and again');
  });

  it('are whole in a burst, and said to be a part where a page logs faster than they are read', async () => {
    await run(`for (let i = 0; i < 100; i++) console.log('burst', { user: { name: 'n' + i } });`);
    const { structured } = await harness.run('list_console_messages', { text: 'burst', limit: 100 });
    const texts = (structured['messages'] as { text: string }[]).map(({ text }) => text);
    expect(texts).toEqual(Array.from({ length: 100 }, (_, index) => `burst {user: {name: "n${index}"}}`));
    await run(`for (let i = 0; i < 2500; i++) console.log('flood', { user: { name: 'n' + i } });`);
    expect((await rowWith('flood')).text).toContain('a part of it: the page logged faster than values are read');
  });

  it('show a recursion once', async () => {
    await run(`setTimeout(() => { (function down(n) { if (n === 0) throw new Error('deep'); down(n - 1); })(9); })`);
    const { id } = await rowWith('deep');
    expect(await harness.text('get_console_message', { id })).toMatch(/at down \(.*\) x9\n/);
  });
});

test('what a content script logs names its extension once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'console-extension-'));
  const scripts = [{ matches: ['http://127.0.0.1/*'], js: ['content.js'] }];
  const manifest = { manifest_version: 3, name: 'Says', version: '1', content_scripts: scripts };
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
  await writeFile(join(folder, 'content.js'), 'console.log("from the content script");');
  const id = await harness.browser.browser.installExtension(folder);
  const page = await harness.browser.newPage();
  await page.page.goto(`${server.url}/settled.html`);
  const args = { pageId: page.id, text: 'from the content script' };
  await waitUntilFound(async () => ((await list(args)).includes('content.js') ? true : undefined));
  expect(await list(args)).toMatch(new RegExp(`\\(content\\.js:1:\\d+\\) \\[extension ${id}\\]`));
  await harness.browser.closePage(page.id);
  await rm(folder, { recursive: true });
});
