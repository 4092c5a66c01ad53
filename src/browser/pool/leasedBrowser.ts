import type { Browser, BrowserContext, Target } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';
import type { FolderWatches } from '../extensions/folderWatches.js';
import type { ExtensionRecorder } from '../extensions/extensionRecorder.js';
import { ContextSelection } from '../extensions/liveContexts.js';
import type { SessionDebugger } from '../debugger/sessionDebugger.js';
import type { ActionLog } from '../page/actionLog.js';
import type { EmulationSettings } from '../page/pageEmulation.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { SourceMaps } from '../sources/sourceMaps.js';
import type { AddressPolicy } from '../policy/addressPolicy.js';
import type { Credentials } from '../policy/credentials.js';
import type { SessionPageState } from './recovery.js';
import type { Downloads } from './downloads.js';
import type { OnQueued } from './waitQueue.js';
import type { BrowserPlacement } from './browserPlacement.js';
import type { SessionBrowser } from './sessionBrowser.js';

/**
 * A session's browser from its opening to its loss or release. Its placement is exchanged when the session moves to its
 * own process, so a running call can keep this object.
 */
export class LeasedBrowser implements SessionBrowser {
  readonly extensionContext = new ContextSelection();
  #placement: BrowserPlacement;
  readonly #pageState: SessionPageState;
  readonly #moveToProcess: SessionBrowser['ensureProcess'];

  /** `moveToProcess` moves the session to a process of its own, or throws a ToolError. */
  constructor(
    placement: BrowserPlacement,
    pageState: SessionPageState,
    moveToProcess: SessionBrowser['ensureProcess'],
  ) {
    this.#placement = placement;
    this.#pageState = pageState;
    this.#moveToProcess = moveToProcess;
  }

  get browser(): Browser {
    return this.#placement.connection.browser;
  }

  get context(): BrowserContext {
    return this.#placement.context;
  }

  get isolation(): 'context' | 'process' | 'profile' {
    return this.#placement.isolation;
  }

  get mode(): 'launch' | 'attach' {
    return this.#placement.connection.mode;
  }

  get product(): string {
    return this.#placement.connection.product;
  }

  get addresses(): AddressPolicy {
    return this.#pageState.addresses;
  }

  get credentials(): Credentials {
    return this.#pageState.credentials;
  }

  get actions(): ActionLog {
    return this.#pageState.actions;
  }

  get isAlive(): boolean {
    return this.#placement.isOpen() && this.browser.connected;
  }

  get placement(): BrowserPlacement {
    return this.#placement;
  }

  pages(): readonly SessionPage[] {
    return this.#placement.pages.list();
  }

  get selected(): SessionPage | undefined {
    return this.#placement.pages.selected;
  }

  page(pageId?: number): SessionPage {
    const page = pageId === undefined ? this.selected : this.pages().find(({ id }) => id === pageId);
    if (page !== undefined) return page;
    const open = this.pages().map(({ id, page }) => `${id} ${page.url()}`);
    const problem = pageId === undefined ? 'No page is open' : `There is no page ${pageId}`;
    throw new ToolError(
      open.length === 0
        ? `${problem}. Open one with new_page.`
        : `${problem}. Open pages: ${open.join(', ')}. See list_pages.`,
    );
  }

  select(pageId: number): SessionPage {
    const page = this.page(pageId);
    this.#placement.pages.selected = page;
    return page;
  }

  ensureFirstPage(signal: AbortSignal): Promise<void> {
    return this.#placement.pages.ensureFirst(signal);
  }

  whenPagesAdopted(signal: AbortSignal): Promise<void> {
    return this.#placement.pages.whenAdopted(signal);
  }

  newPage(options: Parameters<SessionBrowser['newPage']>[0] = {}): Promise<SessionPage> {
    return this.#placement.pages.open(options);
  }

  async emulateFromStart(settings: EmulationSettings): Promise<void> {
    this.#pageState.startEmulation = settings;
    await this.#placement.pages.emulateFromStart(this.pages());
  }

  async closePage(pageId: number): Promise<void> {
    const page = this.page(pageId);
    await this.debugger.releasePage(page);
    await this.#placement.pages.close(page);
  }

  adoptPopup(popup: Target): Promise<SessionPage> {
    return this.#placement.pages.adoptPopup(popup);
  }

  get downloads(): Downloads | undefined {
    return this.#placement.downloads;
  }

  folder(): Promise<string> {
    return this.#placement.folder.path();
  }

  get ownFolder(): string | undefined {
    return this.#placement.folder.existing;
  }

  get debugger(): SessionDebugger {
    return this.#placement.debugger;
  }

  get activity(): ExtensionRecorder {
    return this.#placement.activity;
  }

  get folderWatches(): FolderWatches {
    return this.#placement.folderWatches;
  }

  get sources(): SourceMaps {
    return this.#placement.sources;
  }

  async ensureProcess(signal: AbortSignal, onQueued?: OnQueued): Promise<void> {
    await this.#moveToProcess(signal, onQueued);
    await this.activity.start(signal);
    await this.folderWatches.settle(signal);
  }

  takeNotices(): string[] {
    const others = [this.debugger.pauses, this.folderWatches, this.activity];
    const asked = this.pages().flatMap(({ id, prompts }) => prompts.takeNews().map((news) => `Page ${id}: ${news}`));
    const all = [...this.#pageState.notices.splice(0), ...others.flatMap((each) => each.takeNotices()), ...asked];
    return [...new Set(all)];
  }

  /** Switches to another placement, whose pages are open already. Called by the lease, which closes the old one. */
  moveTo(placement: BrowserPlacement): void {
    this.#placement = placement;
  }
}
