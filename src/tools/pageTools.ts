import { createReadStream } from 'node:fs';
import { z } from 'zod';
import { noop } from '../async.js';
import { timeLimit } from '../clock.js';
import type { Download, Downloads } from '../browser/pool/downloads.js';
import { ToolError } from '../errors/errors.js';
import { bytesText, oneLine } from './pagination.js';
import { unlessGone } from '../browser/cdp/cdpSessions.js';
import { navigate } from '../browser/page/pageNavigation.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { actionOutput, answerOutcome, loadTimeout, navigationTimeoutMs, shortUrl } from './answers.js';
import { definePageTool, defineTool, type ResourceLink, type Resources, type Tool } from './defineTool.js';
import { addressOf } from './navigationTools.js';

const maxDownloadWaitMs = 120_000;

const pageId = z.number().int().min(1).describe('From list_pages');

const pageRow = z.object({
  id: z.number().int(),
  url: z.string(),
  title: z.string(),
  selected: z.boolean(),
  context: z.string().optional(),
  dialog: z.string().optional(),
  paused: z.string().optional(),
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
    // An extension that closes tabs makes it fail.
    await browser.ensureFirstPage(signal).catch(unlessToolError);
    return answerPages(browser);
  },
});

function unlessToolError(error: unknown): void {
  if (!(error instanceof ToolError)) throw error;
}

const selectPageTool = defineTool({
  name: 'select_page',
  title: 'Select page',
  group: 'pages',
  needs: 'browser',
  description: 'Select the page that tools use when called without pageId',
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
    context: z.string().min(1).optional().describe('A name: pages with it have separate cookies, for a second login'),
    timeout: loadTimeout,
  }),
  output: actionOutput.extend({ pageId: z.number().int() }),
  annotations: { readOnlyHint: false },
  timeoutMs: navigationTimeoutMs,
  async handler(args, { browser, signal }) {
    const url = await addressOf(browser, args.url);
    const page = await browser.newPage({ background: args.background ?? false, context: args.context, signal });
    try {
      const outcome = await page.runExclusive(signal, () => navigate(page, url, { signal, timeoutMs: args.timeout }));
      const { text, structured } = await answerOutcome(page, [`Opened page ${page.id}.`], outcome);
      return { text, structured: { ...structured, pageId: page.id } };
    } catch (error) {
      // A page that did not load is not kept; one that crashed is loaded again.
      if (!page.isClosed && !page.interruptions.isCrashed) await browser.closePage(page.id);
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
  description: 'Set the width and height of the viewport of a page. A whole device: emulate',
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

const maxListed = 50;

const downloadRow = z.object({
  id: z.int(),
  name: z.string(),
  state: z.string(),
  bytes: z.int(),
  totalBytes: z.int().optional(),
  url: z.string(),
});

const listDownloadsTool = defineTool({
  name: 'list_downloads',
  title: 'List downloads',
  group: 'pages',
  needs: 'browser',
  description: 'What pages downloaded: name, size, state. With id: that file as a resource of the session',
  input: z.strictObject({
    id: z.int().optional().describe('Read this one'),
    timeout: z.int().min(0).max(maxDownloadWaitMs).default(0).describe('Longest wait for those in progress, in ms'),
  }),
  output: z.object({ downloads: z.array(downloadRow) }),
  annotations: { readOnlyHint: true },
  timeoutMs: maxDownloadWaitMs + 10_000,
  async handler({ id, timeout }, { browser: { downloads }, resources, signal }) {
    if (downloads === undefined) {
      throw new ToolError('An attached browser keeps its own downloads: look into its download folder.');
    }
    if (timeout > 0) await waitForDownloads(downloads, timeout, signal);
    const all = downloads.list();
    const chosen = id === undefined ? all.slice(-maxListed) : all.filter((download) => download.id === id);
    if (id !== undefined && chosen.length === 0) throw new ToolError(`There is no download ${id}. See list_downloads.`);
    const lines = chosen.map(downloadLine);
    if (all.length > maxListed && id === undefined) lines.unshift(`The newest ${maxListed} of ${all.length}:`);
    return {
      text: lines.length === 0 ? 'Nothing was downloaded.' : lines.join('\n'),
      structured: {
        downloads: chosen.map(({ path: _, totalBytes, ...row }) => ({
          ...row,
          ...(totalBytes !== undefined && { totalBytes }),
        })),
      },
      ...(id !== undefined && { resources: [await storeDownload(chosen[0], resources)] }),
    };
  },
});

/** Downloads that continue afterwards are listed as such. */
async function waitForDownloads(downloads: Downloads, ms: number, signal: AbortSignal): Promise<void> {
  await downloads.ended(AbortSignal.any([signal, timeLimit(ms)])).catch(noop);
  signal.throwIfAborted();
}

async function storeDownload(download: Download | undefined, resources: Resources): Promise<ResourceLink> {
  if (download?.path === undefined) {
    throw new ToolError(`It is ${download?.state}, so there is no file. Pass timeout to wait for it.`);
  }
  return resources.add({
    name: download.name,
    mimeType: 'application/octet-stream',
    data: createReadStream(download.path),
  });
}

function downloadLine({ id, name, state, bytes, totalBytes, url }: Download): string {
  const size =
    totalBytes === undefined || totalBytes === bytes
      ? bytesText(bytes)
      : `${bytesText(bytes)} of ${bytesText(totalBytes)}`;
  return `${id}: ${JSON.stringify(name)} ${state}, ${size}, from ${shortUrl(url)}`;
}

async function answerPages(browser: SessionBrowser): Promise<{ text: string; structured: { pages: PageRow[] } }> {
  const rows = await Promise.all(
    // One that closes meanwhile is not listed.
    browser.pages().map((page) => unlessGone(describePage(page, page === browser.selected))),
  );
  const pages = rows.filter((row) => row !== undefined);
  const text = pages.length === 0 ? 'No page is open. Open one with new_page.' : pages.map(pageLine).join('\n');
  return { text, structured: { pages } };
}

async function describePage(page: SessionPage, selected: boolean): Promise<PageRow> {
  const dialog = page.dialogs.open;
  const { current } = page.interruptions;
  return {
    id: page.id,
    url: page.url(),
    title: await page.title(),
    selected,
    ...(page.contextName !== undefined && { context: page.contextName }),
    ...(dialog && { dialog: `${dialog.type}: ${dialog.message}` }),
    ...(current?.kind === 'pause' && { paused: current.describe() }),
  };
}

function pageLine({ id, url, title, selected, context, dialog, paused }: PageRow): string {
  const short = oneLine(title, 59);
  const marks = [
    ...(selected ? ['selected'] : []),
    ...(context === undefined ? [] : [`context ${oneLine(context, 100)}`]),
    ...(dialog === undefined ? [] : [`dialog: ${oneLine(dialog, 500)}`]),
    ...(paused === undefined ? [] : [paused]),
  ];
  return `${id}: ${shortUrl(url)}${short === '' ? '' : ` "${short}"`}${marks.map((mark) => ` [${mark}]`).join('')}`;
}

export const pageTools: readonly Tool[] = [
  listPagesTool,
  selectPageTool,
  newPageTool,
  closePageTool,
  resizePageTool,
  listDownloadsTool,
];
