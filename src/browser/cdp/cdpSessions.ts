import type { CDPEvents, CDPSession, Browser, Page, Protocol } from 'puppeteer-core';
import type { droppedEvents, DroppedEvents } from '../process/messageQueue.js';
import { messageOf } from '../../errors/errors.js';

/** The kind of target an event comes from. `iframe`: an out-of-process frame; other frames belong to `page`. */
export type TargetSessionKind = 'page' | 'iframe' | 'worker';

export interface TargetSession {
  readonly kind: TargetSessionKind;
  readonly session: CDPSession;
  /** Of a frame or worker that the page's session is attached to. */
  readonly target?: Protocol.Target.TargetInfo;
}

type HandledEvents = CDPEvents & { readonly [droppedEvents]: DroppedEvents };

export type CdpHandlers = { readonly [Name in keyof HandledEvents]?: (event: HandledEvents[Name]) => void };

export interface FollowedSessions {
  /** Resolves when the page's own session has answered the commands of `enable`. Never rejects. */
  readonly ready: Promise<void>;
  /** The open sessions, the page's own first. */
  sessions(): readonly TargetSession[];
  /** Follows one that is not the page's own, of a worker that several pages use, until the returned function is called. */
  follow(source: TargetSession): () => void;
  /** Removes the listeners. The sessions stay open: they belong to the page. Idempotent. */
  stop(): void;
}

/** What a follower does on each session: the event handlers, and the commands that enable the events. */
export interface SessionFollower {
  handlers(source: TargetSession): CdpHandlers;
  enable(source: TargetSession): readonly Promise<unknown>[];
  /** Called when a frame or worker is gone. */
  onGone?(source: TargetSession): void;
}

const framesAndWorkers = [{ type: 'iframe' }, { type: 'worker' }];

/**
 * What is attached to. By default without service workers: a session keeps a worker alive, and would hide bugs that idle
 * shutdown causes.
 */
export const childFilters = {
  withoutServiceWorkers: framesAndWorkers,
  withServiceWorkers: [...framesAndWorkers, { type: 'service_worker' }],
} satisfies Record<string, Protocol.Target.TargetFilter>;

/**
 * Attaches to the out-of-process frames and workers of a session, present and future (CDP Target.setAutoAttach). The
 * settings of the last call apply to the whole session, so all users of a session need the same settings. A new target
 * is paused until a follower resumes it: on a page, its collectors do.
 */
export function attachToChildren(
  session: CDPSession,
  filter: Protocol.Target.TargetFilter = childFilters.withoutServiceWorkers,
): Promise<void> {
  return session.send('Target.setAutoAttach', {
    autoAttach: true,
    waitForDebuggerOnStart: true,
    flatten: true,
    filter,
  });
}

/**
 * Follows a page's session and those of its out-of-process frames and workers (CDP Target.setAutoAttach, flat). A new
 * target is paused until every follower of the page has sent its commands, so that no event of its start is missed. One
 * session may have several followers, which attach with the same settings. A later follower gets the sessions that are
 * `present`.
 */
export function followSessions(
  root: CDPSession,
  follower: SessionFollower,
  filter?: Protocol.Target.TargetFilter,
  present: readonly TargetSession[] = [],
): FollowedSessions {
  const open = new Map<CDPSession, { source: TargetSession; stop: () => void; parent: CDPSession | undefined }>();

  function add(source: TargetSession, parent?: CDPSession): readonly Promise<unknown>[] {
    const stop = listen(source.session, {
      ...follower.handlers(source),
      'Target.attachedToTarget': ({ sessionId, targetInfo }) => {
        const session = source.session.connection()?.session(sessionId) ?? undefined;
        if (session === undefined) return;
        const kind = targetInfo.type === 'iframe' ? 'iframe' : 'worker';
        void add({ kind, session, target: targetInfo }, source.session);
        // After a microtask every follower has sent its commands, and a session answers commands in order.
        queueMicrotask(() => void unlessGone(session.send('Runtime.runIfWaitingForDebugger')));
      },
      'Target.detachedFromTarget': ({ sessionId }) => remove(sessionId),
    });
    open.set(source.session, { source, stop, parent });
    return [...follower.enable(source), unlessGone(attachToChildren(source.session, filter))];
  }

  function remove(sessionId: string): void {
    for (const [session, { source, stop }] of open) {
      if (session.id() !== sessionId) continue;
      stop();
      open.delete(session);
      follower.onGone?.(source);
      // Their ends are reported to this session, which is gone.
      for (const { source: inner, parent } of open.values()) if (parent === session) remove(inner.session.id());
    }
  }

  const sources = [{ kind: 'page' as const, session: root }, ...present.filter(({ session }) => session !== root)];
  const ready = Promise.allSettled(sources.flatMap((source) => add(source))).then(() => undefined);
  return {
    ready,
    sessions: () => [...open.values()].map(({ source }) => source),
    follow: (source) => {
      void add(source);
      return () => remove(source.session.id());
    },
    stop: () => {
      for (const { stop } of open.values()) stop();
      open.clear();
    },
  };
}

/** Adds the handlers and returns a function that removes them. */
function listen(session: CDPSession, handlers: CdpHandlers): () => void {
  const entries = Object.entries(handlers) as [keyof CDPEvents, (event: unknown) => void][];
  for (const [name, handler] of entries) session.on(name, handler);
  return () => {
    for (const [name, handler] of entries) session.off(name, handler);
  };
}

/**
 * The response to a command, or undefined if it fails: its target is gone or lacks the domain, as workers do for some.
 * Never rejects.
 */
export function unlessGone<Response>(response: Promise<Response>): Promise<Response | undefined> {
  return response.catch(() => undefined);
}

/** Whether a command failed because the document for which it was meant is gone. */
export function isLostContext(error: unknown): boolean {
  return /navigated or closed|context was destroyed|Cannot find context|Promise was collected/.test(messageOf(error));
}

/** Sends a command that the types of the protocol do not have yet. */
export function sendUntyped(session: CDPSession, method: string, params: object = {}): Promise<unknown> {
  return session.send(method as 'Page.enable', params);
}

/** Reads a stream of the browser in parts (CDP IO.read) and closes it at the end. */
export async function* readStream(session: CDPSession, handle: string): AsyncGenerator<Buffer> {
  try {
    for (let isLast = false; !isLast;) {
      const { data, base64Encoded, eof } = await session.send('IO.read', { handle, size: streamChunkBytes });
      yield Buffer.from(data, base64Encoded === true ? 'base64' : 'utf8');
      isLast = eof;
    }
  } finally {
    await unlessGone(session.send('IO.close', { handle }));
  }
}

const streamChunkBytes = 1024 ** 2;

/** The syntax error of a script with its line; undefined if there is none (CDP Runtime.compileScript). */
export async function syntaxError(
  session: CDPSession,
  expression: string,
  sourceURL: string,
): Promise<string | undefined> {
  const { exceptionDetails } = await session.send('Runtime.compileScript', {
    expression,
    sourceURL,
    persistScript: false,
  });
  if (exceptionDetails === undefined) return undefined;
  const { exception, text, lineNumber } = exceptionDetails;
  return `${exception?.description?.split('\n', 1)[0] ?? text} (line ${lineNumber + 1})`;
}

/** A target of a browser, or a page. */
interface Attachable {
  createCDPSession(): Promise<CDPSession>;
}

const lastOpening = new WeakMap<Attachable, Promise<unknown>>();

/**
 * Opens a CDP session on the target; the caller detaches it. Serialized per target: of two concurrent ones puppeteer
 * takes the second for an auto-attached one and drops the target when it is detached.
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
 * Opens a CDP session on the browser itself; the caller detaches it. Each client of a browser has its own browser
 * target and sees those of other clients, which close with them; puppeteer's `browser.target()` may be any of these.
 */
export async function openBrowserCdpSession(browser: Browser): Promise<CDPSession> {
  const ownTarget = ownTargets.get(browser) ?? findOwnTarget(browser);
  ownTargets.set(browser, ownTarget);
  try {
    return await openCdpSession(await ownTarget);
  } catch (error) {
    if (ownTargets.get(browser) === ownTarget) ownTargets.delete(browser);
    throw error;
  }
}

/** Finds this connection's own browser target (CDP Target.getTargetInfo). */
async function findOwnTarget(browser: Browser): Promise<Attachable> {
  for (const target of browser.targets()) {
    const type: string = target.type();
    if (type !== 'browser') continue;
    // Its client may have disconnected.
    const session = await unlessGone(openCdpSession(target));
    const connection = session?.connection();
    if (session === undefined || connection === undefined) continue;
    const { targetInfo } = await connection.send('Target.getTargetInfo');
    await unlessGone(session.detach());
    return { createCDPSession: () => connection.createSession(targetInfo) };
  }
  throw new Error('The browser reports no target of type "browser" for this connection.');
}

/** Runs `use` with a temporary CDP session on the page. */
export const withPageCdpSession = <T>(page: Page, use: (cdp: CDPSession) => Promise<T>): Promise<T> =>
  withCdpSession(openCdpSession(page), use);

/** Runs `use` with a temporary CDP session on the browser. */
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

/**
 * Terminates the running script. If none runs (it only awaits), the browser terminates the next one, so an empty script
 * is sent. Never rejects.
 */
export async function terminateExecution(session: CDPSession): Promise<void> {
  const terminated = session.send('Runtime.terminateExecution');
  const nextScript = session.send('Runtime.evaluate', { expression: '0' });
  await Promise.allSettled([terminated, nextScript]);
}
