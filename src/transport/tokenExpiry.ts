import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import type { Session } from '../session/session.js';
import type { Caller } from '../tenancy/principal.js';

/** The longest that a timer of Node can be set to. */
const longestTimerMs = 2 ** 31 - 1;
/** How soon a session whose token expired while it was being set up is looked at again. */
const setupMs = 1_000;

/**
 * Ends a session whose life is that of its connection when the token that opened it expires. One that is still being set up
 * is refused with its claim, which checks the token too.
 */
export function endSessionAtExpiry(caller: Caller, session: Session, clock: Clock): void {
  const cancel = atExpiry(caller, clock, () => {
    if (session.state === 'created' || session.state === 'tools-registered') return setupMs;
    session.close('operator-closed');
    return null;
  });
  void session.closed.then(cancel);
}

/** Cuts a stream when the token that it was asked for with expires: whoever has a newer one comes again with that. */
export function cutAtExpiry(caller: Caller, response: ServerResponse, clock: Clock): void {
  if (response.destroyed) return;
  const cancel = atExpiry(caller, clock, () => {
    response.req.socket.destroy();
    return null;
  });
  response.once('close', cancel);
}

/**
 * Runs `end` when the token of the caller expires, and again after the milliseconds that it returns, if any. The function
 * that this returns prevents it.
 */
function atExpiry(caller: Caller, clock: Clock, end: () => number | null): () => void {
  const expiresAt = caller === 'anyone' ? undefined : caller.expiresAt;
  if (expiresAt === undefined) return () => undefined;
  let timer: unknown;
  const wait = (): void => {
    const left = expiresAt - clock.now();
    const again = left > 0 ? Math.min(left, longestTimerMs) : end();
    if (again !== null) timer = clock.setTimeout(wait, again);
  };
  wait();
  return () => clock.clearTimeout(timer);
}
