import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { untilAborted } from '../../async.js';
import { openBrowserCdpSession } from './cdpSessions.js';

/**
 * A protocol session on the browser, for one call. Whatever is attached or opened through it hangs on it and ends with
 * it, so a call that fails or is cancelled half way leaves nothing behind (S5). Made and closed by `withProtocol`.
 */
export class CdpScope {
  readonly signal: AbortSignal;
  /** The browser that it is a session on. */
  readonly owner: Browser;
  readonly #root: CDPSession;
  readonly #sessions: CDPSession[] = [];
  readonly #pages: Promise<Protocol.Target.CreateTargetResponse>[] = [];

  constructor(owner: Browser, root: CDPSession, signal: AbortSignal) {
    this.owner = owner;
    this.#root = root;
    this.signal = signal;
  }

  /** For commands that only the browser answers (`Extensions`, `ServerTarget`). Pass what it returns to `until`. */
  get browser(): CDPSession {
    return this.#root;
  }

  /** The answer, or the signal's reason if that comes first. */
  untilAborted<T>(response: Promise<T>): Promise<T> {
    return untilAborted(response, this.signal);
  }

  /** Every target there is now, straight from the browser: no list of handles that could be old. */
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
    if (!session) throw new Error(`The target ${targetId} is gone.`);
    this.#sessions.push(session);
    return session;
  }

  /**
   * A blank page in the default profile that no tab strip shows. Chrome makes one only where a window is open; else it
   * is a tab in the background. Closed with this scope.
   */
  async hiddenPage(): Promise<CDPSession> {
    const page = this.#createPage();
    this.#pages.push(page);
    const { targetId } = await this.untilAborted(page);
    return this.attach(targetId);
  }

  async #createPage(): Promise<Protocol.Target.CreateTargetResponse> {
    const url = 'about:blank';
    try {
      return await this.#root.send('Target.createTarget', { url, hidden: true });
    } catch {
      return this.#root.send('Target.createTarget', { url, background: true });
    }
  }

  /** Resolves when all of it is gone. Never rejects: a browser that is gone has let go already. */
  async close(): Promise<void> {
    // Pages still being opened are waited for: once the session is detached, nobody could close a tab any more.
    const pages = (await Promise.allSettled(this.#pages)).flatMap((page) =>
      page.status === 'fulfilled' ? [page.value.targetId] : [],
    );
    await Promise.allSettled(pages.map((targetId) => this.#closePage(targetId)));
    // A nested session can only be detached through the session it hangs on.
    const sessions = this.#sessions.map((session) =>
      this.#root.send('Target.detachFromTarget', { sessionId: session.id() }),
    );
    await Promise.allSettled([...sessions, this.#root.detach()]);
  }

  /** Chrome answers before it has closed the page. A question that has no answer ends when the page, or Chrome, has. */
  async #closePage(targetId: string): Promise<void> {
    const session = await this.#attach(targetId);
    const pageGone = session.send('Runtime.evaluate', { expression: 'new Promise(() => {})', awaitPromise: true });
    await Promise.allSettled([this.#root.send('Target.closeTarget', { targetId }), pageGone]);
  }
}

/** Runs `use` with a scope of its own and closes it, whatever happens. Rejects with the signal's reason on abort. */
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
    // A browser that hangs must not hold up the answer to a call that was given up.
    if (!signal.aborted) await closed;
  }
}
