import { timeLimit } from '../../clock.js';
import { untilAborted } from '../../async.js';
import { untilQuiet } from '../cdp/injectedFunctions.js';
import { PageActivity } from './activity.js';
import type { OpenDialog } from './dialogs.js';
import type { SessionPage } from './sessionPage.js';

/** How long a page must be still to count as settled: longer than the timers that scripts use to render "later". */
const quietMs = 60;
const settleTimeoutMs = 3_000;
const maxRounds = 50;

/** What became of an action. */
export interface ActionOutcome {
  /** Address of the new document. */
  readonly navigated: string | undefined;
  /** Open now; the action and everything else on the page waits for its answer. */
  readonly dialog: OpenDialog | undefined;
  readonly opened: readonly string[];
  readonly download: string | undefined;
  /** False when the page was still busy at the limit. */
  readonly settled: boolean;
  /** The page is gone: the action closed it, or its browser died. */
  readonly closed: boolean;
}

export interface ActionResult<T> {
  /** Undefined when a dialog came first. */
  readonly value: T | undefined;
  readonly outcome: ActionOutcome;
}

export interface SettleOptions {
  readonly limitMs?: number;
  /** Waits only if a load or a request has begun when `work` is done: for what seldom changes anything. */
  readonly onlyIfStarted?: boolean;
}

/**
 * Does `work` and waits until the page has dealt with it: loads and requests that began have ended and nothing changed
 * for a moment, bounded by `limitMs`. All by events; nothing is waited for that did not begin. A dialog ends the wait at
 * once, and `work` stops at its next step. Rejects with the signal's reason when aborted, with what `work` throws else.
 */
export async function performAction<T>(
  page: SessionPage,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
  { limitMs = settleTimeoutMs, onlyIfStarted = false }: SettleOptions = {},
): Promise<ActionResult<T>> {
  const activity = new PageActivity(page.frames.sessions(), page.frames.mainId);
  const finished = new AbortController();
  const cancelled = AbortSignal.any([signal, finished.signal]);
  // What begins in a page that is gone, or whose browser died, is never told to have ended.
  const stopped = AbortSignal.any([cancelled, page.closedSignal]);
  let value: T | undefined;
  const outcome = (settled: boolean, dialog?: OpenDialog): ActionOutcome => ({
    navigated: activity.navigated,
    dialog,
    opened: activity.opened,
    download: activity.download,
    settled,
    closed: page.isClosed,
  });
  const steps = async (): Promise<ActionOutcome> => {
    try {
      value = await work(stopped);
    } catch (error) {
      // A page that closes itself takes the answers of its last commands with it.
      if (cancelled.aborted || !page.isClosed) throw error;
    }
    if (onlyIfStarted && activity.changes === 0) return outcome(true);
    return outcome(await settle(page, activity, cancelled, limitMs));
  };
  try {
    const end = await page.dialogs.runUntilDialog(
      () => untilAborted(steps(), signal),
      (dialog) => outcome(false, dialog),
    );
    return { value, outcome: end };
  } finally {
    // Not an error of anybody's: it only tells the steps that are left not to begin.
    finished.abort();
    activity.dispose();
  }
}

/** Whether the page came to rest within the limit. Rejects with the signal's reason only. */
async function settle(page: SessionPage, activity: PageActivity, signal: AbortSignal, limitMs: number): Promise<boolean> {
  const limit = timeLimit(limitMs);
  // A page that is gone, and a browser that died, never tell the end of what they began.
  const cancelled = AbortSignal.any([signal, limit, page.closedSignal]);
  try {
    for (let round = 0; round < maxRounds && !page.isClosed; round++) {
      await untilAborted(activity.idle(), cancelled);
      const before = activity.changes;
      const quiet = await untilAborted(areDocumentsQuiet(page, limitMs), cancelled);
      if (quiet && !activity.busy && activity.changes === before) return true;
    }
    return page.isClosed;
  } catch (error) {
    signal.throwIfAborted();
    if (page.isClosed) return true;
    if (limit.aborted) return false;
    throw error;
  }
}

/** False when a document was left meanwhile: a new one is coming, and is waited for in its turn. */
async function areDocumentsQuiet(page: SessionPage, limitMs: number): Promise<boolean> {
  try {
    await Promise.all(page.frames.frameSessions().map((root) => page.callInIsolatedWorld(untilQuiet, [quietMs, limitMs], root)));
    return true;
  } catch {
    return false;
  }
}
