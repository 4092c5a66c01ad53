/** The MCP client of OpenAI's agents. */
import { MCPServerSSE, MCPServerStdio, MCPServerStreamableHttp } from '@openai/agents';
import { answerOf, check, serverAddress } from './checks.mjs';

const { WAY, SERVER_PROGRAM } = process.env;
const servers = {
  http: () => new MCPServerStreamableHttp({ url: serverAddress('/mcp'), name: 'greenroom', timeout: 60_000 }),
  sse: () => new MCPServerSSE({ url: serverAddress('/sse'), name: 'greenroom', timeout: 60_000 }),
  stdio: () => new MCPServerStdio({ command: process.execPath, args: [SERVER_PROGRAM, 'stdio', '--tools', 'all'], env: { ...process.env }, name: 'greenroom' }),
};

await check(
  async () => {
    const server = servers[WAY]();
    await server.connect();
    return {
      list: async () => (await server.listTools()).map(({ name }) => name),
      call: async (name, args, { signal } = {}) => answerOf(await server.callToolResult(name, args, null, { signal })),
      close: () => server.close(),
    };
  },
  { cannot: ['progress'] },
);
