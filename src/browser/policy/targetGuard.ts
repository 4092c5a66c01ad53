import type { Browser, BrowserContext, CDPSession, Connection, Page, Protocol } from 'puppeteer-core';
import { withBrowserCdpSession, openCdpSession, unlessGone } from '../cdp/cdpSessions.js';
import type { AddressPolicy } from './addressPolicy.js';
import { extensionsPage } from './launchPreferences.js';

type TargetInfo = Protocol.Target.TargetInfo;

export interface GuardedContext {
  readonly context: BrowserContext;
  readonly policy: AddressPolicy;
  /** A page was where no page of the session may be; it is blank now. */
  onRefused(url: string): void;
}

const guards = new WeakMap<Browser, Promise<TargetGuard>>();

/**
 * Holds every target of a browser to the policy of the session whose context it is in: pages, popups, frames in other
 * processes. Requests for files are checked before they are sent, from the first one of a new target on, since the
 * interception is set up while Chrome still holds the target. A page that gets to a refused address in a way that no
 * request shows is made blank.
 */
export class TargetGuard {
  readonly #connection: Connection;
  /** By context id; undefined is the profile's own context. */
  readonly #guarded = new Map<string | undefined, GuardedContext>();

  private constructor(connection: Connection) {
    this.#connection = connection;
    // Pages hang on the session of their tab, frames and workers on that of their page. The library emits this before it
    // lets a new target go on.
    connection.on('sessionattached', (parent) => {
      parent.on('sessionattached', (child) => void this.#watchFiles(child));
    });
    connection.on('Target.targetCreated', ({ targetInfo }) => void this.#onTarget(targetInfo));
    connection.on('Target.targetInfoChanged', ({ targetInfo }) => void this.#onTarget(targetInfo));
  }

  /** The one of this browser. */
  static of(browser: Browser): Promise<TargetGuard> {
    const known = guards.get(browser) ?? TargetGuard.#start(browser);
    guards.set(browser, known);
    known.catch(() => guards.delete(browser));
    return known;
  }

  static #start(browser: Browser): Promise<TargetGuard> {
    return withBrowserCdpSession(browser, (cdp) => {
      const connection = cdp.connection();
      if (connection === undefined) throw new Error('The browser is gone.');
      return Promise.resolve(new TargetGuard(connection));
    });
  }

  /** Guards a context, with what is open in it, until the answer is called. Call it before anything is opened there. */
  async enter(guarded: GuardedContext): Promise<() => void> {
    const { context } = guarded;
    this.#guarded.set(context.id, guarded);
    await Promise.all((await context.pages(true)).map((page) => this.#takeIn(page)));
    return () => {
      if (this.#guarded.get(context.id) === guarded) this.#guarded.delete(context.id);
    };
  }

  /** It was there before the guard. */
  async #takeIn(page: Page): Promise<void> {
    const session = await unlessGone(openCdpSession(page));
    if (session !== undefined) await this.#watchFiles(session);
  }

  #watchFiles(session: CDPSession): Promise<unknown> {
    session.on('Fetch.requestPaused', ({ requestId, request }) => {
      // What has gone meanwhile, with its request, needs no answer.
      void unlessGone(this.#answer(session, requestId, request.url));
    });
    // Workers do not have this domain: what they load is their page's request.
    return unlessGone(session.send('Fetch.enable', { patterns: [{ urlPattern: 'file://*' }] }));
  }

  async #answer(session: CDPSession, requestId: string, url: string): Promise<void> {
    const { targetInfo } = await session.send('Target.getTargetInfo');
    const guarded = this.#ownerOf(targetInfo);
    // Nobody's: in a browser that is not ours, its user's.
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
