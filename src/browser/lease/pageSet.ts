import type { BrowserContext, Page, Target } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { messageOf } from '../../errors.js';
import { untilAborted } from '../protocol/abort.js';
import type { Ledger } from './ledger.js';
import { openSessionPage, type SessionPage } from '../page/page.js';
import { livingTabs } from './livingTabs.js';
import type { Recovery } from './loss.js';
import { PageLimit } from './pageLimit.js';
import { emulateAgain, recordOf, type PageRecord } from './pageRecord.js';
import { isTab } from './tab.js';

/** What outlives the browser of a session: page ids that are never reused, and what the client has yet to be told. */
export interface SessionMemory {
  lastPageId: number;
  nextPageId(): number;
  readonly notices: string[];
}

export function createMemory(lastPageId = 0): SessionMemory {
  return {
    lastPageId,
    nextPageId() {
      return (this.lastPageId += 1);
    },
    notices: [],
  };
}

export interface PageSetOptions {
  readonly context: BrowserContext;
  readonly memory: SessionMemory;
  readonly ledger: Ledger;
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
  readonly #memory: SessionMemory;
  readonly #ledger: Ledger;
  readonly #pages = new Map<number, SessionPage>();
  /** One adoption for each target, whoever noticed it first: our own `newPage` or the browser's event. */
  readonly #adoptions = new Map<Page, Promise<SessionPage>>();
  readonly #ends = new Set<Promise<void>>();
  /** Opened by this session, not by the user or a page. */
  readonly #opened = new Set<SessionPage>();
  /** The popups of extensions, with the page that was selected when they opened. */
  readonly #popups = new Map<SessionPage, SessionPage | undefined>();
  readonly #unlisten = new WeakMap<SessionPage, () => void>();
  readonly #crashes = new WeakMap<SessionPage, number>();
  readonly #disposed = new AbortController();
  readonly #limit: PageLimit;
  #selected: SessionPage | undefined;
  /** The blank page that was opened unasked, while it is nobody's. */
  #spare: SessionPage | undefined;
  /** Settles with the first page that the session has here, whoever opened it. */
  #first: Promise<unknown> | undefined;

  constructor({ context, memory, ledger, maxPages }: PageSetOptions) {
    this.#limit = new PageLimit(context, maxPages);
    this.#context = context;
    this.#memory = memory;
    this.#ledger = ledger;
  }

  /**
   * Finds the pages to restore, or opens them again unless `mayReopen` denies it, then takes in what is there and what
   * comes.
   */
  async start(restore: readonly PageRecord[], mayReopen: (record: PageRecord) => boolean): Promise<Recovery> {
    const living = restore.length === 0 ? new Map<string, Page>() : await livingTabs(this.#context);
    const [kept, gone] = partition(restore, ({ targetId }) => living.has(targetId));
    const [reopened, lost] = partition(gone, mayReopen);
    // Before the listener: a target that it sees first would get a new id.
    await Promise.all([
      ...kept.map((record) => this.#keep(record, living.get(record.targetId))),
      ...reopened.map((record) => this.#reopen(record)),
    ]);
    this.#context.on('targetcreated', this.#onTarget);
    const tabs = this.#context.targets().filter(isTab);
    await Promise.all(tabs.map((target) => this.#notice(target).catch(goneAgain)));
    this.#selected ??= this.list()[0];
    return { kept, reopened, lost };
  }

  /**
   * Opens a blank page unless the session has had a page here: a page costs a renderer process, which a session pays for
   * when it first needs one, not when it connects. As long as no tool changes it, the next page asked for is this one.
   */
  async ensureFirst(signal: AbortSignal): Promise<void> {
    this.#first ??= this.open().then(
      (page) => (this.#spare = page),
      (error: unknown) => {
        this.#first = undefined;
        throw error;
      },
    );
    await untilAborted(this.#first, signal);
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
    return this.list().map((page) => recordOf(page, page === this.#selected));
  }

  /** Opens a blank page; one that opens after the signal aborted is closed. */
  async open(options: { background?: boolean; id?: number; signal?: AbortSignal } = {}): Promise<SessionPage> {
    const opening = this.#takeSpare() ?? this.#openPage(options);
    const page = await untilAborted(opening, options.signal, (late) => void this.close(late).catch(goneAgain));
    if (options.background !== true || this.#selected === undefined) this.#selected = page;
    return page;
  }

  /** Closes the tab without asking it (`beforeunload` does not run). */
  async close(page: SessionPage): Promise<void> {
    if (this.#selected === page && this.#popups.has(page)) this.#selected = this.#beneath(page);
    await page.page.close();
    await Promise.all(this.#ends);
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
    for (const page of this.list()) this.#drop(page);
    await Promise.all(this.#ends);
  }

  /** The tabs that this session opened and never used. */
  unused(): SessionPage[] {
    return this.list().filter((page) => this.#opened.has(page) && page.url() === 'about:blank');
  }

  #takeSpare(): Promise<SessionPage> | undefined {
    const spare = this.#spare;
    this.#spare = undefined;
    const unchanged = spare !== undefined && this.#pages.has(spare.id) && !spare.touched;
    return unchanged && spare.url() === 'about:blank' ? Promise.resolve(spare) : undefined;
  }

  async #openPage({ background = false, id }: { background?: boolean; id?: number }): Promise<SessionPage> {
    // The answer of a browser that ends meanwhile never comes; puppeteer would wait half a minute for it.
    const opening = this.#limit.open(() => this.#context.newPage({ background }));
    const page = await untilAborted(opening, this.#disposed.signal, (late) => void late.close().catch(goneAgain));
    const adopted = await this.#adopt(page, id);
    this.#opened.add(adopted);
    return adopted;
  }

  async #keep(record: PageRecord, page: Page | undefined): Promise<void> {
    if (page === undefined) return;
    const kept = await this.#adopt(page, record.id);
    if (record.selected) this.#selected = kept;
    this.#memory.notices.push(...(await emulateAgain(kept, record)));
  }

  async #reopen(record: PageRecord): Promise<void> {
    const { id, url, selected } = record;
    const page = await this.open({ id, background: !selected });
    // Before the load: the page's first request and script have to see it.
    this.#memory.notices.push(...(await emulateAgain(page, record)));
    if (url === 'about:blank') return;
    const loading = page.page.goto(url, { waitUntil: 'domcontentloaded', timeout: reopenTimeoutMs });
    await loading.catch((error: unknown) => {
      this.#memory.notices.push(`Page ${id} could not be opened again at ${url}: ${messageOf(error)}`);
    });
  }

  readonly #onTarget = (target: Target): void => {
    if (!isTab(target)) return;
    const taken = this.#limit.isExceeded ? this.#limit.close(target, this.#memory.notices) : this.#notice(target);
    taken.catch(goneAgain);
  };

  /** Rejects when the tab goes away meanwhile, or sleeps and does not answer. */
  async #notice(target: Target): Promise<SessionPage> {
    const page = await untilAborted(target.page(), this.#deadline());
    if (page === null) throw new Error('The tab is gone.');
    return this.#adopt(page);
  }

  #adopt(page: Page, id?: number): Promise<SessionPage> {
    const known = this.#adoptions.get(page);
    if (known !== undefined) return known;
    const adoption = this.#take(page, id ?? this.#memory.nextPageId());
    this.#adoptions.set(page, adoption);
    adoption.catch(() => this.#adoptions.delete(page));
    return adoption;
  }

  async #take(page: Page, id: number): Promise<SessionPage> {
    const opening = openSessionPage({ id, page });
    const taken = await untilAborted(opening, this.#deadline(), (late) => void late.dispose());
    this.#ledger.pages.opened += 1;
    this.#pages.set(id, taken);
    this.#first ??= Promise.resolve();
    this.#listen(taken);
    if (page.isClosed()) this.#drop(taken);
    return taken;
  }

  /** In a profile the tab outlives the session: then nobody of it may listen any more. */
  #listen(taken: SessionPage): void {
    const { page } = taken;
    const onClose = (): void => this.#drop(taken);
    const onCrash = (): void => this.#onCrash(taken);
    page.on('close', onClose).on('error', onCrash);
    this.#unlisten.set(taken, () => void page.off('close', onClose).off('error', onCrash));
  }

  /** Popups close by themselves: whoever worked in one has to know where the next tool works. */
  #selectAfter(page: SessionPage): void {
    this.#selected = this.#beneath(page);
    if (!this.#popups.has(page) || this.#disposed.signal.aborted) return;
    const next = this.#selected === undefined ? 'No page is' : `Page ${this.#selected.id} is`;
    this.#memory.notices.push(`Page ${page.id}, the popup of an extension, closed. ${next} selected now.`);
  }

  #beneath(page: SessionPage): SessionPage | undefined {
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
    const crashes = (this.#crashes.get(page) ?? 0) + 1;
    this.#crashes.set(page, crashes);
    const what = `Page ${page.id} (${page.url()}) crashed`;
    if (crashes > maxReloads) {
      this.#memory.notices.push(`${what} again and was left so. Use close_page, or navigate_page to somewhere else.`);
      return;
    }
    this.#memory.notices.push(`${what} and was loaded again. What was in it is gone; take_snapshot again.`);
    page.page.reload().catch(goneAgain);
  }

  #drop(page: SessionPage): void {
    if (!this.#pages.delete(page.id)) return;
    this.#adoptions.delete(page.page);
    this.#unlisten.get(page)?.();
    // A tab that came and went unasked, as the hidden ones of tools do where no window is open, was not the first page.
    if (this.#pages.size === 0 && !page.touched && !this.#opened.has(page)) this.#first = undefined;
    this.#opened.delete(page);
    if (this.#selected === page) this.#selectAfter(page);
    this.#popups.delete(page);
    const end = page.dispose().then(() => {
      this.#ledger.pages.closed += 1;
      this.#ends.delete(end);
    });
    this.#ends.add(end);
  }
}

function partition<Item>(items: readonly Item[], isFirst: (item: Item) => boolean): [Item[], Item[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}

/** A tab that somebody else opened may close again before it is ours. */
function goneAgain(): void {
  return undefined;
}
