import type { CreationWindow, Failure } from '../../machines/events.js';
import { isWritten, shortId, type LogFields, type Log } from '../log.js';
import { isOfSession, settledRequest, type ObservationHandler, type Observation } from './observer.js';

/**
 * The log of a server. One line for each transition of a session, browser, alert or (debug) server; a warning for each
 * unexpected event (S9); a line for each failed call of a tool; requests and refusals at debug, refusals caused by the server at info. The failure of a browser is
 * in its own line, and not repeated in those of its sessions.
 */
export function logObservations(log: Log, describeSession: DescribeSession): ObservationHandler {
  const logTransition = transitionLog(log, describeSession);
  return (observation) => {
    if (observation.kind === 'transition') logTransition(observation);
    else if (observation.kind === 'unexpected') logUnexpected(log, observation, describeSession);
    else if (observation.kind === 'refusal') logRefusal(log, observation);
    else if (observation.kind === 'event' || observation.kind === 'request')
      logRequest(log, observation, describeSession);
  };
}

/** The client and the transport of a session, as far as they are known: a warm session has neither. */
export type DescribeSession = (
  id: string,
) => { readonly client: string | undefined; readonly transport: string } | undefined;

type ObservationOf<Kind extends Observation['kind']> = Extract<Observation, { kind: Kind }>;

function transitionLog(log: Log, describeSession: DescribeSession): (observation: ObservationOf<'transition'>) => void {
  /** The last browser failure that was logged. */
  let lastBrowserFailure: string | undefined;
  return (observation) => {
    const { machine } = observation;
    const failure = failureToLog(observation);
    const level = levelOf(observation, failure);
    if (isWritten(log, level)) {
      const isLogged = machine === 'session' && failure?.message === lastBrowserFailure;
      logTransition(log, level, observation, {
        ...(machine === 'session' && clientFields(describeSession(observation.actor))),
        ...(failure && { reason: failure.reason, ...(!isLogged && { error: failure.message }) }),
      });
    }
    if (machine === 'browser') lastBrowserFailure = failure?.message ?? lastBrowserFailure;
  };
}

/** A browser keeps its failure until it is ready again; it is logged once, when it fails. */
function failureToLog({ machine, to, context }: ObservationOf<'transition'>): Failure | undefined {
  return machine === 'browser' && !warningStates.has(to) ? undefined : readContext(context).failure;
}

function levelOf(observation: ObservationOf<'transition'>, failure: Failure | undefined): 'warn' | 'info' | 'debug' {
  const isRoutine = failure === undefined && !warningStates.has(observation.to);
  if (observation.machine !== 'server' && !isRoutine) return 'warn';
  return isNews(observation) ? 'info' : 'debug';
}

function logTransition(
  log: Log,
  level: ReturnType<typeof levelOf>,
  observation: ObservationOf<'transition'>,
  details: LogFields,
): void {
  const { machine, actor, from, to, cause, durationMs, context } = observation;
  const { user, closedBecause, window } = readContext(context);
  log[level](`${machine}: ${from === '' ? 'new' : from} -> ${to}`, {
    ...subjectOf(machine, actor),
    user,
    from,
    to,
    cause: closedBecause ?? window?.cause ?? describeCause(cause),
    ms: Math.round(durationMs),
    ...(window && { failures: window.failures, creations: window.creations, rate: Number(window.rate.toFixed(2)) }),
    ...details,
  });
}

/**
 * The server logs its own start and stop; the start of the alert chart, of a browser, and the life of a session that no
 * client has requested yet are not logged.
 */
function isNews({ machine, from, context }: ObservationOf<'transition'>): boolean {
  if (machine === 'session') return readContext(context).user !== undefined;
  if (machine === 'browser') return from === 'lost' || from === 'failed';
  if (machine === 'node') return from === 'lease-lost';
  // The session's own line has the news of it.
  return machine !== 'server' && !isOfSession(machine) && from !== '';
}

function logUnexpected(
  log: Log,
  { machine, actor, state, cause }: ObservationOf<'unexpected'>,
  describeSession: DescribeSession,
): void {
  const client = machine === 'session' ? clientFields(describeSession(actor)) : {};
  log.warn(`${machine}: unexpected event`, { ...subjectOf(machine, actor), ...client, state, cause });
}

function logRefusal(log: Log, { reason, status, message, transport, requestId }: ObservationOf<'refusal'>): void {
  // 503 is temporary, not a fault.
  const isServerFault = status >= 500 && status !== 503;
  const write = isServerFault ? log.info : log.debug;
  // The session's own line has the cause.
  const isInSessionLine = isServerFault && transport !== 'http' && reason !== 'storage_failed';
  write.call(log, 'refused', {
    reason,
    status,
    transport,
    request: requestId,
    ...(!isInSessionLine && { error: message }),
  });
}

/** A failed request is logged with its reason at info; every other one at debug. */
function logRequest(log: Log, observation: ObservationOf<'event' | 'request'>, describeSession: DescribeSession): void {
  const request = settledRequest(observation);
  if (request === undefined) return;
  const { id, method, tool, outcome, durationMs, error } = request;
  const isFailedCall = tool !== null && outcome === 'failed';
  const level = isFailedCall ? 'info' : 'debug';
  if (!isWritten(log, level)) return;
  log[level](isFailedCall ? 'call failed' : 'request settled', {
    ...(observation.kind === 'request'
      ? clientFields({ client: observation.client?.name, transport: observation.transport })
      : { session: shortId(observation.actor), ...clientFields(describeSession(observation.actor)) }),
    id: String(id).slice(0, maxShown),
    method: method.slice(0, maxShown),
    tool: tool?.slice(0, maxShown),
    outcome,
    ms: Math.round(durationMs),
    error,
  });
}

function clientFields(session: ReturnType<DescribeSession>): LogFields {
  return session === undefined ? {} : { client: session.client?.slice(0, maxShown), transport: session.transport };
}

/** Maximum length of names that the client chooses. */
const maxShown = 64;

function subjectOf(machine: string, actor: string): LogFields {
  if (machine === 'server') return {};
  if (isOfSession(machine)) return { session: shortId(actor) };
  return { [machine]: machine === 'session' ? shortId(actor) : actor };
}

/** States that are logged as warnings. */
const warningStates: ReadonlySet<string> = new Set(['lost', 'failed', 'firing', 'lease-lost']);

/** XState's own events are named after the chart: `xstate.done.actor.0.session.tools-registered.claiming`. */
function describeCause(cause: string): string {
  const [, kind, ...rest] = cause.split('.');
  const last = rest.at(-1) ?? '';
  if (!cause.startsWith('xstate.')) return cause;
  if (kind === 'init') return 'start';
  if (kind === 'after') return `after ${rest[0] ?? ''}`;
  return `${last} ${kind === 'error' ? 'failed' : 'done'}`;
}

interface LoggedContext {
  readonly user?: string;
  readonly closedBecause?: string;
  readonly failure?: Failure;
  readonly window?: CreationWindow;
}

/** The fields of a context that are logged. */
function readContext(context: unknown): LoggedContext {
  if (typeof context !== 'object' || context === null) return {};
  const fields = context as Readonly<Record<string, unknown>>;
  const { user, closedBecause, failure } = fields;
  return {
    ...(typeof user === 'string' && { user }),
    ...(typeof closedBecause === 'string' && { closedBecause }),
    ...(isFailure(failure) && { failure }),
    // Only the alert chart has a window.
    ...('window' in fields && { window: fields['window'] as CreationWindow }),
  };
}

function isFailure(value: unknown): value is Failure {
  if (typeof value !== 'object' || value === null || !('reason' in value) || !('message' in value)) return false;
  return typeof value.reason === 'string' && typeof value.message === 'string';
}
