import type { Browser, CDPSession } from 'puppeteer-core';

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

/** Asks the browser itself something, over a session of its own. */
export async function askBrowser<T>(browser: Browser, question: (cdp: CDPSession) => Promise<T>): Promise<T> {
  const cdp = await openSession(browser.target());
  try {
    return await question(cdp);
  } finally {
    void cdp.detach().catch(goneAlready);
  }
}

function goneAlready(): void {
  return undefined;
}
