import type { ServerResponse } from 'node:http';
import type { Refusal, RequestId } from '../errors.js';

/** Answers a request with a refusal: status, `Retry-After` where it helps, and the JSON-RPC error. */
export function sendRefusal(response: ServerResponse, refusal: Refusal, id: RequestId): void {
  const { retryAfterMs } = refusal.data;
  const body = JSON.stringify(refusal.toJsonRpc(id));
  if (retryAfterMs !== undefined) response.setHeader('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1000)));
  if (refusal.reason === 'upgrade_required') {
    response.setHeader('upgrade', 'websocket').setHeader('sec-websocket-version', '13');
  }
  response.writeHead(refusal.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
