import type { Protocol } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import { untilAborted } from '../../async.js';
import { performAction, type ActionOutcome } from './performAction.js';
import type { SessionPage } from './sessionPage.js';

export interface NavigationLimits {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/**
 * CDP Page.navigate; waits until the page has settled, at most `timeoutMs`. Throws a ToolError with the network error.
 * Aborting stops the load.
 */
export function navigate(page: SessionPage, url: string, limits: NavigationLimits): Promise<ActionOutcome> {
  return loadAndSettle(page, limits, async () => {
    const { errorText, isDownload } = await page.cdp.send('Page.navigate', { url });
    if (errorText === undefined || isDownload === true) return;
    throw new ToolError(`${url} could not be loaded: ${errorText}. Check the address, and that its server runs.`);
  });
}

/** `Page.reload`, then as {@link navigate}. */
export function reload(page: SessionPage, ignoreCache: boolean, limits: NavigationLimits): Promise<ActionOutcome> {
  return loadAndSettle(page, limits, (signal) =>
    untilCommitted(page, signal, () => page.cdp.send('Page.reload', { ignoreCache })),
  );
}

/** One entry back (-1) or forward (1), then as {@link navigate}. Throws a ToolError when there is none. */
export function traverse(page: SessionPage, step: -1 | 1, limits: NavigationLimits): Promise<ActionOutcome> {
  return loadAndSettle(page, limits, async (signal) => {
    const entry = await historyEntry(page, step);
    await untilCommitted(page, signal, () => page.cdp.send('Page.navigateToHistoryEntry', { entryId: entry.id }));
  });
}

async function historyEntry(page: SessionPage, step: -1 | 1): Promise<Protocol.Page.NavigationEntry> {
  const { currentIndex, entries } = await page.cdp.send('Page.getNavigationHistory');
  const entry = entries[currentIndex + step];
  if (entry) return entry;
  throw new ToolError(
    `There is no page to go ${step === -1 ? 'back' : 'forward'} to from ${page.url()}. Use navigate_page with a url.`,
  );
}

async function loadAndSettle(
  page: SessionPage,
  { signal, timeoutMs }: NavigationLimits,
  begin: (signal: AbortSignal) => Promise<void>,
): Promise<ActionOutcome> {
  try {
    const { outcome } = await performAction(page, signal, (stopped) => withinTimeout(begin, stopped, timeoutMs), {
      limitMs: timeoutMs,
    });
    return outcome;
  } catch (error) {
    // An abort must also stop the load in the browser.
    if (signal.aborted) await stopLoading(page);
    throw error;
  }
}

/** A response may never come (a hung server, a 204): the wait for it has the same limit as the load. */
async function withinTimeout(
  begin: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<void> {
  const limit = timeLimit(timeoutMs);
  const stopped = AbortSignal.any([signal, limit]);
  try {
    await untilAborted(begin(stopped), stopped);
  } catch (error) {
    signal.throwIfAborted();
    if (!limit.aborted) throw error;
    throw new ToolError(
      `No page loaded within ${timeoutMs / 1000} s. It may still load: wait_for a text of it, raise timeout, or check ` +
        'its server.',
    );
  }
}

/** Never rejects: the load may have ended, or the page may be closed. */
async function stopLoading(page: SessionPage): Promise<void> {
  await page.cdp.send('Page.stopLoading').catch(() => undefined);
}

/** Resolves when the main frame has committed a navigation, to another document or within the same one. */
async function untilCommitted(page: SessionPage, signal: AbortSignal, begin: () => Promise<unknown>): Promise<void> {
  const { cdp, frames } = page;
  let commit = (): void => undefined;
  const committed = new Promise<void>((resolve) => (commit = resolve));
  const onDocument = ({ frame }: Protocol.Page.FrameNavigatedEvent): void => {
    if (frame.parentId === undefined) commit();
  };
  const onSameDocument = ({ frameId }: Protocol.Page.NavigatedWithinDocumentEvent): void => {
    if (frameId === frames.mainId) commit();
  };
  cdp.on('Page.frameNavigated', onDocument);
  cdp.on('Page.navigatedWithinDocument', onSameDocument);
  try {
    await begin();
    await untilAborted(committed, signal);
  } finally {
    cdp.off('Page.frameNavigated', onDocument);
    cdp.off('Page.navigatedWithinDocument', onSameDocument);
  }
}
