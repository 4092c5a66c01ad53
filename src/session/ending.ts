import type { ClosedBecause, Failure } from '../../machines/events.js';
import { isReason, Refusal } from '../errors.js';
import type { Ending } from './channel.js';

/** How a session ended that can be talked to no more. */
export interface Ended {
  readonly closedBecause: ClosedBecause | null;
  /** Another node goes on with it: it has ended at this one alone. */
  readonly isLeft: boolean;
}

/** Why a session can be talked to no more. One that a leaving node leaves to the others goes on: its client is to come again. */
export function endedRefusal({ closedBecause, isLeft }: Ended): Refusal {
  if (isLeft && closedBecause === 'server-draining') return new Refusal('draining');
  return closedRefusal(closedBecause);
}

function closedRefusal(closedBecause: ClosedBecause | null): Refusal {
  return new Refusal('closed', closedBecause === null ? {} : { closedBecause });
}

/** What a client that never got its session id is told: the cause, by the error catalogue. */
export function endingOf(closedBecause: ClosedBecause, failure: Failure | null): Ending {
  if (failure !== null) {
    const reason = isReason(failure.reason) ? failure.reason : 'setup_failed';
    return { closedBecause, refusal: new Refusal(reason, { detail: failure.message }) };
  }
  if (closedBecause === 'setup-timeout') return { closedBecause, refusal: new Refusal('setup_timeout') };
  if (closedBecause === 'server-draining') return { closedBecause, refusal: new Refusal('draining') };
  return { closedBecause, refusal: closedRefusal(closedBecause) };
}
