import type { CDPEvents, CDPSession, Browser, Page } from 'puppeteer-core';

/** Where something of a page happened. `iframe`: one in a process of its own; others belong to `page`. */
export type TargetSessionKind = 'page' | 'iframe' | 'worker';

export interface TargetSession {
  readonly kind: TargetSessionKind;
  readonly session: CDPSession;
}

export type CdpHandlers = { readonly [Name in keyof CDPEvents]?: (event: CDPEvents[Name]) => void };

export interface FollowedSessions {
  /** Resolves when the page's own session has answered `enable`; never rejects. */
  readonly ready: Promise<void>;
  /** The sessions that are open now, the page's own first. */
  sessions(): readonly TargetSession[];
  /** Takes the listeners off. The sessions stay: they belong to the page. Idempotent. */
  stop(): void;
}

/** Who follows a page: what to listen to on each session, and the commands that make it report. */
export interface SessionFollower {
  handlers(source: TargetSession): CdpHandlers;
  enable(source: TargetSession): readonly Promise<unknown>[];
}

/** Service workers are left out: a session on one keeps it awake and so hides what idling breaks. */
const autoAttachSettings = {
  autoAttach: true,
  waitForDebuggerOnStart: true,
  flatten: true,
  filter: [{ type: 'iframe' }, { type: 'worker' }],
};

/**
 * Attaches to the out-of-process frames and the workers below a session, present and future. The last call's settings
 * count for all who share the session, so this is the only place that has them. Those who start are held until a
 * follower lets them go: on a page, its collectors do.
 */
export function attachToChildren(session: CDPSession): Promise<void> {
  return session.send('Target.setAutoAttach', autoAttachSettings);
}

/**
 * Follows a page's session and those of its out-of-process frames and workers (Target.setAutoAttach, flat). A new one is
 * held until every follower of the page has sent its commands, so that nothing of its start is missed. Several
 * followers of one session get along: they attach with the same settings.
 */
export function followSessions(root: CDPSession, follower: SessionFollower): FollowedSessions {
  const open = new Map<CDPSession, { source: TargetSession; stop: () => void }>();

  function add(source: TargetSession): readonly Promise<unknown>[] {
    const stop = listen(source.session, {
      ...follower.handlers(source),
      'Target.attachedToTarget': ({ sessionId, targetInfo }) => {
        const session = source.session.connection()?.session(sessionId) ?? undefined;
        if (session === undefined) return;
        void add({ kind: targetInfo.type === 'iframe' ? 'iframe' : 'worker', session });
        // A microtask later every follower has sent its commands, and a session answers them in order.
        queueMicrotask(() => void unlessGone(session.send('Runtime.runIfWaitingForDebugger')));
      },
      'Target.detachedFromTarget': ({ sessionId }) => remove(sessionId),
    });
    open.set(source.session, { source, stop });
    return [...follower.enable(source), unlessGone(attachToChildren(source.session))];
  }

  function remove(sessionId: string): void {
    for (const [session, { stop }] of open) {
      if (session.id() !== sessionId) continue;
      stop();
      open.delete(session);
    }
  }

  const ready = Promise.allSettled(add({ kind: 'page', session: root })).then(() => undefined);
  return {
    ready,
    sessions: () => [...open.values()].map(({ source }) => source),
    stop: () => {
      for (const { stop } of open.values()) stop();
      open.clear();
    },
  };
}

/** Adds the handlers and answers what takes them off again. */
function listen(session: CDPSession, handlers: CdpHandlers): () => void {
  const entries = Object.entries(handlers) as [keyof CDPEvents, (event: unknown) => void][];
  for (const [name, handler] of entries) session.on(name, handler);
  return () => {
    for (const [name, handler] of entries) session.off(name, handler);
  };
}

/**
 * The answer to a command whose failure only says that its target has gone, or does not know the domain (workers lack
 * some). Never rejects.
 */
export function unlessGone<Answer>(response: Promise<Answer>): Promise<Answer | undefined> {
  return response.catch(() => undefined);
}

/** A browser's target, or a page. */
interface Attachable {
  createCDPSession(): Promise<CDPSession>;
}

const lastOpening = new WeakMap<Attachable, Promise<unknown>>();

/**
 * A protocol session of the caller's own, who detaches it. One after the other for each target: of two at once puppeteer
 * takes the second for one that the browser opened by itself, and forgets the target when it is detached.
 */
export function openCdpSession(target: Attachable): Promise<CDPSession> {
  const previous = lastOpening.get(target) ?? Promise.resolve();
  const session = previous.then(() => target.createCDPSession());
  lastOpening.set(
    target,
    session.catch(() => undefined),
  );
  return session;
}

const ownTargets = new WeakMap<Browser, Promise<Attachable>>();

/**
 * A protocol session of the caller's own on the browser itself. Each client of a browser has a browser target of its own and
 * is shown those of the others, which go with them: the library's `browser.target()` may be any of them.
 */
export async function openBrowserCdpSession(browser: Browser): Promise<CDPSession> {
  const known = ownTargets.get(browser) ?? findOwnTarget(browser);
  ownTargets.set(browser, known);
  try {
    return await openCdpSession(await known);
  } catch (error) {
    if (ownTargets.get(browser) === known) ownTargets.delete(browser);
    throw error;
  }
}

/** What the connection says of itself (CDP Target.getTargetInfo), since any session leads to it. */
async function findOwnTarget(browser: Browser): Promise<Attachable> {
  for (const target of browser.targets()) {
    const type: string = target.type();
    if (type !== 'browser') continue;
    // Its client may be gone.
    const session = await unlessGone(openCdpSession(target));
    const connection = session?.connection();
    if (session === undefined || connection === undefined) continue;
    const { targetInfo } = await connection.send('Target.getTargetInfo');
    await unlessGone(session.detach());
    return { createCDPSession: () => connection.createSession(targetInfo) };
  }
  throw new Error('The browser does not show itself.');
}

/** Asks a page something, over a session of its own. */
export const withPageCdpSession = <T>(page: Page, use: (cdp: CDPSession) => Promise<T>): Promise<T> =>
  withCdpSession(openCdpSession(page), use);

/** Asks the browser itself something, over a session of its own. */
export const withBrowserCdpSession = <T>(browser: Browser, use: (cdp: CDPSession) => Promise<T>): Promise<T> =>
  withCdpSession(openBrowserCdpSession(browser), use);

async function withCdpSession<T>(opening: Promise<CDPSession>, use: (cdp: CDPSession) => Promise<T>): Promise<T> {
  const cdp = await opening;
  try {
    return await use(cdp);
  } finally {
    void unlessGone(cdp.detach());
  }
}
