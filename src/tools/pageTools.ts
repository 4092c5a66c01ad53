import { z } from 'zod';
import { navigate } from '../browser/page/pageNavigation.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { actionOutput, answerOutcome, shortUrl } from './answers.js';
import { definePageTool, defineTool, type Tool } from './defineTool.js';
import { addressOf, loadTimeout, navigationTimeoutMs } from './navigationTools.js';
import { shortenText } from '../text.js';

const pageId = z.number().int().min(1).describe('From list_pages');

const pageRow = z.object({
  id: z.number().int(),
  url: z.string(),
  title: z.string(),
  selected: z.boolean(),
  dialog: z.string().optional(),
});

type PageRow = z.infer<typeof pageRow>;

const pageList = z.object({ pages: z.array(pageRow) });

const listPagesTool = defineTool({
  name: 'list_pages',
  title: 'List pages',
  group: 'pages',
  needs: 'browser',
  description: "List this session's pages: id, URL, title, open dialog, which is selected",
  input: z.strictObject({}),
  output: pageList,
  annotations: { readOnlyHint: true, idempotentHint: true },
  async handler(_args, { browser, signal }) {
    await browser.ensureFirstPage(signal);
    return answerPages(browser);
  },
});

const selectPageTool = defineTool({
  name: 'select_page',
  title: 'Select page',
  group: 'pages',
  needs: 'browser',
  description: 'Choose the page that tools use when they get no pageId',
  input: z.strictObject({ pageId, bringToFront: z.boolean().optional().describe('Also bring its tab to the front') }),
  output: pageList,
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler(args, { browser }) {
    const page = browser.select(args.pageId);
    if (args.bringToFront === true) await page.cdp.send('Page.bringToFront');
    return answerPages(browser);
  },
});

const newPageTool = defineTool({
  name: 'new_page',
  title: 'Open page',
  group: 'pages',
  needs: 'browser',
  description: 'Open a page in a new tab, load a URL and select it. In a page that is open: navigate_page',
  input: z.strictObject({
    url: z.string().describe('Address to load'),
    background: z.boolean().optional().describe('Do not select it'),
    timeout: loadTimeout,
  }),
  output: actionOutput.extend({ pageId: z.number().int() }),
  annotations: { readOnlyHint: false },
  timeoutMs: navigationTimeoutMs,
  async handler(args, { browser, signal }) {
    const url = await addressOf(browser, args.url);
    const page = await browser.newPage({ background: args.background ?? false, signal });
    try {
      const outcome = await page.runExclusive(signal, () => navigate(page, url, { signal, timeoutMs: args.timeout }));
      const { text, structured } = await answerOutcome(page, [`Opened page ${page.id}.`], outcome);
      return { text, structured: { ...structured, pageId: page.id } };
    } catch (error) {
      // A page that did not load is not kept.
      await browser.closePage(page.id);
      throw error;
    }
  },
});

const closePageTool = defineTool({
  name: 'close_page',
  title: 'Close page',
  group: 'pages',
  needs: 'browser',
  description: 'Close a page. Its id is not used again',
  input: z.strictObject({ pageId }),
  output: pageList,
  annotations: { readOnlyHint: false, destructiveHint: true },
  async handler(args, { browser }) {
    await browser.closePage(args.pageId);
    const { text, structured } = await answerPages(browser);
    return { text: `Closed page ${args.pageId}.\n${text}`, structured };
  },
});

const resizePageTool = definePageTool({
  name: 'resize_page',
  title: 'Resize page',
  group: 'pages',
  description: 'Set the width and height of what a page shows. A whole device: emulate',
  input: z.strictObject({
    width: z.number().int().min(1).max(10_000).describe('CSS pixels'),
    height: z.number().int().min(1).max(10_000).describe('CSS pixels'),
  }),
  output: z.object({ width: z.number().int(), height: z.number().int() }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ width, height }, { page }) {
    await page.emulation.apply({ viewport: { width, height } });
    return { text: `The page shows ${width} × ${height} pixels.`, structured: { width, height } };
  },
});

async function answerPages(browser: SessionBrowser): Promise<{ text: string; structured: { pages: PageRow[] } }> {
  const pages = await Promise.all(browser.pages().map((page) => describePage(page, page === browser.selected)));
  const text = pages.length === 0 ? 'No page is open. Open one with new_page.' : pages.map(pageLine).join('\n');
  return { text, structured: { pages } };
}

async function describePage(page: SessionPage, selected: boolean): Promise<PageRow> {
  const dialog = page.dialogs.open;
  return {
    id: page.id,
    url: page.url(),
    title: await page.title(),
    selected,
    ...(dialog && { dialog: `${dialog.type}: ${dialog.message}` }),
  };
}

function pageLine({ id, url, title, selected, dialog }: PageRow): string {
  const short = shortenText(title, 59);
  return `${id}: ${shortUrl(url)}${short === '' ? '' : ` "${short}"`}${selected ? ' [selected]' : ''}${dialog === undefined ? '' : ` [dialog: ${dialog}]`}`;
}

export const pageTools: readonly Tool[] = [listPagesTool, selectPageTool, newPageTool, closePageTool, resizePageTool];
