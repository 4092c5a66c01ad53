import type { IncomingMessage } from 'node:http';
import { context, propagation, trace } from '@opentelemetry/api';

/**
 * Makes the caller's W3C trace context the parent of what a request leads to. Where an instrumentation of HTTP has opened
 * a span already, that one stays the parent. Without a registered SDK this does nothing.
 */
export function continueTrace(request: IncomingMessage, _response: unknown, next: () => void): void {
  const active = context.active();
  if (trace.getSpan(active) !== undefined) next();
  else context.with(propagation.extract(active, request.headers), next);
}
