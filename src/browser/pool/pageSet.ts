import type { Page, Target } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { messageOf } from '../../errors/errors.js';
import { Lock, noop, untilAborted } from '../../async.js';
import { isExtensionsPage } from '../policy/launchPreferences.js';
import type { ResourceLedger } from '../process/browserConnection.js';
import { openSessionPage, type OnWindow, type SessionPage } from '../page/sessionPage.js';
import type { PageRecord, PageRecovery, SessionPageState } from './recovery.js';
import { describeDiscarded, restoreEmulation, pageRecordOf } from './recovery.js';
import {
  closedAtOnce,
  describeClose,
  describeCrash,
  findTabs,
  isTab,
  openTab,
  PageLimit,
  type OpenOptions,
  type SessionContexts,
} from './tabs.js';

export interface PageSetOptions {
  readonly contexts: SessionContexts;
  readonly pageState: SessionPageState;
  readonly ledger: ResourceLedger;
  /** The limit on tabs. Default 50. */
  readonly maxPages?: number | undefined;
  /** Whether a person uses the browser. Default: false. */
  readonly hasUser?: boolean;
  /** Called for each page before it is listed, and waited for. Never rejects. */
  readonly onPage?: (page: SessionPage) => Promise<void>;
}

const adoptTimeoutMs = 15_000;
const arrivalTimeoutMs = 3_000;
const reopenTimeoutMs = 10_000;
const maxReloads = 3;

/**
 * The tabs of a session's browser contexts as the session sees them: the tabs that it opened, the tabs that were open before, and
 * every popup of these. Popups of extensions are added by `adoptPopup` only; service workers are never in it. Owned by a
 * placement, which disposes it.
 *
 * Every tab is adopted once, whichever reports it first:
 *
 *     start():  record ──> found tab, or reopened by URL ──┐
 *     open():   newPage ───────────────────────────────────┼──> adopt ──> SessionPage ──> list, selection
 *     browser:  targetcreated ──> within the limit? ───────┘                 │
 *                                   └─no──> closed, notice                   ├─ crash ──> reload, notice
 *                                                                            └─ close ──> dispose, next selected, notice
 */
export class PageSet {
  /** The page of calls that name none. */
  selected: SessionPage | undefined;
  readonly #contexts: SessionContexts;
  readonly #pageState: SessionPageState;
  readonly #ledger: ResourceLedger;
  readonly #pages = new Map<number, SessionPage>();
  /** One adoption per target: `newPage` and the browser's event both report it, in any order. */
  readonly #adoptions = new Map<Page, Promise<SessionPage>>();
  readonly #disposals = new Set<Promise<void>>();
  /** Opened by this session, not by the user or a page. */
  readonly #opened = new Set<SessionPage>();
  /** The popups of extensions, with the page that was selected when they opened. */
  readonly #popups = new Map<SessionPage, SessionPage | undefined>();
  readonly #removeListeners = new WeakMap<SessionPage, () => void>();
  readonly #crashCounts = new WeakMap<SessionPage, number>();
  /** Pages that the session closes itself. */
  readonly #closing = new WeakSet<SessionPage>();
  readonly #disposed = new AbortController();
  readonly #limit: PageLimit;
  readonly #hasUser: boolean;
  readonly #onPage: (page: SessionPage) => Promise<void>;
  readonly #windowWatchers = new Set<OnWindow>();
  /** Tabs that Chrome has reported and that are not pages yet. */
  readonly #arrivals = new Set<Promise<void>>();
  /** Tabs that the session is opening itself. */
  readonly #openings = new Set<Promise<unknown>>();
  /** The implicitly opened blank page, until a tool uses it. */
  #blankPage: SessionPage | undefined;
  /** Pages that were closed because no call used them. */
  #discarded: readonly PageRecord[] = [];
  readonly #discarding = new Lock();
  /** Settles with the session's first page here, opened by the session or by the page. */
  #firstPage: Promise<unknown> | undefined;

  constructor({ contexts, pageState, ledger, maxPages, hasUser = false, onPage }: PageSetOptions) {
    this.#hasUser = hasUser;
    this.#onPage = onPage ?? (() => Promise.resolve());
    this.#limit = new PageLimit(contexts, maxPages);
    this.#contexts = contexts;
    contexts.onOpened = (context) => void context.on('targetcreated', this.#onTarget);
    this.#pageState = pageState;
    this.#ledger = ledger;
  }

  /** Finds the pages to restore, or reopens them if `mayReopen` allows it; then adopts all tabs, present and future. */
  async start(records: readonly PageRecord[], mayReopen: (record: PageRecord) => boolean): Promise<PageRecovery> {
    const names = new Set(records.map(({ context }) => context));
    await Promise.all([...names].map((name) => this.#contexts.get(name)));
    const tabs = records.length === 0 ? new Map<string, Page>() : await findTabs(this.#contexts);
    const kept = records.filter(({ targetId }) => tabs.has(targetId));
    const missing = records.filter(({ targetId }) => !tabs.has(targetId));
    const reopened = missing.filter(mayReopen);
    const lost = missing.filter((record) => !mayReopen(record));
    // Before the listener is added: a target that it reports first would get a new page id.
    await Promise.all([
      ...kept.map((record) => this.#restoreTab(record, tabs.get(record.targetId))),
      ...reopened.map((record) => this.#reopen(record)),
    ]);
    this.#contexts.own.on('targetcreated', this.#onTarget);
    await Promise.all(this.#contexts.tabs().map((target) => this.#adoptTarget(target).catch(noop)));
    this.selected ??= this.list()[0];
    return { kept, reopened, lost };
  }

  /**
   * Opens a blank page unless the session has had a page here. Not done on connecting: a page costs a renderer process.
   * `open()` returns this page as long as no tool has used it.
   */
  async ensureFirst(signal: AbortSignal): Promise<void> {
    this.#firstPage ??= this.open().then(
      (page) => (this.#blankPage = page),
      (error: unknown) => {
        this.#firstPage = undefined;
        throw error;
      },
    );
    await untilAborted(this.#firstPage, signal);
    // It may be a tab that an extension opened.
    this.selected ??= this.list()[0];
  }

  /** Oldest first. */
  list(): readonly SessionPage[] {
    return [...this.#pages.values()].sort((a, b) => a.id - b.id);
  }

  /** Resolves when each tab that Chrome has reported is a page, or at the limit, since a server may be silent. */
  async whenAdopted(signal: AbortSignal): Promise<void> {
    await untilAborted(Promise.all(this.#arrivals), AbortSignal.any([signal, timeLimit(arrivalTimeoutMs)])).catch(noop);
    signal.throwIfAborted();
  }

  records(): PageRecord[] {
    return [...this.#discarded, ...this.list().map((page) => pageRecordOf(page, page === this.selected))];
  }

  /** Closes pages that the session opened and `restoreDiscarded` brings back. Not in a profile, which has a user. */
  discard(isUnused: () => boolean): Promise<void> {
    return this.#discarding.run(this.#disposed.signal, async () => {
      if (this.#hasUser || !isUnused()) return;
      const pages = this.list().filter((page) => page.isDiscardable && this.#opened.has(page));
      this.#discarded = [...this.#discarded, ...pages.map((page) => pageRecordOf(page, page === this.selected))];
      await Promise.all(pages.map((page) => this.close(page).catch(noop)));
    });
  }

  /** Opens the discarded pages again, with their ids. A notice names them. */
  restoreDiscarded(): Promise<void> {
    return this.#discarding.run(this.#disposed.signal, async () => {
      const records = this.#discarded;
      if (records.length === 0) return;
      await Promise.all(records.map((record) => this.#reopen(record)));
      this.#discarded = [];
      this.#pageState.notices.push(describeDiscarded(records));
    });
  }

  /** Opens a blank page; one that opens after the signal aborted is closed. */
  async open(options: OpenOptions & { readonly signal?: AbortSignal } = {}): Promise<SessionPage> {
    const blank = options.context === undefined ? this.#takeBlankPage() : undefined;
    const opening = blank ?? this.#openPage(options);
    const page = await untilAborted(opening, options.signal, (late) => void this.close(late).catch(noop));
    if (options.background !== true || this.selected === undefined) this.selected = page;
    return page;
  }

  /** Applies the emulation of new pages. A notice names each page where that fails. */
  async emulateFromStart(pages: readonly SessionPage[]): Promise<void> {
    const { startEmulation, notices } = this.#pageState;
    if (startEmulation === undefined) return;
    const tell = ({ id }: SessionPage, error: unknown): void =>
      void notices.push(`Page ${id} does not have the emulation of open_browser: ${messageOf(error)}`);
    await Promise.all(
      pages.map((page) => page.emulation.apply(startEmulation).catch((error: unknown) => tell(page, error))),
    );
  }

  /** Closes the tab; `beforeunload` does not run. */
  async close(page: SessionPage): Promise<void> {
    if (this.selected === page && this.#popups.has(page)) this.selected = this.#pageBelow(page);
    this.#closing.add(page);
    await page.page.close();
    await Promise.all(this.#disposals);
  }

  /** Adopts the popup of an extension, which the browser does not list as a tab, and selects it. */
  async adoptPopup(popup: Target): Promise<SessionPage> {
    const page = await this.#adopt(await untilAborted(popup.asPage(), this.#deadline()));
    if (this.selected !== page) this.#popups.set(page, this.selected);
    this.selected = page;
    return page;
  }

  /** Removes all listeners and disposes every SessionPage. The tabs stay open. Idempotent; never rejects. */
  async dispose(): Promise<void> {
    this.#disposed.abort(new Error('The session has released this browser.'));
    for (const context of this.#contexts.list()) context.off('targetcreated', this.#onTarget);
    await Promise.allSettled(this.#adoptions.values());
    for (const page of this.list()) this.#remove(page);
    await Promise.all(this.#disposals);
  }

  /** The blank tabs that this session opened and never used. */
  unused(): SessionPage[] {
    return this.list().filter((page) => this.#opened.has(page) && page.url() === 'about:blank');
  }

  #takeBlankPage(): Promise<SessionPage> | undefined {
    const blankPage = this.#blankPage;
    this.#blankPage = undefined;
    const isUnchanged = blankPage !== undefined && this.#pages.has(blankPage.id) && !blankPage.isTouched;
    return isUnchanged && blankPage.url() === 'about:blank' ? Promise.resolve(blankPage) : undefined;
  }

  #openPage(options: OpenOptions): Promise<SessionPage> {
    const opening = this.#openAndAdopt(options).finally(() => this.#openings.delete(opening));
    this.#openings.add(opening);
    return opening;
  }

  async #openAndAdopt({ background = false, id, context: name }: OpenOptions): Promise<SessionPage> {
    const open = async () => openTab(await this.#contexts.get(name), { background, signal: this.#disposed.signal });
    const page = await this.#limit.open(open);
    const adopted = await this.#adopt(page, id).catch((error: unknown) => {
      throw page.isClosed() ? closedAtOnce(error) : error;
    });
    this.#opened.add(adopted);
    return adopted;
  }

  async #restoreTab(record: PageRecord, page: Page | undefined): Promise<void> {
    if (page === undefined) return;
    const kept = await this.#adopt(page, record.id);
    if (record.selected) this.selected = kept;
    this.#pageState.notices.push(...(await restoreEmulation(kept, record)));
  }

  async #reopen(record: PageRecord): Promise<void> {
    const { id, url, selected, context } = record;
    const page = await this.open({ id, background: !selected, context });
    // Before loading: the first request and script must see it.
    this.#pageState.notices.push(...(await restoreEmulation(page, record)));
    if (url === 'about:blank') return;
    const loading = this.#pageState.addresses
      .resolve(url)
      .then((address) => page.page.goto(address, { waitUntil: 'domcontentloaded', timeout: reopenTimeoutMs }));
    await loading.catch((error: unknown) => {
      this.#pageState.notices.push(`Page ${id} could not be reopened at ${url}: ${messageOf(error)}`);
    });
  }

  readonly #onTarget = (target: Target): void => {
    if (!isTab(target)) return;
    const done = this.#limit.isExceeded
      ? this.#limit.close(target, this.#pageState.notices)
      : this.#adoptTarget(target).then((page) => this.#tellOfWindow(page, target.opener()));
    // A tab may close before it is adopted.
    const arrival = done.catch(noop).finally(() => this.#arrivals.delete(arrival));
    this.#arrivals.add(arrival);
  };

  readonly #watchWindows = (onWindow: OnWindow): (() => void) => {
    this.#windowWatchers.add(onWindow);
    return () => this.#windowWatchers.delete(onWindow);
  };

  /** The action that opened a window reports it, or the next answer does. */
  async #tellOfWindow(page: SessionPage, opener: Target | undefined): Promise<void> {
    if (this.#opened.has(page) || this.#popups.has(page) || this.#openings.size > 0) return;
    // Where no window is open, Chrome cannot hide it.
    if (isExtensionsPage(page.url())) return;
    const openedBy = (await opener?.page()) ?? undefined;
    if ([...this.#windowWatchers].some((onWindow) => onWindow(page, openedBy))) return;
    const by = openedBy === undefined ? 'a page or an extension' : 'a page';
    this.#pageState.notices.push(`Page ${page.id} was opened by ${by}: ${page.url()}.`);
  }

  /** Rejects when the tab closes meanwhile, or is discarded and does not answer. */
  async #adoptTarget(target: Target): Promise<SessionPage> {
    const page = await untilAborted(target.page(), this.#deadline());
    if (page === null) throw new Error('The tab is gone.');
    // It may be one of these, which has its id already.
    await Promise.allSettled(this.#openings);
    return this.#adopt(page);
  }

  #adopt(page: Page, id?: number): Promise<SessionPage> {
    const known = this.#adoptions.get(page);
    if (known !== undefined) return known;
    const adoption = this.#openSessionPage(page, id ?? this.#pageState.nextPageId(), id === undefined);
    this.#adoptions.set(page, adoption);
    adoption.catch(() => this.#adoptions.delete(page));
    return adoption;
  }

  async #openSessionPage(page: Page, id: number, isNew: boolean): Promise<SessionPage> {
    const { credentials, kept } = this.#pageState;
    const contextName = this.#contexts.nameOf(page.browserContext());
    const session = { contextName, credentials, hasUser: this.#hasUser, watchWindows: this.#watchWindows };
    const opening = openSessionPage({ id, page, ...session, kept: kept.open() });
    const sessionPage = await untilAborted(opening, this.#deadline(), (late) => void late.dispose());
    this.#ledger.pages.opened += 1;
    this.#pages.set(id, sessionPage);
    this.#firstPage ??= Promise.resolve();
    this.#listen(sessionPage);
    await this.#onPage(sessionPage);
    if (isNew) await this.emulateFromStart([sessionPage]);
    if (page.isClosed()) this.#remove(sessionPage);
    return sessionPage;
  }

  /** In a profile the tab outlives the session, so its listeners must be removable. */
  #listen(sessionPage: SessionPage): void {
    const { page } = sessionPage;
    const onClose = (): void => this.#remove(sessionPage);
    const onCrash = (): void => this.#onCrash(sessionPage);
    page.on('close', onClose).on('error', onCrash);
    this.#removeListeners.set(sessionPage, () => void page.off('close', onClose).off('error', onCrash));
  }

  /** Popups close by themselves: a notice says which page the next tool uses. */
  #selectNext(page: SessionPage): void {
    this.selected = this.#pageBelow(page);
    if (!this.#popups.has(page) || this.#disposed.signal.aborted) return;
    const next = this.selected === undefined ? 'No page is' : `Page ${this.selected.id} is`;
    this.#pageState.notices.push(`Page ${page.id}, the popup of an extension, closed. ${next} selected now.`);
  }

  #pageBelow(page: SessionPage): SessionPage | undefined {
    const previous = this.#popups.get(page);
    return previous !== undefined && this.#pages.has(previous.id)
      ? previous
      : this.list().findLast((other) => other !== page);
  }

  #deadline(): AbortSignal {
    return AbortSignal.any([timeLimit(adoptTimeoutMs), this.#disposed.signal]);
  }

  /** A crashed tab does not answer until it is reloaded. One that keeps crashing is not reloaded again. */
  #onCrash(page: SessionPage): void {
    const crashes = (this.#crashCounts.get(page) ?? 0) + 1;
    this.#crashCounts.set(page, crashes);
    const isLast = crashes > maxReloads;
    const { state, notice } = describeCrash(page, isLast);
    page.markCrashed(state);
    this.#pageState.notices.push(notice);
    if (!isLast) page.page.reload().catch(noop);
  }

  /**
   * Adds a notice for a page of this session that no tool closed. Not when its browser is gone, which has a notice of its
   * own, nor for popups of extensions, which close by themselves.
   */
  #noticeUnexpectedClose(page: SessionPage): void {
    const isSelected = this.selected === page;
    const isOurs = page.isTouched || this.#opened.has(page) || isSelected;
    const isExpected = this.#closing.has(page) || this.#popups.has(page) || this.#disposed.signal.aborted;
    if (!isOurs || isExpected || !this.#contexts.own.browser().connected) return;
    this.#pageState.notices.push(describeClose(page, isSelected ? this.#pageBelow(page) : undefined));
  }

  #remove(page: SessionPage): void {
    if (!this.#pages.delete(page.id)) return;
    this.#adoptions.delete(page.page);
    this.#removeListeners.get(page)?.();
    // A tab that no tool used, such as a tool's hidden page where no window is open, does not count as the first page.
    if (this.#pages.size === 0 && !page.isTouched && !this.#opened.has(page)) this.#firstPage = undefined;
    this.#noticeUnexpectedClose(page);
    this.#opened.delete(page);
    if (this.selected === page) this.#selectNext(page);
    this.#popups.delete(page);
    const disposal = page.dispose().then(() => {
      this.#ledger.pages.closed += 1;
      this.#disposals.delete(disposal);
    });
    this.#disposals.add(disposal);
  }
}
