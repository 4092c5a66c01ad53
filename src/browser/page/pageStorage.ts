import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import { hasMoreValues, inSlices, jsonOfText, JsonReader, windowsOf } from '../patterns/slices.js';
import type { SessionPage } from './sessionPage.js';

export interface StoredItem {
  readonly name: string;
  readonly value: string;
}

/** Name and value, as the browser answers them. */
export type StoredEntry = readonly string[];

export interface StoredCookie extends StoredItem {
  readonly domain: string;
  readonly path: string;
  /** Seconds since 1970; -1 for a session cookie. */
  readonly expires: number;
  readonly httpOnly: boolean;
  readonly secure: boolean;
  readonly sameSite?: Protocol.Network.CookieSameSite | undefined;
}

/** The optional attributes of a new cookie. */
export type CookieAttributes = {
  readonly [Name in keyof Omit<StoredCookie, 'name' | 'value'>]?: StoredCookie[Name] | undefined;
};

export type ItemArea = 'local' | 'session';

/**
 * The storage of one page's document: the cookies for its URL, HttpOnly ones too, and the items of its origin. Does not
 * use the page's scripts, which see changes as if another tab had made them. Created for one call.
 */
export class PageStorage {
  readonly #cdp: CDPSession;
  readonly url: string;
  readonly origin: string;

  /** Throws a ToolError on a page that cannot store anything. */
  constructor(page: SessionPage) {
    this.#cdp = page.cdp;
    this.url = page.url();
    this.origin = new URL(this.url).origin;
    if (this.origin !== 'null') return;
    throw new ToolError(`${this.url} has no storage: only pages of a site do. Open one with navigate_page.`);
  }

  /** `Network.getCookies`. */
  async cookies(): Promise<StoredCookie[]> {
    const { cookies } = await this.#cdp.send('Network.getCookies', { urls: [this.url] });
    return cookies.map(({ name, value, domain, path, expires, httpOnly, secure, sameSite }) => {
      return { name, value, domain, path, expires, httpOnly, secure, ...(sameSite && { sameSite }) };
    });
  }

  /** CDP Network.setCookie; without a domain it is the page's own. Throws a ToolError that names the cookie. */
  async setCookie({ name, value }: StoredItem, attributes: CookieAttributes = {}): Promise<void> {
    const scope = attributes.domain === undefined ? { url: this.url } : {};
    const definedAttributes = Object.fromEntries(
      Object.entries(attributes).filter(([, attribute]) => attribute !== undefined),
    );
    const cookie = { path: '/', ...scope, ...definedAttributes, name, value };
    const refusal = (cause?: unknown): ToolError =>
      new ToolError(
        `Chrome refused the cookie ${JSON.stringify(name)}. Its domain has to be one of ${this.url}; secure needs https, ` +
          'as do sameSite None and names that begin with __Secure- or __Host-.',
        { cause },
      );
    // Chrome would accept the domain of any site.
    if (attributes.domain !== undefined && !this.#isOwnDomain(attributes.domain)) throw refusal();
    await this.#cdp.send('Network.setCookie', cookie).catch((error: unknown) => {
      throw refusal(error);
    });
  }

  async deleteCookies(cookies: readonly StoredCookie[]): Promise<void> {
    await Promise.all(
      cookies.map(({ name, domain, path }) => this.#cdp.send('Network.deleteCookies', { name, domain, path })),
    );
  }

  /** `DOMStorage.getDOMStorageItems`: name and value of each. There may be a million. */
  async items(area: ItemArea): Promise<readonly StoredEntry[]> {
    const { entries } = await this.#cdp.send('DOMStorage.getDOMStorageItems', { storageId: this.#storageId(area) });
    return entries;
  }

  async setItem(area: ItemArea, { name, value }: StoredItem): Promise<void> {
    await this.#cdp.send('DOMStorage.setDOMStorageItem', { storageId: this.#storageId(area), key: name, value });
  }

  async removeItem(area: ItemArea, name: string): Promise<void> {
    await this.#cdp.send('DOMStorage.removeDOMStorageItem', { storageId: this.#storageId(area), key: name });
  }

  async clearItems(area: ItemArea): Promise<void> {
    await this.#cdp.send('DOMStorage.clear', { storageId: this.#storageId(area) });
  }

  #isOwnDomain(domain: string): boolean {
    return `.${new URL(this.url).hostname}`.endsWith(`.${domain.replace(/^\./, '')}`);
  }

  #storageId(area: ItemArea): Protocol.DOMStorage.StorageId {
    return { securityOrigin: this.origin, isLocalStorage: area === 'local' };
  }
}

const stateItems = z.array(z.object({ name: z.string(), value: z.string() }));

/** Playwright's storage state format, with `sessionStorage` added: files of both can be restored. */
const stateSchema = z.object({
  cookies: z.array(
    z.object({
      name: z.string(),
      value: z.string(),
      domain: z.string(),
      path: z.string().default('/'),
      expires: z.number().default(-1),
      httpOnly: z.boolean().default(false),
      secure: z.boolean().default(false),
      sameSite: z.enum(['Strict', 'Lax', 'None']).optional(),
    }),
  ),
  origins: z.array(
    z.object({ origin: z.string(), localStorage: stateItems.default([]), sessionStorage: stateItems.default([]) }),
  ),
});

type StorageState = z.infer<typeof stateSchema>;

interface SavedState {
  readonly count: number;
  /** Its JSON. */
  readonly parts: Iterable<string>;
}

export async function readState(storage: PageStorage): Promise<SavedState> {
  const [cookies, local, session] = await Promise.all([
    storage.cookies(),
    storage.items('local'),
    storage.items('session'),
  ]);
  const { origin } = storage;
  return {
    count: cookies.length + local.length + session.length,
    parts: stateJson({ origin, cookies, local, session }),
  };
}

interface StoredParts {
  readonly origin: string;
  readonly cookies: readonly StoredCookie[];
  readonly local: readonly StoredEntry[];
  readonly session: readonly StoredEntry[];
}

function* stateJson({ origin, cookies, local, session }: StoredParts): Generator<string> {
  yield `{"cookies":${JSON.stringify(cookies, null, 2)},"origins":[{"origin":${JSON.stringify(origin)},"localStorage":[`;
  yield* itemsJson(local);
  yield '],"sessionStorage":[';
  yield* itemsJson(session);
  yield ']}]}\n';
}

function* itemsJson(entries: readonly StoredEntry[]): Generator<string> {
  let text = '';
  for (const part of itemParts(entries)) {
    text += part;
    if (text.length < partLength) continue;
    yield text;
    text = '';
  }
  yield text;
}

function* itemParts(entries: readonly StoredEntry[]): Generator<string> {
  let before = '\n';
  for (const [name = '', value = ''] of entries) {
    yield `${before}{"name":`;
    yield* jsonOfText(name);
    yield ',"value":';
    yield* jsonOfText(value);
    yield '}';
    before = ',\n';
  }
}

const partLength = 64 * 1024;

/** Throws a ToolError that names the invalid field. */
export async function parseState(text: string, from: string): Promise<StorageState> {
  if (await inSlices(hasMoreValues(text, maxValues)))
    throw new ToolError(`${from} has more than ${maxEntries} cookies and items. Restore less at a time.`);
  const parsed = await inSlices(new JsonReader(windowsOf(text)).read()).catch(() => undefined);
  const checked = stateSchema.safeParse(parsed);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  throw new ToolError(
    `${from} is not a saved storage state: "${issue?.path.join('.') ?? ''}": ${issue?.message ?? ''}.`,
  );
}

/** Checking them holds the event loop. An item has a name and a value. */
const maxEntries = 20_000;
const maxValues = 3 * maxEntries;

/**
 * Replaces the page's storage with the saved state. Returns the number of restored items. Throws a ToolError, before any
 * change, if the state has nothing of the page's origin.
 */
export async function restoreState(storage: PageStorage, state: StorageState): Promise<number> {
  const own = state.origins.find(({ origin }) => origin === storage.origin);
  const cookies = state.cookies.filter(({ domain }) => isDomainOf(domain, storage.url));
  if (own === undefined && cookies.length === 0) {
    const saved = [...state.origins.map(({ origin }) => origin), ...state.cookies.map(({ domain }) => domain)];
    const known = [...new Set(saved)].join(', ') || 'nothing';
    throw new ToolError(
      `The saved storage has nothing of ${storage.origin}, only of ${known}. Call navigate_page to one of these first.`,
    );
  }
  await storage.deleteCookies(await storage.cookies());
  for (const { name, value, ...attributes } of cookies) {
    const { domain, expires, ...rest } = attributes;
    // A cookie with a domain is sent to subdomains, too; without one only to the host.
    const scope = domain.startsWith('.') ? { domain } : {};
    await storage.setCookie({ name, value }, { ...rest, ...scope, ...(expires === -1 ? {} : { expires }) });
  }
  const { localStorage = [], sessionStorage = [] } = own ?? {};
  for (const [area, items] of [['local', localStorage] as const, ['session', sessionStorage] as const]) {
    await storage.clearItems(area);
    for (const item of items) await storage.setItem(area, item);
  }
  return cookies.length + localStorage.length + sessionStorage.length;
}

function isDomainOf(domain: string, url: string): boolean {
  const bare = domain.replace(/^\./, '');
  const { hostname } = new URL(url);
  return hostname === bare || (domain.startsWith('.') && hostname.endsWith(`.${bare}`));
}
