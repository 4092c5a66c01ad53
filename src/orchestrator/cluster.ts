import { ClusterNode, type NodeOptions } from '../cluster/node.js';
import { RedisStore } from '../cluster/redis/redisStore.js';
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
export function openNode({ config, store, registry, log, ...given }: NodeGiven): ClusterNode | undefined {
  const { redisUrl, nodeId: id, nodeLease: leaseMs } = config;
  const shared = store ?? (redisUrl === undefined ? undefined : openRedis(redisUrl, log));
  if (shared === undefined) return undefined;
  const onLost = (sessionId: string): void => registry.peek(sessionId)?.close('node-lost');
  return new ClusterNode({ ...given, store: shared, id, leaseMs, log, onLost });
}

function openRedis(url: string, log: Log): Store {
  return new RedisStore({
    url,
    timeoutMs: commandMs,
    onLost: (error) => log.warn('the store cannot be reached', { error }),
    onFound: () => log.info('the store is there again'),
  });
}
