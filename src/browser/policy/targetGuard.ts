import type { Browser, BrowserContext, CDPSession, Connection, Page, Protocol } from 'puppeteer-core';
import { noop, untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { withBrowserCdpSession, openCdpSession, unlessGone } from '../cdp/cdpSessions.js';
import { isOwnPage, isScopeRoot } from '../cdp/cdpScope.js';
import type { AddressPolicy } from './addressPolicy.js';
import { isExtensionsPage } from './launchPreferences.js';

type TargetInfo = Protocol.Target.TargetInfo;

export interface GuardedContext {
  readonly context: BrowserContext;
  readonly policy: AddressPolicy;
  /** Called when a page showed an address that the policy denies; the page is blank then. */
  onRefused(url: string): void;
  /** Called when a request was not sent, because of the URL rules. */
  onBlocked(refusal: string): void;
}

const guards = new WeakMap<Browser, Promise<TargetGuard>>();

/**
 * Enforces the address policy of a session on every target of its context: pages, popups, out-of-process frames, workers.
 * Requests for files, and with URL rules all requests, are checked before they are sent (CDP Fetch.requestPaused), from the first one of a new target on:
 * the interception is enabled while Chrome still pauses the target. A page that reaches a denied address without a
 * request is made blank.
 */
export class TargetGuard {
  readonly #browser: Browser;
  readonly #connection: Connection;
  /** Of each session, in order: a profile that is kept may have several, and the newest answers. */
  readonly #guarded = new Set<GuardedContext>();

  readonly #watched = new Set<CDPSession>();
  /** The first request of a tab without an opener, and those of service workers and extensions, are paused here alone. */
  #browserSession: Promise<unknown> | undefined;

  private constructor(browser: Browser, connection: Connection) {
    this.#browser = browser;
    this.#connection = connection;
    // The parent of a page's session is its tab's, that of a frame or worker its page's. Puppeteer emits this before it
    // resumes a new target.
    connection.on('sessionattached', (parent) => {
      parent.on('sessionattached', (child) => {
        // Enabling the interception makes Chrome build the loaders of a document again; not for sessions of one call.
        if (!isScopeRoot(parent)) void this.#watchRequests(child);
      });
    });
    // Of a session itself this event tells the end of one below it: of a frame or worker.
    connection.on('sessiondetached', (session) => this.#watched.delete(session));
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
      return Promise.resolve(new TargetGuard(browser, connection));
    });
  }

  /**
   * Guards a context with its open pages until the returned function is called. To be called before anything is opened
   * in the context.
   */
  async enter(guarded: GuardedContext): Promise<() => void> {
    const { context, policy } = guarded;
    this.#guarded.add(guarded);
    policy.onRules = () => this.#interceptAll();
    if (policy.checksRequests) await policy.onRules();
    await Promise.all((await context.pages(true)).map((page) => this.#watchPage(page)));
    return () => void this.#guarded.delete(guarded);
  }

  /** From now on every request is paused, wherever it comes from. */
  async #interceptAll(): Promise<void> {
    this.#browserSession ??= this.#browser
      .target()
      .createCDPSession()
      .then((session) => this.#watchRequests(session));
    await unlessGone(this.#browserSession);
    await Promise.all([...this.#watched].map((session) => this.#intercept(session)));
  }

  /** For a page that was opened before the guard. */
  async #watchPage(page: Page): Promise<void> {
    const session = await unlessGone(openCdpSession(page));
    if (session !== undefined) await this.#watchRequests(session);
  }

  #watchRequests(session: CDPSession): Promise<unknown> {
    session.on('Fetch.requestPaused', (event) => {
      // A target that closed meanwhile needs no answer.
      void unlessGone(this.#answer(session, event));
    });
    this.#watched.add(session);
    return this.#intercept(session);
  }

  /** Dedicated workers lack this domain: their requests are those of their page. */
  #intercept(session: CDPSession): Promise<unknown> {
    const checksRequests = [...this.#guarded].some(({ policy }) => policy.checksRequests);
    return unlessGone(session.send('Fetch.enable', { patterns: [{ urlPattern: checksRequests ? '*' : 'file://*' }] }));
  }

  async #answer(
    session: CDPSession,
    { requestId, frameId, request: { url } }: Protocol.Fetch.RequestPausedEvent,
  ): Promise<void> {
    const { targetInfo } = await session.send('Target.getTargetInfo');
    // In the session of the browser: the target has the id of its main frame. Requests of its other frames are paused in
    // the session of the target too.
    const target =
      targetInfo.type === 'browser'
        ? (await unlessGone(session.send('Target.getTargetInfo', { targetId: frameId })))?.targetInfo
        : targetInfo;
    const guarded = target === undefined ? this.#newestIn(undefined) : this.#ownerOf(target);
    const refusal = URL.canParse(url) ? guarded?.policy.rules.refusalOf(new URL(url)) : undefined;
    // A target of no session belongs to the user of an attached browser.
    if (guarded === undefined || (await guarded.policy.allowsPart(url))) {
      await session.send('Fetch.continueRequest', { requestId });
    } else {
      if (refusal !== undefined) guarded.onBlocked(refusal);
      await session.send('Fetch.failRequest', {
        requestId,
        errorReason: refusal === undefined ? 'AccessDenied' : 'BlockedByClient',
      });
    }
  }

  async #onTarget(target: TargetInfo): Promise<void> {
    const { type, url } = target;
    if (type !== 'page' || url.startsWith('devtools:')) return;
    // An extension with the permission `debugger` can learn the address, and send a tab there.
    if (isExtensionsPage(url) && isOwnPage(this.#browser, target.targetId)) return;
    const guarded = this.#ownerOf(target);
    if (guarded === undefined || (await guarded.policy.allowsPage(url))) return;
    guarded.onRefused(url);
    await this.#makeBlank(target, guarded.policy);
  }

  async #makeBlank(target: TargetInfo, policy: AddressPolicy): Promise<void> {
    const session = await unlessGone(this.#connection.createSession(target));
    if (session === undefined) return;
    // Chrome refuses the others itself; this one would work.
    if (!isExtensionsPage(target.url))
      await unlessGone(whenLoaded(session, async (url) => !(await policy.allowsPage(url))));
    await unlessGone(session.send('Page.navigate', { url: 'about:blank' }));
    await unlessGone(session.detach());
  }

  #ownerOf({ browserContextId }: TargetInfo): GuardedContext | undefined {
    return this.#newestIn(browserContextId) ?? this.#newestIn(undefined);
  }

  #newestIn(contextId: string | undefined): GuardedContext | undefined {
    return [...this.#guarded].findLast(({ context }) => context.id === contextId);
  }
}

/** How long a page of Chrome's own, or the error in its place, may take to commit, and then to finish loading. */
const limits = { commitMs: 2_000, loadMs: 300 };

/**
 * Resolves when the page has loaded the expected document, or the error in its place. Chrome exits if another
 * navigation begins while it replaces a page of its own by an error.
 */
async function whenLoaded(session: CDPSession, isAwaited: (url: string) => Promise<boolean>): Promise<void> {
  const stopped = new Promise<void>((resolve) => session.on('Page.frameStoppedLoading', () => resolve()));
  await session.send('Page.enable');
  const { frame } = (await session.send('Page.getFrameTree')).frameTree;
  const isThere = await isAwaited(frame.unreachableUrl ?? frame.url);
  await untilAborted(stopped, timeLimit(isThere ? limits.loadMs : limits.commitMs)).catch(noop);
}
