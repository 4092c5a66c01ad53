import type { Browser, CDPSession, Page } from 'puppeteer-core';
import { unlessGone } from './sessions.js';

/** A browser's target, or a page. */
interface Attachable {
  createCDPSession(): Promise<CDPSession>;
}

const opening = new WeakMap<Attachable, Promise<unknown>>();

/**
 * A protocol session of the caller's own, who detaches it. One after the other for each target: of two at once puppeteer
 * takes the second for one that the browser opened by itself, and forgets the target when it is detached.
 */
export function openSession(target: Attachable): Promise<CDPSession> {
  const before = opening.get(target) ?? Promise.resolve();
  const session = before.then(() => target.createCDPSession());
  opening.set(
    target,
    session.catch(() => undefined),
  );
  return session;
}

const own = new WeakMap<Browser, Promise<Attachable>>();

/**
 * A protocol session of the caller's own on the browser itself. Each client of a browser has a browser target of its own and
 * is shown those of the others, which go with them: the library's `browser.target()` may be any of them.
 */
export async function openBrowserSession(browser: Browser): Promise<CDPSession> {
  const known = own.get(browser) ?? ownTarget(browser);
  own.set(browser, known);
  try {
    return await openSession(await known);
  } catch (error) {
    if (own.get(browser) === known) own.delete(browser);
    throw error;
  }
}

/** What the connection says of itself (CDP Target.getTargetInfo), since any session leads to it. */
async function ownTarget(browser: Browser): Promise<Attachable> {
  for (const target of browser.targets()) {
    const type: string = target.type();
    if (type !== 'browser') continue;
    // Its client may be gone.
    const session = await unlessGone(openSession(target));
    const connection = session?.connection();
    if (session === undefined || connection === undefined) continue;
    const { targetInfo } = await connection.send('Target.getTargetInfo');
    await unlessGone(session.detach());
    return { createCDPSession: () => connection.createSession(targetInfo) };
  }
  throw new Error('The browser does not show itself.');
}

/** Asks a page something, over a session of its own. */
export const askPage = <T>(page: Page, question: (cdp: CDPSession) => Promise<T>): Promise<T> =>
  asking(openSession(page), question);

/** Asks the browser itself something, over a session of its own. */
export const askBrowser = <T>(browser: Browser, question: (cdp: CDPSession) => Promise<T>): Promise<T> =>
  asking(openBrowserSession(browser), question);

async function asking<T>(opening: Promise<CDPSession>, question: (cdp: CDPSession) => Promise<T>): Promise<T> {
  const cdp = await opening;
  try {
    return await question(cdp);
  } finally {
    void unlessGone(cdp.detach());
  }
}
