import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { CallToolResultSchema, type CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { startServerProcess, type ServerProcess } from '../../e2e/support/serverProcess.js';
import { send } from '../../support/http.js';

const adminToken = 'the-operator-token-of-this-test';

/** A client of one user, which keeps every answer that it was given. */
export class Tenant {
  readonly client = new Client({ name: 'tenant', version: '1.0.0' });
  /** Every answer as JSON. */
  readonly heard: string[] = [];

  async call(name: string, args: Record<string, unknown> = {}): Promise<CallToolResult> {
    const result = CallToolResultSchema.parse(await this.client.callTool({ name, arguments: args }));
    this.heard.push(JSON.stringify(result));
    return result;
  }

  /** The text of an answer, a refusal too. */
  async text(name: string, args: Record<string, unknown> = {}): Promise<string> {
    const { content } = await this.call(name, args);
    return content.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
  }

  /** The structured content of an answer that has to be a success. */
  async data(name: string, args: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const result = await this.call(name, args);
    if (result.isError === true) throw new Error(`${name}: ${JSON.stringify(result.content)}`);
    return result.structuredContent ?? {};
  }

  async evaluate(source: string): Promise<unknown> {
    return JSON.parse(String((await this.data('evaluate_script', { function: source }))['result']));
  }

  /** The uid of the first line of the snapshot with this text. */
  async uid(text: string): Promise<string> {
    const snapshot = await this.text('take_snapshot');
    const line = snapshot.split('\n').find((candidate) => candidate.includes(text));
    return /uid=(\S+)/.exec(line ?? '')?.[1] ?? '';
  }

  /** The session's own folder. */
  async ownFolder(): Promise<string> {
    const { workspace } = await this.data('get_session_info');
    return (workspace as string[]).at(-1) ?? '';
  }

  async see(url: string): Promise<void> {
    await this.client.connect(
      new SSEClientTransport(new URL('/sse?tools=all&structured=1', url), { requestInit: { headers: this.#headers } }),
    );
  }

  readonly #headers: Record<string, string>;

  constructor(token: string) {
    this.#headers = { authorization: `Bearer ${token}` };
  }
}

export interface TwoTenants {
  readonly server: ServerProcess;
  readonly victim: Tenant;
  readonly attacker: Tenant;
  close(): Promise<void>;
}

/** A server with `--auth token` and a session of each of two users. */
export async function openTenants(flags: readonly string[] = [], dataDir?: string): Promise<TwoTenants> {
  const data = dataDir ?? (await mkdtemp(join(tmpdir(), 'greenroom-users-')));
  const server = await startServerProcess([
    ...['--auth', 'token', '--admin-token', adminToken, '--data-dir', data, '--max-browsers', '4'],
    ...flags,
  ]);
  const open = async (user: string): Promise<Tenant> => {
    const manage = (path: string, body: unknown): Promise<{ text: string }> =>
      send(`${server.url}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    await manage('/api/users', { id: user });
    const { text } = await manage(`/api/users/${user}/tokens`, {});
    const tenant = new Tenant((JSON.parse(text) as { token: string }).token);
    await tenant.see(server.url);
    return tenant;
  };
  const [victim, attacker] = [await open('victim'), await open('attacker')];
  return {
    server,
    victim,
    attacker,
    close: async () => {
      await Promise.all([victim, attacker].map(({ client }) => client.close()));
      await server.dispose();
      await rm(data, { recursive: true, force: true });
    },
  };
}
