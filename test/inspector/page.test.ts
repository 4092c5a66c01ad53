import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { chromium } from '../support/chromium.js';
import { connectClient, serve, type Served } from '../support/serve.js';
import { FakePool } from '../support/fakePool.js';
import { TestTools } from '../support/testTools.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let browser: Browser;
/** What a test has opened, closed after it in the opposite order, however it went. */
const opened: { close(): Promise<void> }[] = [];

function keep<Thing extends { close(): Promise<void> }>(thing: Thing): Thing {
  opened.unshift(thing);
  return thing;
}

afterEach(async () => {
  for (const thing of opened.splice(0)) await thing.close();
});

beforeAll(async () => {
  browser = await puppeteer.launch({ executablePath: chromium, args: ['--no-sandbox'] });
});

afterAll(() => browser.close());

/** A page of the inspector that keeps what it asked for and what went wrong in it. */
class Watching {
  readonly requests: string[] = [];
  readonly errors: string[] = [];
  readonly page: Page;

  private constructor(page: Page) {
    this.page = page;
    page.on('request', (request) => this.requests.push(new URL(request.url()).origin));
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warn') this.errors.push(message.text());
    });
  }

  static async open(url: string, theme: 'light' | 'dark' = 'light', width = 1280): Promise<Watching> {
    const page = await browser.newPage();
    await page.setViewport({ width, height: 860 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }]);
    const watching = keep(new Watching(page));
    await page.goto(`${url}/inspector`);
    await watching.shows('.link.live');
    return watching;
  }

  async go(hash: string, selector: string): Promise<void> {
    await this.page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
    await this.shows(selector);
  }

  /** Resolves when an element fits the selector and, if one is given, has the text. */
  shows(selector: string, text = ''): Promise<void> {
    const wanted = [selector, text].map((value) => JSON.stringify(value));
    return this.until(
      `(css, text) => [...document.querySelectorAll(css)].some((one) => one.textContent.includes(text))`,
      wanted,
    );
  }

  /** Looks at the start and after each change of the document. Puppeteer's own waiting needs an eval, which the policy stops. */
  async until(condition: string, args: readonly string[] = []): Promise<void> {
    await this.page.evaluate(`new Promise((resolve) => {
      const look = () => {
        if (!(${condition})(${args.join(', ')})) return;
        observer.disconnect();
        resolve();
      };
      const observer = new MutationObserver(look);
      observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
      look();
    })`);
  }

  /** What axe finds wrong, as `rule: element`. */
  async violations(): Promise<string[]> {
    // Scripts of the test are not the page's: its policy would stop them.
    await this.page.evaluate(axe);
    const found: unknown = await this.page.evaluate(`axe.run().then(({ violations }) =>
      violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => id + ': ' + target.join(' '))))`);
    return found as string[];
  }

  close(): Promise<void> {
    return this.page.close();
  }
}

const lit = (state: string): string => `[data-chart="session"] [data-state="${state}"].leaf`;

describe.each(['light', 'dark'] as const)('in %s', (theme) => {
  test('[C-INSPECTOR] a session is followed from its first state to its end and the reason', async () => {
    const pool = new FakePool();
    const tools = new TestTools();
    const served = keep(await serve({ pool, tools: tools.all }));
    const watching = await Watching.open(served.url, theme);
    expect(await watching.violations()).toEqual([]);

    pool.hold();
    const connecting = connectClient(served.url, '/sse?userId=anna');
    await pool.whenWaiting();
    await watching.shows('tbody tr', 'created');
    await watching.shows('tbody tr', 'anna');
    const id = String(await watching.page.evaluate(`document.querySelector('tbody tr[data-id]').dataset.id`));
    await watching.go(`#/session/${id}`, lit('created.browser.leasing'));

    pool.open();
    const client = await connecting;
    await watching.shows(lit('active.serving.idle'));
    const holding = client.callTool({ name: 'hold', arguments: {} });
    await watching.shows(lit('active.serving.busy'));
    tools.release();
    await holding;
    await watching.shows('.timeline .call', 'hold');
    await watching.shows('.heading dd', 'test-client 1.0.0');
    expect(await watching.violations()).toEqual([]);

    await client.close();
    await watching.shows(lit('closed'));
    await watching.shows('.ending', 'The client left.');
    await watching.shows('.heading .chip', 'client-closed');
    await watching.go('#/overview', '.overview');
    await watching.shows('.bars', 'The client left.');
    expect(await watching.violations()).toEqual([]);
    expect(new Set(watching.requests)).toEqual(new Set([served.url]));
    expect(watching.errors).toEqual([]);
  });
});

describe('one server', () => {
  let served: Served;

  beforeAll(async () => {
    served = await serve({ tools: new TestTools().all });
  });

  afterAll(() => served.close());

  test('[C-INSPECTOR] one can step back through what happened, and the chart follows', async () => {
    const client = await connectClient(served.url);
    await client.callTool({ name: 'echo', arguments: { value: 'secret-value' } });
    const watching = await Watching.open(served.url);
    await watching.page.click('tbody tr[data-id] a');
    await watching.shows(lit('active.serving.idle'));
    await watching.page.keyboard.press('ArrowLeft');
    await watching.shows(lit('active.serving.busy'));
    await watching.page.keyboard.press('Escape');
    await watching.shows(lit('active.serving.idle'));
    await watching.page.click('.tabs [role=group] button:last-child');
    await watching.shows('.sequence', 'announced');
    await watching.shows('.sequence', 'echo: ok');
    expect(await watching.violations()).toEqual([]);
    expect(await watching.page.content()).not.toContain('secret-value');
    await client.close();
  });

  test('[C-INSPECTOR] what is said is shown to those who ask, and what is private in it is told by its length', async () => {
    const client = await connectClient(served.url);
    const watching = await Watching.open(served.url);
    await watching.page.click('tbody tr[data-id] a');
    await watching.shows(lit('active.serving.idle'));
    expect(await watching.page.$('.payload')).toBeNull();
    const listening = watching.page.waitForResponse((response) => response.url().endsWith('&contents=1'));
    await watching.page.click('.tabs > button');
    await listening;
    await watching.shows('.hint', 'type and length alone');
    await client.callTool({ name: 'echo', arguments: { value: 'secret-value' } });
    await watching.shows('.payload summary', 'tools/call');
    await watching.shows('.payload pre', '"value": "‹text, 12 characters›"');
    await watching.page.click('.payload summary');
    expect(await watching.violations()).toEqual([]);
    expect(await watching.page.content()).not.toContain('secret-value');
    await client.close();
  });

  test('[C-INSPECTOR] the table is filtered by text and walked by keys, also where it is narrow', async () => {
    const users = ['anna', 'bert', 'clara'];
    const clients = await Promise.all(users.map((user) => connectClient(served.url, `/sse?userId=${user}`)));
    const watching = await Watching.open(served.url, 'light', 400);
    const { page } = watching;
    await watching.shows('tbody', 'clara');
    await page.keyboard.press('/');
    await page.keyboard.type('bert');
    await watching.until(`() => document.querySelectorAll('tbody tr[data-id]').length === 1`);
    const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    expect(overflow).toBeLessThanOrEqual(0);
    expect(await watching.violations()).toEqual([]);
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    await watching.shows('tr.selected');
    await page.keyboard.press('Enter');
    await watching.shows('.heading dd', 'bert');
    await Promise.all(clients.map((client) => client.close()));
  });

  test('[C-INSPECTOR] a session that nobody knows is explained, and so is what has no session', async () => {
    const watching = await Watching.open(served.url);
    await watching.go('#/session/AAAAAAAA', '.blank');
    await watching.shows('h2', 'AAAAAAAA is not known here');
    expect(await watching.violations()).toEqual([]);
  });
});

test('[C-INSPECTOR] a page whose server restarts says so, comes back by itself, and shows the new one', async () => {
  const first = await serve();
  const { port } = new URL(first.url);
  const watching = await Watching.open(first.url);
  await first.close();
  await watching.shows('.notice', 'is lost');
  expect(await watching.violations()).toEqual([]);
  const second = keep(await serve({ options: { port: Number(port) } }));
  const client = await connectClient(second.url, '/sse?userId=newcomer');
  await watching.shows('.notice', 'was restarted');
  await watching.shows('tbody', 'newcomer');
  await client.close();
});
