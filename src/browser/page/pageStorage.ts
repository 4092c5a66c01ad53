import type { CDPSession, Protocol } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';
import type { SessionPage } from './sessionPage.js';

export interface StoredItem {
  readonly name: string;
  readonly value: string;
}

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

  /** `DOMStorage.getDOMStorageItems`. */
  async items(area: ItemArea): Promise<StoredItem[]> {
    const { entries } = await this.#cdp.send('DOMStorage.getDOMStorageItems', { storageId: this.#storageId(area) });
    return entries.map(([name = '', value = '']) => ({ name, value }));
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
