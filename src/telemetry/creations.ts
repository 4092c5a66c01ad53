import { catalogue, isReason } from '../errors/errors.js';
import type { CreationOutcome, ObservationHandler } from './observer.js';

export interface CreationTrackerOptions {
  readonly publish: ObservationHandler;
  /** Whether a session is set up in its user's own browser, which is not this server's to keep well. */
  hasOwnBrowser(session: string): boolean;
}

/**
 * Follows each session that a client waits for, and tells exactly once how that ended. The one owner of what a failed
 * creation is. Until a client waits for it, a warm session is nobody's creation.
 */
export function trackCreations({ publish, hasOwnBrowser }: CreationTrackerOptions): ObservationHandler {
  /** When its client came, of each that is not settled. */
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
    // Whoever it was opened for stands in its context from the first: it may end before its channel is attached.
    if (context.user === null) return;
    const cause = to === 'closed' ? context.closedBecause : null;
    const outcome = cause === null ? 'announced' : outcomeOf(cause, context.reason, hasOwnBrowser(actor));
    publish({ kind: 'creation', actor, outcome, cause, at, durationMs: at - since });
  };
}

/** States in which no client knows of the session; '' is before the first. */
const unannouncedStates: ReadonlySet<string> = new Set(['', 'created', 'tools-registered']);

/** Ends that somebody wanted, by whom. Every other one is a failure, unless the client is to blame for it. */
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

/** Why a session ended, by the context of its chart. */
export function closeReasonOf(context: unknown): string {
  return setupContextOf(context).closedBecause;
}

/** The few fields of a session's context that say how its set-up ended. */
function setupContextOf(context: unknown) {
  const { user, closedBecause, failure }: Record<string, unknown> = typeof context === 'object' ? { ...context } : {};
  const reason = typeof failure === 'object' && failure !== null && 'reason' in failure ? failure.reason : '';
  return { user: user ?? null, closedBecause: stringOr(closedBecause, 'unknown'), reason: stringOr(reason, '') };
}

const stringOr = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);
