import { shortId, type Fields, type Log } from '../log.js';
import type { Observation } from './observer.js';

/** One line for each transition of a session, browser or (debug) server; a warning for each event that nobody expected (S9). */
export function logTransitions(log: Log) {
  return (observation: Observation): void => {
    if (observation.kind === 'event' || observation.kind === 'step') return;
    const { machine, actor } = observation;
    const subject: Fields = machine === 'server' ? {} : { [machine]: machine === 'session' ? shortId(actor) : actor };
    if (observation.kind === 'unexpected') {
      log.warn(`${machine}: unexpected event`, { ...subject, state: observation.state, cause: observation.cause });
      return;
    }
    const { from, to, cause, durationMs, context } = observation;
    const { user, closedBecause, failure } = known(context);
    const calm = failure === undefined && !troubles.has(to);
    // The process says itself that it is ready, stops, or why it cannot start.
    const write = machine === 'server' ? log.debug : calm ? log.info : log.warn;
    write.call(log, `${machine}: ${from === '' ? 'new' : from} -> ${to}`, {
      ...subject,
      user,
      from,
      to,
      cause: closedBecause ?? inWords(cause),
      ms: Math.round(durationMs),
      error: failure,
    });
  };
}

/** States of a browser that an operator wants to hear of. */
const troubles: ReadonlySet<string> = new Set(['lost', 'failed']);

/** XState's own events are named after the chart: `xstate.done.actor.0.session.tools-registered.claiming`. */
function inWords(cause: string): string {
  const [, kind, ...rest] = cause.split('.');
  const last = rest.at(-1) ?? '';
  if (!cause.startsWith('xstate.')) return cause;
  if (kind === 'init') return 'start';
  if (kind === 'after') return `after ${rest[0] ?? ''}`;
  return `${last} ${kind === 'error' ? 'failed' : 'done'}`;
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
