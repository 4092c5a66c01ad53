import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { z } from 'zod';
import { connect } from '../cli/connect.js';
import type { Fixtures } from './checkContext.js';
import { sampleExtensionFolder, startPageServer, echoWebSockets } from './pageServer.js';

export interface SelftestSessionOptions {
  /** URL of the server under test. */
  readonly url: string;
  /** Tool groups, as in `--tools`. Default: all. */
  readonly tools?: string;
  readonly token?: string | undefined;
}

/** A session of the server under test, with its fixtures. The caller closes it. */
export interface SelftestSession {
  readonly client: Client;
  readonly fixtures: Fixtures;
  /** Ends the session and removes its files. */
  close(): Promise<void>;
}

/** Opens a session, serves the sample pages and copies the sample extension. Cleans up if it rejects. */
export async function openSelftestSession({
  url,
  tools = 'all',
  token,
}: SelftestSessionOptions): Promise<SelftestSession> {
  const server = await startPageServer();
  echoWebSockets(server.server);
  const opened: (() => Promise<void>)[] = [() => server.close()];
  const close = async (): Promise<void> => {
    for (const undo of opened.splice(0).reverse()) await undo();
  };
  try {
    const { client } = await connect({ url, name: 'greenroom-selftest', tools, token });
    opened.push(() => client.close());
    const folder = await mkdtemp(join(await workspaceOf(client), 'greenroom-selftest-'));
    opened.push(() => rm(folder, { recursive: true, force: true }));
    const extension = join(folder, 'extension');
    await cp(sampleExtensionFolder, extension, { recursive: true });
    return { client, fixtures: { pages: server.url, extension, folder }, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const sessionInfo = z.object({ workspace: z.array(z.string()).min(1) });

/** A folder that the session may use: the temporary folder if allowed, otherwise the first of its workspace. */
async function workspaceOf(client: Client): Promise<string> {
  // A server with other tools does not name its folders.
  const answer = await client.callTool({ name: 'get_session_info', arguments: {} }).catch(() => undefined);
  const { workspace = [tmpdir()] } = sessionInfo.safeParse(answer?.structuredContent).data ?? {};
  return workspace.includes(tmpdir()) ? tmpdir() : (workspace[0] ?? tmpdir());
}
