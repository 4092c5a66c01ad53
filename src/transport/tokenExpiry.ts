import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import type { Session } from '../session/session.js';
import type { Caller } from '../tenancy/principal.js';

/** The longest that a timer of Node can be set to. */
const longestTimerMs = 2 ** 31 - 1;

/** Ends a session whose life is that of its connection when the token that opened it expires. */
export function endSessionAtExpiry(caller: Caller, session: Session, clock: Clock): void {
  const cancel = atExpiry(caller, clock, () => session.close('operator-closed'));
  void session.closed.then(cancel);
}

/** Cuts a stream when the token that it was asked for with expires: whoever has a newer one comes again with that. */
export function cutAtExpiry(caller: Caller, response: ServerResponse, clock: Clock): void {
  if (response.destroyed) return;
  response.once(
    'close',
    atExpiry(caller, clock, () => response.req.socket.destroy()),
  );
}

/** Runs `end` when the token of the caller expires. The function that it returns prevents it. */
function atExpiry(caller: Caller, clock: Clock, end: () => void): () => void {
  const expiresAt = caller === 'anyone' ? undefined : caller.expiresAt;
  if (expiresAt === undefined) return () => undefined;
  let timer: unknown;
  const wait = (): void => {
    const left = expiresAt - clock.now();
    if (left <= 0) end();
    else timer = clock.setTimeout(wait, Math.min(left, longestTimerMs));
  };
  wait();
  return () => clock.clearTimeout(timer);
}
