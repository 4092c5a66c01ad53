import type { ClosedBecause, Failure } from './events.js';

/** The recorded reason of a close that the chart itself decides. */
export const because = (reason: ClosedBecause) => ({ type: 'recordClose', params: { because: reason } }) as const;

/** The recorded reason of a close that the event asks for. */
export const asAsked = {
  type: 'recordClose',
  params: ({ event }: { event: { because: ClosedBecause } }) => ({ because: event.because }),
} as const;

/** The recorded reason of a close that a failing browser or setup step causes, with what it said. */
export const withFailure = (reason: ClosedBecause) =>
  ({
    type: 'recordClose',
    params: ({ event }: { event: { failure: Failure } | { error: unknown } }) => ({
      because: reason,
      failure: 'failure' in event ? event.failure : failureOf(event.error),
    }),
  }) as const;

function failureOf(error: unknown): Failure {
  const reason = error instanceof Error && 'reason' in error ? String(error.reason) : 'setup_failed';
  return { reason, message: error instanceof Error ? error.message : String(error) };
}
