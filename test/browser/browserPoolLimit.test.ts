import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SessionPage } from '../../src/browser/page/sessionPage.js';
import type { SessionBrowser } from '../../src/browser/pool/sessionBrowser.js';
import { ManualClock } from '../support/manualClock.js';
import { residentMemory } from '../../src/browser/process/chromeProcess.js';
import {
  recordingListener,
  openTestPool,
  leaseRequest,
  waitUntil,
  withFirstPage,
  type TestPool,
} from './support/testPool.js';

const signal = new AbortController().signal;

describe('[C-BROWSERS] a pool that may run one process beside the shared one', () => {
  let test: TestPool;
  beforeAll(async () => {
    test = await openTestPool({ maxBrowsers: 2, browserQueue: 1 });
  });
  afterAll(async () => {
    expect(await test.close()).toEqual([]);
    for (const { opened, closed } of Object.values(test.pool.ledger)) expect(closed).toBe(opened);
  });

  it('lets the next one wait, tells it its position, and gives it the place of the one that ends', async () => {
    const [first, second, third] = ['first', 'second', 'third'].map((id) =>
      test.pool.lease(leaseRequest('auto', id), recordingListener()),
    );
    if (!first || !second || !third) throw new Error('unreachable');
    const [one, two, three] = [await first.browser(), await second.browser(), await third.browser()];
    await one.ensureProcess(signal);
    const positions: number[] = [];
    const moving = two.ensureProcess(signal, (position) => positions.push(position));
    await waitUntil(() => test.pool.health().queued === 1);
    await expect(three.ensureProcess(signal)).rejects.toMatchObject({ reason: 'browsers_busy' });
    expect([positions, two.isolation, three.isolation, three.isAlive]).toEqual([[1], 'context', 'context', true]);
    expect(test.pool.health().total).toBe(2);
    await first.release();
    await moving;
    expect([two.isolation, test.pool.health().total, test.pool.health().queued]).toEqual(['process', 2, 0]);
    await Promise.all([second.release(), third.release()]);
  });

  it('[S5] forgets who cancels or ends while it waits; who asks again waits again', async () => {
    const [first, second] = [
      test.pool.lease(leaseRequest('process'), recordingListener()),
      test.pool.lease(leaseRequest('process'), recordingListener()),
    ];
    await first.browser();
    const cancel = new AbortController();
    const cancelled = second.browser(cancel.signal);
    await waitUntil(() => test.pool.health().queued === 1);
    cancel.abort(new Error('cancelled'));
    const again = second.browser();
    await expect(cancelled).rejects.toThrow('cancelled');
    await waitUntil(() => test.pool.health().queued === 1);
    const released = second.release();
    await expect(again).rejects.toThrow('released');
    await released;
    expect(test.pool.health().queued).toBe(0);
    await first.release();
  });

  it('tells the memory of its processes with their children, where the system does', async () => {
    expect([0, null]).toContain(await residentMemory([]));
    const lease = test.pool.lease(leaseRequest('process'), recordingListener());
    await withFirstPage(lease);
    const bytes = await test.pool.memory();
    if (process.platform === 'linux') expect(bytes).toBeGreaterThan(50 * 1024 ** 2);
    await lease.release();
  });
});

describe('pages that nobody uses for a while', () => {
  const clock = new ManualClock();
  const minutes = 60_000;
  let test: TestPool;
  let site: Server;
  let url: string;

  beforeAll(async () => {
    site = createServer((asked, answer) => {
      answer.setHeader('content-type', 'text/html');
      answer.end(
        `<title>${asked.url}</title><script>document.cookie = document.cookie ? 'late=1' : 'first=1'</script>`,
      );
    });
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
    test = await openTestPool({ discardPagesAfter: 10 * minutes }, {}, { clock });
  });

  afterAll(async () => {
    expect(await test.close()).toEqual([]);
    site.close();
    site.closeAllConnections();
  });

  const open = async (browser: SessionBrowser, path: string) => {
    const page = await browser.newPage();
    await page.page.goto(url + path);
    return page;
  };
  const closed = (page: SessionPage) => once(page.closedSignal, 'abort');

  it('are closed, and opened again by the next call: their context stays, and so do pages with something in them', async () => {
    const lease = test.pool.lease(leaseRequest('context'), recordingListener());
    const browser = await lease.browser();
    const read = await open(browser, '/read');
    const typed = await open(browser, '/typed');
    typed.isEdited = true;
    await typed.page.evaluate('window.kept = "yes"');
    browser.select(read.id);
    await read.emulation.apply({ colorScheme: 'dark' });

    clock.advance(9 * minutes);
    await lease.browser();
    clock.advance(9 * minutes);
    expect([read.isClosed, typed.isClosed]).toEqual([false, false]);
    const closing = closed(read);
    clock.advance(4 * minutes);
    await closing;
    expect(lease.resumeState?.lost.pages.map(({ id }) => id).toSorted()).toEqual([read.id, typed.id]);

    expect(await lease.browser()).toBe(browser);
    expect(browser.pages().map(({ id }) => id)).toEqual([read.id, typed.id]);
    const again = browser.page();
    expect([again.id, again.url(), await again.title()]).toEqual([read.id, `${url}/read`, '/read']);
    expect(await again.page.evaluate('document.cookie')).toContain('late=1');
    expect(await again.page.evaluate('matchMedia("(prefers-color-scheme: dark)").matches')).toBe(true);
    expect(await browser.page(typed.id).page.evaluate('window.kept')).toBe('yes');
    expect(browser.takeNotices()).toEqual([expect.stringMatching(/^Closed while nobody used them.*: \d+ \S+\/read\./)]);
    await lease.release();
  });

  it('come back for two calls at once; a lease that ends meanwhile leaves nothing', async () => {
    const lease = test.pool.lease(leaseRequest('context'), recordingListener());
    const browser = await lease.browser();
    const page = await open(browser, '/one');
    const closing = closed(page);
    clock.advance(13 * minutes);
    await closing;
    await Promise.all([lease.browser(), lease.browser()]);
    expect(browser.pages().map((each) => each.url())).toEqual([`${url}/one`]);
    clock.advance(13 * minutes);
    await lease.release();
    const { contexts, pages } = test.pool.ledger;
    expect([contexts.closed, pages.closed]).toEqual([contexts.opened, pages.opened]);
  });
});
