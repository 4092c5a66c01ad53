import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { startTestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { adminToken } from './support/guardedServer.js';
import { withFolder } from './support/tempFolder.js';

const run = promisify(execFile);

/** The commands of the page on users, in their order. */
async function commandsOfPage(): Promise<string[]> {
  const page = await readFile('src/tenancy/README.md', 'utf8');
  const section = /<!-- tested:users -->([\s\S]*?)<!-- \/tested -->/.exec(page)?.[1] ?? '';
  return section.split('\n').filter((line) => line.startsWith('curl '));
}

/** The official client with a token. The caller closes it. */
async function connect(url: string, token: string): Promise<Client> {
  const headers = { authorization: `Bearer ${token}` };
  const withToken: typeof fetch = (input, init) =>
    fetch(input, { ...init, headers: { ...Object.fromEntries(new Headers(init?.headers)), ...headers } });
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new SSEClientTransport(new URL('/sse', url), { fetch: withToken, requestInit: { headers } }));
  return client;
}

/** Runs until it has written `text`, and ends it then. */
async function runUntil(text: string, command: string, env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn('sh', ['-c', `exec ${command}`], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(child, 'exit');
  let written = '';
  for await (const chunk of child.stdout) {
    written += String(chunk);
    if (written.includes(text)) break;
  }
  child.kill();
  await ended;
  expect(written).toContain(text);
}

test('[C-USERS][C-EXAMPLE] register, token, connect, restart, connect again, revoke: as the page on users shows it, with curl and the official client', () =>
  withFolder(async (dataDir) => {
    const start = () =>
      startTestServer({ tools: new TestTools().all, options: { auth: 'token', adminToken, dataDir, port: 0 } });
    const [register, issue, open, revoke] = await commandsOfPage();
    if (!register || !issue || !open || !revoke) throw new Error('The page lost its commands.');
    let served = await start();
    const env: NodeJS.ProcessEnv = { ...process.env, GREENROOM_ADMIN_TOKEN: adminToken };
    const here = (command: string): string => command.replaceAll('http://127.0.0.1:32122', served.url);
    const shell = async (command: string): Promise<string> =>
      (await run('sh', ['-c', `${here(command)} --silent --fail-with-body`], { env })).stdout;

    expect(JSON.parse(await shell(register))).toMatchObject({ id: 'anna' });
    const issued = JSON.parse(await shell(issue)) as { id: string; token: string };
    expect(issued).toMatchObject({ label: 'laptop', token: expect.stringMatching(/^gr_[\w-]{43}$/) });
    Object.assign(env, { TOKEN: issued.token, TOKEN_ID: issued.id });

    await runUntil('event: endpoint', here(open), env);
    const first = await connect(served.url, issued.token);
    expect(await first.callTool({ name: 'echo', arguments: { value: 'hello' } })).toMatchObject({
      structuredContent: { value: 'hello' },
    });
    await served.close();
    await first.close();

    served = await start();
    const second = await connect(served.url, issued.token);
    expect(await second.ping()).toEqual({});
    await shell(revoke);
    expect(served.orchestrator.registry.list()).toEqual([]);
    await expect(connect(served.url, issued.token)).rejects.toThrow(/401/);
    await second.close();
    await served.close();
  }));
