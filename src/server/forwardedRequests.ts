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
  /** Hears of refusals. */
  readonly observe: ObservationHandler;
  /** The pages and the stream below `/inspector`. */
  readonly inspector: RequestHandler;
}

/** The headers of a client's request, and what the node that it asked added. */
const maxForwardedHeaderBytes = 32 * 1024;

/**
 * Serves what comes through other nodes with the routes of this one, so that it is answered as it would have been here. The
 * door, the token and the rate were checked where the client asked. Each socket carries one request of the caller that is
 * given with it.
 */
export function createForwardedServer(deps: ForwardedDeps): (socket: Duplex, caller: Caller) => void {
  const callers = new WeakMap<object, Caller>();
  const admit = async ({ socket }: IncomingMessage): Promise<Caller> => {
    const caller = callers.get(socket);
    if (caller === undefined) throw new Error("This connection is nobody's.");
    return caller;
  };
  const operatorApp = createOperatorApp(deps);
  const fastPath = createFastPath({
    ...deps,
    // Its size was checked as it came.
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

/** What an operator asks of the node of a session, who was let in at another one. */
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

/** The answer goes first: of a session that is closed nothing can be said to other nodes. */
const closeAfterResponse =
  ({ registry }: ForwardedDeps): RouteHandler =>
  ({ params }, response) => {
    const session = registry.find(String(params['id']), 'anyone');
    response.once('close', () => session.close('operator-closed'));
    response.status(204).end();
  };
