import type { ClosedBecause } from '../../machines/events.js';
import { noBrowsers } from '../browser/lease/noBrowsers.js';
import { openBrowserPool, type BrowserPoolOptions } from '../browser/lease/pool.js';
import type { BrowserPool } from '../browser/lease/lease.js';
import type { Directory } from '../cluster/directory.js';
import type { Store } from '../cluster/store.js';
import type { Clock } from '../clock.js';
import { ConfigError, type Config } from '../config.js';
import type { Embedding, Offering } from './embedding.js';
import { messageOf } from '../errors.js';
import type { Log } from '../log.js';
import { openSession } from '../session/openSession.js';
import { provideSession } from '../session/sessionActor.js';
import type { Session } from '../session/session.js';
import type { SessionParts } from '../session/sessionParts.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';
import { keepStored } from '../session/storedSession.js';
import { unauthorized } from '../tenancy/bearer.js';
import { RateLimits } from '../tenancy/rateLimits.js';
import type { Users } from '../tenancy/users.js';
import { trustedProxies, type AdmissionOptions } from '../transport/admission.js';

export interface PartsGiven {
  readonly config: Config;
  readonly registry: SessionRegistry;
  readonly pool: BrowserPool;
  readonly users: Users;
  readonly offering: Offering;
  readonly clock: Clock;
  readonly log: Log;
  readonly inspect: SessionParts['inspect'];
  readonly directory: Directory;
  readonly onSession: Embedding['onSession'];
}

/** What all sessions of a server share. */
export function sessionParts(given: PartsGiven): SessionParts {
  const { config, registry, pool, users, clock, log, inspect, directory, onSession } = given;
  const { offer, serverInfo } = given.offering;
  const logic = provideSession({
    find: (id) => registry.get(id),
    pool,
    isolation: config.isolation,
    delays: config,
    registerTools: async (session, signal) => onSession?.(openSession(session), signal),
    claim: async (session, signal) => {
      const { id: sessionId, principal, channel } = session;
      // The token may have been revoked, or have expired, while the browser was opened.
      const { expiresAt = Number.POSITIVE_INFINITY } = principal;
      if (!(await users.stillHolds(principal)) || expiresAt <= clock.now()) throw unauthorized({ wrong: true });
      await directory.claim({ sessionId, principal, transport: channel.kind }, signal);
      own(session, directory);
    },
    goesOn: ({ id }) => directory.goesOn?.(id) ?? false,
  });
  const { onEarlyMessage } = config;
  const workspace = { folders: config.workspace, closed: [config.dataDir] };
  // What will never come is not waited for.
  const lease = pool === noBrowsers ? 'lazy' : config.lease;
  const queueLimit = onEarlyMessage === 'queue' ? config.queueLimit : 0;
  const hasPlace = (): boolean => config.isolation !== 'process' || !pool.isFull;
  return { logic, serverInfo, offer, workspace, lease, hasPlace, queueLimit, clock, log, inspect };
}

/** From when a session is claimed, the directory hears of it: what it can be restored from, and its end. */
export function own(session: Session, directory: Directory): void {
  const { id, channel } = session;
  if (channel.stored !== undefined && directory.keep !== undefined) {
    keepStored(session, (stored) => directory.keep?.(id, stored));
  }
  directory.releaseAfter?.(id, endOf(session));
}

/** Why it ended, once it has, after the last of what its client is told. */
async function endOf({ ended, channel, actor }: Session): Promise<ClosedBecause> {
  await ended;
  await channel.said;
  return actor.getSnapshot().context.closedBecause ?? 'setup-failed';
}

/**
 * How many sessions are kept warm. None can be set up for anybody in the tabs of a user, nor where the set-up is an
 * embedder's, who may want to know the client.
 */
export function warmCount({ isolation, prewarm }: Config, { lease }: SessionParts, isSetUpByOthers: boolean): number {
  const isForAnybody = lease === 'eager' && isolation !== 'profile' && !isSetUpByOthers;
  return isForAnybody ? prewarm : 0;
}

/** How often somebody is let in, and whose word is believed about where they are. Throws a `ConfigError` on a proxy that is no address. */
export function admissionOf(config: Config, store: Store | undefined): Pick<AdmissionOptions, 'isTrusted' | 'limits'> {
  try {
    return { isTrusted: trustedProxies(config.trustProxy), limits: new RateLimits(config, store?.server.limiter) };
  } catch (error) {
    throw new ConfigError(`--trust-proxy: ${messageOf(error)}. Allowed: addresses and networks.`, { cause: error });
  }
}

/** Opens the browsers of a server that needs some. When that fails, the users that were opened before are closed. */
export async function openPool(
  options: BrowserPoolOptions,
  users: Users,
  { needsBrowser }: Offering,
): Promise<BrowserPool> {
  if (!needsBrowser) return noBrowsers;
  try {
    return await openBrowserPool(options);
  } catch (error) {
    await users.close();
    throw error;
  }
}
