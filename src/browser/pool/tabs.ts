import type { BrowserContext, Page, Target } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';

/** The default limit on the tabs of one session, each of which may be a renderer process. */
const maxPages = 50;

/** Limits the tabs in the context of one session, opened by tools or by pages. */
export class PageLimit {
  readonly #context: BrowserContext;
  readonly #limit: number;
  #opening = 0;

  constructor(context: BrowserContext, limit = maxPages) {
    this.#context = context;
    this.#limit = limit;
  }

  /** Opens a tab. Throws a ToolError at the limit. */
  async open<T>(open: () => Promise<T>): Promise<T> {
    if (this.#tabs + this.#opening >= this.#limit) {
      throw new ToolError(`This session has ${this.#limit} pages, the most there may be. Close one with close_page.`);
    }
    this.#opening += 1;
    return open().finally(() => (this.#opening -= 1));
  }

  /** Whether a tab that a page has just opened exceeds the limit. */
  get isExceeded(): boolean {
    return this.#tabs > this.#limit;
  }

  /** Closes a tab that exceeds the limit, and adds a notice unless the same one is pending. */
  async close(target: Target, notices: string[]): Promise<void> {
    const notice = `A page opened more than ${this.#limit} pages. The newest were closed. Close some with close_page.`;
    if (!notices.includes(notice)) notices.push(notice);
    const page = await target.page();
    await page?.close();
  }

  get #tabs(): number {
    return this.#context.targets().filter(isTab).length;
  }
}

/** The tabs of a context by target id (CDP Target.TargetInfo), which outlives a connection. */
export async function findTabs(context: BrowserContext): Promise<ReadonlyMap<string, Page>> {
  const tabs = await Promise.all(
    context
      .targets()
      .filter(isTab)
      .map(async (target) => withTargetId(await target.page())),
  );
  return new Map(tabs.filter((tab) => tab !== undefined));
}

/** Puppeteer does not expose the target id. */
async function withTargetId(page: Page | null): Promise<readonly [string, Page] | undefined> {
  if (page === null) return undefined;
  const cdp = await page.createCDPSession();
  const { targetInfo } = await cdp.send('Target.getTargetInfo');
  await cdp.detach();
  return [targetInfo.targetId, page];
}

/** An extension's popup has the type `other` at first and is no tab. DevTools windows belong to the user. */
export function isTab(target: Target): boolean {
  const type: string = target.type();
  return type === 'page' && !target.url().startsWith('devtools://');
}
