import type { CDPSession } from 'puppeteer-core';

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
