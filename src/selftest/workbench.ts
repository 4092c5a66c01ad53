import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { connect } from '../cli/connect.js';
import type { Places } from './bench.js';
import { sampleExtension, startPageServer } from './pageServer.js';
import { echoWebSockets } from './webSocketEcho.js';

export interface WorkbenchOptions {
  /** The address of the server under test. */
  readonly url: string;
  /** Tool groups, as in `--tools`. Default: all. */
  readonly tools?: string;
  readonly token?: string | undefined;
}

/** A session of the server under test, and what its tools are tried on. */
export interface Workbench {
  readonly client: Client;
  readonly places: Places;
  /** Ends the session and removes its files. */
  close(): Promise<void>;
}

/** Opens a session, serves the sample pages and copies the sample extension. Leaves nothing behind if it rejects. */
export async function openWorkbench({ url, tools = 'all', token }: WorkbenchOptions): Promise<Workbench> {
  const server = await startPageServer();
  echoWebSockets(server.server);
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-selftest-'));
  const clear = async (): Promise<void> => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const extension = join(folder, 'extension');
    await cp(sampleExtension, extension, { recursive: true });
    const client = await connect({ url, name: 'greenroom-selftest', tools, token });
    const close = (): Promise<void> => client.close().finally(clear);
    return { client, places: { pages: server.url, extension, folder }, close };
  } catch (error) {
    await clear();
    throw error;
  }
}
