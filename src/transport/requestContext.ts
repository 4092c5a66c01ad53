import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { context, propagation, trace } from '@opentelemetry/api';
import type { Refusal } from '../errors/errors.js';
import type { RequestTransport, ObservationHandler } from '../telemetry/observer.js';

const requestIdHeader = 'x-request-id';
/** A client's own id is used if it is safe in a header, a log line and a JSON text. */
const requestIdPattern = /^[\w.:-]{1,128}$/;

/** Emitted by a response with the Refusal that it was answered with. */
export const refusedEvent = 'refused';

const endpointByPath: ReadonlyMap<string, RequestTransport> = new Map([
  ['/sse', 'sse'],
  ['/message', 'sse'],
  ['/mcp', 'streamable-http'],
  ['/ws', 'websocket'],
]);

/**
 * Assigns an id to each request, returned in `X-Request-Id`, and observes refusals. Runs before every route and every
 * upgrade.
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

/** The request id of a response; undefined if `assignRequestIds` has not run for it. */
export function requestIdOf(response: ServerResponse): string | undefined {
  const id = response.getHeader(requestIdHeader);
  return typeof id === 'string' ? id : undefined;
}

/**
 * Makes the caller's W3C trace context the parent of the spans of a request. If an HTTP instrumentation has already opened
 * a span, that span stays the parent. Without a registered SDK this does nothing.
 */
export function continueTrace(request: IncomingMessage, _response: unknown, next: () => void): void {
  const active = context.active();
  if (trace.getSpan(active) !== undefined) next();
  else context.with(propagation.extract(active, request.headers), next);
}
