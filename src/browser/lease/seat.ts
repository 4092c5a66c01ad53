import type { BrowserContext } from 'puppeteer-core';
import type { BrowserConnection } from '../process/connection.js';
import { ExtensionActivity } from '../extensions/activity.js';
import { uninstallBelow } from '../extensions/uninstall.js';
import type { Ledger } from './ledger.js';
import { PageSet, type PageRecord, type SessionMemory } from './pageSet.js';
import { SeatFolder } from './seatFolder.js';

export type SeatIsolation = 'context' | 'process' | 'profile';

/** A session's place in one browser: a context and the pages in it. Owned by the session's lease, which closes it. */
export interface Seat {
  readonly connection: BrowserConnection;
  readonly context: BrowserContext;
  readonly isolation: SeatIsolation;
  readonly pages: PageSet;
  readonly folder: SeatFolder;
  readonly activity: ExtensionActivity;
  /** Closes what the session has of its own here. Idempotent, never rejects; also right when the browser is gone. */
  close(): Promise<void>;
}

export interface SeatOptions {
  readonly connection: BrowserConnection;
  readonly isolation: SeatIsolation;
  readonly memory: SessionMemory;
  readonly ledger: Ledger;
  /** Pages to open again, with their ids. */
  readonly restore?: readonly PageRecord[];
}

/** Opens a context, or takes the browser's own. Leaves nothing behind when it rejects. */
export async function openSeat(options: SeatOptions): Promise<Seat> {
  const { connection, isolation, memory, ledger } = options;
  const { browser } = connection;
  const context = isolation === 'context' ? await browser.createBrowserContext() : browser.defaultBrowserContext();
  if (isolation === 'context') ledger.contexts.opened += 1;
  const pages = new PageSet({ context, memory, ledger });
  const folder = new SeatFolder(connection.temporaryFolder);
  const activity = new ExtensionActivity(browser);
  const seat = { connection, context, isolation, pages, folder, activity };
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= closeSeat(seat, ledger));
  try {
    await pages.start(options.restore ?? []);
    return { ...seat, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** In the user's own browser every tab stays, but for the blank ones that the session opened and never used. */
async function closeSeat(seat: Omit<Seat, 'close'>, ledger: Ledger): Promise<void> {
  const { isolation, context, pages, folder } = seat;
  await seat.activity.close();
  if (isolation === 'profile') await Promise.all(pages.unused().map(({ page }) => page.close().catch(goneAlready)));
  await pages.dispose();
  await folder.remove((path) => (isolation === 'profile' ? uninstallBelow(seat.connection.browser, path) : undefined));
  if (isolation !== 'context') return;
  await context.close().catch(goneAlready);
  ledger.contexts.closed += 1;
}

/** The browser went away and took the context and its pages along. */
function goneAlready(): void {
  return undefined;
}
