import express, { type Application, type RequestHandler } from 'express';
import { addManagement, type ManagementDeps } from './app/management.js';
import { addOperations, type OperationsDeps } from './app/operations.js';
import { addResourceMetadata } from './app/resourceMetadata.js';
import { operatorInBrowser, readJson, route, type Handler } from './app/route.js';
import { answerError } from './app/failure.js';
import { Refusal } from './errors.js';
import type { Log } from './log.js';
import type { Fold } from './session/observer.js';
import type { Tenancy } from './tenancy/tenancy.js';
import { doorRule, guardDoors } from './transport/doors.js';
import { passToOwner, type ElsewhereDeps } from './transport/elsewhere.js';
import { identifyRequests } from './transport/requestId.js';
import { continueTrace } from './transport/requestTrace.js';
import { openStream, postedSession, postMessage } from './transport/sseRoutes.js';
import {
  leaveSession,
  listenToSession,
  namedSession,
  postToSession,
  type StreamableHttpDeps,
} from './transport/streamableHttpRoutes.js';

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

  route(app, '/sse', { get: [refuseHead('GET'), openStream(deps)] });
  const [messageOwner, mcpOwner] = [passToOwner(deps, postedSession), passToOwner(deps, namedSession)];
  route(app, '/message', { post: [readJson(deps.bodyLimit), messageOwner, postMessage(deps)] });
  route(app, '/mcp', {
    get: [refuseHead('GET, POST, DELETE'), mcpOwner, listenToSession(deps)],
    post: [readJson(deps.bodyLimit), mcpOwner, postToSession(deps)],
    delete: [mcpOwner, leaveSession(deps)],
  });
  route(app, '/ws', { get: [requireUpgrade] });
  addOperations(app, deps);
  addManagement(app, deps);
  if (deps.jwtIssuer !== undefined) addResourceMetadata(app, deps.jwtIssuer, deps.publicUrl);

  app.use('/inspector', operatorInBrowser(deps.isOperator), deps.inspector);

  app.use(() => {
    throw new Refusal('not_found');
  });
  app.use(answerError(deps.log));
  return app;
}

/** Express gives HEAD to the handlers of GET. A stream has no head of its own: asking for it would open a session. */
const refuseHead =
  (allow: string): Handler =>
  (request, response, next) => {
    if (request.method !== 'HEAD') {
      next();
      return;
    }
    response.setHeader('allow', allow);
    throw new Refusal('method_not_allowed');
  };

const requireUpgrade: Handler = () => {
  throw new Refusal('upgrade_required');
};
