import { context, SpanStatusCode, trace, type Context, type Span } from '@opentelemetry/api';
import { shortId } from '../log.js';
import { closeReasonOf } from './creations.js';
import type { ObservationHandler } from './observer.js';

type Step = 'lease' | 'registerTools' | 'claim';

interface ActiveTrace {
  readonly span: Span;
  readonly parentContext: Context;
  readonly steps: Map<Step, Span>;
}

/** One session on its way to its client. */
interface SetupTrace {
  /** Set-up that is not done: it may be under way before a client asks (a warm session). */
  pendingSteps: readonly Step[];
  /** Null until a client asks. */
  active: ActiveTrace | null;
}

/**
 * Traces how sessions are connected: a span from the moment the client asks to the announcement, and one for each step
 * that it waits for. The parent is what is active as the client asks, since observations are told within the call that
 * causes them. Without a registered OpenTelemetry SDK nothing is kept.
 */
export function traceSessionSetup(): ObservationHandler {
  const tracer = trace.getTracer('greenroom');
  const setups = new Map<string, SetupTrace>();

  const startStep = (asked: ActiveTrace, step: Step): void => {
    asked.steps.set(step, tracer.startSpan(`session.${step}`, {}, asked.parentContext));
  };

  const startTrace = (session: string, setup: SetupTrace, state: string): void => {
    const active = context.active();
    const span = tracer.startSpan('session.connect', { attributes: { 'mcp.session.id': shortId(session) } }, active);
    if (!span.isRecording()) {
      setups.delete(session);
      return;
    }
    const asked: ActiveTrace = { span, parentContext: trace.setSpan(active, span), steps: new Map() };
    setup.active = asked;
    if (state === 'created') for (const step of setup.pendingSteps) startStep(asked, step);
    else startStep(asked, 'claim');
  };

  const endStep = (setup: SetupTrace, type: string): void => {
    const done = type === 'browser.leased' ? 'lease' : registerToolsDone.test(type) ? 'registerTools' : undefined;
    if (done === undefined) return;
    setup.pendingSteps = setup.pendingSteps.filter((step) => step !== done);
    setup.active?.steps.get(done)?.end();
    setup.active?.steps.delete(done);
  };

  const endTrace = ({ span: whole, steps }: ActiveTrace, failure: string | null): void => {
    for (const span of [...steps.values(), whole]) {
      if (failure !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
      span.end();
    }
  };

  return (observation) => {
    if (observation.kind !== 'event' && observation.kind !== 'transition') return;
    const { machine, actor, event } = observation;
    if (machine !== 'session') return;
    if (observation.kind === 'transition' && observation.to === 'created') {
      setups.set(actor, { pendingSteps: isLazy(observation.context) ? lazySteps : eagerSteps, active: null });
      return;
    }
    const setup = setups.get(actor);
    if (setup === undefined) return;
    if (observation.kind === 'event') {
      if (event.type === 'transport.attached' && !setup.active) startTrace(actor, setup, observation.state);
      else endStep(setup, event.type);
    } else if (observation.to === 'tools-registered') {
      if (setup.active) startStep(setup.active, 'claim');
    } else {
      if (setup.active) endTrace(setup.active, observation.to === 'closed' ? closeReasonOf(observation.context) : null);
      setups.delete(actor);
    }
  };
}

const lazySteps: readonly Step[] = ['registerTools'];
const eagerSteps: readonly Step[] = ['lease', ...lazySteps];

/** The end of the actor that registers the tools, in XState's words. */
const registerToolsDone = /^xstate\.done\.actor\..*\.registering$/;

const isLazy = (context: unknown): boolean =>
  typeof context === 'object' && context !== null && 'lease' in context && context.lease === 'lazy';
