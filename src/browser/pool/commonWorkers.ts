import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { openBrowserCdpSession, unlessGone } from '../cdp/cdpSessions.js';
import type { SessionPage } from '../page/sessionPage.js';

type TargetInfo = Protocol.Target.TargetInfo;

interface CommonWorkersOptions {
  readonly browser: Browser;
  readonly pages: () => readonly SessionPage[];
  /** Whether a target is in the browser context of a page. */
  readonly isBeside: (target: TargetInfo, page: SessionPage) => boolean;
}

const types: ReadonlySet<string> = new Set(['service_worker', 'shared_worker']);

/**
 * The service workers and shared workers of a session's pages, which belong to no page: console, network and scripts of
 * each are recorded for every page that shows a document of its origin. What it logged and loaded before is reported when
 * a page begins to follow it. As with DevTools, a service worker does not stop while it is followed. Those of
 * extensions are left alone. Owned by a placement, which closes it.
 */
export class CommonWorkers {
  readonly #options: CommonWorkersOptions;
  readonly #targets = new Map<string, TargetInfo>();
  /** The ends of what pages follow, by page and target. */
  readonly #followed = new Map<SessionPage, Map<string, Promise<() => void>>>();
  #root: Promise<CDPSession> | undefined;
  #isClosed = false;

  constructor(options: CommonWorkersOptions) {
    this.#options = options;
  }

  /** Follows the workers of a page, from now on and after each of its navigations. */
  onPage(page: SessionPage): void {
    const followed = new Map<string, Promise<() => void>>();
    this.#followed.set(page, followed);
    page.closedSignal.addEventListener('abort', () => this.#leave(page, () => true), { once: true });
    page.cdp.on('Page.frameNavigated', () => this.#update(page));
    void unlessGone((this.#root ??= this.#watch())).then(() => this.#update(page));
  }

  /** Waits for nothing: the browser may hang. Idempotent. */
  close(): void {
    this.#isClosed = true;
    const detached = this.#root?.then((root) => (root.detached ? undefined : root.detach()));
    if (detached !== undefined) void unlessGone(detached);
  }

  async #watch(): Promise<CDPSession> {
    const root = await openBrowserCdpSession(this.#options.browser);
    const onTarget = ({ targetInfo }: { readonly targetInfo: TargetInfo }): void => {
      if (!types.has(targetInfo.type) || !/^https?:/.test(targetInfo.url)) return;
      this.#targets.set(targetInfo.targetId, targetInfo);
      for (const page of this.#options.pages()) this.#update(page);
    };
    root.on('Target.targetCreated', onTarget);
    root.on('Target.targetInfoChanged', onTarget);
    root.on('Target.targetDestroyed', ({ targetId }) => {
      this.#targets.delete(targetId);
      for (const page of this.#followed.keys()) this.#leave(page, (id) => id === targetId);
    });
    const filter = [...types].map((type) => ({ type }));
    await root.send('Target.setDiscoverTargets', { discover: true, filter });
    return root;
  }

  /** Follows what fits the documents of a page, and nothing else. */
  #update(page: SessionPage): void {
    const followed = this.#followed.get(page);
    if (followed === undefined || this.#isClosed || page.isClosed) return;
    const origins = new Set(page.shown().flatMap((url) => (URL.canParse(url) ? new URL(url).origin : [])));
    const isFitting = (target: TargetInfo): boolean =>
      origins.has(new URL(target.url).origin) && this.#options.isBeside(target, page);
    this.#leave(page, (targetId) => {
      const target = this.#targets.get(targetId);
      return target === undefined || !isFitting(target);
    });
    for (const target of this.#targets.values())
      if (isFitting(target) && !followed.has(target.targetId))
        followed.set(target.targetId, this.#follow(page, target));
  }

  #leave(page: SessionPage, isLeft: (targetId: string) => boolean): void {
    const followed = this.#followed.get(page);
    for (const [targetId, following] of followed ?? []) {
      if (!isLeft(targetId)) continue;
      followed?.delete(targetId);
      void following.then((end) => end());
    }
    if (page.isClosed) this.#followed.delete(page);
  }

  /** Resolves with its end. Never rejects. */
  async #follow(page: SessionPage, target: TargetInfo): Promise<() => void> {
    const root = await this.#root;
    const options = { targetId: target.targetId, flatten: true };
    const attached = root && (await unlessGone(root.send('Target.attachToTarget', options)));
    const session = attached && root.connection()?.session(attached.sessionId);
    if (!session) return () => undefined;
    const end = page.followWorker({ kind: 'worker', session, target });
    return () => {
      end();
      void unlessGone(root.send('Target.detachFromTarget', { sessionId: session.id() }));
    };
  }
}
