import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import puppeteer from 'puppeteer-core';
import { attachBrowser, headersOf } from '../../src/browser/process/attachBrowser.js';
import { createResourceLedger } from '../../src/browser/process/browserConnection.js';
import { Refusal } from '../../src/errors/errors.js';
import {
  withFirstPage,
  recordingListener,
  openTestPool,
  browserPid,
  leaseRequest,
  waitUntil,
  type TestPool,
} from './support/testPool.js';
import { startUserChrome, type UserChrome } from './support/userChrome.js';

/** Contexts of a browser beside its profile. */
async function ownContexts({ url }: UserChrome): Promise<number> {
  const browser = await puppeteer.connect({ browserURL: url });
  const count = browser.browserContexts().length - 1;
  await browser.disconnect();
  return count;
}

describe('a pool that attaches to a running browser', () => {
  let chrome: UserChrome;
  let test: TestPool;

  beforeAll(async () => {
    chrome = await startUserChrome();
    test = await openTestPool({ browser: 'attach', browserUrl: [chrome.url] });
  });

  afterAll(async () => {
    expect(await test.close()).toEqual([]);
    for (const { opened, closed } of Object.values(test.pool.ledger)) expect(closed).toBe(opened);
    await chrome.end();
  });

  it('shares the tabs of the profile, each session with its own selection, and leaves used tabs open', async () => {
    const [one, two] = [
      test.pool.lease(leaseRequest('profile', 'one'), recordingListener()),
      test.pool.lease(leaseRequest('profile', 'two'), recordingListener()),
    ];
    const first = await withFirstPage(one);
    const second = await withFirstPage(two);
    expect(first).toMatchObject({ mode: 'attach', isolation: 'profile' });
    expect(first.pages()).toHaveLength(1);
    const used = await first.newPage();
    await used.page.goto('data:text/html,<title>used</title>');
    await first.newPage();
    await waitUntil(() => second.pages().length === 3);
    expect(second.selected?.id).toBe(1);
    expect(first.selected?.id).toBe(3);
    await first.ensureProcess(new AbortController().signal);
    await one.release();
    await waitUntil(() => second.pages().length === 2);
    expect(second.pages().map((page) => page.url())).toEqual(['about:blank', expect.stringContaining('used')]);
    await two.release();
    expect(chrome.process.exitCode).toBeNull();
  });

  it('gives a session a context of its own in the attached browser', async () => {
    const lease = test.pool.lease(leaseRequest('context'), recordingListener());
    const session = await withFirstPage(lease);
    expect(session.pages().map((page) => page.url())).toEqual(['about:blank']);
    expect(session.context).not.toBe(session.browser.defaultBrowserContext());
    await expect(session.ensureProcess(new AbortController().signal)).rejects.toThrow('--isolation profile');
    await lease.release();
  });

  it('finds the pages of a session as they were when only the connection broke, in a context of its own', async () => {
    const told = recordingListener();
    const lease = test.pool.lease(leaseRequest('context'), told);
    const before = await withFirstPage(lease);
    const { page } = before.page(1);
    await page.goto('data:text/html,<title>kept</title>');
    await page.evaluate('globalThis.count = 7');
    await before.page().emulation.apply({ userAgent: 'kept too' });
    const lost = told.next('lost');
    await before.browser.disconnect();
    await lost;
    const after = await lease.browser();
    expect(after.pages().map(({ id }) => id)).toEqual([1]);
    expect(await after.page(1).page.evaluate('[count, document.title, navigator.userAgent]')).toEqual([
      7,
      'kept',
      'kept too',
    ]);
    expect(after.takeNotices()).toEqual([
      expect.stringMatching(/connection.*lost. It is back. The pages are as they were/),
    ]);
    await lease.release();
    expect(await ownContexts(chrome)).toBe(0);
  });

  it('leaves the tabs of a profile their ids when only the connection broke', async () => {
    const told = recordingListener();
    const lease = test.pool.lease(leaseRequest('profile'), told);
    const before = await withFirstPage(lease);
    const second = await before.newPage();
    await second.page.goto('data:text/html,<title>second</title>');
    await before.page(1).page.goto('data:text/html,<title>first</title>');
    const lost = told.next('lost');
    await before.browser.disconnect();
    await lost;
    const after = await lease.browser();
    expect(after.page(1).url()).toContain('first');
    expect(after.page(second.id).url()).toContain('second');
    expect(after.selected?.id).toBe(second.id);
    await after.closePage(second.id);
    await lease.release();
  });

  it('gives up on a browser that is gone after a bounded number of tries, and tells the session why', async () => {
    const told = recordingListener();
    const lease = test.pool.lease(leaseRequest('profile'), told);
    await lease.browser();
    const [lost, failed] = [told.next('lost'), told.next('failed browser_unreachable')];
    await chrome.end();
    await lost;
    await failed;
    expect(told.events).toEqual(['lost', 'failed browser_unreachable']);
    expect(test.pool.health()).toMatchObject({ total: 1, failed: 1 });
    await lease.release();
  });

  it('reconnects when the browser is back', async () => {
    const port = Number(new URL(chrome.url).port);
    chrome = await startUserChrome(port);
    const lease = test.pool.lease(leaseRequest('profile'), recordingListener());
    expect((await withFirstPage(lease)).pages()).toHaveLength(1);
    await lease.release();
  });
});

describe('[C-BROWSERS] a pool of browsers that run elsewhere', () => {
  let chromes: readonly UserChrome[];
  let test: TestPool;

  beforeAll(async () => {
    chromes = await Promise.all([startUserChrome(), startUserChrome()]);
    test = await openTestPool({ browser: 'attach', browserUrl: chromes.map(({ url }) => url), isolation: 'context' });
  });

  afterAll(async () => {
    expect(await test.close()).toEqual([]);
    for (const { opened, closed } of Object.values(test.pool.ledger)) expect(closed).toBe(opened);
    await Promise.all(chromes.map((chrome) => chrome.end()));
  });

  it("is resumed by another node's lease, with the session's pages as they were", async () => {
    const others = await openTestPool({
      browser: 'attach',
      browserUrl: chromes.map(({ url }) => url).toReversed(),
      isolation: 'context',
    });
    const lease = test.pool.lease(leaseRequest('context'), recordingListener());
    const before = await withFirstPage(lease);
    const second = await before.newPage();
    await second.page.goto('data:text/html,<title>kept</title>');
    await second.page.evaluate('globalThis.count = 7');
    await before.closePage(1);
    const address = lease.resumeState;
    if (address === undefined) throw new Error('It has no address.');
    expect(JSON.stringify(address)).not.toContain(new URL(chromes[0]?.url ?? '').port);
    // As a server that died: its connections break, and it closes nothing.
    await before.browser.disconnect();
    const resume: unknown = JSON.parse(JSON.stringify(address));
    const taken = others.pool.lease(
      { ...leaseRequest('context'), resume: resume as typeof address },
      recordingListener(),
    );
    const after = await taken.browser();
    expect(after.pages().map(({ id, page }) => [id, page.url()])).toEqual([[2, second.url()]]);
    expect(await after.page(2).page.evaluate('count')).toBe(7);
    expect((await after.newPage()).id).toBe(3);
    expect(after.takeNotices()).toEqual([expect.stringContaining('The pages are as they were')]);
    await taken.release();
    await lease.release();
    expect(await others.close()).toEqual([]);
  });

  it('moves a session on when its browser cannot be had any more, and opens its pages again', async () => {
    const told = recordingListener();
    const leases = [
      test.pool.lease(leaseRequest('context', 'one'), told),
      test.pool.lease(leaseRequest('context', 'two'), recordingListener()),
    ];
    const [mine, others] = await Promise.all(leases.map((lease) => withFirstPage(lease)));
    if (mine === undefined || others === undefined) throw new Error('Two were asked for.');
    const processes = await Promise.all([mine, others].map((session) => browserPid(session)));
    expect(new Set(processes).size).toBe(2);
    await mine.page(1).page.goto('data:text/html,<title>again</title>');
    const ready = told.next('ready');
    await chromes.find(({ process: { pid } }) => pid === processes[0])?.end();
    await ready;
    expect(told.events).toEqual(['lost', 'ready']);
    const after = await leases[0]?.browser();
    expect(after === undefined ? undefined : await browserPid(after)).toBe(processes[1]);
    expect(await after?.page(1).page.title()).toBe('again');
    expect(after?.takeNotices()).toEqual([expect.stringMatching(/connection.*lost.*replaced.*opened again/)]);
    expect(test.pool.health()).toMatchObject({ total: 2, ready: 1, failed: 1 });
    await Promise.all(leases.map((lease) => lease.release()));
  });
});

describe("a user's own browser, in a pool that launches others", () => {
  let chrome: UserChrome;
  let test: TestPool;

  beforeAll(async () => {
    chrome = await startUserChrome();
    test = await openTestPool();
  });

  afterAll(async () => {
    expect(await test.close()).toEqual([]);
    for (const { opened, closed } of Object.values(test.pool.ledger)) expect(closed).toBe(opened);
    await chrome.end();
  });

  const own = (sessionId: string) => ({ ...leaseRequest('profile', sessionId), endpoint: chrome.url });

  it('[S5] is attached to once for all sessions that use it, and let go after the last', async () => {
    const [one, two] = [
      test.pool.lease(own('one'), recordingListener()),
      test.pool.lease(own('two'), recordingListener()),
    ];
    const [first, second] = [await one.browser(), await two.browser()];
    expect(first).toMatchObject({ mode: 'attach', isolation: 'profile' });
    expect(first.browser).toBe(second.browser);
    expect(test.pool.health()).toMatchObject({ total: 1, ready: 1 });
    await one.release();
    expect(second.isAlive).toBe(true);
    await two.release();
    expect(test.pool.health()).toMatchObject({ total: 0 });
    expect(test.pool.ledger.connections).toEqual({ opened: 1, closed: 1 });
    const again = test.pool.lease(own('three'), recordingListener());
    expect((await again.browser()).isAlive).toBe(true);
    await again.release();
    expect(chrome.process.exitCode).toBeNull();
  });

  it('[S5] that opens after its session has ended is let go at once', async () => {
    const lease = test.pool.lease(own('early'), recordingListener());
    const opening = lease.browser().catch((error: unknown) => error);
    await lease.release();
    expect(await opening).toBeInstanceOf(Error);
    expect(test.pool.health()).toMatchObject({ total: 0 });
  });
});

describe('the running Chrome of the user', () => {
  let chrome: UserChrome;
  let test: TestPool;

  beforeAll(async () => {
    chrome = await startUserChrome();
    test = await openTestPool({ browser: 'attach', browserAutoConnect: true, userDataDir: chrome.folder });
  });

  afterAll(async () => {
    expect(await test.close()).toEqual([]);
    await chrome.end();
  });

  it('is found by its profile, and asked for one connection by all sessions; when it ends, nothing asks by itself', async () => {
    const leases = ['one', 'two'].map((id) => test.pool.lease(leaseRequest('profile', id), recordingListener()));
    const [first, second] = await Promise.all(leases.map(withFirstPage));
    expect(first).toMatchObject({ mode: 'attach', isolation: 'profile' });
    expect(second?.browser).toBe(first?.browser);
    expect(test.pool.ledger.connections).toEqual({ opened: 1, closed: 0 });
    await chrome.end();
    await waitUntil(() => test.pool.health().failed === 1);
    await Promise.all(leases.map((lease) => lease.release()));
    const after = test.pool.lease(leaseRequest('profile', 'three'), recordingListener());
    const refused = expect(after.browser()).rejects;
    await refused.toMatchObject({
      reason: 'browser_unreachable',
      message: expect.stringContaining('chrome://inspect'),
    });
    await after.release();
  });
});

it('sends the headers of --browser-header with the request for the address and with the upgrade', async () => {
  const seen: unknown[] = [];
  const server = createHttpServer((request, response) => {
    seen.push(request.headers.authorization);
    const { port } = server.address() as AddressInfo;
    response.end(JSON.stringify({ webSocketDebuggerUrl: `ws://127.0.0.1:${port}/devtools` }));
  });
  server.on('upgrade', (request, socket) => {
    seen.push(request.headers.authorization);
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const headers = headersOf(['Authorization: Bearer a: b']);
  const { signal } = new AbortController();
  const attaching = attachBrowser({ url, headers, signal, ledger: createResourceLedger() });
  await expect(attaching).rejects.toThrow('403');
  expect(seen).toEqual(['Bearer a: b', 'Bearer a: b']);
  server.close();
});

describe('attaching to nothing', () => {
  async function refusal(browserUrl: string): Promise<Refusal> {
    const test = await openTestPool({ browser: 'attach', browserUrl: [browserUrl] });
    const lease = test.pool.lease(leaseRequest('profile'), recordingListener());
    try {
      await lease.browser();
      throw new Error('It was leased.');
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    } finally {
      await test.close();
    }
  }

  it.each(['http', 'ws'])('is refused over %s with the cause and the mend', async (protocol) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    const error = await refusal(`${protocol}://127.0.0.1:${port}`);
    expect(error.reason).toBe('browser_unreachable');
    expect(error.message).toContain(`--remote-debugging-port=${port}`);
    expect(error.message).toContain('ECONNREFUSED');
  });

  it('is refused in time when the far end says nothing', async () => {
    const server = createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { signal } = new AbortController();
    const attaching = attachBrowser({ url, signal, ledger: createResourceLedger(), timeoutMs: 50 });
    await expect(attaching).rejects.toMatchObject({
      reason: 'browser_unreachable',
      message: expect.stringContaining('no answer in 50 ms'),
    });
    server.close();
    await once(server, 'close');
  });
});
