import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { context, propagation, trace } from '@opentelemetry/api';
import type { Refusal } from '../errors/errors.js';
import type { RequestTransport, ObservationHandler } from '../telemetry/observer.js';

const requestIdHeader = 'x-request-id';
/** A client's own id is taken over if it can stand in a header, a log line and a JSON text as it is. */
const requestIdPattern = /^[\w.:-]{1,128}$/;

/** Emitted by a response that was answered with a refusal, with the refusal. */
export const refusedEvent = 'refused';

const endpointByPath: ReadonlyMap<string, RequestTransport> = new Map([
  ['/sse', 'sse'],
  ['/message', 'sse'],
  ['/mcp', 'streamable-http'],
  ['/ws', 'websocket'],
]);

/**
 * Gives each request an id, answered in `X-Request-Id`, and tells of those that are refused. Comes before every
 * route, and before every upgrade.
 */
export function assignRequestIds(observe: ObservationHandler) {
  return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    const clientRequestId = request.headers[requestIdHeader];
    const requestId =
      typeof clientRequestId === 'string' && requestIdPattern.test(clientRequestId) ? clientRequestId : randomUUID();
    const [path = ''] = (request.url ?? '').split('?');
    const transport = endpointByPath.get(path) ?? 'http';
    response.setHeader(requestIdHeader, requestId);
    response.on(refusedEvent, ({ reason, status, message }: Refusal) =>
      observe({ kind: 'refusal', reason, status, message, transport, requestId }),
    );
    next();
  };
}

/** The id that a response carries; undefined for one that no route of ours answers. */
export function requestIdOf(response: ServerResponse): string | undefined {
  const id = response.getHeader(requestIdHeader);
  return typeof id === 'string' ? id : undefined;
}

/**
 * Makes the caller's W3C trace context the parent of what a request leads to. Where an instrumentation of HTTP has opened
 * a span already, that one stays the parent. Without a registered SDK this does nothing.
 */
export function continueTrace(request: IncomingMessage, _response: unknown, next: () => void): void {
  const active = context.active();
  if (trace.getSpan(active) !== undefined) next();
  else context.with(propagation.extract(active, request.headers), next);
}
