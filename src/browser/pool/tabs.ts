import type { BrowserContext, Page, Target } from 'puppeteer-core';
import { noop, untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import type { SessionPage } from '../page/sessionPage.js';

/** The default limit on the tabs of one session, each of which may be a renderer process. */
const maxPages = 50;

/** The limit on the contexts that a session opens by name. */
const maxNamed = 5;
const maxNameChars = 40;

/** A context that a session has opened by name. `close` never rejects. */
export interface NamedContext {
  readonly context: BrowserContext;
  close(end: { readonly keepOpen: boolean }): Promise<void>;
}

/**
 * The contexts of one session in a browser: its own, and named ones, for several logins side by side. Each has cookies
 * and storage of its own. Owned by a placement, which closes them.
 */
export class SessionContexts {
  readonly own: BrowserContext;
  /** Called for each that is opened, before anything is opened in it. */
  onOpened: (context: BrowserContext) => void = noop;
  readonly #open: (name: string) => Promise<NamedContext>;
  readonly #named = new Map<string, Promise<NamedContext>>();
  readonly #names = new Map<BrowserContext, string>();
  #isClosed = false;

  constructor(own: BrowserContext, open: (name: string) => Promise<NamedContext>) {
    this.own = own;
    this.#open = open;
  }

  list(): readonly BrowserContext[] {
    return [this.own, ...this.#names.keys()];
  }

  /** The tabs in all of them. */
  tabs(): readonly Target[] {
    return this.list().flatMap((context) => context.targets().filter(isTab));
  }

  /** Undefined for the session's own. */
  nameOf(context: BrowserContext): string | undefined {
    return this.#names.get(context);
  }

  /** The ids of the named ones, by name. */
  ids(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#names].flatMap(([{ id }, name]) => (id === undefined ? [] : [[name, id]])));
  }

  /** The session's own, or the one with this name, which the first call opens. Throws a ToolError at the limit. */
  async get(name: string | undefined): Promise<BrowserContext> {
    if (name === undefined) return this.own;
    const opening = this.#named.get(name) ?? this.#openNamed(name);
    return (await opening).context;
  }

  /** Closes the named ones, with their pages. Idempotent; never rejects. */
  async close(end: { readonly keepOpen: boolean }): Promise<void> {
    this.#isClosed = true;
    const opened = await Promise.allSettled(this.#named.values());
    this.#named.clear();
    await Promise.all(opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value.close(end)] : [])));
  }

  async #openNamed(name: string): Promise<NamedContext> {
    if (this.#isClosed) throw new Error('The session has released this browser.');
    if (this.#named.size >= maxNamed) {
      const names = [...this.#named.keys()].join(', ');
      throw new ToolError(`This session has ${maxNamed} contexts, the most there may be: ${names}. Use one of them.`);
    }
    if (name.length > maxNameChars)
      throw new ToolError(`Give the context a name of at most ${maxNameChars} characters.`);
    const opening = this.#open(name).then((opened) => {
      this.#names.set(opened.context, name);
      this.onOpened(opened.context);
      return opened;
    });
    this.#named.set(name, opening);
    opening.catch(() => this.#named.delete(name));
    return opening;
  }
}

/** Limits the tabs of one session, opened by tools or by pages. */
export class PageLimit {
  readonly #contexts: SessionContexts;
  readonly #limit: number;
  #opening = 0;

  constructor(contexts: SessionContexts, limit = maxPages) {
    this.#contexts = contexts;
    this.#limit = limit;
  }

  /** Opens a tab. Throws a ToolError at the limit. */
  async open<T>(open: () => Promise<T>): Promise<T> {
    if (this.#tabs + this.#opening >= this.#limit) {
      throw new ToolError(`This session has ${this.#limit} pages, the most there may be. Close one with close_page.`);
    }
    this.#opening += 1;
    return open().finally(() => (this.#opening -= 1));
  }

  /** Whether a tab that a page has just opened exceeds the limit. */
  get isExceeded(): boolean {
    return this.#tabs > this.#limit;
  }

  /** Closes a tab that exceeds the limit, and adds a notice unless the same one is pending. */
  async close(target: Target, notices: string[]): Promise<void> {
    const notice = `A page opened more than ${this.#limit} pages. The newest were closed. Close some with close_page.`;
    if (!notices.includes(notice)) notices.push(notice);
    const page = await target.page();
    await page?.close();
  }

  get #tabs(): number {
    return this.#contexts.tabs().length;
  }
}

/** The tabs of a session by target id (CDP Target.TargetInfo), which outlives a connection. */
export async function findTabs(contexts: SessionContexts): Promise<ReadonlyMap<string, Page>> {
  const tabs = await Promise.all(contexts.tabs().map(async (target) => withTargetId(await target.page())));
  return new Map(tabs.filter((tab) => tab !== undefined));
}

/** Puppeteer does not expose the target id. */
async function withTargetId(page: Page | null): Promise<readonly [string, Page] | undefined> {
  if (page === null) return undefined;
  const cdp = await page.createCDPSession();
  const { targetInfo } = await cdp.send('Target.getTargetInfo');
  await cdp.detach();
  return [targetInfo.targetId, page];
}

/** An extension's popup has the type `other` at first and is no tab. DevTools windows belong to the user. */
export function isTab(target: Target): boolean {
  const type: string = target.type();
  return type === 'page' && !target.url().startsWith('devtools://');
}

/** Chrome reports nothing about a tab that crashes as it opens. */
const openTimeoutMs = 20_000;
const closedGraceMs = 2_000;

/**
 * Opens a tab; one that opens after the signal aborted is closed. Puppeteer waits 30 s for a tab that is closed as soon as
 * it opens, and for a browser that exits meanwhile: this ends with a ToolError.
 */
export async function openTab(
  context: BrowserContext,
  { background, signal }: { readonly background: boolean; readonly signal: AbortSignal },
): Promise<Page> {
  const before = new Set(context.targets());
  const closed = new AbortController();
  const onClosed = (target: Target): void => {
    if (!isTab(target) || before.has(target)) return;
    // Perhaps another one.
    timeLimit(closedGraceMs).addEventListener('abort', () => closed.abort(new Error('The tab was closed.')));
  };
  context.on('targetdestroyed', onClosed);
  try {
    const limit = AbortSignal.any([closed.signal, timeLimit(openTimeoutMs), signal]);
    return await untilAborted(context.newPage({ background }), limit, (late) => void late.close().catch(noop));
  } catch (error) {
    if (signal.aborted || !context.browser().connected) throw error;
    throw closedAtOnce(error);
  } finally {
    context.off('targetdestroyed', onClosed);
  }
}

/** The error for a tab that closed or crashed while it opened. */
export function closedAtOnce(cause: unknown): ToolError {
  const problem = 'The new tab was closed or crashed as it opened. Does an extension do that to tabs?';
  return new ToolError(`${problem} set_extension_enabled switches one off. Then call the tool again.`, { cause });
}

/** The error of a crashed page until it has loaded again, and the notice. If `isLast`, it is not loaded again. */
export function describeCrash(page: SessionPage, isLast: boolean): { readonly state: string; readonly notice: string } {
  const problem = `Page ${page.id} (${page.url()}) crashed`;
  const end = `${problem} again and was not reloaded. Use close_page, or navigate_page with another address.`;
  if (isLast) return { state: end, notice: end };
  return {
    state: `${problem} and is being loaded again. Its state is lost; call the tool again.`,
    notice: `${problem} and was reloaded. Its previous state is lost; call take_snapshot again.`,
  };
}

/** How a session opens a page. */
export interface OpenOptions {
  readonly background?: boolean;
  readonly id?: number;
  /** The name of a context; undefined: the session's own. */
  readonly context?: string | undefined;
}

/** The notice for a page that no tool closed; `next` is selected instead. */
export function describeClose(page: SessionPage, next: SessionPage | undefined): string {
  const instead = next === undefined ? '' : ` Page ${next.id} (${next.url()}) is selected now.`;
  const why = page.url().startsWith('chrome-extension://')
    ? 'closed: its extension did that, or was reloaded, disabled or removed.'
    : 'closed, and no tool closed it: the page itself did, or the browser.';
  return `Page ${page.id} (${page.url()}) ${why}${instead} Open it again with new_page.`;
}
