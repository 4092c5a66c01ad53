import type { IncomingMessage, RequestListener } from 'node:http';
import { asksForSession } from '../mcp/protocol.js';
import { shareWithOrigin, type HostOriginPolicy } from '../transport/hostOriginPolicy.js';
import { sendRefusal } from '../transport/sendRefusal.js';
import { assignRequestIds, continueTrace } from '../transport/requestContext.js';
import { forwardIfRemote, type ForwardingDeps } from '../transport/forwarding.js';
import { browserIdFromHeader, namesStatelessVersion } from '../transport/repeatedHeaders.js';
import { openSseSession, sessionIdFromQuery, postSseMessage } from '../transport/sse.js';
import {
  deleteSession,
  listenToSession,
  sessionIdFromHeader,
  postToSession,
  type StreamableHttpDeps,
} from '../transport/streamableHttpRoutes.js';
import type { AsyncRequestListener } from '../transport/transport.js';
import type { Log } from '../log.js';
import type { ObservationHandler } from '../telemetry/observer.js';
import { toLoggedRefusal, type HttpMethod } from './routing.js';

/** The listeners of each path, by HTTP method. */
export type MessageRoutes = Readonly<
  Record<'/sse' | '/message' | '/mcp', Partial<Record<HttpMethod, AsyncRequestListener>>>
>;

/** The routes that carry session messages: SSE and Streamable HTTP. */
export function messageRoutes(deps: StreamableHttpDeps & ForwardingDeps): MessageRoutes {
  const bySessionIdInQuery = (localListener: AsyncRequestListener): AsyncRequestListener =>
    forwardIfRemote(deps, sessionIdFromQuery, localListener);
  const bySessionIdInHeader = (localListener: AsyncRequestListener): AsyncRequestListener =>
    forwardIfRemote(deps, idFromHeaders, localListener, asksForSession);
  return {
    '/sse': { get: openSseSession(deps) },
    '/message': { post: bySessionIdInQuery(postSseMessage(deps)) },
    '/mcp': {
      get: bySessionIdInHeader(listenToSession(deps)),
      post: bySessionIdInHeader(postToSession(deps)),
      delete: bySessionIdInHeader(deleteSession(deps)),
    },
  };
}

/** The session of a request: its id, or in the revision without sessions the handle of a browser. */
const idFromHeaders = (request: IncomingMessage): string =>
  namesStatelessVersion(request) ? browserIdFromHeader(request) : sessionIdFromHeader(request);

export interface FastPathDeps {
  readonly routes: MessageRoutes;
  readonly hostOriginPolicy: HostOriginPolicy;
  /** All other requests: other routes and methods, and other spellings of these paths. */
  readonly fallback: RequestListener;
  readonly log: Log;
  /** Receives refusals. */
  readonly observe: ObservationHandler;
}

/**
 * Serves the message routes without a router, for requests that match a path exactly. These routes get thousands of requests
 * for each one to another route, and a router with its middleware costs as much as all the rest of a ping.
 */
export function createFastPath({ routes, hostOriginPolicy, fallback, log, observe }: FastPathDeps): RequestListener {
  const identify = assignRequestIds(observe);
  const listeners = new Map<string, AsyncRequestListener>();
  for (const [path, verbs] of Object.entries(routes)) {
    for (const [verb, listener] of Object.entries(verbs)) listeners.set(`${verb.toUpperCase()} ${path}`, listener);
  }
  return (request, response) => {
    const [path = ''] = (request.url ?? '').split('?', 1);
    const listener = listeners.get(`${request.method} ${path}`);
    if (listener === undefined) {
      fallback(request, response);
      return;
    }
    const answer = async (): Promise<void> => {
      try {
        hostOriginPolicy(request);
        shareWithOrigin(request, response);
        await listener(request, response);
      } catch (error) {
        const refusal = toLoggedRefusal(error, { path, response, log });
        if (response.headersSent) response.destroy();
        else sendRefusal(response, refusal, null);
      }
    };
    identify(request, response, () => continueTrace(request, response, () => void answer()));
  };
}
