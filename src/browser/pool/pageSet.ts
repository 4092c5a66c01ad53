import type { BrowserContext, Page, Target } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { messageOf } from '../../errors/errors.js';
import { untilAborted } from '../../async.js';
import type { ResourceLedger } from '../process/resourceLedger.js';
import { openSessionPage, type SessionPage } from '../page/sessionPage.js';
import { type PageRecovery, restoreEmulation, pageRecordOf, type PageRecord } from './recovery.js';
import { PageLimit } from './pageLimit.js';
import type { SessionPageState } from './sessionPageState.js';

export interface PageSetOptions {
  readonly context: BrowserContext;
  readonly pageState: SessionPageState;
  readonly ledger: ResourceLedger;
  /** How many tabs there may be. Default 50. */
  readonly maxPages?: number | undefined;
}

const adoptTimeoutMs = 15_000;
const reopenTimeoutMs = 10_000;
const maxReloads = 3;

/**
 * The tabs of one browser context as one session sees them: those it opened, those that were there, and every popup that
 * these open. Extension popups and service workers are not tabs and not in it. Owned by a seat, which disposes it.
 */
export class PageSet {
  readonly #context: BrowserContext;
  readonly #pageState: SessionPageState;
  readonly #ledger: ResourceLedger;
  readonly #pages = new Map<number, SessionPage>();
  /** One adoption for each target, whoever noticed it first: our own `newPage` or the browser's event. */
  readonly #adoptions = new Map<Page, Promise<SessionPage>>();
  readonly #disposals = new Set<Promise<void>>();
  /** Opened by this session, not by the user or a page. */
  readonly #opened = new Set<SessionPage>();
  /** The popups of extensions, with the page that was selected when they opened. */
  readonly #popups = new Map<SessionPage, SessionPage | undefined>();
  readonly #removeListeners = new WeakMap<SessionPage, () => void>();
  readonly #crashCounts = new WeakMap<SessionPage, number>();
  /** Those that the session closes itself. */
  readonly #closing = new WeakSet<SessionPage>();
  readonly #disposed = new AbortController();
  readonly #limit: PageLimit;
  #selected: SessionPage | undefined;
  /** The blank page that was opened unasked, while it is nobody's. */
  #blankPage: SessionPage | undefined;
  /** Settles with the first page that the session has here, whoever opened it. */
  #firstPage: Promise<unknown> | undefined;

  constructor({ context, pageState, ledger, maxPages }: PageSetOptions) {
    this.#limit = new PageLimit(context, maxPages);
    this.#context = context;
    this.#pageState = pageState;
    this.#ledger = ledger;
  }

  /**
   * Finds the pages to restore, or opens them again unless `mayReopen` denies it, then takes in what is there and what
   * comes.
   */
  async start(records: readonly PageRecord[], mayReopen: (record: PageRecord) => boolean): Promise<PageRecovery> {
    const living = records.length === 0 ? new Map<string, Page>() : await findTabs(this.#context);
    const [kept, missing] = partition(records, ({ targetId }) => living.has(targetId));
    const [reopened, lost] = partition(missing, mayReopen);
    // Before the listener: a target that it sees first would get a new id.
    await Promise.all([
      ...kept.map((record) => this.#restoreTab(record, living.get(record.targetId))),
      ...reopened.map((record) => this.#reopen(record)),
    ]);
    this.#context.on('targetcreated', this.#onTarget);
    const targets = this.#context.targets().filter(isTab);
    await Promise.all(targets.map((target) => this.#adoptTarget(target).catch(noop)));
    this.#selected ??= this.list()[0];
    return { kept, reopened, lost };
  }

  /**
   * Opens a blank page unless the session has had a page here: a page costs a renderer process, which a session pays for
   * when it first needs one, not when it connects. As long as no tool changes it, the next page asked for is this one.
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
  }

  /** Oldest first. */
  list(): readonly SessionPage[] {
    return [...this.#pages.values()].sort((a, b) => a.id - b.id);
  }

  get(pageId: number): SessionPage | undefined {
    return this.#pages.get(pageId);
  }

  get selected(): SessionPage | undefined {
    return this.#selected;
  }

  select(page: SessionPage): void {
    this.#selected = page;
  }

  records(): PageRecord[] {
    return this.list().map((page) => pageRecordOf(page, page === this.#selected));
  }

  /** Opens a blank page; one that opens after the signal aborted is closed. */
  async open(options: { background?: boolean; id?: number; signal?: AbortSignal } = {}): Promise<SessionPage> {
    const opening = this.#takeBlankPage() ?? this.#openPage(options);
    const page = await untilAborted(opening, options.signal, (late) => void this.close(late).catch(noop));
    if (options.background !== true || this.#selected === undefined) this.#selected = page;
    return page;
  }

  /** Closes the tab without asking it (`beforeunload` does not run). */
  async close(page: SessionPage): Promise<void> {
    if (this.#selected === page && this.#popups.has(page)) this.#selected = this.#pageBelow(page);
    this.#closing.add(page);
    await page.page.close();
    await Promise.all(this.#disposals);
  }

  /** Takes in the popup of an extension, which the browser lists as no tab, and selects it. */
  async adoptPopup(popup: Target): Promise<SessionPage> {
    const page = await this.#adopt(await untilAborted(popup.asPage(), this.#deadline()));
    if (this.#selected !== page) this.#popups.set(page, this.#selected);
    this.#selected = page;
    return page;
  }

  /** Stops listening and lets go of every page. The tabs stay open. Idempotent; never rejects. */
  async dispose(): Promise<void> {
    this.#disposed.abort(new Error('The session has let go of this browser.'));
    this.#context.off('targetcreated', this.#onTarget);
    await Promise.allSettled(this.#adoptions.values());
    for (const page of this.list()) this.#remove(page);
    await Promise.all(this.#disposals);
  }

  /** The tabs that this session opened and never used. */
  unused(): SessionPage[] {
    return this.list().filter((page) => this.#opened.has(page) && page.url() === 'about:blank');
  }

  #takeBlankPage(): Promise<SessionPage> | undefined {
    const blankPage = this.#blankPage;
    this.#blankPage = undefined;
    const isUnchanged = blankPage !== undefined && this.#pages.has(blankPage.id) && !blankPage.isTouched;
    return isUnchanged && blankPage.url() === 'about:blank' ? Promise.resolve(blankPage) : undefined;
  }

  async #openPage({ background = false, id }: { background?: boolean; id?: number }): Promise<SessionPage> {
    // The answer of a browser that ends meanwhile never comes; puppeteer would wait half a minute for it.
    const opening = this.#limit.open(() => this.#context.newPage({ background }));
    const page = await untilAborted(opening, this.#disposed.signal, (late) => void late.close().catch(noop));
    const adopted = await this.#adopt(page, id);
    this.#opened.add(adopted);
    return adopted;
  }

  async #restoreTab(record: PageRecord, page: Page | undefined): Promise<void> {
    if (page === undefined) return;
    const kept = await this.#adopt(page, record.id);
    if (record.selected) this.#selected = kept;
    this.#pageState.notices.push(...(await restoreEmulation(kept, record)));
  }

  async #reopen(record: PageRecord): Promise<void> {
    const { id, url, selected } = record;
    const page = await this.open({ id, background: !selected });
    // Before the load: the page's first request and script have to see it.
    this.#pageState.notices.push(...(await restoreEmulation(page, record)));
    if (url === 'about:blank') return;
    const loading = this.#pageState.addresses
      .resolve(url)
      .then((address) => page.page.goto(address, { waitUntil: 'domcontentloaded', timeout: reopenTimeoutMs }));
    await loading.catch((error: unknown) => {
      this.#pageState.notices.push(`Page ${id} could not be opened again at ${url}: ${messageOf(error)}`);
    });
  }

  readonly #onTarget = (target: Target): void => {
    if (!isTab(target)) return;
    const taken = this.#limit.isExceeded
      ? this.#limit.close(target, this.#pageState.notices)
      : this.#adoptTarget(target);
    taken.catch(noop);
  };

  /** Rejects when the tab goes away meanwhile, or sleeps and does not answer. */
  async #adoptTarget(target: Target): Promise<SessionPage> {
    const page = await untilAborted(target.page(), this.#deadline());
    if (page === null) throw new Error('The tab is gone.');
    return this.#adopt(page);
  }

  #adopt(page: Page, id?: number): Promise<SessionPage> {
    const known = this.#adoptions.get(page);
    if (known !== undefined) return known;
    const adoption = this.#openSessionPage(page, id ?? this.#pageState.nextPageId());
    this.#adoptions.set(page, adoption);
    adoption.catch(() => this.#adoptions.delete(page));
    return adoption;
  }

  async #openSessionPage(page: Page, id: number): Promise<SessionPage> {
    const opening = openSessionPage({ id, page });
    const sessionPage = await untilAborted(opening, this.#deadline(), (late) => void late.dispose());
    this.#ledger.pages.opened += 1;
    this.#pages.set(id, sessionPage);
    this.#firstPage ??= Promise.resolve();
    this.#listen(sessionPage);
    if (page.isClosed()) this.#remove(sessionPage);
    return sessionPage;
  }

  /** In a profile the tab outlives the session: then nobody of it may listen any more. */
  #listen(sessionPage: SessionPage): void {
    const { page } = sessionPage;
    const onClose = (): void => this.#remove(sessionPage);
    const onCrash = (): void => this.#onCrash(sessionPage);
    page.on('close', onClose).on('error', onCrash);
    this.#removeListeners.set(sessionPage, () => void page.off('close', onClose).off('error', onCrash));
  }

  /** Popups close by themselves: whoever worked in one has to know where the next tool works. */
  #selectNext(page: SessionPage): void {
    this.#selected = this.#pageBelow(page);
    if (!this.#popups.has(page) || this.#disposed.signal.aborted) return;
    const next = this.#selected === undefined ? 'No page is' : `Page ${this.#selected.id} is`;
    this.#pageState.notices.push(`Page ${page.id}, the popup of an extension, closed. ${next} selected now.`);
  }

  #pageBelow(page: SessionPage): SessionPage | undefined {
    const before = this.#popups.get(page);
    return before !== undefined && this.#pages.has(before.id)
      ? before
      : this.list().findLast((other) => other !== page);
  }

  #deadline(): AbortSignal {
    return AbortSignal.any([timeLimit(adoptTimeoutMs), this.#disposed.signal]);
  }

  /** A crashed tab answers nothing until it is loaded again. One that keeps crashing is left as it is. */
  #onCrash(page: SessionPage): void {
    const crashes = (this.#crashCounts.get(page) ?? 0) + 1;
    this.#crashCounts.set(page, crashes);
    const what = `Page ${page.id} (${page.url()}) crashed`;
    if (crashes > maxReloads) {
      this.#pageState.notices.push(
        `${what} again and was left so. Use close_page, or navigate_page to somewhere else.`,
      );
      return;
    }
    this.#pageState.notices.push(`${what} and was loaded again. What was in it is gone; take_snapshot again.`);
    page.page.reload().catch(noop);
  }

  /**
   * A page that the session worked with and did not close. When its browser has gone, that is told instead; popups of
   * extensions close by themselves.
   */
  #noteUnasked(page: SessionPage): void {
    const isOurs = page.isTouched || this.#opened.has(page);
    const isExpected = this.#closing.has(page) || this.#popups.has(page) || this.#disposed.signal.aborted;
    if (!isOurs || isExpected || !this.#context.browser().connected) return;
    this.#pageState.notices.push(
      `Page ${page.id} (${page.url()}) closed, and no tool closed it: the page itself did, or the browser. Open it again with new_page.`,
    );
  }

  #remove(page: SessionPage): void {
    if (!this.#pages.delete(page.id)) return;
    this.#adoptions.delete(page.page);
    this.#removeListeners.get(page)?.();
    // A tab that came and went unasked, as the hidden ones of tools do where no window is open, was not the first page.
    if (this.#pages.size === 0 && !page.isTouched && !this.#opened.has(page)) this.#firstPage = undefined;
    this.#noteUnasked(page);
    this.#opened.delete(page);
    if (this.#selected === page) this.#selectNext(page);
    this.#popups.delete(page);
    const disposal = page.dispose().then(() => {
      this.#ledger.pages.closed += 1;
      this.#disposals.delete(disposal);
    });
    this.#disposals.add(disposal);
  }
}

function partition<Item>(items: readonly Item[], isFirst: (item: Item) => boolean): [Item[], Item[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}

/** A tab that somebody else opened may close again before it is ours. */
function noop(): void {
  return undefined;
}

/** The tabs that a context has already, by the ids of their targets (CDP Target.TargetInfo), which outlive a connection. */
export async function findTabs(context: BrowserContext): Promise<ReadonlyMap<string, Page>> {
  const found = await Promise.all(
    context
      .targets()
      .filter(isTab)
      .map(async (target) => withTargetId(await target.page())),
  );
  return new Map(found.filter((tab) => tab !== undefined));
}

/** Puppeteer keeps the id to itself. */
async function withTargetId(page: Page | null): Promise<readonly [string, Page] | undefined> {
  if (page === null) return undefined;
  const cdp = await page.createCDPSession();
  const { targetInfo } = await cdp.send('Target.getTargetInfo');
  await cdp.detach();
  return [targetInfo.targetId, page];
}

/** An extension's popup starts as `other` and is no tab; DevTools windows are the user's. */
export function isTab(target: Target): boolean {
  const type: string = target.type();
  return type === 'page' && !target.url().startsWith('devtools://');
}
