import { context, ProxyTracerProvider, SpanStatusCode, trace, type Context, type Span } from '@opentelemetry/api';
import { noop, untilAborted } from '../async.js';
import { timeLimit } from '../clock.js';
import { shortId } from '../log.js';
import { closeReasonOf } from './creations.js';
import type { ObservationHandler } from './observer.js';

type Step = 'lease' | 'registerTools' | 'claim';

interface ActiveTrace {
  readonly span: Span;
  readonly parentContext: Context;
  readonly steps: Map<Step, Span>;
}

/** The setup of one session. */
interface SetupTrace {
  /** Setup steps that are not done; a warm session starts them before a client connects. */
  pendingSteps: readonly Step[];
  /** Whether the session is claimed in the directory. */
  readonly isClaimed: boolean;
  /** Null until a client connects. */
  active: ActiveTrace | null;
}

/**
 * Traces session setup: a span from the request of the client to the announcement, with a child for each step that it waits
 * for. Their parent is the span that is active at the request: observations are published synchronously, within the call
 * that causes them. Without a registered OpenTelemetry SDK nothing is kept.
 *
 *     session.connect
 *       session.lease, session.registerTools -> session.claim
 */
export function traceSessionSetup(): ObservationHandler {
  const tracer = trace.getTracer('greenroom');
  const setups = new Map<string, SetupTrace>();

  const startStep = ({ steps, parentContext }: ActiveTrace, step: Step): void => {
    steps.set(step, tracer.startSpan(`session.${step}`, {}, parentContext));
  };

  const startTrace = (session: string, setup: SetupTrace, state: string): void => {
    const parent = context.active();
    const span = tracer.startSpan('session.connect', { attributes: { 'mcp.session.id': shortId(session) } }, parent);
    if (!span.isRecording()) {
      setups.delete(session);
      return;
    }
    const active: ActiveTrace = { span, parentContext: trace.setSpan(parent, span), steps: new Map() };
    setup.active = active;
    if (state === 'created') for (const step of setup.pendingSteps) startStep(active, step);
    else if (setup.isClaimed) startStep(active, 'claim');
  };

  const endStep = (setup: SetupTrace, type: string): void => {
    const done = type === 'browser.leased' ? 'lease' : registerToolsDone.test(type) ? 'registerTools' : undefined;
    if (done === undefined) return;
    setup.pendingSteps = setup.pendingSteps.filter((step) => step !== done);
    setup.active?.steps.get(done)?.end();
    setup.active?.steps.delete(done);
  };

  const endTrace = ({ span: connectSpan, steps }: ActiveTrace, failure: string | null): void => {
    for (const span of [...steps.values(), connectSpan]) {
      if (failure !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
      span.end();
    }
  };

  return (observation) => {
    if (observation.kind !== 'event' && observation.kind !== 'transition') return;
    const { machine, actor, event } = observation;
    if (machine !== 'session') return;
    if (observation.kind === 'transition' && observation.from === '') {
      setups.set(actor, { ...stepsOf(observation.context as StepsContext), active: null });
      return;
    }
    const setup = setups.get(actor);
    if (setup === undefined) return;
    if (observation.kind === 'event') {
      if (event.type === 'transport.attached' && !setup.active) startTrace(actor, setup, observation.state);
      else endStep(setup, event.type);
    } else if (observation.to === 'tools-registered') {
      if (setup.active && setup.isClaimed) startStep(setup.active, 'claim');
    } else {
      if (setup.active) endTrace(setup.active, observation.to === 'closed' ? closeReasonOf(observation.context) : null);
      setups.delete(actor);
    }
  };
}

interface StepsContext {
  readonly lease?: string;
  readonly setup?: string;
}

/** The steps before the announcement. */
function stepsOf({ lease, setup }: StepsContext): Pick<SetupTrace, 'pendingSteps' | 'isClaimed'> {
  const isClaimed = setup !== 'none';
  const steps: readonly Step[] = isClaimed ? ['registerTools'] : [];
  return { pendingSteps: lease === 'lazy' ? steps : ['lease', ...steps], isClaimed };
}

/** XState's event for the end of the actor that registers the tools. */
const registerToolsDone = /^xstate\.done\.actor\..*\.registering$/;

/** How long a collector may take for the last spans. */
const flushTimeoutMs = 2_000;

/** Has the SDK of the process, if there is one, send the spans that it holds. Never rejects. */
export async function flushSpans(): Promise<void> {
  const provider = trace.getTracerProvider();
  const sdk: unknown = provider instanceof ProxyTracerProvider ? provider.getDelegate() : provider;
  if (!canFlush(sdk)) return;
  const flushed = Promise.resolve(sdk.forceFlush());
  await untilAborted(flushed, timeLimit(flushTimeoutMs)).catch(noop);
}

const canFlush = (sdk: unknown): sdk is { forceFlush(): unknown } =>
  typeof sdk === 'object' && sdk !== null && 'forceFlush' in sdk && typeof sdk.forceFlush === 'function';
