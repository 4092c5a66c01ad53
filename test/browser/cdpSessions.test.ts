import puppeteer, { type Browser } from 'puppeteer-core';
import { openCdpSession } from '../../src/browser/cdp/cdpSessions.js';
import { chromium, chromiumFlags } from '../support/chromium.js';

let browser: Browser;
beforeAll(async () => {
  browser = await puppeteer.launch({ executablePath: chromium, pipe: true, args: [...chromiumFlags] });
});
afterAll(() => browser.close());

test('sessions opened at once on one target come and go without taking it along', async () => {
  const [page] = await browser.pages();
  if (page === undefined) throw new Error('No page.');
  for (const target of [browser.target(), page]) {
    const sessions = await Promise.all([1, 2, 3].map(() => openCdpSession(target)));
    await Promise.all(sessions.map((session) => session.detach()));
  }
  expect(browser.target().type()).toBe('browser');
  expect(await browser.pages()).toEqual([page]);
  expect(page.isClosed()).toBe(false);
});
