import { catalogue, isReason } from '../errors/errors.js';
import type { CreationOutcome, ObservationHandler } from './observer.js';

export interface CreationTrackerOptions {
  readonly publish: ObservationHandler;
  /** Whether a session uses its user's own browser, whose failures are not this server's. */
  hasOwnBrowser(session: string): boolean;
}

/**
 * Publishes one `creation` for each session that a client waited for, when it is announced or closed. The only place that
 * defines a failed creation. A warm session is not a creation until a client waits for it.
 */
export function trackCreations({ publish, hasOwnBrowser }: CreationTrackerOptions): ObservationHandler {
  /** Start of the wait (ms) of each client, by session. */
  const waitingSince = new Map<string, number>();
  return (observation) => {
    if (observation.kind === 'event') {
      const { actor, state, at, event } = observation;
      if (event.type !== 'transport.attached' || (state !== 'created' && state !== 'tools-registered')) return;
      if (!waitingSince.has(actor)) waitingSince.set(actor, at);
      return;
    }
    if (observation.kind !== 'transition' || observation.machine !== 'session') return;
    const { actor, from, to, at } = observation;
    const isSettled = to === 'connected' || (to === 'closed' && unannouncedStates.has(from));
    if (!isSettled) return;
    const context = setupContextOf(observation.context);
    const since = waitingSince.get(actor) ?? at;
    waitingSince.delete(actor);
    // The user is in the context from the start, since the session may end before its channel is attached: null means warm.
    if (context.user === null) return;
    const cause = to === 'closed' ? context.closedBecause : null;
    const outcome = cause === null ? 'announced' : outcomeOf(cause, context.reason, hasOwnBrowser(actor));
    publish({ kind: 'creation', actor, outcome, cause, at, durationMs: at - since });
  };
}

/** States before the announcement; '' is before the first state. */
const unannouncedStates: ReadonlySet<string> = new Set(['', 'created', 'tools-registered']);

/** Intended ends; every other one is a failure, unless the client caused it. */
const intendedOutcomes: Readonly<Record<string, CreationOutcome>> = {
  'client-closed': 'abandoned',
  'slow-client': 'abandoned',
  'operator-closed': 'cancelled',
  'server-draining': 'cancelled',
};

function outcomeOf(cause: string, reason: string, hasOwnBrowser: boolean): CreationOutcome {
  const intended = intendedOutcomes[cause];
  if (intended !== undefined) return intended;
  if (reason === 'draining') return 'cancelled';
  const isClientError = isReason(reason) && catalogue[reason].status < 500;
  return isClientError || (hasOwnBrowser && cause === 'browser-failed') ? 'refused' : 'failed';
}

/** The close reason in the context of a session chart. */
export function closeReasonOf(context: unknown): string {
  return setupContextOf(context).closedBecause;
}

/** The fields of a session's context that say how its setup ended. */
function setupContextOf(context: unknown) {
  const { user, closedBecause, failure }: Record<string, unknown> = typeof context === 'object' ? { ...context } : {};
  const reason = typeof failure === 'object' && failure !== null && 'reason' in failure ? failure.reason : '';
  return { user: user ?? null, closedBecause: stringOr(closedBecause, 'unknown'), reason: stringOr(reason, '') };
}

const stringOr = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);
