import type { Browser, CDPSession, Page } from 'puppeteer-core';
import { unlessGone } from '../cdp/cdpSessions.js';

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
