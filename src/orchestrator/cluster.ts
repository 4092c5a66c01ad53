import { ClusterNode, type NodeOptions } from '../cluster/node.js';
import type { Store } from '../cluster/store.js';
import type { Clock } from '../clock.js';
import type { Config } from '../config.js';
import type { Log } from '../log.js';
import { Places } from '../session/places.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';

export interface NodeGiven {
  readonly config: Pick<Config, 'nodeId' | 'nodeLease'>;
  /** The node closes it. */
  readonly store: Store | undefined;
  readonly registry: SessionRegistry;
  readonly places: Places | undefined;
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

/** This server as one node of many; undefined if it shares nothing. */
export function openNode(options: NodeGiven): ClusterNode | undefined {
  const { config, store, registry, places, ...given } = options;
  if (store === undefined) return undefined;
  const { nodeId: id, nodeLease: leaseMs } = config;
  const onLost = (sessionId: string): void => registry.peek(sessionId)?.close('node-lost');
  const onBeat = async (): Promise<void> => places?.renew();
  const onLeave = async (): Promise<void> => places?.freed();
  return new ClusterNode({ ...given, store, id, leaseMs, onLost, onBeat, onLeave });
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
