import puppeteer, { type Browser } from 'puppeteer-core';
import { chromium, chromiumFlags } from '../support/chromium.js';
import { RawSse } from '../support/rawSse.js';
import { connectClient, startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { lit, InspectorPage } from './support/inspectorPage.js';

let browser: Browser;
let served: TestServer;
let watching: InspectorPage | undefined;

beforeAll(async () => {
  browser = await puppeteer.launch({ executablePath: chromium, args: [...chromiumFlags] });
  served = await startTestServer({ tools: new TestTools().all, options: { userQuota: ['processes=4'] } });
});

afterEach(async () => {
  await watching?.close();
  watching = undefined;
});

afterAll(async () => {
  await browser.close();
  await served.close();
});

describe.each([1280, 400])('at a width of %i', (width) => {
  test('[C-INSPECTOR] no view is cut, and axe finds nothing in any of them, in light and dark', async () => {
    // More than are drawn at once.
    const streams = Array.from(
      { length: 45 },
      (_, index) => new RawSse(served.url, { path: `/sse?userId=user${index}` }),
    );
    await Promise.all(streams.map((stream) => stream.when(({ events }) => events.length > 0)));
    const [session] = served.orchestrator.registry.list();
    const page = (watching = await InspectorPage.open(browser, served.url, 'light', width));
    const views = [
      ['#/sessions', 'tbody tr[data-id]'],
      ['#/overview', '.others'],
      [`#/session/${session?.id.slice(0, 8)}`, '.timeline li'],
      ['#/session/AAAAAAAA', '.blank'],
    ] as const;
    for (const [hash, selector] of views) {
      await page.go(hash, selector);
      for (const theme of ['light', 'dark'] as const) {
        await page.wear(theme);
        expect([hash, theme, await page.violations(), await page.cut()]).toEqual([hash, theme, [], []]);
      }
    }
    await Promise.all(streams.map((stream) => stream.disconnect()));
  });
});

test('[C-INSPECTOR] every view is reached and left, and a session stepped through, by keys alone', async () => {
  const client = await connectClient(served.url, '/sse?userId=keys');
  await client.callTool({ name: 'echo', arguments: { value: 'x' } });
  watching = await InspectorPage.open(browser, served.url);
  const { keyboard } = watching.page;
  await watching.shows('tbody', 'keys');
  await keyboard.press('j');
  await watching.shows('tr.selected');
  await keyboard.press('Enter');
  await watching.shows(lit('active.serving.idle'));
  await keyboard.press('ArrowLeft');
  await watching.shows(lit('active.serving.busy'));
  await watching.focus('.travel .now');
  await keyboard.press('Enter');
  await watching.shows(lit('active.serving.idle'));
  await watching.focus('.tabs [role=group] button:last-child');
  await keyboard.press('Enter');
  await watching.shows('.sequence', 'announced');
  await keyboard.press('Escape');
  await watching.shows('tbody', 'keys');
  await watching.focus('nav a:last-child');
  await keyboard.press('Enter');
  await watching.shows('.overview');
  // The same as GET /api/usage, of its quotas.
  await watching.shows('.use', 'keys');
  await watching.shows('.use', '1 session');
  await watching.shows('.use', 'processes 0 of 4 · browser time today');
  await client.close();
});
