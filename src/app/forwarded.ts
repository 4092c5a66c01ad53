import { createServer, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import express from 'express';
import type { Fold } from '../session/observer.js';
import type { Caller } from '../tenancy/principal.js';
import { identifyRequests } from '../transport/requestId.js';
import { continueTrace } from '../transport/requestTrace.js';
import { postMessage } from '../transport/sseRoutes.js';
import {
  leaveSession,
  listenToSession,
  postToSession,
  type StreamableHttpDeps,
} from '../transport/streamableHttpRoutes.js';
import type { Log } from '../log.js';
import { answerError } from './failure.js';
import { readJson, route } from './route.js';

export interface ForwardedDeps extends StreamableHttpDeps {
  readonly log: Log;
  /** Hears of refusals. */
  readonly observe: Fold;
}

/** The headers of a client's request, and what the node that it asked added. */
const maxHeaderSize = 32 * 1024;

/**
 * Serves what comes through other nodes with the routes of this one, so that it is answered as it would have been here. The
 * door, the token and the rate were checked where the client asked. Each socket carries one request of the caller that is
 * given with it.
 */
export function serveForwarded(deps: ForwardedDeps): (socket: Duplex, caller: Caller) => void {
  const callers = new WeakMap<object, Caller>();
  const admit = async ({ socket }: IncomingMessage): Promise<Caller> => {
    const caller = callers.get(socket);
    if (caller === undefined) throw new Error("This connection is nobody's.");
    return caller;
  };
  const known = { ...deps, admit };
  // Its size was checked as it came.
  const read = readJson(Number.POSITIVE_INFINITY);
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(identifyRequests(deps.observe), continueTrace);
  route(app, '/message', { post: [read, postMessage(known)] });
  route(app, '/mcp', {
    get: [listenToSession(known)],
    post: [read, postToSession(known)],
    delete: [leaveSession(known)],
  });
  app.use(answerError(deps.log));
  const server = createServer({ maxHeaderSize }, app);
  return (socket, caller) => {
    callers.set(socket, caller);
    server.emit('connection', socket);
  };
}
