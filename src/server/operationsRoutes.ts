import type { Application } from 'express';
import type { Clock } from '../clock.js';
import type { Exposition } from '../telemetry/metrics.js';
import type { IsOperator } from '../tenancy/auth.js';
import { forwardToOwner, type ForwardingDeps } from '../transport/forwarding.js';
import { toListedSession, type NodeListing } from './nodeListings.js';
import { requireOperator, addRoute, type RouteHandler } from './routing.js';

export interface OperationsRoutesDeps extends Pick<ForwardingDeps, 'registry' | 'node'> {
  readonly clock: Clock;
  /** What operators call this node; undefined if there is one. */
  readonly nodeName: string | undefined;
  /** What the other nodes told of their sessions. Never rejects. */
  otherNodeListings(): Promise<readonly NodeListing[]>;
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
export function addOperationsRoutes(app: Application, deps: OperationsRoutesDeps): void {
  const operator = requireOperator(deps.isOperator);
  addRoute(app, '/health', { get: [showHealth(deps)] });
  addRoute(app, '/ready', { get: [showReadiness(deps)] });
  addRoute(app, '/metrics', { get: [operator, showMetrics(deps)] });
  addRoute(app, '/api/sessions', { get: [operator, listSessions(deps)] });
  addRoute(app, '/api/sessions/:id', { delete: [operator, closeSession(deps)] });
}

function showHealth({ health, isOperator }: OperationsRoutesDeps): RouteHandler {
  return async ({ headers }, response) => {
    const document = await health();
    const { status, version, uptime } = document;
    response.json(isOperator(headers) ? document : { status, version, uptime });
  };
}

function showReadiness({ isReady }: OperationsRoutesDeps): RouteHandler {
  return (_request, response) => void response.status(isReady() ? 200 : 503).json({ ready: isReady() });
}

function showMetrics({ metrics }: OperationsRoutesDeps): RouteHandler {
  return async (_request, response) => {
    const { contentType, text } = await metrics();
    // Not `send`, which would put the charset before the version of the format.
    response.writeHead(200, { 'content-type': contentType }).end(text);
  };
}

function listSessions({ registry, clock, nodeName, otherNodeListings }: OperationsRoutesDeps): RouteHandler {
  return async (_request, response) => {
    const localSessions = registry.list().map((session) => toListedSession(session, nodeName));
    const remoteSessions = (await otherNodeListings()).flatMap(({ sessions }) => sessions);
    const withCreationTime = [...localSessions, ...remoteSessions].map((session) => ({
      session,
      since: Date.parse(session.createdAt),
    }));
    const sessions = withCreationTime
      .toReversed()
      .toSorted((one, other) => other.since - one.since)
      .map(({ session, since }) => ({ ...session, ageMs: clock.now() - since }));
    response.json({ sessions });
  };
}

function closeSession(deps: OperationsRoutesDeps): RouteHandler {
  const { registry } = deps;
  return async (request, response) => {
    const sessionId = String(request.params['id']);
    const forwarded = { sessionId, caller: 'anyone', request, response, body: undefined } as const;
    if (registry.peek(sessionId) === undefined && (await forwardToOwner(deps, forwarded))) return;
    const session = registry.find(sessionId, 'anyone');
    session.close('operator-closed');
    await session.ended;
    response.status(204).end();
  };
}
