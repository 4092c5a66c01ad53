import { shortId, type Log } from '../log.js';
import type { Observation } from './observer.js';

/** One line for each transition of a session, browser or server; a warning for each event that nobody expected (S9). */
export function logTransitions(log: Log) {
  return (observation: Observation): void => {
    if (observation.kind === 'event') return;
    const { machine, actor } = observation;
    const subject = { [machine]: machine === 'session' ? shortId(actor) : actor };
    if (observation.kind === 'unexpected') {
      log.warn('unexpected event', { ...subject, state: observation.state, cause: observation.cause });
      return;
    }
    const { from, to, cause, durationMs, context } = observation;
    const { user, closedBecause, failure } = known(context);
    log.info(`${from === '' ? 'new' : from} -> ${to}`, {
      ...subject,
      user,
      from,
      to,
      cause: closedBecause ?? cause,
      ms: Math.round(durationMs),
      error: failure,
    });
  };
}

/** The few fields of a context that belong in a log line. */
function known(context: unknown): { user?: string; closedBecause?: string; failure?: string } {
  if (typeof context !== 'object' || context === null) return {};
  const fields: Record<string, unknown> = { ...context };
  const { user, closedBecause, failure } = fields;
  const message = typeof failure === 'object' && failure !== null && 'message' in failure ? failure.message : undefined;
  return {
    ...(typeof user === 'string' && { user }),
    ...(typeof closedBecause === 'string' && { closedBecause }),
    ...(typeof message === 'string' && { failure: message }),
  };
}
