import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import type { Session } from '../session/session.js';
import type { Caller } from '../tenancy/principal.js';

/** The maximum delay of a Node timer. */
const maxTimerMs = 2 ** 31 - 1;
/** The interval of checks for a session whose token expired during its set-up. */
const setupCheckMs = 1_000;

/**
 * Closes a session of one connection when the token that opened it expires. During the set-up the session is left alone:
 * its claim checks the token too, and refuses it.
 */
export function endSessionAtExpiry(caller: Caller, session: Session, clock: Clock): void {
  const cancel = atExpiry(caller, clock, () => {
    if (session.state === 'created' || session.state === 'tools-registered') return setupCheckMs;
    session.close('operator-closed');
    return null;
  });
  void session.closed.then(cancel);
}

/** Cuts a stream when the token of its request expires: the client can resume it with a newer token. */
export function cutAtExpiry(caller: Caller, response: ServerResponse, clock: Clock): void {
  if (response.destroyed) return;
  const cancel = atExpiry(caller, clock, () => {
    response.req.socket.destroy();
    return null;
  });
  response.once('close', cancel);
}

/**
 * Runs `end` when the token of the caller expires, and again after the milliseconds that `end` returns, unless null.
 * Returns a function that cancels it.
 */
function atExpiry(caller: Caller, clock: Clock, end: () => number | null): () => void {
  const expiresAt = caller === 'anyone' ? undefined : caller.expiresAt;
  if (expiresAt === undefined) return () => undefined;
  let timer: unknown;
  const wait = (): void => {
    const remainingMs = expiresAt - clock.now();
    const delayMs = remainingMs > 0 ? Math.min(remainingMs, maxTimerMs) : end();
    if (delayMs !== null) timer = clock.setTimeout(wait, delayMs);
  };
  wait();
  return () => clock.clearTimeout(timer);
}
