import { ClusterNode, type NodeOptions } from '../cluster/node.js';
import type { Store } from '../cluster/store.js';
import type { Clock } from '../clock.js';
import type { Config } from '../config.js';
import type { Log } from '../log.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';

export interface NodeGiven {
  readonly config: Pick<Config, 'redisUrl' | 'nodeId' | 'nodeLease'>;
  /** Instead of the Redis of the configuration. The node closes it. */
  readonly store: Store | undefined;
  readonly registry: SessionRegistry;
  readonly clock: Clock;
  readonly log: Log;
  serve: NodeOptions['serve'];
  restore: NodeOptions['restore'];
}

/** One command of a healthy Redis takes a millisecond. A claim that waits longer is refused (S12). */
const commandMs = 3_000;

/** This server as one node of many; undefined if it shares nothing. */
export async function openNode(options: NodeGiven): Promise<ClusterNode | undefined> {
  const { config, store, registry, log, ...given } = options;
  const { redisUrl, nodeId: id, nodeLease: leaseMs } = config;
  const shared = store ?? (redisUrl === undefined ? undefined : await openRedis(redisUrl, log));
  if (shared === undefined) return undefined;
  const onLost = (sessionId: string): void => registry.peek(sessionId)?.close('node-lost');
  return new ClusterNode({ ...given, store: shared, id, leaseMs, log, onLost });
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
