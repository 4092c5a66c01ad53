import express, {
  type Application,
  type ErrorRequestHandler,
  type NextFunction,
  type Request,
  type RequestHandler,
  type Response,
} from 'express';
import { messageOf, Refusal } from './errors.js';
import type { Log } from './log.js';
import { guardDoors } from './transport/doors.js';
import { sendRefusal } from './transport/refuse.js';
import { openStream, postMessage } from './transport/sseRoutes.js';
import type { TransportDeps } from './transport/transport.js';

export interface AppDeps extends TransportDeps {
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  /** Bytes. */
  readonly bodyLimit: number;
  readonly log: Log;
  /** Whether new clients are let in. */
  isReady(): boolean;
  /** The document of `GET /health`. */
  health(): object;
  /** The pages and the stream below `/inspector`. */
  readonly inspector: RequestHandler;
}

/** The routes of the contract, on an express app that nobody listens with yet: mount it, or hand it to a server. */
export function createApp(deps: AppDeps): Application {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(guardDoors(deps.allowedHosts, deps.allowedOrigins));

  route(app, '/sse', { get: [refuseHead, openStream(deps)] });
  route(app, '/message', { post: [readJson(deps.bodyLimit), postMessage(deps)] });
  route(app, '/health', { get: [(_request, response) => void response.json(deps.health())] });
  route(app, '/ready', {
    get: [(_request, response) => void response.status(deps.isReady() ? 200 : 503).json({ ready: deps.isReady() })],
  });
  route(app, '/api/sessions', { get: [(_request, response) => void response.json({ sessions: listSessions(deps) })] });
  route(app, '/api/sessions/:id', { delete: [closeSession(deps)] });

  app.use('/inspector', deps.inspector);

  app.use(() => {
    throw new Refusal('not_found');
  });
  app.use(answerError(deps.log));
  return app;
}

type Handler = (request: Request, response: Response, next: NextFunction) => void | Promise<void>;
type Verb = 'get' | 'post' | 'delete';

/** One route with its verbs; every other verb is refused with the list of those that exist. */
function route(app: Application, path: string, verbs: Partial<Record<Verb, Handler[]>>): void {
  const allow = Object.keys(verbs).map((verb) => verb.toUpperCase());
  const target = app.route(path);
  if (verbs.get) target.get(...verbs.get);
  if (verbs.post) target.post(...verbs.post);
  if (verbs.delete) target.delete(...verbs.delete);
  target.all((_request, response) => {
    response.setHeader('allow', allow.join(', '));
    throw new Refusal('method_not_allowed');
  });
}

/** Express gives HEAD to the handlers of GET. A stream has no head of its own: asking for it would open a session. */
const refuseHead: Handler = (request, response, next) => {
  if (request.method !== 'HEAD') {
    next();
    return;
  }
  response.setHeader('allow', 'GET');
  throw new Refusal('method_not_allowed');
};

/** Reads a JSON body up to the limit, as `request.body`. Compressed bodies are refused: they hide their size. */
function readJson(limit: number): Handler {
  const parse = express.json({ limit, strict: false, inflate: false, type: 'application/json' });
  return (request, response, next) => {
    const isJson = request.is('application/json') === 'application/json';
    if (!isJson) throw new Refusal('unsupported_media_type');
    parse(request, response, next);
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
    if (refusal.reason === 'internal') log.error('request failed', { path: request.path, error: messageOf(error) });
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
