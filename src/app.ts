import express, {
  type Application,
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
} from 'express';
import { addManagement, type ManagementDeps } from './app/management.js';
import { operatorOnly, readJson, route, type Handler } from './app/route.js';
import { addResourceMetadata } from './app/resourceMetadata.js';
import { messageOf, Refusal } from './errors.js';
import type { Log } from './log.js';
import type { Exposition } from './metrics/metrics.js';
import type { Fold } from './session/observer.js';
import type { Tenancy } from './tenancy/tenancy.js';
import { guardDoors } from './transport/doors.js';
import { sendRefusal } from './transport/refuse.js';
import { identifyRequests, requestIdOf } from './transport/requestId.js';
import { continueTrace } from './transport/requestTrace.js';
import { openStream, postMessage } from './transport/sseRoutes.js';
import {
  leaveSession,
  listenToSession,
  postToSession,
  type StreamableHttpDeps,
} from './transport/streamableHttpRoutes.js';

export interface AppDeps extends StreamableHttpDeps, ManagementDeps, Pick<Tenancy, 'jwtIssuer' | 'publicUrl'> {
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  /** Proxies whose X-Forwarded-For is believed. */
  readonly trustProxy: readonly string[];
  readonly log: Log;
  /** Whether new clients are let in. */
  isReady(): boolean;
  /** The document of `GET /health`. */
  health(): Promise<Health>;
  /** The pages and the stream below `/inspector`. */
  readonly inspector: RequestHandler;
  /** The text of `GET /metrics`. */
  metrics(): Promise<Exposition>;
  /** Hears of refusals. */
  readonly observe: Fold;
}

/** What anybody may know of the server; the operator sees more. */
export interface Health {
  readonly status: string;
  readonly version: string;
  /** Seconds. */
  readonly uptime: number;
}

/** The routes of the contract, on an express app that nobody listens with yet: mount it, or hand it to a server. */
export function createApp(deps: AppDeps): Application {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', [...deps.trustProxy]);
  app.use(identifyRequests(deps.observe), continueTrace);
  app.use(guardDoors(deps.allowedHosts, deps.allowedOrigins));
  const operator = operatorOnly(deps.isOperator);

  route(app, '/sse', { get: [refuseHead('GET'), openStream(deps)] });
  route(app, '/message', { post: [readJson(deps.bodyLimit), postMessage(deps)] });
  route(app, '/mcp', {
    get: [refuseHead('GET, POST, DELETE'), listenToSession(deps)],
    post: [readJson(deps.bodyLimit), postToSession(deps)],
    delete: [leaveSession(deps)],
  });
  route(app, '/health', { get: [showHealth(deps)] });
  route(app, '/ready', {
    get: [(_request, response) => void response.status(deps.isReady() ? 200 : 503).json({ ready: deps.isReady() })],
  });
  route(app, '/metrics', { get: [operator, showMetrics(deps)] });
  route(app, '/api/sessions', {
    get: [operator, (_request, response) => void response.json({ sessions: listSessions(deps) })],
  });
  route(app, '/api/sessions/:id', { delete: [operator, closeSession(deps)] });
  addManagement(app, deps);
  if (deps.jwtIssuer !== undefined) addResourceMetadata(app, deps.jwtIssuer, deps.publicUrl);

  app.use('/inspector', operator, deps.inspector);

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

function showHealth({ health, isOperator }: AppDeps): Handler {
  return async ({ headers }, response) => {
    const document = await health();
    const { status, version, uptime } = document;
    response.json(isOperator(headers) ? document : { status, version, uptime });
  };
}

function showMetrics({ metrics }: AppDeps): Handler {
  return async (_request, response) => {
    const { contentType, text } = await metrics();
    // Not `send`, which would put the charset before the version of the format.
    response.writeHead(200, { 'content-type': contentType }).end(text);
  };
}

function listSessions({ registry, clock }: AppDeps): object[] {
  return registry
    .list()
    .map((session) => session.facts())
    .map(({ createdAt, toolCalls, browserState, ...facts }) => ({
      ...facts,
      createdAt: createdAt.toISOString(),
      ageMs: clock.now() - createdAt.getTime(),
      browser: browserState,
      calls: toolCalls,
    }))
    .reverse();
}

function closeSession({ registry }: AppDeps): Handler {
  return async (request, response) => {
    const session = registry.find(String(request.params['id']), 'anyone');
    session.close('operator-closed');
    await session.ended;
    response.status(204).end();
  };
}

/** The last stop of every request that went wrong: the catalogue's answer, and never a stack to the client. */
function answerError(log: Log): ErrorRequestHandler {
  // Express knows an error handler by its four parameters.
  return (error: unknown, request: Request, response: Response, next) => {
    const refusal = refusalOf(error);
    if (refusal.reason === 'internal') {
      log.error('request failed', { path: request.path, request: requestIdOf(response), error: messageOf(error) });
    }
    if (response.headersSent) next(error);
    else sendRefusal(response, refusal, null);
  };
}

/** What body-parser's errors are in our catalogue, by their `type`. */
function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  // Express could not decode the path.
  if (error instanceof URIError) return new Refusal('not_found');
  const type = typeof error === 'object' && error !== null && 'type' in error ? String(error.type) : '';
  const status = typeof error === 'object' && error !== null && 'status' in error ? Number(error.status) : 500;
  if (type === 'entity.too.large') return new Refusal('too_large');
  if (type.startsWith('charset.') || type.startsWith('encoding.')) return new Refusal('unsupported_media_type');
  if (status >= 400 && status < 500) return new Refusal('parse_error');
  return new Refusal('internal', {}, { cause: error });
}
