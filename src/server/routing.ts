import type { ServerResponse } from 'node:http';
import type { Application, NextFunction, Request, Response, ErrorRequestHandler } from 'express';
import { Refusal, messageOf } from '../errors/errors.js';
import { unauthorized } from '../tenancy/bearerToken.js';
import type { IsOperator } from '../tenancy/auth.js';
import { BodyMemory } from '../transport/bodyMemory.js';
import { readJson } from '../transport/jsonBody.js';
import type { Log } from '../log.js';
import { sendRefusal } from '../transport/sendRefusal.js';
import { requestIdOf } from '../transport/requestContext.js';

export type RouteHandler = (request: Request, response: Response, next: NextFunction) => void | Promise<void>;
export type HttpMethod = 'get' | 'post' | 'patch' | 'delete';

/** Adds a route with its methods; every other method is refused with `method_not_allowed` and the `Allow` header. */
export function addRoute(app: Application, path: string, methods: Partial<Record<HttpMethod, RouteHandler[]>>): void {
  const target = app.route(path);
  if (methods.get) target.get(...methods.get);
  if (methods.post) target.post(...methods.post);
  if (methods.patch) target.patch(...methods.patch);
  if (methods.delete) target.delete(...methods.delete);
  target.all((_request, response) => {
    response.setHeader('allow', allowHeader(methods));
    throw new Refusal('method_not_allowed');
  });
}

/** The `Allow` header of a path with these methods. */
export const allowHeader = (methods: object): string =>
  Object.keys(methods)
    .map((method) => method.toUpperCase())
    .join(', ');

/** Reads the body of an authorized request into `request.body`. */
export function readJsonBody(limit: number): RouteHandler {
  const memory = new BodyMemory(limit);
  return async (request, _response, next) => {
    request.body = await readJson(request, limit, memory.open('operator'));
    next();
  };
}

/** Refuses every caller but the operator, before the body is read. */
export function requireOperator(isOperator: IsOperator): RouteHandler {
  return ({ headers }, _response, next) => {
    if (!isOperator(headers)) throw unauthorized({ tokenRejected: headers.authorization !== undefined });
    next();
  };
}

/**
 * `requireOperator` for pages: the browser prompts for a password, and sends it with every request of the page (RFC 7617).
 * The password is the operator's token; the user name is ignored.
 */
export function requireOperatorInBrowser(isOperator: IsOperator): RouteHandler {
  return ({ headers }, _response, next) => {
    const [, encoded] = /^Basic +([\w+/=]+) *$/i.exec(headers.authorization ?? '') ?? [];
    const [, password] = /^[^:]*:(.*)$/.exec(Buffer.from(encoded ?? '', 'base64').toString('utf8')) ?? [];
    const presentedHeaders = password === undefined ? headers : { ...headers, authorization: `Bearer ${password}` };
    if (!isOperator(presentedHeaders))
      throw new Refusal('unauthorized', { challenge: 'Basic realm="greenroom operator"' });
    next();
  };
}

/** The error handler of express: answers with the entry of the error catalogue, never with a stack. */
export function createErrorHandler(log: Log): ErrorRequestHandler {
  // Express recognizes an error handler by its four parameters.
  return (error: unknown, request: Request, response: Response, next) => {
    const refusal = toLoggedRefusal(error, { path: request.path, response, log });
    if (response.headersSent) next(error);
    else sendRefusal(response, refusal, null);
  };
}

interface FailedRequest {
  readonly path: string;
  readonly response: ServerResponse;
  readonly log: Log;
}

/** The refusal for an error. Logs an internal error with its message; the client only gets `internal`. */
export function toLoggedRefusal(error: unknown, { path, response, log }: FailedRequest): Refusal {
  const refusal = refusalForError(error);
  if (refusal.reason === 'internal') {
    log.error('request failed', { path, request: requestIdOf(response), error: messageOf(error) });
  }
  return refusal;
}

function refusalForError(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  // Express could not decode the path.
  if (error instanceof URIError) return new Refusal('not_found');
  const status = typeof error === 'object' && error !== null && 'status' in error ? Number(error.status) : 500;
  if (status >= 400 && status < 500) return new Refusal('parse_error');
  return new Refusal('internal', {}, { cause: error });
}
