import type { CloseReason, Failure } from '../../machines/events.js';
import { isReason, Refusal } from '../errors/errors.js';
import type { CloseNotice } from './channel.js';

/** How a session ended that can be talked to no more. */
export interface SessionEnd {
  readonly closedBecause: CloseReason | null;
  /** Another node goes on with it: it has ended at this one alone. */
  readonly isHandedOff: boolean;
}

/** Why a session can be talked to no more. One that a leaving node leaves to the others goes on: its client is to come again. */
export function refusalAfterEnd({ closedBecause, isHandedOff }: SessionEnd): Refusal {
  if (isHandedOff && closedBecause === 'server-draining') return new Refusal('draining');
  return refusalForReason(closedBecause);
}

function refusalForReason(closedBecause: CloseReason | null): Refusal {
  return new Refusal('closed', closedBecause === null ? {} : { closedBecause });
}

/** What a client that never got its session id is told: the cause, by the error catalogue. */
export function closeNotice(closedBecause: CloseReason, failure: Failure | null): CloseNotice {
  if (failure !== null) {
    const reason = isReason(failure.reason) ? failure.reason : 'setup_failed';
    return { closedBecause, refusal: new Refusal(reason, { detail: failure.message }) };
  }
  if (closedBecause === 'setup-timeout') return { closedBecause, refusal: new Refusal('setup_timeout') };
  if (closedBecause === 'server-draining') return { closedBecause, refusal: new Refusal('draining') };
  return { closedBecause, refusal: refusalForReason(closedBecause) };
}
