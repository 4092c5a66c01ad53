import { Contexts } from '../cluster/contexts.js';
import { ClusterNode, type Beside, type NodeOptions } from '../cluster/node.js';
import type { Roster } from '../cluster/roster.js';
import type { Store } from '../cluster/store.js';
import type { BrowserPool } from '../browser/lease/lease.js';
import type { Clock } from '../clock.js';
import type { Config } from '../config.js';
import { messageOf } from '../errors.js';
import type { Log } from '../log.js';
import { Places } from '../session/places.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';
import type { Users } from '../tenancy/users.js';

export interface NodeGiven {
  readonly config: Pick<Config, 'nodeId' | 'nodeLease'>;
  /** The node closes it. */
  readonly store: Store | undefined;
  readonly registry: SessionRegistry;
  readonly places: Places | undefined;
  readonly users: Users;
  readonly roster: Roster | undefined;
  readonly contexts: Contexts | undefined;
  readonly clock: Clock;
  readonly log: Log;
  serve: NodeOptions['serve'];
  restore: NodeOptions['restore'];
}

/** One command of a healthy Redis takes a millisecond. A claim that waits longer is refused (S12). */
const commandMs = 3_000;

/** What the nodes share: what is given, or else the Redis of the configuration; undefined: nothing. Nothing is asked of it yet. */
export async function sharedStore(
  { redisUrl }: Pick<Config, 'redisUrl'>,
  given: Store | undefined,
  log: Log,
): Promise<Store | undefined> {
  return given ?? (redisUrl === undefined ? undefined : openRedis(redisUrl, log));
}

/** The places of this node's sessions among those of all; undefined if there is one node. */
export function placesOf(config: Config, store: Store | undefined): Places | undefined {
  return store && new Places({ store: store.server.places, caps: config, leaseMs: config.nodeLease });
}

/** What the sessions of this node have in browsers that run elsewhere, and other nodes in the same; undefined if there is one. */
export function contextsOf({ store, log, node, pool, registry }: ContextsGiven): Contexts | undefined {
  const browsers = () => pool().sharedContexts?.() ?? [];
  const isHere = (sessionId: string): boolean => registry.peek(sessionId) !== undefined;
  return store && new Contexts({ store, log, browsers, isHere, node: () => node()?.name ?? '' });
}

/** This server as one node of many; undefined if it shares nothing. */
export function openNode(options: NodeGiven): ClusterNode | undefined {
  const { config, store, registry, places, users, roster, contexts, ...given } = options;
  if (store === undefined) return undefined;
  const { nodeId: id, nodeLease: leaseMs } = config;
  const onLost = (sessionId: string): void => registry.peek(sessionId)?.close('node-lost');
  const beside = besideSessions({ store, places, users, roster, contexts, log: given.log });
  return new ClusterNode({ ...given, store, id, leaseMs, onLost, beside });
}

/** What is asked with each beat needs no hint to arrive. */
function besideSessions({ store, places, users, roster, contexts, log }: BesideGiven): Beside {
  const told = (error: unknown): void => log.warn('store failed', { error: messageOf(error) });
  let renewing: Promise<void> | undefined;
  let isListening = false;
  const renew = async (): Promise<void> => {
    await places?.renew();
    if (!isListening) await store.server.users.listen(() => void users.follow().catch(told));
    isListening = true;
    await users.follow();
  };
  return {
    beat: () => {
      roster?.start();
      void contexts?.sweep();
      renewing ??= renew()
        .catch(told)
        .finally(() => (renewing = undefined));
    },
    leave: async () => {
      await Promise.all([renewing, roster?.stop(), contexts?.leave()]);
      await places?.freed();
    },
  };
}

interface ContextsGiven extends Pick<NodeGiven, 'store' | 'log' | 'registry'> {
  node(): ClusterNode | undefined;
  pool(): BrowserPool;
}

interface BesideGiven extends Pick<NodeGiven, 'places' | 'users' | 'roster' | 'contexts' | 'log'> {
  readonly store: Store;
}

async function openRedis(url: string, log: Log): Promise<Store> {
  const { RedisStore } = await import('../cluster/redis/redisStore.js');
  return new RedisStore({
    url,
    timeoutMs: commandMs,
    onLost: (error) => log.warn('the store cannot be reached', { error }),
    onFound: () => log.info('the store is there again'),
  });
}
