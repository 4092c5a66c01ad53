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

const open = new Map<string, Served>();

/** The server at an address, for transports that have none of their own. */
export function servedAt(url: string): Served {
  const served = open.get(url);
  if (served === undefined) throw new Error(`No server of this test is at ${url}.`);
  return served;
}

/** A server on a free port with a fake pool and no tools, unless they are given. */
export async function serve({ pool = new FakePool(), ...given }: ServeOptions = {}): Promise<Served> {
  const options = { port: 0, prewarm: 0, maxSessions: 5_000, maxSessionsPerUser: 5_000, ...given.options };
  const orchestrator = await createOrchestrator({ pool, tools: [], ...given, options });
  const { url } = await orchestrator.listen();
  const served: Served = {
    orchestrator,
    url,
    pool,
    close: async () => {
      open.delete(url);
      pool.open();
      await orchestrator.close();
      expect(pool.closed.toSorted()).toEqual(pool.opened.toSorted());
      expect(orchestrator.registry.list()).toEqual([]);
    },
  };
  open.set(url, served);
  return served;
}

/** Resolves when every session that is open now has ended and released what it owned. */
export const whenAllEnded = ({ orchestrator }: Served): Promise<unknown> =>
  Promise.all(orchestrator.registry.list().map((session) => session.ended));

/** An official client over SSE. The caller closes it. */
export async function connectClient(url: string, path = '/sse'): Promise<Client> {
  const client = new Client({ name: 'test-client', version: '1.0.0' });
  await client.connect(new SSEClientTransport(new URL(path, url)));
  return client;
}
