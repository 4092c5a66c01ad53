import type { IncomingMessage, RequestListener } from 'node:http';
import type { Duplex } from 'node:stream';
import express, { type Application, type RequestHandler } from 'express';
import { addManagementRoutes, type ManagementRoutesDeps } from './managementRoutes.js';
import { addOperationsRoutes, forwardRemoteInspector, type OperationsRoutesDeps } from './operationsRoutes.js';
import {
  createErrorHandler,
  allowHeader,
  requireOperatorInBrowser,
  addRoute,
  toLoggedRefusal,
  type RouteHandler,
} from './routing.js';
import { createFastPath, messageRoutes, type MessageRoutes } from './messageRoutes.js';
import { showIndex } from './rootPage.js';
import type { Config } from '../config/config.js';
import { Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { ObservationHandler } from '../telemetry/observer.js';
import type { Tenancy } from '../tenancy/tenancy.js';
import {
  createHostOriginPolicy,
  enforceHostOriginPolicy,
  type HostOriginPolicy,
} from '../transport/hostOriginPolicy.js';
import type { ForwardingDeps } from '../transport/forwarding.js';
import { PendingUpgrade } from '../transport/pendingUpgrade.js';
import { assignRequestIds, continueTrace } from '../transport/requestContext.js';
import type { StreamableHttpDeps } from '../transport/streamableHttpRoutes.js';
import { createWebSocketHandler } from '../transport/webSocket.js';
import { metadataPaths, pathOf, resourceMetadata, resourceUrl } from '../tenancy/resourceMetadata.js';

export interface AppDeps
  extends
    StreamableHttpDeps,
    ForwardingDeps,
    ManagementRoutesDeps,
    OperationsRoutesDeps,
    Pick<Tenancy, 'jwtIssuer' | 'publicUrl'> {
  readonly config: Pick<Config, 'auth' | 'allowedHosts' | 'allowedOrigins' | 'trustProxy'>;
  readonly log: Log;
  /** The pages and the stream below `/inspector`. */
  readonly inspector: RequestHandler;
  /** Receives refusals. */
  readonly observe: ObservationHandler;
}

export interface App {
  /** The routes of the contract, on an express app that does not listen: mount it, or pass it to an HTTP server. */
  readonly app: Application;
  /** The request listener of our own server: the app, with the fast path of the message routes in front of it. */
  readonly requestListener: RequestListener;
  /** For the `upgrade` event of the server that the app is mounted on. */
  readonly upgrade: UpgradeListener;
}

/** The app and its listeners, over one table of message routes. */
export function createApp(deps: AppDeps): App {
  const routes = messageRoutes(deps);
  const hostOriginPolicy = createHostOriginPolicy(deps.config.allowedHosts, deps.config.allowedOrigins);
  const app = createExpressApp(deps, routes, hostOriginPolicy);
  return {
    app,
    requestListener: belowPath(deps.publicUrl, createFastPath({ ...deps, routes, hostOriginPolicy, fallback: app })),
    upgrade: belowPath(deps.publicUrl, createUpgradeListener(deps, hostOriginPolicy)),
  };
}

/** Serves below the path of `--public-url` too: some proxies remove it from a request, some do not. */
function belowPath<Others extends unknown[]>(
  publicUrl: string | undefined,
  listener: (request: IncomingMessage, ...others: Others) => void,
): (request: IncomingMessage, ...others: Others) => void {
  const prefix = pathOf(publicUrl);
  if (prefix === '') return listener;
  return (request, ...others) => {
    const { url = '' } = request;
    const rest = url.slice(prefix.length);
    if (url.startsWith(prefix) && /^([/?]|$)/.test(rest)) request.url = rest.startsWith('/') ? rest : `/${rest}`;
    listener(request, ...others);
  };
}

function createExpressApp(deps: AppDeps, routes: MessageRoutes, hostOriginPolicy: HostOriginPolicy): Application {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', [...deps.config.trustProxy]);
  app.use(assignRequestIds(deps.observe), continueTrace);
  app.use(enforceHostOriginPolicy(hostOriginPolicy));

  for (const [path, verbs] of Object.entries(routes)) {
    const listeners = Object.entries(verbs);
    addRoute(
      app,
      path,
      Object.fromEntries<RouteHandler[]>(listeners.map(([verb, listener]) => [verb, [rejectHead(verbs), listener]])),
    );
  }
  addRoute(app, '/', { get: [showIndex({ publicUrl: deps.publicUrl, needsToken: deps.config.auth !== 'none' })] });
  addRoute(app, '/ws', { get: [requireUpgrade(deps)] });
  addOperationsRoutes(app, deps);
  addManagementRoutes(app, deps);
  if (deps.jwtIssuer !== undefined) addResourceMetadataRoutes(app, deps.jwtIssuer, deps.publicUrl);

  app.use('/inspector', requireOperatorInBrowser(deps.isOperator), forwardRemoteInspector(deps), deps.inspector);

  app.use(() => {
    throw new Refusal('not_found');
  });
  app.use(createErrorHandler(deps.log));
  return app;
}

/** A listener of a server's `upgrade` event. */
export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Answers every upgrade: `/ws` with a WebSocket session, everything else with a refusal. */
function createUpgradeListener(deps: AppDeps, hostOriginPolicy: HostOriginPolicy): UpgradeListener {
  const { log } = deps;
  const identify = assignRequestIds(deps.observe);
  const open = createWebSocketHandler(deps);
  const answer = async (upgrade: PendingUpgrade): Promise<void> => {
    const { url = '' } = upgrade.request;
    try {
      hostOriginPolicy(upgrade.request);
      if (!/^\/ws(\?|$)/.test(url)) throw new Refusal('not_found');
      await open(upgrade);
    } catch (error) {
      upgrade.refuse(toLoggedRefusal(error, { path: '/ws', response: upgrade.response, log }));
    }
  };
  return (request, socket, head) => {
    try {
      const upgrade = new PendingUpgrade(request, head);
      const { response } = upgrade;
      identify(request, response, () => continueTrace(request, response, () => void answer(upgrade)));
    } catch {
      // An earlier response is still being written to this connection.
      socket.destroy();
    }
  };
}

/** Express passes HEAD to GET handlers. HEAD on a stream route would open a session, so it is refused. */
const rejectHead =
  (verbs: object): RouteHandler =>
  (request, response, next) => {
    if (request.method !== 'HEAD') {
      next();
      return;
    }
    response.setHeader('allow', allowHeader(verbs));
    throw new Refusal('method_not_allowed');
  };

/** The caller is checked first: a client without a token learns that it needs one. */
const requireUpgrade =
  ({ admit }: Pick<AppDeps, 'admit'>): RouteHandler =>
  async (request) => {
    await admit(request, 'message');
    throw new Refusal('upgrade_required');
  };

/** The protected resource metadata of the server and of each endpoint, which name the issuer (RFC 9728, section 3). */
function addResourceMetadataRoutes(app: Application, issuer: string, publicUrl: string | undefined): void {
  for (const { path, metadataPath } of metadataPaths(publicUrl)) {
    addRoute(app, metadataPath, {
      get: [
        ({ headers }, response) => void response.json(resourceMetadata(resourceUrl(path, publicUrl, headers), issuer)),
      ],
    });
  }
}
