import type { Request, Response } from 'express';
import { passOn, type ElsewhereDeps } from '../transport/elsewhere.js';
import type { OperationsDeps } from './operations.js';
import type { Handler } from './route.js';

export type WatchDeps = Pick<ElsewhereDeps, 'registry' | 'node'> & Pick<OperationsDeps, 'others' | 'clock'>;

const lookMs = 1_000;

/**
 * The inspector's stream for whoever looks at a session that is open at another node comes from there: its chart, its
 * timeline and its browser are known to that node alone. It ends with the session. Everything else is answered here.
 */
export function watchElsewhere(deps: WatchDeps): Handler {
  return async (request, response, next) => {
    const sessionId = await findElsewhere(deps, request);
    const path = `/inspector${request.url}`;
    const asked = { caller: 'anyone', request, response, body: undefined, path } as const;
    if (sessionId === undefined || !(await passOn(deps, { ...asked, sessionId }))) next();
    else endWith(sessionId, deps, response);
  };
}

/** Of a session that is over its node can say nothing more to this one. The page comes again, and hears so. */
function endWith(sessionId: string, { others, clock }: WatchDeps, response: Response): void {
  let timer: unknown;
  const look = async (): Promise<void> => {
    const isOpen = (await others()).some(({ sessions }) => sessions.some(({ id }) => id === sessionId));
    if (!isOpen) response.destroy();
    else if (!response.destroyed) timer = clock.setTimeout(() => void look(), lookMs);
  };
  timer = clock.setTimeout(() => void look(), lookMs);
  response.once('close', () => clock.clearTimeout(timer));
}

/** The whole id of the session that is looked at, if it is another node's. */
async function findElsewhere({ registry, node, others }: WatchDeps, request: Request): Promise<string | undefined> {
  const { method, path, query } = request;
  const asked = query['session'];
  if (node === undefined || method !== 'GET' || path !== '/stream' || asked === undefined) return undefined;
  if (registry.list().some(({ id }) => short(id) === asked)) return undefined;
  const sessions = (await others()).flatMap((listing) => listing.sessions);
  return sessions.find(({ id }) => short(id) === asked)?.id;
}

/** All of an id that the inspector is told. */
const short = (id: string): string => id.slice(0, 8);
