import { setTimeout as delay } from 'node:timers/promises';
import { timeLimit } from '../../clock.js';
import { noop, untilAborted } from '../../async.js';
import { ToolError } from '../../errors/errors.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import { getsFrames, untilQuiet } from '../cdp/injectedFunctions.js';
import type { Interruption, OpenDialog } from './interruptions.js';
import { PageActivity, type DocumentResponse } from './pageActivity.js';
import { answerTimeoutMs, type StoppedNavigation } from './pendingNavigations.js';
import { adviceFor } from './loadErrors.js';
import type { SessionPage } from './sessionPage.js';

/** A page without changes for this long is settled: longer than the timers that scripts use to defer rendering. */
const quietMs = 60;
/** How long a loaded page may take to come to rest, and a load to advance. */
const restTimeoutMs = 3_000;
/** The same for a document that did not come to rest before. */
const restlessTimeoutMs = 1_000;
const maxRounds = 50;
const loopTimeoutMs = 1_000;
/** How long a loop that was stopped has to stay so, and how often it is stopped. */
const loopRestMs = 200;
const maxStops = 10;

/** The consequences of an action. */
export interface ActionOutcome {
  /** URL of the new document. */
  readonly navigated: string | undefined;
  /** The answer to the latest navigation. */
  readonly response: DocumentResponse | undefined;
  /** Why its document was not loaded, or ended before its end: `net::ERR_…`, and what to do about it. */
  readonly loadError: { readonly error: string; readonly advice: string } | undefined;
  /** Answers of servers that ask for credentials. */
  readonly challenges: readonly DocumentResponse[];
  /** The browser shows an error instead of the document. */
  readonly unreachable: boolean;
  /** Navigations that were stopped because no answer came. */
  readonly stopped: readonly StoppedNavigation[];
  /** The open dialog, which blocks the action and the page until it is handled. */
  readonly dialog: OpenDialog | undefined;
  /** Where the debugger paused the page, which blocks both until the page is resumed. */
  readonly paused: string | undefined;
  /** What the page requested of its user in windows of the browser, one sentence each. */
  readonly prompts: readonly string[];
  /** The windows that opened, by address; without an id where they have not opened yet. */
  readonly opened: readonly OpenedWindow[];
  readonly download: string | undefined;
  /** An address that is for another program, which a server has not: `mailto:` and the like. */
  readonly external: string | undefined;
  /** False when the page was still busy at the limit. */
  readonly settled: boolean;
  /** What kept the page busy, for people. */
  readonly busyWith: string | undefined;
  /** The page is closed, by the action or because its browser died. */
  readonly closed: boolean;
}

export interface OpenedWindow {
  readonly url: string;
  readonly pageId: number | undefined;
}

export interface ActionResult<T> {
  /** Undefined when a dialog or a pause came first. */
  readonly value: T | undefined;
  readonly outcome: ActionOutcome;
}

export interface SettleOptions {
  /** The longest wait for a page that is loaded by the action. */
  readonly limitMs?: number;
  /** Waits only if a load or a request has started when `work` is done: for actions that rarely have consequences. */
  readonly onlyIfStarted?: boolean;
}

/**
 * Runs `work` and waits until the page has settled: the loads and requests that started have ended and the documents
 * did not change for a moment. A load may take `limitMs`; a page that is loaded gets three seconds to come to rest.
 * Driven by events only. A dialog or a pause ends the wait immediately, and `work` stops at its next step. A navigation that has
 * no answer at the end is stopped, since it would block the tools that follow. Rejects with the signal's reason when
 * aborted, otherwise with the error of `work`.
 *
 *     work ──> loaded ──> requests idle ──> documents quiet ──> nothing new started? ──yes──> settled
 *                ^              ^                                       │
 *                └── navigated ─┴──────────────────no───────────────────┘
 *     at any time: dialog, pause ──> outcome.dialog, outcome.paused   limit ──> settled: false   page closed ──> closed: true
 */
export async function performAction<T>(
  page: SessionPage,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
  { limitMs = answerTimeoutMs, onlyIfStarted = false }: SettleOptions = {},
): Promise<ActionResult<T>> {
  const activity = new PageActivity(page.frames.sessions(), page.frames.mainId);
  const finished = new AbortController();
  const cancelled = AbortSignal.any([signal, finished.signal]);
  // A closed page or dead browser never reports the end of what it started.
  const stopped = AbortSignal.any([cancelled, page.closedSignal]);
  const windows = new OpenedWindows(page);
  let value: T | undefined;
  const outcome = (end: ActionEnd): ActionOutcome => outcomeOf(page, activity, windows, end);
  const steps = async (): Promise<ActionOutcome> => {
    try {
      value = await work(stopped);
    } catch (error) {
      // A page that closes itself does not answer its last commands.
      if (cancelled.aborted || !page.isClosed) throw error;
    }
    if (onlyIfStarted && activity.changes === 0 && activity.opened.length === 0) return outcome({ settled: true });
    const settled = await settle(page, activity, cancelled, limitMs);
    if (!settled && !page.interruptions.current) await stopLoading(page, activity);
    await windows.opened(activity.opened.length, stopped);
    return outcome({ settled, isHeld: !settled && !(await page.isAnswering(signal, restTimeoutMs)) });
  };
  try {
    const end = await page.interruptions.runUntilInterrupted(
      () => untilAborted(steps(), signal),
      (interruption) => {
        if (interruption.kind === 'crash') throw new ToolError(interruption.describe());
        return outcome({ settled: false, interruption });
      },
    );
    return { value, outcome: end };
  } finally {
    // Not an error: it cancels the remaining steps.
    finished.abort();
    activity.dispose();
    windows.dispose();
  }
}

/** A tab in front gets a frame within this time. */
const frameMs = 150;

/**
 * Brings a tab to the front that is behind another one: once it changes, it gets one frame a second, and Chrome hands it
 * input with its frames. Never rejects.
 */
export async function bringForward(page: SessionPage): Promise<void> {
  const isInFront = await page.callInIsolatedWorld(getsFrames, [frameMs]).catch(noop);
  if (isInFront === false) await unlessGone(page.cdp.send('Page.bringToFront'));
}

/** A loop at best when a document is complete and has begun to go on: that one stays. */
async function stopLoading(page: SessionPage, activity: PageActivity): Promise<void> {
  if (activity.loop?.isOfPage !== true) {
    await page.navigations.stop();
    return;
  }
  const isBetween = (): boolean => activity.isParsed && page.navigations.isPending;
  for (let stops = 0; stops < maxStops && !page.isClosed; stops++) {
    const limit = timeLimit(loopTimeoutMs);
    while (!isBetween() && !limit.aborted) await untilAborted(activity.nextProgress(), limit).catch(noop);
    await unlessGone(page.cdp.send('Page.stopLoading'));
    // It comes too late for a document that has been committed meanwhile, whose script goes on.
    const { documents } = activity.loop;
    await delay(loopRestMs);
    if (activity.loop.documents === documents && !page.navigations.isPending) return;
  }
}

interface ActionEnd {
  readonly settled: boolean;
  /** The page's code does not let it answer. */
  readonly isHeld?: boolean;
  readonly interruption?: Interruption;
}

/** Of a page that is busy. */
export const heldReason = 'a script in it does not end, so it answers nothing';

const windowTimeoutMs = 1_500;

/** The pages of the session that a page opens, in their order. Owned by its action, which disposes it. */
class OpenedWindows {
  readonly pages: SessionPage[] = [];
  readonly dispose: () => void;
  #onWindow = (): void => undefined;

  constructor(page: SessionPage) {
    this.dispose = page.watchWindows((window, opener) => {
      if (opener !== undefined && opener !== page.page) return false;
      this.pages.push(window);
      this.#onWindow();
      return true;
    });
  }

  /** Resolves when this many windows are open, or at a time limit. A later answer names a window whose server was silent. */
  async opened(count: number, signal: AbortSignal): Promise<void> {
    if (this.pages.length >= count) return;
    const limit = AbortSignal.any([signal, timeLimit(windowTimeoutMs)]);
    const complete = new Promise<void>((resolve) => {
      this.#onWindow = () => {
        if (this.pages.length >= count) resolve();
      };
    });
    await untilAborted(complete, limit).catch(noop);
  }
}

function outcomeOf(
  page: SessionPage,
  activity: PageActivity,
  windows: OpenedWindows,
  { settled, isHeld, interruption }: ActionEnd,
): ActionOutcome {
  const { navigated, isUnreachable: unreachable, response, challenges, download, external } = activity;
  const { loadError: error } = activity;
  const loadError = error === undefined ? undefined : { error, advice: adviceFor(page, error) };
  const count = Math.max(activity.opened.length, windows.pages.length);
  const opened = Array.from({ length: count }, (_, index): OpenedWindow => {
    const window = windows.pages[index];
    return { url: window?.url() || (activity.opened[index] ?? ''), pageId: window?.id };
  });
  const closed = page.isClosed;
  const reason = isHeld === true ? heldReason : activity.describe();
  const pending = page.navigations.takeStopped();
  // Of a loop, `busyWith` says more; otherwise a load that was stopped kept the page busy.
  const stopped = activity.loop?.isOfPage === true ? [] : pending;
  const isAtRest = settled || closed || interruption !== undefined || (stopped.length > 0 && isHeld !== true);
  const busyWith = isAtRest ? undefined : reason;
  const dialog = interruption?.kind === 'dialog' ? page.dialogs.open : undefined;
  const paused = interruption?.kind === 'pause' ? interruption.describe() : undefined;
  const prompts = page.prompts.takeNews();
  const effects = { prompts, navigated, response, loadError, challenges, unreachable, opened, download, external };
  return { ...effects, stopped, dialog, paused, settled, busyWith, closed };
}

/** Whether the page settled within the limit. Rejects with the signal's reason only. */
async function settle(
  page: SessionPage,
  activity: PageActivity,
  signal: AbortSignal,
  limitMs: number,
): Promise<boolean> {
  const limit = timeLimit(limitMs);
  // A closed page or dead browser never reports the end of what it started.
  const cancelled = AbortSignal.any([signal, limit, page.closedSignal]);
  if (activity.navigated !== undefined) page.isRestless = false;
  try {
    for (;;) {
      if (!(await untilLoaded(page, activity, cancelled))) return false;
      if (await untilAtRest(page, activity, cancelled)) return true;
      if (activity.loop !== undefined) return false;
      const isNavigating = page.navigations.isPending || (activity.loading && !activity.isParsed);
      if (!isNavigating) break;
    }
    page.isRestless = true;
    return false;
  } catch (error) {
    signal.throwIfAborted();
    if (page.isClosed) return true;
    if (limit.aborted) return false;
    throw error;
  }
}

/** False when the load of a document that can be read already does not advance, or one follows another. */
async function untilLoaded(page: SessionPage, activity: PageActivity, signal: AbortSignal): Promise<boolean> {
  while (page.navigations.isPending || activity.loading) {
    if (activity.loop !== undefined) return false;
    if (page.navigations.isPending) await untilAborted(page.navigations.ended(), signal);
    else if (!(await advances(activity, signal))) return false;
  }
  return true;
}

async function advances(activity: PageActivity, signal: AbortSignal): Promise<boolean> {
  const progress = activity.nextProgress();
  if (!activity.isParsed) {
    await untilAborted(progress, signal);
    return true;
  }
  const limit = timeLimit(restTimeoutMs);
  try {
    await untilAborted(progress, AbortSignal.any([signal, limit]));
    return true;
  } catch (error) {
    if (limit.aborted && !signal.aborted) return false;
    throw error;
  }
}

/** False if requests or changes of the documents continue. */
async function untilAtRest(page: SessionPage, activity: PageActivity, signal: AbortSignal): Promise<boolean> {
  const restMs = page.isRestless ? restlessTimeoutMs : restTimeoutMs;
  const limit = timeLimit(restMs);
  const cancelled = AbortSignal.any([signal, limit]);
  activity.beginRest();
  try {
    for (let round = 0; round < maxRounds && !page.isClosed && activity.loop === undefined; round++) {
      await untilAborted(activity.idle(), cancelled);
      const before = activity.changes;
      const quiet = await untilAborted(areDocumentsQuiet(page, 2 * restMs), cancelled);
      if (quiet && !activity.busy && activity.changes === before) return true;
    }
    return page.isClosed;
  } catch (error) {
    if (limit.aborted && !signal.aborted) return false;
    throw error;
  }
}

/** False when a document was replaced meanwhile: the next round waits for the new one. */
async function areDocumentsQuiet(page: SessionPage, limitMs: number): Promise<boolean> {
  try {
    await Promise.all(
      page.frames.frameSessions().map((root) => page.callInIsolatedWorld(untilQuiet, [quietMs, limitMs], root)),
    );
    return true;
  } catch {
    return false;
  }
}
