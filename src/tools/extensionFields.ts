import { stat } from 'node:fs/promises';
import { z } from 'zod';
import type { ReloadResult } from '../browser/extensions/extensionInstall.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { endHeldCode } from '../browser/page/runScript.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { ToolError } from '../errors/errors.js';
import { shortUrl } from './answers.js';
import type { BrowserToolContext } from './defineTool.js';
import { oneLine } from './pagination.js';
import { requireInsideWorkspace, type Workspace } from './workspace.js';

/** The id in an answer. */
export const extensionId = z.string().regex(/^[a-p]{32}$/, 'an extension id has 32 letters from a to p');

/** The id as an argument. */
export const extensionIdInput = extensionId.describe('From list_extensions');

export const workerState = z.enum(['running', 'starting', 'stopping', 'stopped', 'none']);

/** `2 contexts`, `1 context`. */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

/** The real path of the extension folder that a tool names. Throws a ToolError if the session may not read it. */
export async function extensionFolder(named: string, workspace: Workspace): Promise<string> {
  const path = await requireInsideWorkspace(named, workspace);
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() === true) return path;
  throw new ToolError(
    found === undefined
      ? `There is no folder ${path} on the server's disk. Pass the folder with manifest.json.`
      : `${path} is not a folder. Pass the folder with manifest.json, or a zip or crx as archive.`,
  );
}

interface PageChanges {
  readonly closed: readonly { readonly id: number; readonly url: string }[];
  readonly opened: readonly SessionPage[];
}

/** Runs `work`, and returns the extension pages of the session that closed meanwhile, and the pages that opened. */
export async function closedPagesDuring<T>(
  { browser, signal }: BrowserToolContext,
  work: () => Promise<T>,
): Promise<{ readonly value: T } & PageChanges> {
  const before = browser.pages().map((page) => ({ id: page.id, url: page.url() }));
  // No notice tells of them, too.
  const stop = browser.selected?.watchWindows(() => true);
  const value = await work()
    .then(async (done) => {
      await browser.whenPagesAdopted(signal);
      return done;
    })
    .finally(stop);
  const open = new Set(browser.pages().map(({ id }) => id));
  const closed = before.filter(({ id, url }) => url.startsWith('chrome-extension://') && !open.has(id));
  const known = new Set(before.map(({ id }) => id));
  return { value, closed, opened: browser.pages().filter(({ id }) => !known.has(id)) };
}

/** A line for each page that closed or opened, and one for the selected page, if pages were closed. */
export function describePages(browser: SessionBrowser, { closed, opened }: PageChanges): string[] {
  const lines = closed.map(({ id, url }) => `Chrome closed page ${id} of the extension: ${shortUrl(url)}`);
  return [...lines, ...describeSelectionAfter(browser, { closed, opened })];
}

/** Like `describePages`, without the closed pages. */
export function describeSelectionAfter({ selected }: SessionBrowser, { closed, opened }: PageChanges): string[] {
  const lines = opened.map((page) => `It opened page ${page.id}: ${shortUrl(page.url())}`);
  if (closed.length === 0) return lines;
  const now =
    selected === undefined
      ? 'No page is selected now.'
      : `Page ${selected.id} is selected now: ${shortUrl(selected.url())}`;
  return [...lines, now];
}

/** Terminates scripts that block pages: a content script may outlive its extension. A line for each such page. */
export async function freePages({ browser, signal }: BrowserToolContext): Promise<string[]> {
  const freed = await endHeldCode(browser.pages(), signal);
  return freed.map((page) => `Page ${page.id} was blocked by a script, which was terminated.`);
}

/** The changes by a reload, and the pages that still run the old code. */
export function describeReload(
  { extension, warnings, closed, stale, stalePages }: ReloadResult,
  previous: string,
): string {
  const { name, version, enabled } = extension;
  return [
    `Reloaded "${name}" ${version}${version === previous ? '' : ` (before: ${previous})`}.`,
    ...(enabled ? [] : ['It is disabled: set_extension_enabled enables it.']),
    ...warnings.map((warning) => `Warning: ${oneLine(warning, 1_000)}`),
    ...closed.map(({ kind, url }) => `Chrome closed its ${kind.replace('_', ' ')}: ${shortUrl(url)}`),
    ...stale.map(({ url }) => `Still open with the old code: ${shortUrl(url)}`),
    ...stalePages.map(
      (page) =>
        `Page ${page.id} (${shortUrl(page.url())}) has the old content script, cut off from the extension: navigate_page with reload.`,
    ),
  ].join('\n');
}
