import type { Browser, BrowserContext, Target } from 'puppeteer-core';
import { ToolError } from '../../errors.js';
import type { ExtensionActivity } from '../extensions/activity.js';
import { ContextSelection } from '../extensions/selection.js';
import type { SessionPage } from '../page/page.js';
import type { AddressPolicy } from '../policy/addressPolicy.js';
import type { SessionMemory } from './sessionMemory.js';
import type { OnQueued } from './queuedWork.js';
import type { Seat } from './seat.js';
import type { SessionBrowser } from './sessionBrowser.js';

/**
 * A session's browser from its opening to its loss or release. The seat behind it changes when the session moves to a
 * process of its own, so that a running call may keep this object.
 */
export class LeasedBrowser implements SessionBrowser {
  readonly extensionContext = new ContextSelection();
  #seat: Seat;
  readonly #memory: SessionMemory;
  readonly #move: SessionBrowser['ensureProcess'];

  /** `move` gets the session a process of its own, or throws why not. */
  constructor(seat: Seat, memory: SessionMemory, move: SessionBrowser['ensureProcess']) {
    this.#seat = seat;
    this.#memory = memory;
    this.#move = move;
  }

  get browser(): Browser {
    return this.#seat.connection.browser;
  }

  get context(): BrowserContext {
    return this.#seat.context;
  }

  get isolation(): 'context' | 'process' | 'profile' {
    return this.#seat.isolation;
  }

  get mode(): 'launch' | 'attach' {
    return this.#seat.connection.mode;
  }

  get product(): string {
    return this.#seat.connection.product;
  }

  get addresses(): AddressPolicy {
    return this.#memory.addresses;
  }

  get isAlive(): boolean {
    return this.#seat.isOpen() && this.browser.connected;
  }

  get seat(): Seat {
    return this.#seat;
  }

  pages(): readonly SessionPage[] {
    return this.#seat.pages.list();
  }

  get selected(): SessionPage | undefined {
    return this.#seat.pages.selected;
  }

  page(pageId?: number): SessionPage {
    const page = pageId === undefined ? this.selected : this.#seat.pages.get(pageId);
    if (page !== undefined) return page;
    const open = this.pages().map(({ id, page }) => `${id} ${page.url()}`);
    const asked = pageId === undefined ? 'No page is open' : `There is no page ${pageId}`;
    throw new ToolError(
      open.length === 0
        ? `${asked}. Open one with new_page.`
        : `${asked}. Open pages: ${open.join(', ')}. See list_pages.`,
    );
  }

  select(pageId: number): SessionPage {
    const page = this.page(pageId);
    this.#seat.pages.select(page);
    return page;
  }

  ensureFirstPage(signal: AbortSignal): Promise<void> {
    return this.#seat.pages.ensureFirst(signal);
  }

  newPage(options: { background?: boolean; signal?: AbortSignal } = {}): Promise<SessionPage> {
    return this.#seat.pages.open(options);
  }

  async closePage(pageId: number): Promise<void> {
    await this.#seat.pages.close(this.page(pageId));
  }

  adoptPopup(popup: Target): Promise<SessionPage> {
    return this.#seat.pages.adoptPopup(popup);
  }

  folder(): Promise<string> {
    return this.#seat.folder.path();
  }

  get ownFolder(): string | undefined {
    return this.#seat.folder.place;
  }

  get activity(): ExtensionActivity {
    return this.#seat.activity;
  }

  async ensureProcess(signal: AbortSignal, onQueued?: OnQueued): Promise<void> {
    await this.#move(signal, onQueued);
    await this.activity.start(signal);
  }

  takeNotices(): string[] {
    return this.#memory.notices.splice(0);
  }

  /** Goes on in another seat, whose pages are open already. Called by the lease, which closes the old one. */
  moveTo(seat: Seat): void {
    this.#seat = seat;
  }
}
