import { ContextRegistry } from '../cluster/contextRegistry.js';
import { ClusterNode, type NodeHooks, type ClusterNodeDeps } from '../cluster/node.js';
import type { Roster } from '../cluster/roster.js';
import type { ClusterStore } from '../cluster/clusterStore.js';
import type { BrowserPool } from '../browser/pool/browserLease.js';
import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';
import { SessionQuota } from '../session/quota.js';
import type { SessionRegistry } from '../session/registry.js';
import type { Users } from '../tenancy/users.js';

export interface CreateNodeDeps {
  readonly config: Pick<Config, 'nodeId' | 'nodeLease'>;
  /** The node closes it. */
  readonly store: ClusterStore | undefined;
  readonly registry: SessionRegistry;
  readonly sessionQuota: SessionQuota | undefined;
  readonly users: Users;
  readonly roster: Roster | undefined;
  readonly contextRegistry: ContextRegistry | undefined;
  readonly clock: Clock;
  readonly log: Log;
  serveRequest: ClusterNodeDeps['serveRequest'];
  restoreSession: ClusterNodeDeps['restoreSession'];
}

/** One command of a healthy Redis takes a millisecond. A claim that waits longer is refused (S12). */
const redisCommandTimeoutMs = 3_000;

/** What the nodes share: what is given, or else the Redis of the configuration; undefined: nothing. Nothing is asked of it yet. */
export async function createClusterStore(
  { redisUrl }: Pick<Config, 'redisUrl'>,
  injected: ClusterStore | undefined,
  log: Log,
): Promise<ClusterStore | undefined> {
  return injected ?? (redisUrl === undefined ? undefined : createRedisStore(redisUrl, log));
}

/** The places of this node's sessions among those of all; undefined if there is one node. */
export function createSessionQuota(config: Config, store: ClusterStore | undefined): SessionQuota | undefined {
  return store && new SessionQuota({ store: store.server.quota, caps: config, leaseMs: config.nodeLease });
}

/** What the sessions of this node have in browsers that run elsewhere, and other nodes in the same; undefined if there is one. */
export function createContextRegistry({
  store,
  log,
  node,
  pool,
  registry,
}: CreateContextRegistryDeps): ContextRegistry | undefined {
  const browsers = () => pool().sharedContexts?.() ?? [];
  const hasSession = (sessionId: string): boolean => registry.peek(sessionId) !== undefined;
  return store && new ContextRegistry({ store, log, browsers, hasSession, node: () => node()?.name ?? '' });
}

/** This server as one node of many; undefined if it shares nothing. */
export function createClusterNode(options: CreateNodeDeps): ClusterNode | undefined {
  const { config, store, registry, sessionQuota, users, roster, contextRegistry, ...rest } = options;
  if (store === undefined) return undefined;
  const { nodeId: id, nodeLease: leaseMs } = config;
  const onSessionLost = (sessionId: string): void => registry.peek(sessionId)?.close('node-lost');
  const hooks = createNodeHooks({ store, sessionQuota, users, roster, contextRegistry, log: rest.log });
  return new ClusterNode({ ...rest, store, id, leaseMs, onSessionLost, hooks });
}

/** What is asked with each beat needs no hint to arrive. */
function createNodeHooks({ store, sessionQuota, users, roster, contextRegistry, log }: NodeHooksDeps): NodeHooks {
  const logFailure = (error: unknown): void => log.warn('store failed', { error: messageOf(error) });
  let renewing: Promise<void> | undefined;
  let isSubscribed = false;
  const renew = async (): Promise<void> => {
    await sessionQuota?.renew();
    if (!isSubscribed) await store.server.users.subscribe(() => void users.refresh().catch(logFailure));
    isSubscribed = true;
    await users.refresh();
  };
  return {
    onHeartbeat: () => {
      roster?.start();
      void contextRegistry?.sweep();
      renewing ??= renew()
        .catch(logFailure)
        .finally(() => (renewing = undefined));
    },
    onLeave: async () => {
      await Promise.all([renewing, roster?.stop(), contextRegistry?.stop()]);
      await sessionQuota?.whenReleased();
    },
  };
}

interface CreateContextRegistryDeps extends Pick<CreateNodeDeps, 'store' | 'log' | 'registry'> {
  node(): ClusterNode | undefined;
  pool(): BrowserPool;
}

interface NodeHooksDeps extends Pick<CreateNodeDeps, 'sessionQuota' | 'users' | 'roster' | 'contextRegistry' | 'log'> {
  readonly store: ClusterStore;
}

async function createRedisStore(url: string, log: Log): Promise<ClusterStore> {
  const { RedisStore } = await import('../cluster/redis/redisStore.js');
  return new RedisStore({
    url,
    timeoutMs: redisCommandTimeoutMs,
    onLost: (error) => log.warn('the store cannot be reached', { error }),
    onReconnected: () => log.info('the store is there again'),
  });
}
