import { context, SpanStatusCode, trace, type Context, type Span } from '@opentelemetry/api';
import { shortId } from '../log.js';
import { closedBecauseOf } from './creations.js';
import type { Fold } from './observer.js';

type Step = 'lease' | 'registerTools' | 'claim';

interface Asked {
  readonly span: Span;
  readonly within: Context;
  readonly steps: Map<Step, Span>;
}

/** One session on its way to its client. */
interface Connect {
  /** Set-up that is not done: it may be under way before a client asks (a warm session). */
  missing: readonly Step[];
  /** Null until a client asks. */
  asked: Asked | null;
}

/**
 * Traces how sessions are connected: a span from the moment the client asks to the announcement, and one for each step
 * that it waits for. The parent is what is active as the client asks, since observations are told within the call that
 * causes them. Without a registered OpenTelemetry SDK nothing is kept.
 */
export function traceConnects(): Fold {
  const tracer = trace.getTracer('greenroom');
  const connects = new Map<string, Connect>();

  const begin = (asked: Asked, step: Step): void => {
    asked.steps.set(step, tracer.startSpan(`session.${step}`, {}, asked.within));
  };

  const ask = (session: string, connect: Connect, state: string): void => {
    const active = context.active();
    const span = tracer.startSpan('session.connect', { attributes: { 'mcp.session.id': shortId(session) } }, active);
    if (!span.isRecording()) {
      connects.delete(session);
      return;
    }
    const asked: Asked = { span, within: trace.setSpan(active, span), steps: new Map() };
    connect.asked = asked;
    if (state === 'created') for (const step of connect.missing) begin(asked, step);
    else begin(asked, 'claim');
  };

  const settle = (connect: Connect, type: string): void => {
    const done = type === 'browser.leased' ? 'lease' : registered.test(type) ? 'registerTools' : undefined;
    if (done === undefined) return;
    connect.missing = connect.missing.filter((step) => step !== done);
    connect.asked?.steps.get(done)?.end();
    connect.asked?.steps.delete(done);
  };

  const finish = ({ span: whole, steps }: Asked, failure: string | null): void => {
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
      connects.set(actor, { missing: isLazy(observation.context) ? lazySteps : eagerSteps, asked: null });
      return;
    }
    const connect = connects.get(actor);
    if (connect === undefined) return;
    if (observation.kind === 'event') {
      if (event.type === 'transport.attached' && !connect.asked) ask(actor, connect, observation.state);
      else settle(connect, event.type);
    } else if (observation.to === 'tools-registered') {
      if (connect.asked) begin(connect.asked, 'claim');
    } else {
      if (connect.asked)
        finish(connect.asked, observation.to === 'closed' ? closedBecauseOf(observation.context) : null);
      connects.delete(actor);
    }
  };
}

const lazySteps: readonly Step[] = ['registerTools'];
const eagerSteps: readonly Step[] = ['lease', ...lazySteps];

/** The end of the actor that registers the tools, in XState's words. */
const registered = /^xstate\.done\.actor\..*\.registering$/;

const isLazy = (context: unknown): boolean =>
  typeof context === 'object' && context !== null && 'lease' in context && context.lease === 'lazy';
