import type { Browser, BrowserContext, CDPSession, Connection, Page, Protocol } from 'puppeteer-core';
import { withBrowserCdpSession, openCdpSession, unlessGone } from '../cdp/cdpSessions.js';
import type { AddressPolicy } from './addressPolicy.js';
import { extensionsPage } from './launchPreferences.js';

type TargetInfo = Protocol.Target.TargetInfo;

export interface GuardedContext {
  readonly context: BrowserContext;
  readonly policy: AddressPolicy;
  /** Called when a page showed an address that the policy denies; the page is blank then. */
  onRefused(url: string): void;
}

const guards = new WeakMap<Browser, Promise<TargetGuard>>();

/**
 * Enforces the address policy of a session on every target of its context: pages, popups, out-of-process frames.
 * Requests for files are checked before they are sent (CDP Fetch.requestPaused), from the first one of a new target on:
 * the interception is enabled while Chrome still pauses the target. A page that reaches a denied address without a
 * request is made blank.
 */
export class TargetGuard {
  readonly #connection: Connection;
  /** By context id; undefined is the default context. */
  readonly #guarded = new Map<string | undefined, GuardedContext>();

  private constructor(connection: Connection) {
    this.#connection = connection;
    // The parent of a page's session is its tab's, that of a frame or worker its page's. Puppeteer emits this before it
    // resumes a new target.
    connection.on('sessionattached', (parent) => {
      parent.on('sessionattached', (child) => void this.#watchFiles(child));
    });
    connection.on('Target.targetCreated', ({ targetInfo }) => void this.#onTarget(targetInfo));
    connection.on('Target.targetInfoChanged', ({ targetInfo }) => void this.#onTarget(targetInfo));
  }

  /** The guard of this browser, created by the first call. */
  static of(browser: Browser): Promise<TargetGuard> {
    const guard = guards.get(browser) ?? TargetGuard.#start(browser);
    guards.set(browser, guard);
    guard.catch(() => guards.delete(browser));
    return guard;
  }

  static #start(browser: Browser): Promise<TargetGuard> {
    return withBrowserCdpSession(browser, (cdp) => {
      const connection = cdp.connection();
      if (connection === undefined) throw new Error('The browser has disconnected.');
      return Promise.resolve(new TargetGuard(connection));
    });
  }

  /**
   * Guards a context with its open pages until the returned function is called. To be called before anything is opened
   * in the context.
   */
  async enter(guarded: GuardedContext): Promise<() => void> {
    const { context } = guarded;
    this.#guarded.set(context.id, guarded);
    await Promise.all((await context.pages(true)).map((page) => this.#watchPage(page)));
    return () => {
      if (this.#guarded.get(context.id) === guarded) this.#guarded.delete(context.id);
    };
  }

  /** For a page that was opened before the guard. */
  async #watchPage(page: Page): Promise<void> {
    const session = await unlessGone(openCdpSession(page));
    if (session !== undefined) await this.#watchFiles(session);
  }

  #watchFiles(session: CDPSession): Promise<unknown> {
    session.on('Fetch.requestPaused', ({ requestId, request }) => {
      // A target that closed meanwhile needs no answer.
      void unlessGone(this.#answer(session, requestId, request.url));
    });
    // Workers lack this domain: their requests are those of their page.
    return unlessGone(session.send('Fetch.enable', { patterns: [{ urlPattern: 'file://*' }] }));
  }

  async #answer(session: CDPSession, requestId: string, url: string): Promise<void> {
    const { targetInfo } = await session.send('Target.getTargetInfo');
    const guarded = this.#ownerOf(targetInfo);
    // A target of no session belongs to the user of an attached browser.
    if (guarded === undefined || (await guarded.policy.allowsPart(url))) {
      await session.send('Fetch.continueRequest', { requestId });
    } else {
      await session.send('Fetch.failRequest', { requestId, errorReason: 'AccessDenied' });
    }
  }

  async #onTarget(target: TargetInfo): Promise<void> {
    const { type, url } = target;
    if (type !== 'page' || url === extensionsPage || url.startsWith('devtools:')) return;
    const guarded = this.#ownerOf(target);
    if (guarded === undefined || (await guarded.policy.allowsPage(url))) return;
    guarded.onRefused(url);
    await this.#makeBlank(target);
  }

  async #makeBlank(target: TargetInfo): Promise<void> {
    const session = await unlessGone(this.#connection.createSession(target));
    if (session === undefined) return;
    await unlessGone(session.send('Page.navigate', { url: 'about:blank' }));
    await unlessGone(session.detach());
  }

  #ownerOf({ browserContextId }: TargetInfo): GuardedContext | undefined {
    return this.#guarded.get(browserContextId) ?? this.#guarded.get(undefined);
  }
}
