import type { BrowserContext, Target } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';
import { isTab } from './pageSet.js';

/** Tabs of one session: each may be a renderer process. */
const maxPages = 50;

/** How many tabs there may be in the context of one session, whoever opens them. */
export class PageLimit {
  readonly #context: BrowserContext;
  readonly #limit: number;
  #opening = 0;

  constructor(context: BrowserContext, limit = maxPages) {
    this.#context = context;
    this.#limit = limit;
  }

  /** Opens a tab. Throws a ToolError if there are as many as there may be. */
  async open<T>(open: () => Promise<T>): Promise<T> {
    if (this.#tabs + this.#opening >= this.#limit) {
      throw new ToolError(`This session has ${this.#limit} pages, the most there may be. Close one with close_page.`);
    }
    this.#opening += 1;
    return open().finally(() => (this.#opening -= 1));
  }

  /** Whether a tab that a page has just opened is one too many. */
  get isExceeded(): boolean {
    return this.#tabs > this.#limit;
  }

  /** Closes such a tab, and tells the client once. */
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
