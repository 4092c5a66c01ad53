import type { Application, Request, Response } from 'express';
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

const sessionPollMs = 1_000;

/**
 * The inspector's stream for whoever looks at a session that is open at another node comes from there: its chart, its
 * timeline and its browser are known to that node alone. It ends with the session. Everything else is answered here.
 */
export function forwardRemoteInspector(deps: OperationsRoutesDeps): RouteHandler {
  return async (request, response, next) => {
    const sessionId = await findRemoteSession(deps, request);
    const path = `/inspector${request.url}`;
    const forwarded = { caller: 'anyone', request, response, body: undefined, path } as const;
    if (sessionId === undefined || !(await forwardToOwner(deps, { ...forwarded, sessionId }))) next();
    else closeWhenSessionEnds(sessionId, deps, response);
  };
}

/** Of a session that is over its node can say nothing more to this one. The page comes again, and hears so. */
function closeWhenSessionEnds(
  sessionId: string,
  { otherNodeListings, clock }: OperationsRoutesDeps,
  response: Response,
): void {
  let timer: unknown;
  const poll = async (): Promise<void> => {
    const isOpen = (await otherNodeListings()).some(({ sessions }) => sessions.some(({ id }) => id === sessionId));
    if (!isOpen) response.destroy();
    else if (!response.destroyed) timer = clock.setTimeout(() => void poll(), sessionPollMs);
  };
  timer = clock.setTimeout(() => void poll(), sessionPollMs);
  response.once('close', () => clock.clearTimeout(timer));
}

/** The whole id of the session that is looked at, if it is another node's. */
async function findRemoteSession(
  { registry, node, otherNodeListings }: OperationsRoutesDeps,
  request: Request,
): Promise<string | undefined> {
  const { method, path, query } = request;
  const requestedId = query['session'];
  if (node === undefined || method !== 'GET' || path !== '/stream' || requestedId === undefined) return undefined;
  if (registry.list().some(({ id }) => shortSessionId(id) === requestedId)) return undefined;
  const sessions = (await otherNodeListings()).flatMap((listing) => listing.sessions);
  return sessions.find(({ id }) => shortSessionId(id) === requestedId)?.id;
}

/** All of an id that the inspector is told. */
const shortSessionId = (id: string): string => id.slice(0, 8);
