import type { Application, Request, Response } from 'express';
import type { Clock } from '../clock.js';
import type { Exposition } from '../telemetry/metrics.js';
import type { IsOperator } from '../tenancy/auth.js';
import { forwardToOwner, type ForwardingDeps } from '../transport/forwarding.js';
import { toListedSession, type NodeListing } from './nodeListings.js';
import { requireOperator, addRoute, type RouteHandler } from './routing.js';

export interface OperationsRoutesDeps extends Pick<ForwardingDeps, 'registry' | 'node'> {
  readonly clock: Clock;
  /** The name of this node (`--node-id`); undefined if there is one node. */
  readonly nodeName: string | undefined;
  /** The last listings of the other nodes. Never rejects. */
  otherNodeListings(): Promise<readonly NodeListing[]>;
  /** What each user uses, by node. */
  usage(): Promise<readonly object[]>;
  isOperator: IsOperator;
  mayReadFigures: IsOperator;
  /** Whether new sessions are accepted. */
  isReady(): boolean;
  /** The document of `GET /health`. */
  health(): Promise<Health>;
  /** The text of `GET /metrics`. */
  metrics(): Promise<Exposition>;
}

/** The public fields of `GET /health`; the operator gets the others too. */
export interface Health {
  readonly status: string;
  readonly version: string;
  /** Seconds. */
  readonly uptime: number;
  readonly [figures: string]: unknown;
}

/** The routes for health, metrics and sessions. */
export function addOperationsRoutes(app: Application, deps: OperationsRoutesDeps): void {
  const operator = requireOperator(deps.isOperator);
  addRoute(app, '/health', { get: [showHealth(deps)] });
  addRoute(app, '/ready', { get: [showReadiness(deps)] });
  addRoute(app, '/metrics', { get: [requireOperator(deps.mayReadFigures), showMetrics(deps)] });
  addRoute(app, '/api/sessions', { get: [operator, listSessions(deps)] });
  addRoute(app, '/api/usage', { get: [operator, showUsage(deps)] });
  addRoute(app, '/api/sessions/:id', { delete: [operator, closeSession(deps)] });
}

function showHealth({ health, mayReadFigures }: OperationsRoutesDeps): RouteHandler {
  return async ({ headers }, response) => {
    const document = await health();
    const { status, version, uptime } = document;
    response.json(mayReadFigures(headers) ? document : { status, version, uptime });
  };
}

function showReadiness({ isReady }: OperationsRoutesDeps): RouteHandler {
  return (_request, response) => void response.status(isReady() ? 200 : 503).json({ ready: isReady() });
}

function showMetrics({ metrics }: OperationsRoutesDeps): RouteHandler {
  return async (_request, response) => {
    const { contentType, text } = await metrics();
    // `send` would put the charset before the version of the format.
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
      .toSorted((left, right) => right.since - left.since)
      .map(({ session, since }) => ({ ...session, ageMs: clock.now() - since }));
    response.json({ sessions });
  };
}

/** One object for each user and node. */
function showUsage({ usage }: OperationsRoutesDeps): RouteHandler {
  return async (_request, response) => {
    response.json({ users: await usage() });
  };
}

function closeSession(deps: OperationsRoutesDeps): RouteHandler {
  const { registry } = deps;
  return async (request, response) => {
    const sessionId = await wholeSessionId(deps, String(request.params['id']));
    const forwarded = { sessionId, caller: 'anyone', request, response, body: undefined } as const;
    if (registry.peek(sessionId) === undefined && (await forwardToOwner(deps, forwarded))) return;
    const session = registry.find(sessionId, 'anyone');
    session.close('operator-closed');
    await session.ended;
    response.status(204).end();
  };
}

/** The id of an open session by the short id that the inspector shows; any other text unchanged. */
async function wholeSessionId({ registry, otherNodeListings }: OperationsRoutesDeps, id: string): Promise<string> {
  if (id.length !== shortSessionId(id).length) return id;
  const own = registry.list().find((session) => shortSessionId(session.id) === id);
  if (own !== undefined) return own.id;
  const remote = (await otherNodeListings()).flatMap(({ sessions }) => sessions);
  return remote.find((session) => shortSessionId(session.id) === id)?.id ?? id;
}

const sessionPollMs = 1_000;

/**
 * Forwards the inspector stream of a session that another node owns to that node: only it knows the session's chart,
 * timeline and browser. The stream ends with the session. Every other request is passed on to the inspector of this node.
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

/** After the session has ended, its node cannot reply to this one: the stream is closed, and the page reconnects here. */
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

/** The id of the requested session, if another node owns it. */
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

/** The part of an id that the inspector gets. */
const shortSessionId = (id: string): string => id.slice(0, 8);
