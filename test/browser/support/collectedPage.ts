import { setTimeout as delay } from 'node:timers/promises';
import puppeteer, { type Browser, type CDPSession, type LaunchOptions, type Page } from 'puppeteer-core';
import { ConsoleCollector } from '../../../src/browser/collectors/consoleCollector.js';
import { NetworkCollector } from '../../../src/browser/collectors/networkCollector.js';
import { Credentials } from '../../../src/browser/policy/credentials.js';
import { chromium, chromiumFlags } from '../../support/chromium.js';

/** A Chromium of the caller's own, to be closed by the caller. */
export function launchChromium(options: LaunchOptions = {}): Promise<Browser> {
  return puppeteer.launch({ executablePath: chromium, args: [...chromiumFlags], ...options });
}

export interface CollectedPage {
  readonly page: Page;
  readonly cdp: CDPSession;
  readonly console: ConsoleCollector;
  readonly network: NetworkCollector;
  close(): Promise<void>;
}

/** A page with its collectors, which collect before anything is loaded. */
export async function openCollectedPage(browser: Browser): Promise<CollectedPage> {
  const page = await browser.newPage();
  const cdp = await page.createCDPSession();
  const collectors = { console: new ConsoleCollector(cdp), network: new NetworkCollector(cdp, new Credentials()) };
  await Promise.all([collectors.console.ready, collectors.network.ready]);
  return {
    page,
    cdp,
    ...collectors,
    close: async () => {
      collectors.console.dispose();
      collectors.network.dispose();
      await page.close();
    },
  };
}

/** Waits until `look` finds something; the test's own time limit ends a search in vain. */
export async function waitUntilFound<Found>(
  look: () => Found | undefined | Promise<Found | undefined>,
): Promise<Found> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await delay(5);
  }
}
