import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { Duplex } from 'node:stream';
import express, { type RequestHandler } from 'express';
import { Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { ObservationHandler } from '../telemetry/observer.js';
import type { Caller } from '../tenancy/principal.js';
import { sendRefusal } from '../transport/sendRefusal.js';
import { assignRequestIds, continueTrace } from '../transport/requestContext.js';
import type { StreamableHttpDeps } from '../transport/streamableHttpRoutes.js';
import { createErrorHandler, addRoute, type RouteHandler } from './routing.js';
import { createFastPath, messageRoutes } from './messageRoutes.js';

export interface ForwardedDeps extends StreamableHttpDeps {
  readonly log: Log;
  /** Receives refusals. */
  readonly observe: ObservationHandler;
  /** The pages and the stream below `/inspector`. */
  readonly inspector: RequestHandler;
}

/** The headers of a client's request, with those that the forwarding node added. */
const maxForwardedHeaderBytes = 32 * 1024;

/**
 * Serves requests that other nodes forward, with the message routes of this node, so that the response is the same. Host and
 * Origin, token and rate were checked by the forwarding node. Each socket carries one request, of the caller passed with it.
 *
 *     client ──► other node ──► inbox ──► socket ─┬─► message routes
 *                (checks)                         └─► operator routes, for an operator
 *     client ◄── other node ◄── reply in pieces ◄─ response
 */
export function createForwardedServer(deps: ForwardedDeps): (socket: Duplex, caller: Caller) => void {
  const callers = new WeakMap<object, Caller>();
  const admit = async ({ socket }: IncomingMessage): Promise<Caller> => {
    const caller = callers.get(socket);
    if (caller === undefined) throw new Error('No caller is registered for this connection.');
    return caller;
  };
  const operatorApp = createOperatorApp(deps);
  const fastPath = createFastPath({
    ...deps,
    // The forwarding node has checked the size of the body.
    routes: messageRoutes({ ...deps, admit, bodyLimit: Number.POSITIVE_INFINITY, node: undefined }),
    hostOriginPolicy: () => undefined,
    fallback: (request, response) => {
      if (callers.get(request.socket) === 'anyone') operatorApp(request, response);
      else sendRefusal(response, new Refusal('not_found'), null);
    },
  });
  const server = createServer({ maxHeaderSize: maxForwardedHeaderBytes }, fastPath);
  return (socket, caller) => {
    callers.set(socket, caller);
    server.emit('connection', socket);
  };
}

/** The operator routes for sessions of this node. The forwarding node has authorized the operator. */
function createOperatorApp(deps: ForwardedDeps): RequestListener {
  const app = express();
  app.use(assignRequestIds(deps.observe), continueTrace);
  addRoute(app, '/api/sessions/:id', { delete: [closeAfterResponse(deps)] });
  app.use('/inspector', deps.inspector);
  app.use(() => {
    throw new Refusal('not_found');
  });
  app.use(createErrorHandler(deps.log));
  return app;
}

/** Sends the response first: a reply to another node needs the session's ownership term, which ends with the session. */
const closeAfterResponse =
  ({ registry }: ForwardedDeps): RouteHandler =>
  ({ params }, response) => {
    const session = registry.find(String(params['id']), 'anyone');
    response.once('close', () => session.close('operator-closed'));
    response.status(204).end();
  };
