import type { ServerResponse } from 'node:http';
import type { ErrorRequestHandler, Request, Response } from 'express';
import { messageOf, Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import { sendRefusal } from '../transport/sendRefusal.js';
import { requestIdOf } from '../transport/requestContext.js';

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
