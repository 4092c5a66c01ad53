import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { createOrchestrator, type Orchestrator, type OrchestratorOptions } from '../../src/orchestrator.js';
import { FakePool } from './fakePool.js';

export interface Served {
  readonly orchestrator: Orchestrator;
  readonly url: string;
  readonly pool: FakePool;
  /** Ends the server, then checks the ledger: everything that was opened is closed. */
  close(): Promise<void>;
}

export interface ServeOptions extends Omit<Partial<OrchestratorOptions>, 'pool'> {
  readonly pool?: FakePool;
}

/** A server on a free port with a fake pool and no tools, unless they are given. */
export async function serve({ pool = new FakePool(), ...given }: ServeOptions = {}): Promise<Served> {
  const options = { port: 0, prewarm: 0, maxSessions: 5_000, maxSessionsPerUser: 5_000, ...given.options };
  const orchestrator = await createOrchestrator({ pool, tools: [], ...given, options });
  const { url } = await orchestrator.listen();
  return {
    orchestrator,
    url,
    pool,
    close: async () => {
      pool.open();
      await orchestrator.close();
      expect(pool.closed.toSorted()).toEqual(pool.opened.toSorted());
      expect(orchestrator.registry.list()).toEqual([]);
    },
  };
}

/** An official client over SSE. The caller closes it. */
export async function connectClient(url: string, path = '/sse'): Promise<Client> {
  const client = new Client({ name: 'test-client', version: '1.0.0' });
  await client.connect(new SSEClientTransport(new URL(path, url)));
  return client;
}
