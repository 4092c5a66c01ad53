import type { BrowserContext } from 'puppeteer-core';
import type { BrowserConnection } from '../process/connection.js';
import { ExtensionActivity } from '../extensions/activity.js';
import { uninstallBelow } from '../extensions/uninstall.js';
import type { LetGo } from './endpointContexts.js';
import type { Ledger } from './ledger.js';
import type { Lost, Recovery } from './loss.js';
import type { PageRecord } from './pageRecord.js';
import { PageSet, type SessionMemory } from './pageSet.js';
import { SeatFolder } from './seatFolder.js';

export type SeatIsolation = 'context' | 'process' | 'profile';

interface SeatParts {
  readonly connection: BrowserConnection;
  readonly context: BrowserContext;
  readonly isolation: SeatIsolation;
  readonly pages: PageSet;
  readonly folder: SeatFolder;
  readonly activity: ExtensionActivity;
  /** Of a context that others know of. */
  readonly letGo: LetGo | undefined;
}

/** A session's place in one browser: a context and the pages in it. Owned by the session's lease, which closes it. */
export interface Seat extends SeatParts {
  /** What became of the pages to restore. */
  readonly recovery: Recovery;
  /** Until `close` is called. */
  isOpen(): boolean;
  /** What is here now, by which it can be found again. */
  record(): Lost;
  /** Closes what the session has of its own here. Idempotent, never rejects; also right when the browser is gone. */
  close(end?: { readonly leftOpen: boolean }): Promise<void>;
}

export interface SeatOptions {
  readonly connection: BrowserConnection;
  readonly isolation: SeatIsolation;
  readonly memory: SessionMemory;
  readonly ledger: Ledger;
  /** The context to find again, if it is there. */
  readonly contextId?: string | undefined;
  /** Pages to find or open again, with their ids. */
  readonly restore?: readonly PageRecord[];
  /** Whether one that is not found is opened again. Default: each. */
  readonly mayReopen?: (record: PageRecord) => boolean;
  /** Tells the other servers that use the browser whose its context is. Never rejects. */
  readonly hold?: ((contextId: string) => Promise<LetGo>) | undefined;
}

/** Opens a context or finds it again, or takes the browser's own. Leaves nothing behind when it rejects. */
export async function openSeat(options: SeatOptions): Promise<Seat> {
  const { connection, isolation, memory, ledger, restore = [], mayReopen = () => true, hold } = options;
  const { browser } = connection;
  const context = isolation === 'context' ? await ownContext(options) : browser.defaultBrowserContext();
  if (isolation === 'context') ledger.contexts.opened += 1;
  const letGo = isolation === 'context' && context.id !== undefined ? await hold?.(context.id) : undefined;
  // In their own browser users decide how many tabs there are.
  const maxPages = connection.mode === 'attach' && isolation === 'profile' ? Number.POSITIVE_INFINITY : undefined;
  const pages = new PageSet({ context, memory, ledger, maxPages });
  const folder = new SeatFolder(connection.temporaryFolder);
  const activity = new ExtensionActivity(browser);
  const seat = { connection, context, isolation, pages, folder, activity, letGo };
  let closing: Promise<void> | undefined;
  const close = (end = { leftOpen: false }): Promise<void> => (closing ??= closeSeat(seat, ledger, end.leftOpen));
  try {
    const recovery = await pages.start(restore, mayReopen);
    const isOpen = (): boolean => closing === undefined;
    return { ...seat, recovery, isOpen, record: () => recordOf(seat, memory), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function recordOf({ connection, context, isolation, pages }: SeatParts, { lastPageId }: SessionMemory): Lost {
  const { mode } = connection;
  const found = mode === 'attach' && isolation === 'context' && context.id !== undefined && { contextId: context.id };
  return { mode, isolation, pages: pages.records(), lastPageId, ...found };
}

async function ownContext({ connection, contextId }: SeatOptions): Promise<BrowserContext> {
  const { browser } = connection;
  const found = browser.browserContexts().find(({ id }) => id !== undefined && id === contextId);
  return found ?? browser.createBrowserContext();
}

/** In the user's own browser every tab stays, but for the blank ones that the session opened and never used. */
async function closeSeat(seat: SeatParts, ledger: Ledger, leftOpen: boolean): Promise<void> {
  const { isolation, context, pages, folder } = seat;
  await seat.activity.close();
  if (isolation === 'profile' && !leftOpen)
    await Promise.all(pages.unused().map(({ page }) => page.close().catch(goneAlready)));
  await pages.dispose();
  await folder.remove((path) => (isolation === 'profile' ? uninstallBelow(seat.connection.browser, path) : undefined));
  if (isolation !== 'context') return;
  const isClosed = !leftOpen && (await hasClosed(context));
  seat.letGo?.(isClosed);
  ledger.contexts.closed += 1;
}

/** False: the browser, or the way to it, went away. */
function hasClosed(context: BrowserContext): Promise<boolean> {
  return context.close().then(
    () => true,
    () => false,
  );
}

/** The browser went away and took the context and its pages along. */
function goneAlready(): void {
  return undefined;
}
