import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import express, {
  type Application,
  type ErrorRequestHandler,
  type NextFunction,
  type Request,
  type Response,
} from 'express';
import { messageOf, Refusal } from './errors.js';
import type { Log } from './log.js';
import { doorRule, guardDoors } from './transport/doors.js';
import { sendRefusal } from './transport/refuse.js';
import { openStream, postMessage } from './transport/sseRoutes.js';
import type { TransportDeps } from './transport/transport.js';
import { PendingUpgrade } from './transport/upgrade.js';
import { openWebSocket } from './transport/webSocketRoutes.js';

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
}

/** The routes of the contract, on an express app that nobody listens with yet: mount it, or hand it to a server. */
export function createApp(deps: AppDeps): Application {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(guardDoors(doorRule(deps.allowedHosts, deps.allowedOrigins)));

  route(app, '/sse', { get: [refuseHead, openStream(deps)] });
  route(app, '/message', { post: [readJson(deps.bodyLimit), postMessage(deps)] });
  route(app, '/ws', { get: [requireUpgrade] });
  route(app, '/health', { get: [(_request, response) => void response.json(deps.health())] });
  route(app, '/ready', {
    get: [(_request, response) => void response.status(deps.isReady() ? 200 : 503).json({ ready: deps.isReady() })],
  });
  route(app, '/api/sessions', { get: [(_request, response) => void response.json({ sessions: listSessions(deps) })] });
  route(app, '/api/sessions/:id', { delete: [closeSession(deps)] });

  app.use(() => {
    throw new Refusal('not_found');
  });
  app.use(answerError(deps.log));
  return app;
}

/** What a server's `upgrade` event is listened to with. */
export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** The upgrades of the contract, for the `upgrade` event of the server that the app is mounted on. Answers every one. */
export function createUpgrade(deps: AppDeps): UpgradeListener {
  const check = doorRule(deps.allowedHosts, deps.allowedOrigins);
  const open = openWebSocket(deps);
  const answer = async (upgrade: PendingUpgrade): Promise<void> => {
    const { headers, url = '' } = upgrade.request;
    try {
      check(headers);
      if (!/^\/ws(\?|$)/.test(url)) throw new Refusal('not_found');
      await open(upgrade);
    } catch (error) {
      upgrade.refuse(loggedRefusal(error, '/ws', deps.log));
    }
  };
  return (request, socket, head) => {
    try {
      void answer(new PendingUpgrade(request, head));
    } catch {
      // An earlier answer is still under way on this connection: the two must not mix.
      socket.destroy();
    }
  };
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

const requireUpgrade: Handler = () => {
  throw new Refusal('upgrade_required');
};

/** Reads a JSON body up to the limit, as `request.body`. Compressed bodies are refused: they hide their size. */
function readJson(limit: number): Handler {
  const parse = express.json({ limit, strict: false, inflate: false, type: 'application/json' });
  return (request, response, next) => {
    const isJson = request.is('application/json') === 'application/json';
    // The parser would read UTF-16 and UTF-32 as well; JSON on a wire is UTF-8 (RFC 8259, section 8.1).
    const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(request.headers['content-type'] ?? '') ?? [];
    if (!isJson || charset.toLowerCase() !== 'utf-8') throw new Refusal('unsupported_media_type');
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
    const refusal = loggedRefusal(error, request.path, log);
    if (response.headersSent) next(error);
    else sendRefusal(response, refusal, null);
  };
}

/** A defect of ours is told to the log, and to the client only that there is one. */
function loggedRefusal(error: unknown, path: string, log: Log): Refusal {
  const refusal = refusalOf(error);
  if (refusal.reason === 'internal') log.error('request failed', { path, error: messageOf(error) });
  return refusal;
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
