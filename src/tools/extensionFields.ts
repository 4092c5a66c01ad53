import { z } from 'zod';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { shortUrl } from './answers.js';

/** In an answer. */
export const extensionId = z.string().regex(/^[a-p]{32}$/, 'an extension id has 32 letters from a to p');

/** As an argument. */
export const extensionIdInput = extensionId.describe('From list_extensions');

export const workerState = z.enum(['running', 'starting', 'stopping', 'stopped', 'none']);

/** `2 contexts`, `1 context`. */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

interface ClosedPage {
  readonly id: number;
  readonly url: string;
}

/** Runs `work`, and returns the extension pages of the session that it closed. */
export async function closedPagesDuring<T>(
  browser: SessionBrowser,
  work: () => Promise<T>,
): Promise<{ value: T; closed: readonly ClosedPage[] }> {
  const before = browser.pages().map((page) => ({ id: page.id, url: page.url() }));
  const value = await work();
  const open = new Set(browser.pages().map(({ id }) => id));
  const closed = before.filter(({ id, url }) => url.startsWith('chrome-extension://') && !open.has(id));
  return { value, closed };
}

/** A line for each closed page, and one for the selected page. */
export function describeClosedPages(browser: SessionBrowser, closed: readonly ClosedPage[]): string[] {
  const lines = closed.map(({ id, url }) => `Chrome closed page ${id} of the extension: ${shortUrl(url)}`);
  return [...lines, ...describeSelectionAfter(browser, closed)];
}

/** A line for the selected page, if pages were closed. */
export function describeSelectionAfter({ selected }: SessionBrowser, closed: readonly ClosedPage[]): string[] {
  if (closed.length === 0) return [];
  if (selected === undefined) return ['No page is selected now.'];
  return [`Page ${selected.id} is selected now: ${shortUrl(selected.url())}`];
}
