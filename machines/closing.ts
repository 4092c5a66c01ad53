import type { CloseReason, Failure } from './events.js';

/** The recorded reason of a close that the chart itself decides. */
export const closeReason = (reason: CloseReason) => ({ type: 'recordClose', params: { because: reason } }) as const;

/** The recorded reason of a close that the event asks for. */
export const closeReasonOfEvent = {
  type: 'recordClose',
  params: ({ event }: { event: { because: CloseReason } }) => ({ because: event.because }),
} as const;

/** The recorded reason of a close that a failing browser or setup step causes, with what it said. */
export const closeReasonWithFailure = (reason: CloseReason) =>
  ({
    type: 'recordClose',
    params: ({ event }: { event: { failure: Failure } | { error: unknown } }) => ({
      because: reason,
      failure: 'failure' in event ? event.failure : toFailure(event.error),
    }),
  }) as const;

function toFailure(error: unknown): Failure {
  const reason = error instanceof Error && 'reason' in error ? String(error.reason) : 'setup_failed';
  return { reason, message: error instanceof Error ? error.message : String(error) };
}
