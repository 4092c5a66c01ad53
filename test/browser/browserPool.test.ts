import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../src/errors/errors.js';
import type { BrowserLease } from '../../src/browser/pool/browserLease.js';
import { sampleExtensionFolder } from '../../src/selftest/pageServer.js';
import {
  withFirstPage,
  killBrowser,
  recordingListener,
  openTestPool,
  browserPid,
  leaseRequest,
  waitUntil,
  type TestPool,
} from './support/testPool.js';

const signal = new AbortController().signal;

describe('a pool that launches browsers', () => {
  let test: TestPool;
  let site: Server;
  let url: string;
  const leases: BrowserLease[] = [];
  const lease = (isolation: Parameters<typeof leaseRequest>[0], told = recordingListener()): BrowserLease => {
    const made = test.pool.lease(leaseRequest(isolation, `s${leases.length}`), told);
    leases.push(made);
    return made;
  };

  beforeAll(async () => {
    site = createServer((asked, answer) => {
      answer.setHeader('content-type', 'text/html');
      answer.end(`<title>${asked.url}</title><h1>${asked.url}</h1>`);
    });
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
    test = await openTestPool();
  });

  afterEach(async () => {
    await Promise.all(leases.splice(0).map((each) => each.release()));
    const { contexts, pages } = test.pool.ledger;
    expect(contexts.closed).toBe(contexts.opened);
    expect(pages.closed).toBe(pages.opened);
  });

  afterAll(async () => {
    const left = await test.close();
    site.close();
    site.closeAllConnections();
    expect(left).toEqual([]);
    for (const { opened, closed } of Object.values(test.pool.ledger)) expect(closed).toBe(opened);
    expect(test.pool.ledger.processes.opened).toBeGreaterThan(1);
  });

  it('starts no browser before a lease asks for one', async () => {
    lease('auto');
    expect(test.pool.health().total).toBe(0);
    await test.pool.warm();
    expect(test.pool.health()).toMatchObject({ total: 1, ready: 1, contexts: 0 });
  });

  it('gives a session a context of its own with one blank page, selected', async () => {
    const first = await withFirstPage(lease('context'));
    const second = await withFirstPage(lease('auto'));
    expect(first.pages().map((page) => page.url())).toEqual(['about:blank']);
    expect(first.selected?.id).toBe(1);
    expect(first.isolation).toBe('context');
    expect(first.browser).toBe(second.browser);
    expect(first.context).not.toBe(second.context);
    expect(first.product).toMatch(/^Chrome\/\d+/);
    expect(test.pool.health().contexts).toBe(2);
  });

  it('shares one opening among concurrent calls', async () => {
    const { contexts } = test.pool.ledger;
    const before = contexts.opened;
    const asked = lease('context');
    const [one, two] = await Promise.all([asked.browser(), asked.browser()]);
    expect(one).toBe(two);
    expect(asked.current).toBe(one);
    expect(contexts.opened).toBe(before + 1);
  });

  it('keeps cookies and pages of sessions apart', async () => {
    const [one, two] = await Promise.all([withFirstPage(lease('context')), withFirstPage(lease('context'))]);
    await one.page().page.goto(`${url}/one`);
    await one.page().page.evaluate('document.cookie = "secret=1"');
    await two.page().page.goto(`${url}/two`);
    expect(await two.page().page.evaluate('document.cookie')).toBe('');
    expect(two.pages().map((page) => page.url())).toEqual([`${url}/two`]);
  });

  it('lists the popups of its pages without selecting them', async () => {
    const session = await withFirstPage(lease('context'));
    await session.page().page.evaluate(`void window.open('${url}/popup')`);
    await waitUntil(() => session.pages().length === 2);
    expect(session.selected?.id).toBe(1);
    expect((await session.newPage({ background: true })).id).toBe(3);
    expect(session.selected?.id).toBe(1);
  });

  it('never uses a page id again and selects another page when the selected one closes', async () => {
    const session = await withFirstPage(lease('context'));
    const second = await session.newPage();
    expect(session.selected).toBe(second);
    await session.closePage(second.id);
    expect(session.selected?.id).toBe(1);
    expect((await session.newPage()).id).toBe(3);
    expect(() => session.page(2)).toThrow(ToolError);
    expect(() => session.page(2)).toThrow(/no page 2.*1 about:blank, 3 about:blank/);
  });

  it('reloads a crashed page under its id and says so, also to the call that it crashed under', async () => {
    const session = await withFirstPage(lease('context'));
    const { page, cdp } = session.page();
    await page.goto(`${url}/crash`);
    const loaded = new Promise((resolve) => page.once('load', resolve));
    const unanswered = session.page().runExclusive(new AbortController().signal, () => new Promise(() => undefined));
    cdp.send('Page.crash').catch(() => undefined);
    await expect(unanswered).rejects.toThrow(/Page 1 .*\/crash\) crashed and is being loaded again/);
    await loaded;
    expect(session.page().interruptions.current).toBeUndefined();
    expect(session.takeNotices()).toEqual([expect.stringMatching(/Page 1 .*\/crash\) crashed and was reloaded/)]);
    expect(await session.page(1).title()).toBe('/crash');
  });

  it('replaces a killed browser, opens the pages again with ids and selection, and tells what was lost', async () => {
    const told = recordingListener();
    const asked = lease('context', told);
    const before = await withFirstPage(asked);
    await before.page().page.goto(`${url}/lost`);
    await before.newPage();
    before.select(1);
    const [lost, ready] = [told.next('lost'), told.next('ready')];
    await killBrowser(before);
    await lost;
    expect(asked.current).toBeUndefined();
    const after = await withFirstPage(asked);
    await ready;
    expect(after).not.toBe(before);
    expect(after.pages().map((page) => [page.id, page.url()])).toEqual([
      [1, `${url}/lost`],
      [2, 'about:blank'],
    ]);
    expect(after.selected?.id).toBe(1);
    expect(after.takeNotices()).toEqual([
      expect.stringMatching(/ended unexpectedly.*replaced.*opened again with the same ids; cookies, storage/),
    ]);
    expect(after.takeNotices()).toEqual([]);
    expect((await after.newPage()).id).toBe(3);
    expect(told.events).toEqual(['lost', 'ready']);
  });

  it('names the pages that a replaced browser cannot show again', async () => {
    const asked = lease('process');
    const before = await withFirstPage(asked);
    await before.page().page.goto(`${url}/kept`);
    const id = await before.browser.installExtension(sampleExtensionFolder);
    await (await before.newPage()).page.goto(`chrome-extension://${id}/popup.html`);
    const gone = createServer((_asked, answer) => answer.end('soon gone'));
    await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
    const goneUrl = `http://127.0.0.1:${(gone.address() as AddressInfo).port}/`;
    await (await before.newPage()).page.goto(goneUrl);
    gone.close();
    gone.closeAllConnections();
    await killBrowser(before);
    await waitUntil(() => asked.current === undefined);
    const after = await asked.browser();
    expect(after.pages().map((page) => page.id)).toEqual([1, 3]);
    expect(after.page(1).url()).toBe(`${url}/kept`);
    const [loss, failed] = after.takeNotices();
    expect(loss).toContain(`Lost pages, whose ids are no longer valid: 2 chrome-extension://${id}/popup.html`);
    expect(loss).toContain('install_extension again');
    expect(failed).toContain(`Page 3 could not be reopened at ${goneUrl}`);
  });

  it('emulates on the pages of a session that moved what was emulated before, from their first request on', async () => {
    const session = await withFirstPage(lease('auto'));
    const emulated = { userAgent: 'Agent/before', geolocation: { latitude: 47, longitude: 8 } };
    await session.page(1).emulation.apply(emulated);
    await session.page(1).page.goto(`${url}/a`);
    await session.ensureProcess(signal);
    expect(session.isolation).toBe('process');
    expect(session.page(1).emulation.applied).toEqual(emulated);
    const seen = await session.page(1).page.evaluate(`new Promise((resolve, reject) =>
      navigator.geolocation.getCurrentPosition(({ coords }) =>
        resolve([navigator.userAgent, coords.latitude, coords.longitude]), reject))`);
    expect(seen).toEqual(['Agent/before', 47, 8]);
  });

  it('says nothing of pages when it moves a session that has none', async () => {
    const session = await lease('auto').browser();
    await session.ensureProcess(signal);
    expect(session.takeNotices()).toEqual([expect.stringMatching(/did not move with it\.$/)]);
  });

  it('gives the untouched first page to whoever asks for a new one, and a touched one to nobody', async () => {
    const session = await lease('context').browser();
    await session.ensureFirstPage(signal);
    expect((await session.newPage({ background: true })).id).toBe(1);
    expect((await session.newPage()).id).toBe(2);
    const other = await withFirstPage(lease('context'));
    expect((await other.newPage()).id).toBe(2);
  });

  it('selects the only page, also one that opens in the background', async () => {
    const session = await lease('context').browser();
    const page = await session.newPage({ background: true });
    expect(session.selected).toBe(page);
  });

  it('gives each process session a browser of its own, and folder and process go with it', async () => {
    const [one, two] = [lease('process'), lease('process')];
    const [first, second] = await Promise.all([withFirstPage(one), withFirstPage(two)]);
    const [firstPid, secondPid] = await Promise.all([browserPid(first), browserPid(second)]);
    expect(firstPid).not.toBe(secondPid);
    expect(first.isolation).toBe('process');
    await first.ensureProcess(signal);
    await one.release();
    expect(() => process.kill(firstPid, 0)).toThrow('ESRCH');
    expect(() => process.kill(secondPid, 0)).not.toThrow();
    expect(test.pool.ledger.profiles.closed).toBe(test.pool.ledger.profiles.opened - 2);
  });

  it('moves an auto session to a process: same object, ids, URLs and selection, and a notice', async () => {
    const asked = lease('auto');
    const session = await withFirstPage(asked);
    await session.page(1).page.goto(`${url}/a`);
    const second = await session.newPage();
    await second.page.goto(`${url}/b`);
    await session.newPage();
    session.select(second.id);
    const [shared, sharedId] = [session.browser, asked.browserId];
    await Promise.all([session.ensureProcess(signal), session.ensureProcess(signal)]);
    expect([sharedId, asked.browserId]).toEqual([expect.any(String), expect.any(String)]);
    expect(asked.browserId).not.toBe(sharedId);
    expect(await withFirstPage(asked)).toBe(session);
    expect(session.browser).not.toBe(shared);
    expect(session.isolation).toBe('process');
    expect(session.pages().map((page) => [page.id, page.url()])).toEqual([
      [1, `${url}/a`],
      [2, `${url}/b`],
      [3, 'about:blank'],
    ]);
    expect(session.selected?.id).toBe(2);
    expect(session.takeNotices()).toEqual([
      expect.stringMatching(/moved to a browser process and profile of its own.*opened again with the same ids/),
    ]);
    expect((await session.newPage()).id).toBe(4);
    expect(test.pool.health().contexts).toBe(0);
  });

  it('takes extensions in a process, whose popup and service worker are no pages of the session', async () => {
    const session = await withFirstPage(lease('process'));
    const id = await session.browser.installExtension(sampleExtensionFolder);
    const extension = (await session.browser.extensions()).get(id);
    const popup = session.browser.waitForTarget((target) => target.url().startsWith(`chrome-extension://${id}/popup`));
    await extension?.triggerAction(session.page().page);
    await popup;
    const tab = await session.newPage();
    await tab.page.goto(`chrome-extension://${id}/popup.html`);
    expect(session.pages().map((page) => page.url())).toEqual(['about:blank', `chrome-extension://${id}/popup.html`]);
  });

  it('refuses to move a context session and names the flag', async () => {
    const session = await withFirstPage(lease('context'));
    await expect(session.ensureProcess(signal)).rejects.toThrow(/--isolation auto/);
  });

  it('closes what opens after the release, and gives nothing any more', async () => {
    const asked = lease('process');
    const opening = asked.browser();
    const released = asked.release();
    await expect(opening).rejects.toThrow('released');
    await released;
    await expect(asked.browser()).rejects.toThrow('released');
    expect(asked.release()).toBe(asked.release());
  });

  it('closes what has just opened when its session ends in that moment', async () => {
    const { browser } = await lease('context').browser();
    const late = lease('context');
    const releases: Promise<void>[] = [];
    Object.defineProperty(browser, 'connected', {
      configurable: true,
      get: () => {
        // Once the placement is open, and before the lease has it.
        queueMicrotask(() => releases.push(late.release()));
        return true;
      },
    });
    await expect(late.browser()).rejects.toThrow('released');
    Reflect.deleteProperty(browser, 'connected');
    await Promise.all(releases);
    expect(late.current).toBeUndefined();
  });

  it('stops waiting when the caller gives up, and goes on opening for the next call', async () => {
    const asked = lease('context');
    const giveUp = new AbortController();
    const opening = asked.browser(giveUp.signal);
    giveUp.abort(new Error('cancelled'));
    await expect(opening).rejects.toThrow('cancelled');
    expect((await withFirstPage(asked)).pages()).toHaveLength(1);
  });

  it('keeps no folder of a browser that is gone', async () => {
    const [run] = await readdir(test.folder);
    const folders = (await readdir(`${test.folder}/${run}`)).filter((name) => name !== 'owner');
    expect(folders).toHaveLength(1);
  });
});

it('keeps the profile of --user-data-dir for the next start, shares its tabs, and refuses one that is in use', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'profile-test-'));
  const userDataDir = join(folder, 'profile');
  const site = createServer((_asked, answer) => answer.end('a page')).listen(0, '127.0.0.1');
  await once(site, 'listening');
  const url = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`;
  const first = await openTestPool({ userDataDir, isolation: 'profile' });
  const leases = ['one', 'two'].map((id) => first.pool.lease(leaseRequest('profile', id), recordingListener()));
  const [one, two] = await Promise.all(leases.map(withFirstPage));
  expect(one).toMatchObject({ mode: 'launch', isolation: 'profile' });
  expect(two?.browser).toBe(one?.browser);
  await one?.page(1).page.goto(url);
  await one?.page(1).page.evaluate(`document.cookie = 'kept=yes; max-age=3600'`);
  const second = await openTestPool({ userDataDir, isolation: 'profile' });
  const refused = expect(second.pool.lease(leaseRequest('profile'), recordingListener()).browser()).rejects;
  await refused.toThrow(/--user-data-dir \S+ is in use by another Chrome \(process \d+\): quit it/);
  expect(await first.close()).toEqual([]);
  const again = await withFirstPage(second.pool.lease(leaseRequest('profile', 'three'), recordingListener()));
  await again.page(1).page.goto(url);
  expect(await again.page(1).page.evaluate('document.cookie')).toBe('kept=yes');
  expect(await second.close()).toEqual([]);
  site.close();
  site.closeAllConnections();
  await rm(folder, { recursive: true, force: true });
});
