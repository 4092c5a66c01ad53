import type { Fold } from './observer.js';

/**
 * Follows each session that a client waits for, and tells how that ended. The one owner of what a failed creation is: the
 * session ended before it was announced, for any reason but its client leaving. Until a client waits for it, a warm
 * session is nobody's creation.
 */
export function followCreations(tell: Fold): Fold {
  const waitingSince = new Map<string, number>();
  return (observation) => {
    if (observation.kind === 'event') {
      const { actor, state, at, event } = observation;
      const asks = event.type === 'transport.attached' && (state === 'created' || state === 'tools-registered');
      if (asks && !waitingSince.has(actor)) waitingSince.set(actor, at);
      return;
    }
    if (observation.kind !== 'transition') return;
    const { actor, to, at, context } = observation;
    const since = waitingSince.get(actor);
    if (since === undefined || (to !== 'connected' && to !== 'closed')) return;
    waitingSince.delete(actor);
    const cause = to === 'closed' ? closedBecauseOf(context) : null;
    const outcome = cause === null ? 'announced' : cause === 'client-closed' ? 'abandoned' : 'failed';
    tell({ kind: 'creation', actor, outcome, cause, at, durationMs: at - since });
  };
}

/** Why a session ended, by the context of its chart. */
export function closedBecauseOf(context: unknown): string {
  const known = typeof context === 'object' && context !== null && 'closedBecause' in context;
  return String(known ? context.closedBecause : 'unknown');
}
