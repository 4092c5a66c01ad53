import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, BrowserContext, Protocol } from 'puppeteer-core';
import { noop } from '../../async.js';
import { withBrowserCdpSession } from '../cdp/cdpSessions.js';
import { refusedAddress } from '../policy/addressPolicy.js';
import { TargetGuard } from '../policy/targetGuard.js';
import type { BrowserConnection, ResourceLedger } from '../process/browserConnection.js';
import { ExtensionRecorder } from '../extensions/extensionRecorder.js';
import { uninstallFromFolder } from '../extensions/extensionInstall.js';
import { FolderWatches } from '../extensions/folderWatches.js';
import { CommonWorkers } from './commonWorkers.js';
import { Downloads, type DownloadsOptions } from './downloads.js';
import type { UnregisterContext } from './endpointContexts.js';
import type { PlacementRecord, PageRecovery, PageRecord, SessionPageState } from './recovery.js';
import { SourceMaps } from '../sources/sourceMaps.js';
import { SessionDebugger } from '../debugger/sessionDebugger.js';
import type { SessionPage } from '../page/sessionPage.js';
import { PageSet } from './pageSet.js';
import { SessionContexts, type NamedContext } from './tabs.js';

import { privateFolders } from '../../folders.js';

export type PlacementIsolation = 'context' | 'process' | 'profile';

interface PlacementParts {
  readonly connection: BrowserConnection;
  readonly context: BrowserContext;
  /** That one, and those that the session opened by name. */
  readonly contexts: SessionContexts;
  readonly isolation: PlacementIsolation;
  readonly pages: PageSet;
  readonly folder: SessionFolder;
  readonly activity: ExtensionRecorder;
  readonly workers: CommonWorkers;
  readonly folderWatches: FolderWatches;
  readonly sources: SourceMaps;
  readonly debugger: SessionDebugger;
  /** Present when the context is registered for other nodes. */
  readonly unregisterContext: UnregisterContext | undefined;
  readonly stopGuarding: () => void;
}

/**
 * A session's placement in one browser: its context, pages and folder. Owned by the session's lease, which closes it.
 */
export interface BrowserPlacement extends PlacementParts {
  /** Undefined in an attached browser, which keeps its own download folder. */
  readonly downloads: Downloads | undefined;
  /** The result of restoring the pages. */
  readonly recovery: PageRecovery;
  /** True until `close` is called. */
  isOpen(): boolean;
  /** The record from which the placement can be restored. */
  record(): PlacementRecord;
  /** Closes what the session has opened here. Idempotent; never rejects, also when the browser is gone. */
  close(end?: { readonly keepOpen: boolean }): Promise<void>;
}

export interface PlacementOptions {
  readonly connection: BrowserConnection;
  readonly isolation: PlacementIsolation;
  readonly pageState: SessionPageState;
  readonly ledger: ResourceLedger;
  readonly downloadRefusal?: DownloadsOptions['refusal'];
  /** The context to find again, if it still exists. */
  readonly contextId?: string | undefined;
  /** The contexts with names to find again, if they still exist: ids by name. */
  readonly contexts?: Readonly<Record<string, string>> | undefined;
  /** Pages to find or reopen, with their ids. */
  readonly restore?: readonly PageRecord[];
  /** Whether a page that is not found is reopened. Default: always. */
  readonly mayReopen?: (record: PageRecord) => boolean;
  /** Registers the context for the other nodes that use the browser. Never rejects. */
  readonly registerContext?: ((contextId: string) => Promise<UnregisterContext>) | undefined;
}

/** Notices of requests that were not sent, for one placement. */
const maxBlockedNotices = 20;

/** Opens a context, finds it again, or uses the browser's default one. Leaves nothing behind when it rejects. */
export async function openPlacement(options: PlacementOptions): Promise<BrowserPlacement> {
  const { connection, isolation, pageState, ledger, restore = [], mayReopen = () => true, registerContext } = options;
  const { browser } = connection;
  const context = isolation === 'context' ? await findOrCreateContext(options) : browser.defaultBrowserContext();
  if (isolation === 'context') ledger.contexts.opened += 1;
  const unregisterContext =
    isolation === 'context' && context.id !== undefined ? await registerContext?.(context.id) : undefined;
  const stopGuarding = await guardAddresses({ connection, context, isolation, pageState });
  // No limit on tabs in a user's own browser.
  const maxPages = connection.mode === 'attach' && isolation === 'profile' ? Number.POSITIVE_INFINITY : undefined;
  const folder = new SessionFolder(connection.temporaryFolder);
  const activity = new ExtensionRecorder(browser, pageState.kept.open());
  const sources = new SourceMaps({ browser, addresses: pageState.addresses });
  const onPage = (page: SessionPage): Promise<void> => {
    workers.onPage(page);
    return sessionDebugger.onPage(page);
  };
  let downloads: Downloads | undefined;
  const contexts = new SessionContexts(context, (name) => openNamed(name, options, () => downloads));
  const pages = new PageSet({ contexts, pageState, ledger, maxPages, hasUser: isolation === 'profile', onPage });
  const isBeside = ({ browserContextId }: Protocol.Target.TargetInfo, { page }: SessionPage): boolean => {
    const { id } = page.browserContext();
    return id === undefined ? !contexts.list().some((each) => each.id === browserContextId) : id === browserContextId;
  };
  const workers = new CommonWorkers({ browser, pages: () => pages.list(), isBeside });
  const own = { browser, activity, sources, pages: () => pages.list(), ...pageState };
  const sessionDebugger = new SessionDebugger(own);
  const folderWatches = new FolderWatches(own);
  const placement: PlacementParts = {
    connection,
    context,
    contexts,
    isolation,
    pages,
    folder,
    activity,
    workers,
    folderWatches,
    sources,
    debugger: sessionDebugger,
    unregisterContext,
    stopGuarding,
  };
  let closing: Promise<void> | undefined;
  const close = (options = { keepOpen: false }): Promise<void> =>
    (closing ??= closePlacement(placement, ledger, options.keepOpen).then(() => downloads?.close()));
  try {
    // An attached browser keeps its own download folder.
    if (connection.mode === 'launch') downloads = await openDownloads(placement, options);
    const recovery = await pages.start(restore, mayReopen);
    const isOpen = (): boolean => closing === undefined;
    return { ...placement, downloads, recovery, isOpen, record: () => placementRecordOf(placement, pageState), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Enforces the session's address policy on every target of the context, until the returned function is called. In a
 * user's own browser the policy applies to tools only.
 */
async function guardAddresses({
  connection,
  context,
  isolation,
  pageState,
}: Pick<PlacementParts, 'connection' | 'context' | 'isolation'> & {
  readonly pageState: SessionPageState;
}): Promise<() => void> {
  const { addresses: policy, notices } = pageState;
  const { browser, mode } = connection;
  if (mode === 'attach' && isolation === 'profile') {
    policy.enterUsersOwn();
    return noop;
  }
  // Contexts hold no extensions.
  policy.enterOurs(isolation === 'context' ? undefined : () => installedExtensionIds(browser));
  const guard = await TargetGuard.of(browser);
  const onRefused = (url: string): void =>
    void notices.push(`A page went to ${refusedAddress(url)}, which no page of a session may open. It is blank now.`);
  const blocked = new Set<string>();
  const onBlocked = (refusal: string): void => {
    if (blocked.has(refusal) || blocked.size >= maxBlockedNotices) return;
    blocked.add(refusal);
    notices.push(`A request was not sent: ${refusal}`);
  };
  return guard.enter({ context, policy, onRefused, onBlocked });
}

/** Whether any extension is installed, other than Chrome's built-in ones. */
export async function hasExtensions(browser: Browser): Promise<boolean> {
  return (await installedExtensionIds(browser)).size > 0;
}

/** CDP Extensions.getExtensions lists installed extensions, not Chrome's built-in ones. */
async function installedExtensionIds(browser: Browser): Promise<ReadonlySet<string>> {
  const { extensions } = await withBrowserCdpSession(browser, (cdp) => cdp.send('Extensions.getExtensions'));
  return new Set(extensions.map(({ id }) => id));
}

async function openDownloads(
  { connection, context, folder, pages }: PlacementParts,
  { pageState, downloadRefusal: refusal }: PlacementOptions,
): Promise<Downloads> {
  const note = (text: string): void => void pageState.notices.push(text);
  const hasFrame = (frameId: string): boolean => pages.list().some((page) => page.hasFrame(frameId));
  const { browser } = connection;
  return Downloads.open({ browser, contextId: context.id, folder: await folder.path(), hasFrame, refusal, note });
}

/** A context with a name, in which the session has the same rules, downloads and bounds. */
async function openNamed(
  name: string,
  options: PlacementOptions,
  downloads: () => Downloads | undefined,
): Promise<NamedContext> {
  const { connection, isolation, pageState, ledger, registerContext, contexts = {} } = options;
  const context = await findOrCreateContext({ connection, contextId: contexts[name] });
  ledger.contexts.opened += 1;
  const { id } = context;
  const unregister = id === undefined ? undefined : await registerContext?.(id);
  const stopGuarding = await guardAddresses({ connection, context, isolation, pageState });
  if (id !== undefined) await downloads()?.join(id);
  return {
    context,
    close: async ({ keepOpen }) => {
      stopGuarding();
      const isClosed = !keepOpen && (await tryCloseContext(context));
      unregister?.(isClosed);
      ledger.contexts.closed += 1;
    },
  };
}

function placementRecordOf(
  { connection, context, contexts, isolation, pages }: PlacementParts,
  { lastPageId, startEmulation }: SessionPageState,
): PlacementRecord {
  const { mode } = connection;
  const found = mode === 'attach' && isolation === 'context' && context.id !== undefined && { contextId: context.id };
  const ids = mode === 'attach' ? contexts.ids() : {};
  const named = Object.keys(ids).length > 0 && { contexts: ids };
  return { mode, isolation, pages: pages.records(), lastPageId, startEmulation, ...found, ...named };
}

async function findOrCreateContext({
  connection,
  contextId,
}: Pick<PlacementOptions, 'connection' | 'contextId'>): Promise<BrowserContext> {
  const { browser } = connection;
  const found = browser.browserContexts().find(({ id }) => id !== undefined && id === contextId);
  return found ?? browser.createBrowserContext();
}

/** In a profile the tabs stay open, except the blank ones that the session opened and never used. */
async function closePlacement(placement: PlacementParts, ledger: ResourceLedger, keepOpen: boolean): Promise<void> {
  const { isolation, context, pages, folder } = placement;
  // First: a page that is paused would not be closed.
  await placement.debugger.close();
  placement.sources.close();
  placement.folderWatches.close();
  placement.workers.close();
  await placement.activity.close();
  if (isolation === 'profile' && !keepOpen)
    await Promise.all(pages.unused().map(({ page }) => page.close().catch(noop)));
  await pages.dispose();
  await placement.contexts.close({ keepOpen });
  placement.stopGuarding();
  await folder.remove((path) =>
    isolation === 'profile' ? uninstallFromFolder(placement.connection.browser, path) : undefined,
  );
  if (isolation !== 'context') return;
  const isClosed = !keepOpen && (await tryCloseContext(context));
  placement.unregisterContext?.(isClosed);
  ledger.contexts.closed += 1;
}

/** False when the browser or its connection is gone. */
function tryCloseContext(context: BrowserContext): Promise<boolean> {
  return context.close().then(
    () => true,
    () => false,
  );
}

/** A temporary folder, created on first use and readable by this user only. Owned by a placement, which removes it. */
export class SessionFolder {
  readonly #path: string;
  #created: Promise<string> | undefined;
  #isRemoved = false;

  constructor(parent: string) {
    this.#path = join(parent, `${privateFolders.session}${randomUUID()}`);
  }

  /** Its path while it exists. */
  get existing(): string | undefined {
    return this.#created === undefined || this.#isRemoved ? undefined : this.#path;
  }

  /** Creates the folder. Rejects once the placement is closed. */
  path(): Promise<string> {
    if (this.#isRemoved) return Promise.reject(new Error('The session has released its folder.'));
    this.#created ??= mkdir(this.#path, { mode: 0o700 }).then(() => this.#path);
    return this.#created;
  }

  /** Removes the folder with its contents after `before`, if it was created. Never rejects. */
  async remove(before: (path: string) => Promise<void> | undefined): Promise<void> {
    this.#isRemoved = true;
    const path = await this.#created?.catch(() => undefined);
    if (path === undefined) return;
    await before(path);
    // An exiting browser may still write here. What is left is removed with the browser's own folder.
    await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }).catch(() => undefined);
  }
}
