import type { CloseReason } from '../../machines/events.js';
import { noBrowserPool, type BrowserPool } from '../browser/pool/browserLease.js';
import { openBrowserPool, type BrowserPoolOptions } from '../browser/pool/browserPool.js';
import type { Directory } from '../cluster/ownership.js';
import type { ClusterStore } from '../cluster/clusterStore.js';
import type { Clock } from '../clock.js';
import { ConfigError, type Config } from '../config/config.js';
import type { Embedding, CompiledEmbedding } from './embedding.js';
import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';
import { toOpenSession } from '../session/embedderView.js';
import { createSessionLogic } from '../session/actor.js';
import type { Session, SessionDeps } from '../session/session.js';
import type { SessionRegistry } from '../session/registry.js';
import { persistSnapshots } from '../session/persistence.js';
import { unauthorized } from '../tenancy/bearerToken.js';
import { RateLimits } from '../tenancy/rateLimits.js';
import type { Users } from '../tenancy/users.js';
import { compileTrustedProxies, type AdmissionDeps } from '../transport/admission.js';

export interface SessionPartsDeps {
  readonly config: Config;
  readonly registry: SessionRegistry;
  readonly pool: BrowserPool;
  readonly users: Users;
  readonly offering: CompiledEmbedding;
  readonly clock: Clock;
  readonly log: Log;
  readonly inspect: SessionDeps['inspect'];
  readonly directory: Directory;
  readonly onSession: Embedding['onSession'];
}

/** What all sessions of a server share. */
export function createSessionParts(deps: SessionPartsDeps): SessionDeps {
  const { config, registry, pool, users, clock, log, inspect, directory, onSession } = deps;
  const { offer: serverFeatures, serverInfo } = deps.offering;
  const logic = createSessionLogic({
    find: (id) => registry.get(id),
    pool,
    isolation: config.isolation,
    delays: config,
    registerTools: async (session, signal) => onSession?.(toOpenSession(session), signal),
    claim: async (session, signal) => {
      const { id: sessionId, principal, channel } = session;
      // The token may have been revoked, or have expired, while the browser was opened.
      const { expiresAt = Number.POSITIVE_INFINITY } = principal;
      if (!(await users.isTokenValid(principal)) || expiresAt <= clock.now())
        throw unauthorized({ tokenRejected: true });
      await directory.claim({ sessionId, principal, transport: channel.kind }, signal);
      registerOwnership(session, directory);
    },
    isHandedOff: ({ id }) => directory.isHandedOff?.(id) ?? false,
  });
  const { onEarlyMessage } = config;
  const workspace = { folders: config.workspace, closed: [config.dataDir] };
  // What will never come is not waited for.
  const lease = pool === noBrowserPool ? 'lazy' : config.lease;
  const queueLimit = onEarlyMessage === 'queue' ? config.queueLimit : 0;
  const hasFreeBrowser = (): boolean => config.isolation !== 'process' || !pool.isFull;
  return { logic, serverInfo, serverFeatures, workspace, lease, hasFreeBrowser, queueLimit, clock, log, inspect };
}

/** From when a session is claimed, the directory hears of it: what it can be restored from, and its end. */
export function registerOwnership(session: Session, directory: Directory): void {
  const { id, channel } = session;
  if (channel.snapshot !== undefined && directory.saveSnapshot !== undefined) {
    persistSnapshots(session, (stored) => directory.saveSnapshot?.(id, stored));
  }
  directory.releaseWhenEnded?.(id, whenEndDelivered(session));
}

/** Why it ended, once it has, after the last of what its client is told. */
async function whenEndDelivered({ ended, channel, actor }: Session): Promise<CloseReason> {
  await ended;
  await channel.flushed;
  return actor.getSnapshot().context.closedBecause ?? 'setup-failed';
}

/**
 * How many sessions are kept warm. None can be set up for anybody in the tabs of a user, nor where the set-up is an
 * embedder's, who may want to know the client.
 */
export function warmSessionCount(
  { isolation, prewarm }: Config,
  { lease }: SessionDeps,
  isSetUpByOthers: boolean,
): number {
  const isForAnybody = lease === 'eager' && isolation !== 'profile' && !isSetUpByOthers;
  return isForAnybody ? prewarm : 0;
}

/** How often somebody is let in, and whose word is believed about where they are. Throws a `ConfigError` on a proxy that is no address. */
export function createAdmissionDeps(
  config: Config,
  store: ClusterStore | undefined,
): Pick<AdmissionDeps, 'isTrustedProxy' | 'rateLimits'> {
  try {
    return {
      isTrustedProxy: compileTrustedProxies(config.trustProxy),
      rateLimits: new RateLimits(config, store?.server.createRateLimiter),
    };
  } catch (error) {
    throw new ConfigError(`--trust-proxy: ${messageOf(error)}. Allowed: addresses and networks.`, { cause: error });
  }
}

/** Opens the browsers of a server that needs some. When that fails, the users that were opened before are closed. */
export async function openPool(
  options: BrowserPoolOptions,
  users: Users,
  { needsBrowser }: CompiledEmbedding,
): Promise<BrowserPool> {
  if (!needsBrowser) return noBrowserPool;
  try {
    return await openBrowserPool(options);
  } catch (error) {
    await users.close();
    throw error;
  }
}
