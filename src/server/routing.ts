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
export type HttpMethod = 'get' | 'post' | 'delete';

/** One route with its verbs; every other verb is refused with the list of those that exist. */
export function addRoute(app: Application, path: string, verbs: Partial<Record<HttpMethod, RouteHandler[]>>): void {
  const target = app.route(path);
  if (verbs.get) target.get(...verbs.get);
  if (verbs.post) target.post(...verbs.post);
  if (verbs.delete) target.delete(...verbs.delete);
  target.all((_request, response) => {
    response.setHeader('allow', allowHeader(verbs));
    throw new Refusal('method_not_allowed');
  });
}

/** The `Allow` header of a path with these verbs. */
export const allowHeader = (verbs: object): string =>
  Object.keys(verbs)
    .map((verb) => verb.toUpperCase())
    .join(', ');

/** Reads the body of somebody who was let in, as `request.body`. */
export function readJsonBody(limit: number): RouteHandler {
  const memory = new BodyMemory(limit);
  return async (request, _response, next) => {
    request.body = await readJson(request, limit, memory.open('operator'));
    next();
  };
}

/** Lets the operator pass, and refuses everybody else before anything of the request is read. */
export function requireOperator(isOperator: IsOperator): RouteHandler {
  return ({ headers }, _response, next) => {
    if (!isOperator(headers)) throw unauthorized({ tokenRejected: headers.authorization !== undefined });
    next();
  };
}

/**
 * The same for a page that a person opens: the browser asks for a password, and sends it with all that the page asks for
 * (RFC 7617). The password is the operator's token, under any name.
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

/** The last stop of every request that went wrong: the catalogue's answer, and never a stack to the client. */
export function createErrorHandler(log: Log): ErrorRequestHandler {
  // Express knows an error handler by its four parameters.
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

/** A defect of ours is told to the log, and to the client only that there is one. */
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
