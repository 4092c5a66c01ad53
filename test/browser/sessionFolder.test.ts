import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer, { type Browser } from 'puppeteer-core';
import { unpackExtension } from '../../src/browser/extensions/extensionArchive.js';
import { listExtensions } from '../../src/browser/extensions/installedExtensions.js';
import { installExtension } from '../../src/browser/extensions/extensionInstall.js';
import { withCdpScope } from '../../src/browser/cdp/cdpScope.js';
import { chromium, chromiumFlags } from '../support/chromium.js';
import { manifestJson } from '../support/extensionBrowser.js';
import { zip } from '../support/zipWriter.js';
import { recordingListener, openTestPool, leaseRequest, withFirstPage } from './support/testPool.js';

const signal = new AbortController().signal;
const archive = (name: string): Buffer => zip([{ name: 'manifest.json', content: manifestJson(name) }]);

const names = (browser: Browser): Promise<string[]> =>
  withCdpScope(browser, signal, async (scope) => (await listExtensions(scope)).map(({ name }) => name).sort());

async function installArchive(browser: Browser, folder: string, name: string): Promise<void> {
  const path = await unpackExtension(archive(name), folder, signal);
  await withCdpScope(browser, signal, (scope) => installExtension(scope, path));
}

const isGone = (path: string): Promise<boolean> =>
  access(path).then(
    () => false,
    () => true,
  );

test('the folder of a session with a browser of its own is removed with the session', async () => {
  const { pool, folder: runs, close } = await openTestPool();
  const lease = pool.lease(leaseRequest('process'), recordingListener());
  const browser = await lease.browser();
  const folder = await browser.folder();
  expect(folder.startsWith(runs)).toBe(true);
  expect(await browser.folder()).toBe(folder);
  await installArchive(browser.browser, folder, 'Sent');
  expect(await names(browser.browser)).toEqual(['Sent']);
  await lease.release();
  expect(await isGone(folder)).toBe(true);
  expect(await close()).toEqual([]);
});

describe("in a user's own browser", () => {
  let chrome: Browser;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
    chrome = await puppeteer.launch({
      executablePath: chromium,
      enableExtensions: true,
      args: [...chromiumFlags],
    });
  });
  afterAll(async () => {
    await chrome.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('what came as an archive leaves with the session, what the user has stays', async () => {
    await writeFile(join(folder, 'manifest.json'), manifestJson('Own'));
    await withCdpScope(chrome, signal, (scope) => installExtension(scope, folder));
    const { pool, close } = await openTestPool({ browser: 'attach', browserUrl: [chrome.wsEndpoint()] });
    const lease = pool.lease(leaseRequest('profile'), recordingListener());
    const browser = await withFirstPage(lease);
    const own = await browser.folder();
    await installArchive(browser.browser, own, 'Sent');
    expect(await names(chrome)).toEqual(['Own', 'Sent']);
    await lease.release();
    expect(await names(chrome)).toEqual(['Own']);
    expect(await isGone(own)).toBe(true);
    expect(await close()).toEqual([]);
  });
});
