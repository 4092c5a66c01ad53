import type { Request, Response } from 'express';
import { forwardToOwner, type ForwardingDeps } from '../transport/forwarding.js';
import type { OperationsRoutesDeps } from './operationsRoutes.js';
import type { RouteHandler } from './routing.js';

export type RemoteInspectorDeps = Pick<ForwardingDeps, 'registry' | 'node'> &
  Pick<OperationsRoutesDeps, 'otherNodeListings' | 'clock'>;

const sessionPollMs = 1_000;

/**
 * The inspector's stream for whoever looks at a session that is open at another node comes from there: its chart, its
 * timeline and its browser are known to that node alone. It ends with the session. Everything else is answered here.
 */
export function forwardRemoteInspector(deps: RemoteInspectorDeps): RouteHandler {
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
  { otherNodeListings, clock }: RemoteInspectorDeps,
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
  { registry, node, otherNodeListings }: RemoteInspectorDeps,
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
