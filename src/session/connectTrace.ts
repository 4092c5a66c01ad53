import { context, SpanStatusCode, trace, type Context, type Span } from '@opentelemetry/api';
import { shortId } from '../log.js';
import { closedBecauseOf } from './creations.js';
import type { Fold } from './observer.js';

type Step = 'lease' | 'registerTools' | 'claim';

/** One session on its way to its client. */
interface Connect {
  /** Set-up that is not done: it may be under way before a client asks (a warm session). */
  readonly missing: Set<Step>;
  readonly steps: Map<Step, Span>;
  /** Absent until a client asks. */
  asked?: { readonly span: Span; readonly within: Context };
}

/**
 * Traces how sessions are connected: a span from the moment the client asks to the announcement, and one for each step
 * that it waits for. The parent is what is active as the client asks, since observations are told within the call that
 * causes them. Without a registered OpenTelemetry SDK nothing is kept.
 */
export function traceConnects(): Fold {
  const tracer = trace.getTracer('greenroom');
  const connects = new Map<string, Connect>();

  const begin = ({ asked, steps }: Connect, step: Step): void => {
    if (asked) steps.set(step, tracer.startSpan(`session.${step}`, {}, asked.within));
  };

  const ask = (session: string, connect: Connect, state: string): void => {
    const active = context.active();
    const span = tracer.startSpan('session.connect', { attributes: { 'mcp.session.id': shortId(session) } }, active);
    connect.asked = { span, within: trace.setSpan(active, span) };
    if (!span.isRecording()) connects.delete(session);
    else if (state === 'created') for (const step of connect.missing) begin(connect, step);
    else begin(connect, 'claim');
  };

  const settle = ({ missing, steps }: Connect, type: string): void => {
    const step = type === 'browser.leased' ? 'lease' : registered.test(type) ? 'registerTools' : undefined;
    if (step === undefined) return;
    missing.delete(step);
    steps.get(step)?.end();
    steps.delete(step);
  };

  const finish = ({ asked, steps }: Connect, failure: string | null): void => {
    for (const span of [...steps.values(), ...(asked ? [asked.span] : [])]) {
      if (failure !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
      span.end();
    }
  };

  return (observation) => {
    if (observation.kind !== 'event' && observation.kind !== 'transition') return;
    const { machine, actor, event } = observation;
    if (machine !== 'session') return;
    if (observation.kind === 'transition' && observation.to === 'created') {
      const missing: Step[] = isLazy(observation.context) ? ['registerTools'] : ['lease', 'registerTools'];
      connects.set(actor, { missing: new Set(missing), steps: new Map() });
      return;
    }
    const connect = connects.get(actor);
    if (connect === undefined) return;
    if (observation.kind === 'event') {
      if (event.type === 'transport.attached' && !connect.asked) ask(actor, connect, observation.state);
      else settle(connect, event.type);
    } else if (observation.to === 'tools-registered') begin(connect, 'claim');
    else {
      finish(connect, observation.to === 'closed' ? closedBecauseOf(observation.context) : null);
      connects.delete(actor);
    }
  };
}

/** The end of the actor that registers the tools, in XState's words. */
const registered = /^xstate\.done\.actor\..*\.registering$/;

const isLazy = (context: unknown): boolean =>
  typeof context === 'object' && context !== null && 'lease' in context && context.lease === 'lazy';
