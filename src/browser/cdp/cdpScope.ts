import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { untilAborted } from '../../async.js';
import { openBrowserCdpSession } from './cdpSessions.js';

const scopeRoots = new WeakSet<CDPSession>();

/** Whether a session belongs to a scope, which attaches to targets that other sessions already follow. */
export const isScopeRoot = (session: CDPSession): boolean => scopeRoots.has(session);

/** The pages that the server opened for itself, by browser. */
const ownPages = new WeakMap<Browser, Set<string>>();

/** Whether the server opened a page for itself: a session has no part in it. */
export const isOwnPage = (browser: Browser, targetId: string): boolean => ownPages.get(browser)?.has(targetId) === true;

/** Must be called before the page shows anything. */
export function markOwnPage(browser: Browser, targetId: string): void {
  const known = ownPages.get(browser) ?? new Set();
  ownPages.set(browser, known.add(targetId));
}

/**
 * A CDP session on the browser for one call. What is attached or opened through it ends with it, so that a call that
 * fails or is cancelled leaves nothing behind (S5). Opened and closed by `withCdpScope`.
 */
export class CdpScope {
  readonly signal: AbortSignal;
  /** The browser of this session. */
  readonly owner: Browser;
  readonly #root: CDPSession;
  readonly #sessions: CDPSession[] = [];
  readonly #pages: Promise<Protocol.Target.CreateTargetResponse>[] = [];

  constructor(owner: Browser, root: CDPSession, signal: AbortSignal) {
    this.owner = owner;
    this.#root = root;
    scopeRoots.add(root);
    this.signal = signal;
  }

  /** The session for commands of the browser (domains Extensions, Target). Pass their responses to `untilAborted`. */
  get browser(): CDPSession {
    return this.#root;
  }

  /** The response. Rejects with the signal's reason if that aborts first. */
  untilAborted<T>(response: Promise<T>): Promise<T> {
    return untilAborted(response, this.signal);
  }

  /** All present targets (CDP Target.getTargets), not puppeteer's list, which may be stale. */
  async targets(): Promise<Protocol.Target.TargetInfo[]> {
    const { targetInfos } = await this.untilAborted(this.#root.send('Target.getTargets'));
    return targetInfos;
  }

  /** Attaches to a target until the scope closes. */
  async attach(targetId: string): Promise<CDPSession> {
    return this.untilAborted(this.#attach(targetId));
  }

  async #attach(targetId: string): Promise<CDPSession> {
    const { sessionId } = await this.#root.send('Target.attachToTarget', { targetId, flatten: true });
    const session = this.#root.connection()?.session(sessionId);
    if (!session) throw new Error(`The target ${targetId} is closed.`);
    this.#sessions.push(session);
    return session;
  }

  /**
   * Opens a page in the default profile that no tab strip shows (CDP Target.createTarget `hidden`). Chrome supports this
   * only where a window is open; otherwise it is a background tab. Closed with this scope.
   *
   * An address of Chrome or of an extension needs a process of its own, so that a blank page first would cost two.
   */
  async hiddenPage(url = blank): Promise<CDPSession> {
    const page = this.#createPage(url);
    this.#pages.push(page);
    const { targetId } = await this.untilAborted(page);
    markOwnPage(this.owner, targetId);
    const session = await this.attach(targetId);
    if (url !== blank) await this.untilAborted(untilOpened(session));
    return session;
  }

  async #createPage(url: string): Promise<Protocol.Target.CreateTargetResponse> {
    try {
      return await this.#root.send('Target.createTarget', { url, hidden: true });
    } catch {
      return this.#root.send('Target.createTarget', { url, background: true });
    }
  }

  /** Resolves when everything is detached and closed. Never rejects: a dead browser has nothing left to release. */
  async close(): Promise<void> {
    // Wait for pages that are being opened: they could not be closed after the session is detached.
    const pages = (await Promise.allSettled(this.#pages)).flatMap((page) =>
      page.status === 'fulfilled' ? [page.value.targetId] : [],
    );
    await Promise.allSettled(pages.map((targetId) => this.#closePage(targetId)));
    for (const targetId of pages) ownPages.get(this.owner)?.delete(targetId);
    // A child session can only be detached through its parent.
    const sessions = this.#sessions.map((session) =>
      this.#root.send('Target.detachFromTarget', { sessionId: session.id() }),
    );
    await Promise.allSettled([...sessions, this.#root.detach()]);
  }

  /**
   * Chrome answers Target.closeTarget before the page is closed. An evaluation that never settles ends with the page.
   */
  async #closePage(targetId: string): Promise<void> {
    const session = await this.#attach(targetId);
    const closed = session.send('Runtime.evaluate', { expression: 'new Promise(() => {})', awaitPromise: true });
    await Promise.allSettled([this.#root.send('Target.closeTarget', { targetId }), closed]);
  }
}

const blank = 'about:blank';

/** Resolves when a new page shows the document that it was created with. Rejects if that cannot be opened. */
async function untilOpened(session: CDPSession): Promise<void> {
  const opened = new Promise<Protocol.Page.Frame>((resolve) => {
    session.on('Page.frameNavigated', ({ frame }) => {
      if (frame.parentId === undefined) resolve(frame);
    });
  });
  await session.send('Page.enable');
  const { frame } = (await session.send('Page.getFrameTree')).frameTree;
  const { unreachableUrl } = frame.url === blank || frame.url === '' ? await opened : frame;
  if (unreachableUrl !== undefined) throw new Error(`${unreachableUrl} could not be opened.`);
}

/** Runs `use` with a new scope and closes the scope in every case. Rejects with the signal's reason on abort. */
export async function withCdpScope<T>(
  browser: Browser,
  signal: AbortSignal,
  use: (scope: CdpScope) => Promise<T>,
): Promise<T> {
  const detachLate = (late: CDPSession): void => void new CdpScope(browser, late, signal).close();
  const root = await untilAborted(openBrowserCdpSession(browser), signal, detachLate);
  const scope = new CdpScope(browser, root, signal);
  try {
    return await use(scope);
  } finally {
    const closed = scope.close();
    // A hung browser must not delay the response to a cancelled call.
    if (!signal.aborted) await closed;
  }
}
