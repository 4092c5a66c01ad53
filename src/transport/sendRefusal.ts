import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Refusal, RequestId } from '../errors/errors.js';
import { textOf } from '../mcp/messageText.js';
import { refusedEvent, requestIdOf } from './requestContext.js';

/** Bytes of a body that are discarded after a refusal, so that a client that sends before it reads gets the refusal. */
const maxDiscardedBytes = 4 * 1024 ** 2;

/**
 * Answers a request with a refusal: status, `Retry-After` or `WWW-Authenticate` where they apply, and the JSON-RPC error.
 * Every HTTP refusal is sent here, so that all are observed: the response emits `refusedEvent`.
 */
export function sendRefusal(response: ServerResponse, refusal: Refusal, id: RequestId): void {
  const { retryAfterMs, challenge } = refusal.data;
  // The body of `unknown` is the same for a missing session and for one of another user: no request id in it.
  const requestId = refusal.reason === 'unknown' ? undefined : requestIdOf(response);
  const body = String(textOf(refusal.toJsonRpc(id, requestId)));
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

/** Reads and discards the rest of the body; closes the connection past the limit. */
function discardRest(request: IncomingMessage): void {
  if (request.complete || request.socket.destroyed) return;
  let remainingBytes = maxDiscardedBytes;
  request.on('data', (chunk: Buffer) => {
    remainingBytes -= chunk.length;
    if (remainingBytes < 0) request.socket.destroy();
  });
}
