import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { NextFunction, Request, Response } from 'express';
import type { Asking } from '../cluster/asked.js';
import type { ClusterNode } from '../cluster/node.js';
import type { Offered } from '../cluster/store.js';
import { Refusal } from '../errors.js';
import { idOf } from '../mcp/protocol.js';
import { sendRefusal } from './refuse.js';
import { requestIdOf } from './requestId.js';
import type { TransportDeps } from './transport.js';

const retryAfterMs = 500;

export interface ElsewhereDeps extends Pick<TransportDeps, 'registry' | 'admit'> {
  /** Absent: there is one node, this one. */
  readonly node?: ClusterNode | undefined;
}

/**
 * Hands a request for a session of another node to that node and its answer to the client, as it comes. Passes on what is
 * for a session of this node, or for none: then the routes answer as if there were one node.
 */
export function passToOwner({ registry, admit, node }: ElsewhereDeps, sessionIdOf: (request: Request) => string) {
  return async (request: Request, response: Response, next: NextFunction): Promise<void> => {
    const sessionId = sessionIdOf(request);
    const isElsewhere = node !== undefined && sessionId !== '' && registry.peek(sessionId) === undefined;
    // Who is not let in hears so from the route, in its turn.
    const caller = isElsewhere ? await admit(request, 'message').catch(() => undefined) : undefined;
    if (node === undefined || caller === undefined) {
      next();
      return;
    }
    try {
      const asking = node.ask(sessionId, caller);
      const { said, head } = ask(asking, request, response);
      await said;
      const offered = await asking.send();
      if (offered.is === 'owned') {
        relay(await head, response, asking);
        return;
      }
      asking.tunnel.destroy();
      if (offered.is === 'closed') registry.remember(sessionId, offered.principal, offered.because);
      refuseBusy(offered);
    } catch (error) {
      if (response.destroyed) return;
      sendRefusal(
        response,
        error instanceof Refusal ? error : new Refusal('node_lost', {}, { cause: error }),
        idOf(request.body),
      );
      return;
    }
    next();
  };
}

function refuseBusy({ is }: Offered): void {
  if (is === 'not_ready') throw new Refusal('not_ready', { state: 'tools-registered', retryAfterMs });
  if (is === 'full')
    throw new Refusal('queue_full', { retryAfterMs, limit: 'what waits for the node of this session' });
}

/** Says to the tunnel what the client said. */
function ask({ tunnel }: Asking, request: Request, response: ServerResponse) {
  const body = request.body === undefined ? undefined : JSON.stringify(request.body);
  const { method, originalUrl: path } = request;
  const outgoing = httpRequest({ createConnection: () => tunnel, method, path, headers: headersOf(request, response) });
  response.once('close', () => tunnel.destroy());
  const head = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve).once('error', reject);
  });
  // What is not owned is not answered either; the tunnel is destroyed, and nobody waits.
  head.catch(() => undefined);
  const said = once(outgoing, 'finish');
  outgoing.end(body);
  return { said, head };
}

/** What belongs to one connection and not to the message (RFC 9110, section 7.6.1). */
const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect', 'date'];

function headersOf({ headers, body }: Request, response: ServerResponse): OutgoingHttpHeaders {
  const { 'content-length': _length, ...rest } = withoutHops(headers);
  const requestId = requestIdOf(response);
  return {
    ...rest,
    connection: 'close',
    ...(requestId !== undefined && { 'x-request-id': requestId }),
    ...(body !== undefined && { 'content-length': Buffer.byteLength(JSON.stringify(body)) }),
  };
}

function withoutHops(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.includes(name)));
}

function relay(answer: IncomingMessage, response: ServerResponse, { finish }: Asking): void {
  response.writeHead(answer.statusCode ?? 502, withoutHops(answer.headers));
  response.flushHeaders();
  // A client that loses it here comes again, as after any broken connection.
  answer.once('error', () => response.destroy());
  answer.once('end', finish);
  answer.pipe(response);
}
