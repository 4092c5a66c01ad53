import type { Protocol } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import { noop, untilAborted } from '../../async.js';
import { withoutCredentials } from '../policy/credentials.js';
import { adviceFor, isRedirectFailure } from './loadErrors.js';
import { endHeldCode } from './runScript.js';
import { performAction, type ActionOutcome } from './performAction.js';
import type { SessionPage } from './sessionPage.js';

export interface NavigationLimits {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/**
 * CDP Page.navigate; waits until the page has settled, at most `timeoutMs`. Stops a load that is pending before. Throws a
 * ToolError with the network error. Aborting stops the load.
 */
export function navigate(page: SessionPage, url: string, limits: NavigationLimits): Promise<ActionOutcome> {
  return loadAndSettle(page, limits, async () => {
    const { errorText, isDownload } = await page.cdp.send('Page.navigate', { url });
    if (errorText !== undefined && isDownload !== true) throw new LoadError(url, errorText);
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

/** A page whose code does not end does not answer. */
const stopTimeoutMs = 2_000;

async function loadAndSettle(
  page: SessionPage,
  { signal, timeoutMs }: NavigationLimits,
  begin: (signal: AbortSignal) => Promise<void>,
): Promise<ActionOutcome> {
  const { navigations } = page;
  await navigations.stop();
  navigations.takeStopped();
  // The browser asks the page before it leaves it.
  await endHeldCode([page], signal);
  let failure: LoadError | undefined;
  try {
    const { outcome } = await navigations.withLimit(timeoutMs, () =>
      performAction(
        page,
        signal,
        (stopped) =>
          withinTimeout(begin, stopped, timeoutMs).catch((error: unknown) => {
            if (!(error instanceof LoadError)) throw error;
            failure = error;
          }),
        { limitMs: timeoutMs },
      ),
    );
    const isUnanswered = outcome.response === undefined || isRedirectFailure(failure?.message ?? '');
    // The answer was an address for another program.
    if (outcome.external !== undefined) return outcome;
    if (failure !== undefined && isUnanswered) throw loadFailure(page, failure, outcome, timeoutMs);
    return outcome;
  } catch (error) {
    // Also a load that the browser has not reported yet.
    const stopping = page.interruptions.isCrashed ? undefined : page.cdp.send('Page.stopLoading');
    await untilAborted(Promise.resolve(stopping), timeLimit(stopTimeoutMs)).catch(noop);
    navigations.takeStopped();
    throw error;
  }
}

/** CDP Page.navigate has failed. With an answer of the server, such as 204 or an empty 404, that is no failure. */
class LoadError extends Error {
  readonly url: string;

  constructor(url: string, errorText: string) {
    super(errorText);
    this.url = url;
  }
}

function loadFailure(page: SessionPage, error: LoadError, { stopped }: ActionOutcome, timeoutMs: number): ToolError {
  if (stopped.length > 0) return noAnswer(timeoutMs);
  const { url, message: cause } = error;
  return new ToolError(`${withoutCredentials(url)} could not be loaded: ${cause}. ${adviceFor(page, cause)}`);
}

function noAnswer(timeoutMs: number): ToolError {
  return new ToolError(
    `No page loaded within ${timeoutMs / 1000} s: the server did not answer, and loading was stopped. The page shows ` +
      'what it showed before. Check the server, or pass a longer timeout.',
  );
}

/** A response may never come (a hung server): the wait for it has the same limit as the load. */
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
    throw limit.aborted ? noAnswer(timeoutMs) : error;
  }
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
