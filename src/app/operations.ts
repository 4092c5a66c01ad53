import type { Application } from 'express';
import type { Clock } from '../clock.js';
import type { Exposition } from '../metrics/metrics.js';
import type { IsOperator } from '../tenancy/operator.js';
import { passOn, type ElsewhereDeps } from '../transport/elsewhere.js';
import { listSession, type Listing } from './listing.js';
import { operatorOnly, route, type Handler } from './route.js';

export interface OperationsDeps extends Pick<ElsewhereDeps, 'registry' | 'node'> {
  readonly clock: Clock;
  /** What operators call this node; undefined if there is one. */
  readonly nodeName: string | undefined;
  /** What the other nodes told of their sessions. Never rejects. */
  others(): Promise<readonly Listing[]>;
  isOperator: IsOperator;
  /** Whether new clients are let in. */
  isReady(): boolean;
  /** The document of `GET /health`. */
  health(): Promise<Health>;
  /** The text of `GET /metrics`. */
  metrics(): Promise<Exposition>;
}

/** What anybody may know of the server; the operator sees more. */
export interface Health {
  readonly status: string;
  readonly version: string;
  /** Seconds. */
  readonly uptime: number;
  readonly [figures: string]: unknown;
}

/** The routes by which the operator watches the server and its sessions. */
export function addOperations(app: Application, deps: OperationsDeps): void {
  const operator = operatorOnly(deps.isOperator);
  route(app, '/health', { get: [showHealth(deps)] });
  route(app, '/ready', { get: [showReadiness(deps)] });
  route(app, '/metrics', { get: [operator, showMetrics(deps)] });
  route(app, '/api/sessions', { get: [operator, listSessions(deps)] });
  route(app, '/api/sessions/:id', { delete: [operator, closeSession(deps)] });
}

function showHealth({ health, isOperator }: OperationsDeps): Handler {
  return async ({ headers }, response) => {
    const document = await health();
    const { status, version, uptime } = document;
    response.json(isOperator(headers) ? document : { status, version, uptime });
  };
}

function showReadiness({ isReady }: OperationsDeps): Handler {
  return (_request, response) => void response.status(isReady() ? 200 : 503).json({ ready: isReady() });
}

function showMetrics({ metrics }: OperationsDeps): Handler {
  return async (_request, response) => {
    const { contentType, text } = await metrics();
    // Not `send`, which would put the charset before the version of the format.
    response.writeHead(200, { 'content-type': contentType }).end(text);
  };
}

function listSessions({ registry, clock, nodeName, others }: OperationsDeps): Handler {
  return async (_request, response) => {
    const own = registry.list().map((session) => listSession(session, nodeName));
    const elsewhere = (await others()).flatMap(({ sessions }) => sessions);
    const aged = [...own, ...elsewhere].map((session) => ({ session, since: Date.parse(session.createdAt) }));
    const sessions = aged
      .toReversed()
      .toSorted((one, other) => other.since - one.since)
      .map(({ session, since }) => ({ ...session, ageMs: clock.now() - since }));
    response.json({ sessions });
  };
}

function closeSession(deps: OperationsDeps): Handler {
  const { registry } = deps;
  return async (request, response) => {
    const sessionId = String(request.params['id']);
    const asked = { sessionId, caller: 'anyone', request, response, body: undefined } as const;
    if (registry.peek(sessionId) === undefined && (await passOn(deps, asked))) return;
    const session = registry.find(sessionId, 'anyone');
    session.close('operator-closed');
    await session.ended;
    response.status(204).end();
  };
}
