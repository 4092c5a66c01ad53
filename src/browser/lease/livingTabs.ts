import type { BrowserContext, Page } from 'puppeteer-core';
import { isTab } from './tab.js';

/** The tabs that a context has already, by the ids of their targets (CDP Target.TargetInfo), which outlive a connection. */
export async function findTabs(context: BrowserContext): Promise<ReadonlyMap<string, Page>> {
  const found = await Promise.all(
    context
      .targets()
      .filter(isTab)
      .map(async (target) => withTargetId(await target.page())),
  );
  return new Map(found.filter((tab) => tab !== undefined));
}

/** Puppeteer keeps the id to itself. */
async function withTargetId(page: Page | null): Promise<readonly [string, Page] | undefined> {
  if (page === null) return undefined;
  const cdp = await page.createCDPSession();
  const { targetInfo } = await cdp.send('Target.getTargetInfo');
  await cdp.detach();
  return [targetInfo.targetId, page];
}
