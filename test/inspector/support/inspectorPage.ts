import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'puppeteer-core';
import type { Frame } from '../../../src/inspector/wire.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The element of a state of the session chart, when it is where the session is. */
export const lit = (state: string): string => `[data-chart="session"] [data-state="${state}"].leaf`;

/** A page of the inspector that keeps what it asked for and what went wrong in it. */
export class InspectorPage {
  readonly requests: string[] = [];
  readonly errors: string[] = [];
  /** What the server told it. */
  readonly frames: Frame[] = [];
  readonly page: Page;

  private constructor(page: Page) {
    this.page = page;
    page.on('request', (request) => this.requests.push(new URL(request.url()).origin));
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warn') this.errors.push(message.text());
    });
  }

  static async open(
    browser: Browser,
    url: string,
    theme: 'light' | 'dark' = 'light',
    width = 1280,
  ): Promise<InspectorPage> {
    const page = await browser.newPage();
    await page.setViewport({ width, height: 860 });
    const watching = new InspectorPage(page);
    await watching.wear(theme);
    const wire = await page.createCDPSession();
    wire.on('Network.eventSourceMessageReceived', ({ data }) => watching.frames.push(JSON.parse(data) as Frame));
    await wire.send('Network.enable');
    await page.goto(`${url}/inspector`);
    await watching.shows('.link.live');
    return watching;
  }

  async go(hash: string, selector: string): Promise<void> {
    await this.page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
    await this.shows(selector);
  }

  /** Resolves when an element fits the selector and, if one is given, has the text. */
  shows(selector: string, text = ''): Promise<void> {
    const wanted = [selector, text].map((value) => JSON.stringify(value));
    return this.until(
      `(css, text) => [...document.querySelectorAll(css)].some((one) => one.textContent.includes(text))`,
      wanted,
    );
  }

  /** Looks at the start and after each change of the document. Puppeteer's own waiting needs an eval, which the policy stops. */
  async until(condition: string, args: readonly string[] = []): Promise<void> {
    await this.page.evaluate(`new Promise((resolve) => {
      const look = () => {
        if (!(${condition})(${args.join(', ')})) return;
        observer.disconnect();
        resolve();
      };
      const observer = new MutationObserver(look);
      observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
      look();
    })`);
  }

  async wear(theme: 'light' | 'dark'): Promise<void> {
    await this.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }]);
  }

  /** Walks to an element as the Tab key does. Throws if that does not lead there, or the focus cannot be seen. */
  async focus(selector: string): Promise<void> {
    const isThere = `document.activeElement.matches(${JSON.stringify(selector)})`;
    for (let presses = 0; presses < 100; presses += 1) {
      await this.page.keyboard.press('Tab');
      if (await this.page.evaluate(`${isThere} && getComputedStyle(document.activeElement).outlineStyle !== 'none'`))
        return;
    }
    throw new Error(`The Tab key does not lead to ${selector}.`);
  }

  /** What axe finds wrong, as `rule: element`. */
  async violations(): Promise<string[]> {
    // Scripts of the test are not the page's: its policy would stop them.
    await this.page.evaluate(axe);
    const found: unknown = await this.page.evaluate(`axe.run({ resultTypes: ['violations'] }).then(({ violations }) =>
      violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => id + ': ' + target.join(' '))))`);
    return found as string[];
  }

  /** What is wider than the page, and the words of the table that are cut without a sign of it. */
  async cut(): Promise<string[]> {
    const found: unknown = await this.page.evaluate(`[
      ...(document.documentElement.scrollWidth > innerWidth ? ['page'] : []),
      ...[...document.querySelectorAll('table')].filter((table) => table.clientWidth < innerWidth - 20).map(() => 'table'),
      ...[...document.querySelectorAll('td.user, th, .tiles dd')].filter((one) => one.clientWidth > 0 && one.clientWidth < 40)
        .map((one) => one.textContent),
    ]`);
    return found as string[];
  }

  close(): Promise<void> {
    return this.page.close();
  }
}
