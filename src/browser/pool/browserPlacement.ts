import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BrowserContext } from 'puppeteer-core';
import type { BrowserConnection } from '../process/browserConnection.js';
import { ExtensionRecorder } from '../extensions/extensionRecorder.js';
import { uninstallFromFolder } from '../extensions/extensionInstall.js';
import { Downloads } from './downloads.js';
import type { UnregisterContext } from './endpointContexts.js';
import type { ResourceLedger } from '../process/resourceLedger.js';
import type { PlacementRecord, PageRecovery, PageRecord } from './recovery.js';
import { PageSet } from './pageSet.js';
import type { SessionPageState } from './sessionPageState.js';
import { guardAddresses } from './guardAddresses.js';
import { privateFolders } from '../process/privateFolders.js';

export type PlacementIsolation = 'context' | 'process' | 'profile';

interface PlacementParts {
  readonly connection: BrowserConnection;
  readonly context: BrowserContext;
  readonly isolation: PlacementIsolation;
  readonly pages: PageSet;
  readonly folder: SessionFolder;
  readonly activity: ExtensionRecorder;
  /** Of a context that others know of. */
  readonly unregisterContext: UnregisterContext | undefined;
  readonly stopGuarding: () => void;
}

/** A session's place in one browser: a context and the pages in it. Owned by the session's lease, which closes it. */
export interface BrowserPlacement extends PlacementParts {
  /** What became of the pages to restore. */
  readonly recovery: PageRecovery;
  /** Until `close` is called. */
  isOpen(): boolean;
  /** What is here now, by which it can be found again. */
  record(): PlacementRecord;
  /** Closes what the session has of its own here. Idempotent, never rejects; also right when the browser is gone. */
  close(end?: { readonly keepOpen: boolean }): Promise<void>;
}

export interface PlacementOptions {
  readonly connection: BrowserConnection;
  readonly isolation: PlacementIsolation;
  readonly pageState: SessionPageState;
  readonly ledger: ResourceLedger;
  /** The context to find again, if it is there. */
  readonly contextId?: string | undefined;
  /** Pages to find or open again, with their ids. */
  readonly restore?: readonly PageRecord[];
  /** Whether one that is not found is opened again. Default: each. */
  readonly mayReopen?: (record: PageRecord) => boolean;
  /** Tells the other servers that use the browser whose its context is. Never rejects. */
  readonly registerContext?: ((contextId: string) => Promise<UnregisterContext>) | undefined;
}

/** Opens a context or finds it again, or takes the browser's own. Leaves nothing behind when it rejects. */
export async function openPlacement(options: PlacementOptions): Promise<BrowserPlacement> {
  const { connection, isolation, pageState, ledger, restore = [], mayReopen = () => true, registerContext } = options;
  const { browser } = connection;
  const context = isolation === 'context' ? await findOrCreateContext(options) : browser.defaultBrowserContext();
  if (isolation === 'context') ledger.contexts.opened += 1;
  const unregisterContext =
    isolation === 'context' && context.id !== undefined ? await registerContext?.(context.id) : undefined;
  const stopGuarding = await guardAddresses({ connection, context, isolation, memory: pageState });
  // In their own browser users decide how many tabs there are.
  const maxPages = connection.mode === 'attach' && isolation === 'profile' ? Number.POSITIVE_INFINITY : undefined;
  const pages = new PageSet({ context, pageState, ledger, maxPages });
  const folder = new SessionFolder(connection.temporaryFolder);
  const activity = new ExtensionRecorder(browser);
  const placement: PlacementParts = {
    connection,
    context,
    isolation,
    pages,
    folder,
    activity,
    unregisterContext,
    stopGuarding,
  };
  let closing: Promise<void> | undefined;
  let downloads: Downloads | undefined;
  const close = (options = { keepOpen: false }): Promise<void> =>
    (closing ??= closePlacement(placement, ledger, options.keepOpen).then(() => downloads?.close()));
  try {
    // In the user's own browser they go where the user wants them.
    if (connection.mode === 'launch') downloads = await openDownloads(placement, pageState);
    const recovery = await pages.start(restore, mayReopen);
    const isOpen = (): boolean => closing === undefined;
    return { ...placement, recovery, isOpen, record: () => placementRecordOf(placement, pageState), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openDownloads(
  { connection, context, folder }: PlacementParts,
  memory: SessionPageState,
): Promise<Downloads> {
  const note = (text: string): void => void memory.notices.push(text);
  return Downloads.open({ browser: connection.browser, contextId: context.id, folder: await folder.path(), note });
}

function placementRecordOf(
  { connection, context, isolation, pages }: PlacementParts,
  { lastPageId }: SessionPageState,
): PlacementRecord {
  const { mode } = connection;
  const found = mode === 'attach' && isolation === 'context' && context.id !== undefined && { contextId: context.id };
  return { mode, isolation, pages: pages.records(), lastPageId, ...found };
}

async function findOrCreateContext({ connection, contextId }: PlacementOptions): Promise<BrowserContext> {
  const { browser } = connection;
  const found = browser.browserContexts().find(({ id }) => id !== undefined && id === contextId);
  return found ?? browser.createBrowserContext();
}

/** In the user's own browser every tab stays, but for the blank ones that the session opened and never used. */
async function closePlacement(placement: PlacementParts, ledger: ResourceLedger, keepOpen: boolean): Promise<void> {
  const { isolation, context, pages, folder } = placement;
  await placement.activity.close();
  if (isolation === 'profile' && !keepOpen)
    await Promise.all(pages.unused().map(({ page }) => page.close().catch(noop)));
  await pages.dispose();
  placement.stopGuarding();
  await folder.remove((path) =>
    isolation === 'profile' ? uninstallFromFolder(placement.connection.browser, path) : undefined,
  );
  if (isolation !== 'context') return;
  const isClosed = !keepOpen && (await tryCloseContext(context));
  placement.unregisterContext?.(isClosed);
  ledger.contexts.closed += 1;
}

/** False: the browser, or the way to it, went away. */
function tryCloseContext(context: BrowserContext): Promise<boolean> {
  return context.close().then(
    () => true,
    () => false,
  );
}

/** The browser went away and took the context and its pages along. */
function noop(): void {
  return undefined;
}

/** A folder that is made when it is first wanted, and that nobody else may enter. Owned by a seat, which removes it. */
export class SessionFolder {
  readonly #place: string;
  #made: Promise<string> | undefined;
  #isRemoved = false;

  constructor(parent: string) {
    this.#place = join(parent, `${privateFolders.session}${randomUUID()}`);
  }

  /** Where it is, once it is wanted; undefined after its removal. */
  get place(): string | undefined {
    return this.#made === undefined || this.#isRemoved ? undefined : this.#place;
  }

  /** Rejects once the seat has closed. */
  path(): Promise<string> {
    if (this.#isRemoved) return Promise.reject(new Error('The session has let go of its folder.'));
    this.#made ??= mkdir(this.#place, { mode: 0o700 }).then(() => this.#place);
    return this.#made;
  }

  /** Removes it with all that is in it, after `before`, if it was ever made. Never rejects. */
  async remove(before: (path: string) => Promise<void> | undefined): Promise<void> {
    this.#isRemoved = true;
    const path = await this.#made?.catch(() => undefined);
    if (path === undefined) return;
    await before(path);
    // A browser that is just ending may still write there. What is left then goes with the browser's own folder.
    await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }).catch(() => undefined);
  }
}
