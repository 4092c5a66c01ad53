import { join } from 'node:path';
import puppeteer, { type Browser } from 'puppeteer-core';
import { chromium, chromiumFlags } from '../support/chromium.js';
import { connectClient, startTestServer, type TestServer } from '../support/testServer.js';
import { createOrchestrator } from '../../src/server/orchestrator.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { ManualClock } from '../support/manualClock.js';
import { TestTools } from '../support/testTools.js';
import { lit, InspectorPage } from './support/inspectorPage.js';
import { root } from '../support/root.js';

let browser: Browser;
/** What a test has opened, closed after it in the opposite order, however it went. */
const opened: { close(): Promise<void> }[] = [];

function keep<Thing extends { close(): Promise<void> }>(thing: Thing): Thing {
  opened.unshift(thing);
  return thing;
}

const watch = async (...[url, theme, width]: [string, ('light' | 'dark')?, number?]): Promise<InspectorPage> =>
  keep(await InspectorPage.open(browser, url, theme, width));

afterEach(async () => {
  for (const thing of opened.splice(0)) await thing.close();
});

beforeAll(async () => {
  browser = await puppeteer.launch({ executablePath: chromium, args: [...chromiumFlags] });
});

afterAll(() => browser.close());

describe.each(['light', 'dark'] as const)('in %s', (theme) => {
  test('[C-INSPECTOR] a session is followed from its first state to its end and the reason', async () => {
    const pool = new FakeBrowserPool();
    const tools = new TestTools();
    const served = keep(await startTestServer({ pool, tools: tools.all }));
    const watching = await watch(served.url, theme);
    expect(await watching.violations()).toEqual([]);

    pool.holdLeases();
    const connecting = connectClient(served.url, '/sse?userId=anna');
    await pool.whenWaiting();
    await watching.shows('tbody tr', 'created');
    await watching.shows('tbody tr', 'anna');
    const id = String(await watching.page.evaluate(`document.querySelector('tbody tr[data-id]').dataset.id`));
    await watching.go(`#/session/${id}`, lit('created.browser.leasing'));

    pool.releaseLeases();
    const client = await connecting;
    await watching.shows(lit('active.serving.idle'));
    const holding = client.callTool({ name: 'hold', arguments: {} });
    await watching.shows(lit('active.serving.busy'));
    tools.releaseCalls();
    await holding;
    await watching.shows('.timeline .call', 'hold');
    await watching.shows('.heading dd', 'test-client 1.0.0');
    expect(await watching.violations()).toEqual([]);

    await client.close();
    await watching.shows(lit('closed'));
    await watching.shows('.ending', 'The client closed it.');
    await watching.shows('.heading .chip', 'client-closed');
    await watching.go('#/overview', '.overview');
    await watching.shows('.bars', 'The client closed it.');
    expect(await watching.violations()).toEqual([]);
    expect(new Set(watching.requests)).toEqual(new Set([served.url]));
    expect(watching.errors).toEqual([]);
  });
});

describe('one server', () => {
  let served: TestServer;

  beforeAll(async () => {
    served = await startTestServer({ tools: new TestTools().all });
  });

  afterAll(() => served.close());

  test('[C-INSPECTOR] one can step back through what happened, and the chart follows', async () => {
    const client = await connectClient(served.url);
    await client.callTool({ name: 'echo', arguments: { value: 'secret-value' } });
    const watching = await watch(served.url);
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

  test('[C-INSPECTOR] a failed call has its reason, calls are told from the rest, and a session can be ended', async () => {
    const client = await connectClient(served.url);
    await client.callTool({ name: 'fail', arguments: { how: 'tool' } });
    await client.callTool({ name: 'echo', arguments: { value: 'x' } });
    const id = served.orchestrator.registry.list().at(-1)?.id.slice(0, 8);
    const watching = await watch(served.url);
    await watching.go(`#/session/${id}`, lit('active.serving.idle'));
    await watching.shows('.timeline .call.failed .reason', 'No page is open');
    const rows = `document.querySelectorAll('.timeline li').length`;
    await watching.until(`() => ${rows} > 3`);
    await watching.page.click('.tabs [aria-label=Entries] button:last-child');
    await watching.until(`() => ${rows} === 1`);
    expect(await watching.violations()).toEqual([]);
    watching.page.once('dialog', (dialog) => void dialog.accept());
    await watching.page.click('button.end');
    await watching.shows(lit('closed'));
    await watching.shows('.heading .chip', 'operator-closed');
    await watching.go('#/overview', '.overview');
    await watching.shows('.tiles', 'calls a minute');
    expect(watching.errors).toEqual([]);
    await client.close().catch(() => undefined);
  });

  test('[C-INSPECTOR] what is said is shown to those who ask, and what is private in it is told by its length', async () => {
    const client = await connectClient(served.url);
    const session = served.orchestrator.registry.list().at(-1);
    const watching = await watch(served.url);
    // The table may not have it yet: it is as it was at the last frame for the page before.
    await watching.go(`#/session/${session?.id.slice(0, 8)}`, lit('active.serving.idle'));
    expect(await watching.page.$('.payload')).toBeNull();
    const listening = watching.page.waitForResponse((response) => response.url().endsWith('&contents=1'));
    await watching.page.click('.tabs > button');
    await listening;
    await watching.shows('.hint', 'replaced by their type and length');
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
    const watching = await watch(served.url, 'light', 400);
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
    const watching = await watch(served.url);
    await watching.go('#/session/AAAAAAAA', '.blank');
    await watching.shows('h2', 'AAAAAAAA is not known here');
    expect(await watching.violations()).toEqual([]);
  });
});

test('[C-INSPECTOR] a page whose server restarts says so, comes back by itself, and shows the new one', async () => {
  const first = await startTestServer();
  const { port } = new URL(first.url);
  const watching = await watch(first.url);
  await first.close();
  await watching.shows('.notice', 'is lost');
  expect(await watching.violations()).toEqual([]);
  const second = keep(await startTestServer({ options: { port: Number(port) } }));
  const client = await connectClient(second.url, '/sse?userId=newcomer');
  await watching.shows('.notice', 'was restarted');
  await watching.shows('tbody', 'newcomer');
  await client.close();
});

test('[C-INSPECTOR] each transition is lit one frame later, less than a second after its moment on the clock of the server', async () => {
  const clock = new ManualClock();
  const pool = new FakeBrowserPool();
  const tools = new TestTools();
  const served = keep(await startTestServer({ pool, tools: tools.all, clock }));
  const watching = await watch(served.url);
  const frame = (): void => clock.advance(250);
  pool.holdLeases();
  const connecting = connectClient(served.url, '/sse?userId=anna');
  await pool.whenWaiting();
  frame();
  await watching.shows('tbody tr', 'anna');
  await watching.shows('tbody tr', 'created');
  const [session] = served.orchestrator.registry.list();
  await watching.go(`#/session/${session?.id.slice(0, 8)}`, lit('created.browser.leasing'));
  pool.releaseLeases();
  const client = await connecting;
  frame();
  await watching.shows(lit('active.serving.idle'));
  const holding = client.callTool({ name: 'hold', arguments: {} });
  await tools.whenHeld();
  frame();
  await watching.shows(lit('active.serving.busy'));
  tools.releaseCalls();
  await holding;
  frame();
  await watching.shows(lit('active.serving.idle'));
  await client.close();
  await session?.ended;
  frame();
  await watching.shows(lit('closed'));
  await watching.shows('.ending', 'The client closed it.');
  const waits = watching.frames.flatMap(({ now, detail }) => detail?.entries.map(({ at }) => now - at) ?? []);
  expect(waits.length).toBeGreaterThan(10);
  expect(Math.max(...waits)).toBeLessThan(1_000);
});

test('[C-INSPECTOR] beside a session is the chart of its own browser, also after it moved to a process of its own', async () => {
  const orchestrator = keep(await createOrchestrator({ options: { port: 0, prewarm: 0, tools: ['all'] } }));
  const { url } = await orchestrator.listen();
  const [moving, staying] = [
    await connectClient(url, '/sse?userId=moving'),
    await connectClient(url, '/sse?userId=staying'),
  ];
  const idOf = (user: string) =>
    orchestrator.registry
      .list()
      .find((session) => session.user === user)
      ?.id.slice(0, 8);
  const watching = await watch(url);
  const caption = '.others figure .legend';
  await watching.go(`#/session/${idOf('moving')}`, caption);
  await watching.shows(caption, 'launch-1: open.ready');
  const path = join(root, 'src/selftest/extension');
  await moving.callTool({ name: 'install_extension', arguments: { path } });
  await watching.shows(caption, 'launch-2: open.ready');
  await watching.go(`#/session/${idOf('staying')}`, caption);
  await watching.shows(caption, 'launch-1: open.ready');
  await Promise.all([moving.close(), staying.close()]);
});
