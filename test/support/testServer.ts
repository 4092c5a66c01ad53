import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { createOrchestrator, type Orchestrator, type OrchestratorOptions } from '../../src/server/orchestrator.js';
import { FakeBrowserPool } from './fakeBrowserPool.js';

export interface TestServer {
  readonly orchestrator: Orchestrator;
  readonly url: string;
  readonly pool: FakeBrowserPool;
  /** Ends the server, then checks the ledger: everything that was opened is closed. */
  close(): Promise<void>;
}

export interface TestServerOptions extends Omit<Partial<OrchestratorOptions>, 'pool'> {
  readonly pool?: FakeBrowserPool;
}

const runningServers = new Map<string, TestServer>();

/** The server at an address, for transports that have none of their own. */
export function testServerAt(url: string): TestServer {
  const served = runningServers.get(url);
  if (served === undefined) throw new Error(`No server of this test is at ${url}.`);
  return served;
}

/** A server on a free port with a fake pool and no tools, unless they are given. */
export async function startTestServer({
  pool = new FakeBrowserPool(),
  ...given
}: TestServerOptions = {}): Promise<TestServer> {
  // Most tests read answers as programs do.
  const options = {
    port: 0,
    structured: true,
    prewarm: 0,
    maxSessions: 5_000,
    maxSessionsPerUser: 5_000,
    ...given.options,
  };
  const orchestrator = await createOrchestrator({ pool, tools: [], ...given, options });
  const { url } = await orchestrator.listen();
  const served: TestServer = {
    orchestrator,
    url,
    pool,
    close: async () => {
      runningServers.delete(url);
      pool.releaseLeases();
      await orchestrator.close();
      expect(pool.closed.toSorted()).toEqual(pool.opened.toSorted());
      expect(orchestrator.registry.list()).toEqual([]);
    },
  };
  runningServers.set(url, served);
  return served;
}

/** Resolves when every session that is open now has ended and released what it owned. */
export const whenAllEnded = ({ orchestrator }: TestServer): Promise<unknown> =>
  Promise.all(orchestrator.registry.list().map((session) => session.ended));

/** An official client over SSE. The caller closes it. */
export async function connectClient(url: string, path = '/sse'): Promise<Client> {
  const client = new Client({ name: 'test-client', version: '1.0.0' });
  await client.connect(new SSEClientTransport(new URL(path, url)));
  return client;
}
