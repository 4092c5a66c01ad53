import type { RequestListener } from 'node:http';
import express, { type Application, type RequestHandler } from 'express';
import { addManagementRoutes, type ManagementRoutesDeps } from './managementRoutes.js';
import { addOperationsRoutes, type OperationsRoutesDeps } from './operationsRoutes.js';
import { createErrorHandler, allowHeader, requireOperatorInBrowser, addRoute, type RouteHandler } from './routing.js';
import { createFastPath, messageRoutes } from './messageRoutes.js';
import { forwardRemoteInspector } from './remoteInspector.js';
import { Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { ObservationHandler } from '../telemetry/observer.js';
import type { Tenancy } from '../tenancy/tenancy.js';
import { createHostOriginPolicy, enforceHostOriginPolicy } from '../transport/hostOriginPolicy.js';
import type { ForwardingDeps } from '../transport/forwarding.js';
import { assignRequestIds, continueTrace } from '../transport/requestContext.js';
import type { StreamableHttpDeps } from '../transport/streamableHttpRoutes.js';
import { metadataPaths, resourceMetadata, resourceUrl } from '../tenancy/resourceMetadata.js';

export { createUpgradeListener as createUpgrade, type UpgradeListener } from './upgradeListener.js';

export interface AppDeps
  extends
    StreamableHttpDeps,
    ForwardingDeps,
    ManagementRoutesDeps,
    OperationsRoutesDeps,
    Pick<Tenancy, 'jwtIssuer' | 'publicUrl'> {
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  /** Proxies whose X-Forwarded-For is believed. */
  readonly trustProxy: readonly string[];
  readonly log: Log;
  /** The pages and the stream below `/inspector`. */
  readonly inspector: RequestHandler;
  /** Hears of refusals. */
  readonly observe: ObservationHandler;
}

/** The routes of the contract, on an express app that nobody listens with yet: mount it, or hand it to a server. */
export function createApp(deps: AppDeps): Application {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', [...deps.trustProxy]);
  app.use(assignRequestIds(deps.observe), continueTrace);
  app.use(enforceHostOriginPolicy(createHostOriginPolicy(deps.allowedHosts, deps.allowedOrigins)));

  for (const [path, verbs] of Object.entries(messageRoutes(deps))) {
    const listeners = Object.entries(verbs);
    addRoute(
      app,
      path,
      Object.fromEntries<RouteHandler[]>(listeners.map(([verb, listener]) => [verb, [rejectHead(verbs), listener]])),
    );
  }
  addRoute(app, '/ws', { get: [requireUpgrade] });
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

/** What a server of ours listens with: the app, and in front of it the doors that every message comes through. */
export function createRequestListener(deps: AppDeps, app: Application): RequestListener {
  const hostOriginPolicy = createHostOriginPolicy(deps.allowedHosts, deps.allowedOrigins);
  return createFastPath({ ...deps, routes: messageRoutes(deps), hostOriginPolicy, fallback: app });
}

/** Express gives HEAD to the handlers of GET. A stream has no head of its own: asking for it would open a session. */
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

const requireUpgrade: RouteHandler = () => {
  throw new Refusal('upgrade_required');
};

/** The documents that lead an OAuth client to the issuer (RFC 9728, 3): for the server, and for each of its endpoints. */
export function addResourceMetadataRoutes(app: Application, issuer: string, publicUrl: string | undefined): void {
  for (const { path, metadataPath } of metadataPaths) {
    addRoute(app, metadataPath, {
      get: [
        ({ headers }, response) => void response.json(resourceMetadata(resourceUrl(path, publicUrl, headers), issuer)),
      ],
    });
  }
}
