import { timeLimit } from '../../clock.js';
import { untilAborted } from '../protocol/abort.js';
import { untilQuiet } from '../protocol/injectedFunctions.js';
import { Activity } from './activity.js';
import type { OpenDialog } from './dialogs.js';
import type { SessionPage } from './page.js';

/** How long a page must be still to count as settled: longer than the timers that scripts use to render "later". */
const quietMs = 60;
const settleLimitMs = 3_000;
const maxRounds = 50;

/** What became of an action. */
export interface Outcome {
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

export interface Acted<T> {
  /** Undefined when a dialog came first. */
  readonly value: T | undefined;
  readonly outcome: Outcome;
}

export interface SettleOptions {
  readonly limitMs?: number;
  /** Waits only if a load or a request has begun when `work` is done: for what seldom changes anything. */
  readonly onlyIfBegun?: boolean;
}

/**
 * Does `work` and waits until the page has dealt with it: loads and requests that began have ended and nothing changed
 * for a moment, bounded by `limitMs`. All by events; nothing is waited for that did not begin. A dialog ends the wait at
 * once, and `work` stops at its next step. Rejects with the signal's reason when aborted, with what `work` throws else.
 */
export async function act<T>(
  page: SessionPage,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
  { limitMs = settleLimitMs, onlyIfBegun = false }: SettleOptions = {},
): Promise<Acted<T>> {
  const activity = new Activity(page.frames.sessions(), page.frames.mainId);
  const stop = new AbortController();
  const unwanted = AbortSignal.any([signal, stop.signal]);
  // What begins in a page that is gone, or whose browser died, is never told to have ended.
  const either = AbortSignal.any([unwanted, page.gone]);
  let value: T | undefined;
  const outcome = (settled: boolean, dialog?: OpenDialog): Outcome => ({
    navigated: activity.navigated,
    dialog,
    opened: activity.opened,
    download: activity.download,
    settled,
    closed: page.isGone,
  });
  const steps = async (): Promise<Outcome> => {
    try {
      value = await work(either);
    } catch (error) {
      // A page that closes itself takes the answers of its last commands with it.
      if (unwanted.aborted || !page.isGone) throw error;
    }
    if (onlyIfBegun && activity.changes === 0) return outcome(true);
    return outcome(await settle(page, activity, unwanted, limitMs));
  };
  try {
    const end = await page.dialogs.interrupting(
      () => untilAborted(steps(), signal),
      (dialog) => outcome(false, dialog),
    );
    return { value, outcome: end };
  } finally {
    // Not an error of anybody's: it only tells the steps that are left not to begin.
    stop.abort();
    activity.dispose();
  }
}

/** Whether the page came to rest within the limit. Rejects with the signal's reason only. */
async function settle(page: SessionPage, activity: Activity, signal: AbortSignal, limitMs: number): Promise<boolean> {
  const limit = timeLimit(limitMs);
  // A page that is gone, and a browser that died, never tell the end of what they began.
  const either = AbortSignal.any([signal, limit, page.gone]);
  try {
    for (let round = 0; round < maxRounds && !page.isGone; round++) {
      await untilAborted(activity.idle(), either);
      const before = activity.changes;
      const quiet = await untilAborted(documentsQuiet(page, limitMs), either);
      if (quiet && !activity.busy && activity.changes === before) return true;
    }
    return page.isGone;
  } catch (error) {
    signal.throwIfAborted();
    if (page.isGone) return true;
    if (limit.aborted) return false;
    throw error;
  }
}

/** False when a document was left meanwhile: a new one is coming, and is waited for in its turn. */
async function documentsQuiet(page: SessionPage, limitMs: number): Promise<boolean> {
  try {
    await Promise.all(page.frames.roots().map((root) => page.callApart(untilQuiet, [quietMs, limitMs], root)));
    return true;
  } catch {
    return false;
  }
}
