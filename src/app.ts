import type { RequestListener } from 'node:http';
import express, { type Application, type RequestHandler } from 'express';
import { addManagement, type ManagementDeps } from './app/management.js';
import { addOperations, type OperationsDeps } from './app/operations.js';
import { addResourceMetadata } from './app/resourceMetadata.js';
import { answerError } from './app/failure.js';
import { createFront, messageDoors } from './app/messageDoors.js';
import { watchElsewhere } from './app/watchElsewhere.js';
import { allowed, operatorInBrowser, route, type Handler } from './app/route.js';
import { Refusal } from './errors.js';
import type { Log } from './log.js';
import type { Fold } from './session/observer.js';
import type { Tenancy } from './tenancy/tenancy.js';
import { doorRule, guardDoors } from './transport/doors.js';
import type { ElsewhereDeps } from './transport/elsewhere.js';
import { identifyRequests } from './transport/requestId.js';
import { continueTrace } from './transport/requestTrace.js';
import type { StreamableHttpDeps } from './transport/streamableHttpRoutes.js';

export { createUpgrade, type UpgradeListener } from './app/upgrade.js';

export interface AppDeps
  extends StreamableHttpDeps, ElsewhereDeps, ManagementDeps, OperationsDeps, Pick<Tenancy, 'jwtIssuer' | 'publicUrl'> {
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  /** Proxies whose X-Forwarded-For is believed. */
  readonly trustProxy: readonly string[];
  readonly log: Log;
  /** The pages and the stream below `/inspector`. */
  readonly inspector: RequestHandler;
  /** Hears of refusals. */
  readonly observe: Fold;
}

/** The routes of the contract, on an express app that nobody listens with yet: mount it, or hand it to a server. */
export function createApp(deps: AppDeps): Application {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', [...deps.trustProxy]);
  app.use(identifyRequests(deps.observe), continueTrace);
  app.use(guardDoors(doorRule(deps.allowedHosts, deps.allowedOrigins)));

  for (const [path, verbs] of Object.entries(messageDoors(deps))) {
    const listeners = Object.entries(verbs);
    route(app, path, Object.fromEntries<Handler[]>(listeners.map(([verb, on]) => [verb, [refuseHead(verbs), on]])));
  }
  route(app, '/ws', { get: [requireUpgrade] });
  addOperations(app, deps);
  addManagement(app, deps);
  if (deps.jwtIssuer !== undefined) addResourceMetadata(app, deps.jwtIssuer, deps.publicUrl);

  app.use('/inspector', operatorInBrowser(deps.isOperator), watchElsewhere(deps), deps.inspector);

  app.use(() => {
    throw new Refusal('not_found');
  });
  app.use(answerError(deps.log));
  return app;
}

/** What a server of ours listens with: the app, and in front of it the doors that every message comes through. */
export function createListener(deps: AppDeps, app: Application): RequestListener {
  const check = doorRule(deps.allowedHosts, deps.allowedOrigins);
  return createFront({ ...deps, doors: messageDoors(deps), check, rest: app });
}

/** Express gives HEAD to the handlers of GET. A stream has no head of its own: asking for it would open a session. */
const refuseHead =
  (verbs: object): Handler =>
  (request, response, next) => {
    if (request.method !== 'HEAD') {
      next();
      return;
    }
    response.setHeader('allow', allowed(verbs));
    throw new Refusal('method_not_allowed');
  };

const requireUpgrade: Handler = () => {
  throw new Refusal('upgrade_required');
};
