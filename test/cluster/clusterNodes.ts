import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import type { ClusterStore } from '../../src/cluster/clusterStore.js';
import { send } from '../support/http.js';
import { redisStore, RedisServer } from '../support/redisServer.js';
import { startTestServer, type TestServer, type TestServerOptions } from '../support/testServer.js';

/** Resolves when the node lets clients in. */
export async function whenReady(url: string): Promise<void> {
  while ((await send(`${url}/ready`)).status !== 200);
}

/** One node of many, in this process, with a fake pool. The test closes it. */
export async function serveNode(store: ClusterStore, given: TestServerOptions = {}): Promise<TestServer> {
  const node = await startTestServer({ ...given, store, options: { nodeLease: '30s', ...given.options } });
  await whenReady(node.url);
  return node;
}

/** One store for all the nodes. */
export function memoryStores(): () => ClusterStore {
  const store = new MemoryStore(systemClock);
  return () => store;
}

export interface StoreKind {
  readonly name: string;
  /** What opens the store of each node: one store for all of them, or one each that share a Redis. */
  stores(): () => ClusterStore;
}

/** Both kinds of store, and the nodes over them, which are closed after each test. Called once, at the top of a file. */
export function useClusterNodes(): { readonly kinds: readonly StoreKind[]; readonly nodes: TestServer[] } {
  let redis: RedisServer;
  const nodes: TestServer[] = [];
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.close()));
  });
  afterAll(() => redis.stop());
  const kinds = [
    { name: 'memory', stores: memoryStores },
    { name: 'redis', stores: () => () => redisStore(redis) },
  ];
  return { kinds, nodes };
}
