import type { Store } from '../../src/cluster/store.js';
import { send } from '../support/http.js';
import { serve, type Served, type ServeOptions } from '../support/serve.js';

/** Resolves when the node lets clients in. */
export async function whenReady(url: string): Promise<void> {
  while ((await send(`${url}/ready`)).status !== 200);
}

/** One node of many, in this process, with a fake pool. The test closes it. */
export async function serveNode(store: Store, given: ServeOptions = {}): Promise<Served> {
  const node = await serve({ ...given, store, options: { nodeLease: '30s', ...given.options } });
  await whenReady(node.url);
  return node;
}
