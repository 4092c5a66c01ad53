/** The official client, generation 2, which asks for the newest revision before it falls back. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { answerOf, check, serverAddress } from './checks.mjs';

const { WAY, SERVER_PROGRAM } = process.env;
const transport = () =>
  WAY === 'stdio'
    ? new StdioClientTransport({ command: process.execPath, args: [SERVER_PROGRAM, 'stdio', '--tools', 'all'], env: { ...process.env }, stderr: 'ignore' })
    : new StreamableHTTPClientTransport(new URL(serverAddress('/mcp')));

await check(async () => {
  const client = new Client({ name: 'clients-v2', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  await client.connect(transport());
  return {
    list: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args, { signal, onProgress: onprogress } = {}) =>
      answerOf(await client.callTool({ name, arguments: args }, { signal, onprogress, timeout: 60_000 })),
    close: () => client.close(),
  };
});
