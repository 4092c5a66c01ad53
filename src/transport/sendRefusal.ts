import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Refusal, RequestId } from '../errors/errors.js';
import { refusedEvent, requestIdOf } from './requestContext.js';

/** Bytes of a body that are thrown away after a refusal, so that a client which sends first hears it. */
const maxDiscardedBytes = 4 * 1024 ** 2;

/** Reads on without keeping anything, and hangs up on a client that does not stop. */
function discardRest(request: IncomingMessage): void {
  if (request.complete || request.socket.destroyed) return;
  let left = maxDiscardedBytes;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.socket.destroy();
  });
}

/**
 * Answers a request with a refusal: status, `Retry-After` or `WWW-Authenticate` where it helps, and the JSON-RPC error. The one place that
 * does, and so the one where refusals are observed: the response emits the refusal for whoever opened the request.
 */
export function sendRefusal(response: ServerResponse, refusal: Refusal, id: RequestId): void {
  const { retryAfterMs, challenge } = refusal.data;
  // `unknown` has one body, whether a session never was or is somebody else's: there, the header alone has the id.
  const requestId = refusal.reason === 'unknown' ? undefined : requestIdOf(response);
  const body = JSON.stringify(refusal.toJsonRpc(id, requestId));
  if (retryAfterMs !== undefined) response.setHeader('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1000)));
  if (challenge !== undefined) response.setHeader('www-authenticate', challenge);
  if (refusal.reason === 'upgrade_required') {
    response.setHeader('upgrade', 'websocket').setHeader('sec-websocket-version', '13');
  }
  response.writeHead(refusal.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
  discardRest(response.req);
  response.emit(refusedEvent, refusal);
}
