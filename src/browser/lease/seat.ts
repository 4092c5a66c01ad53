import type { BrowserContext } from 'puppeteer-core';
import type { BrowserConnection } from '../process/connection.js';
import type { Ledger } from './ledger.js';
import { PageSet, type PageRecord, type SessionMemory } from './pageSet.js';

export type SeatIsolation = 'context' | 'process' | 'profile';

/** A session's place in one browser: a context and the pages in it. Owned by the session's lease, which closes it. */
export interface Seat {
  readonly connection: BrowserConnection;
  readonly context: BrowserContext;
  readonly isolation: SeatIsolation;
  readonly pages: PageSet;
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
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= closeSeat({ isolation, context, pages, ledger }));
  try {
    await pages.start(options.restore ?? []);
    return { connection, context, isolation, pages, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** In the user's own browser every tab stays, but for the blank ones that the session opened and never used. */
async function closeSeat(seat: Pick<Seat, 'isolation' | 'context' | 'pages'> & { ledger: Ledger }): Promise<void> {
  const { isolation, context, pages, ledger } = seat;
  if (isolation === 'profile') await Promise.all(pages.unused().map(({ page }) => page.close().catch(goneAlready)));
  await pages.dispose();
  if (isolation !== 'context') return;
  await context.close().catch(goneAlready);
  ledger.contexts.closed += 1;
}

/** The browser went away and took the context and its pages along. */
function goneAlready(): void {
  return undefined;
}
