/** The client of mcp-use. */
import { MCPClient } from 'mcp-use';
import { answerOf, check, serverAddress } from './checks.mjs';

await check(
  async () => {
    const client = MCPClient.fromDict({ mcpServers: { greenroom: { url: serverAddress('/mcp') } } });
    const session = await client.createSession('greenroom');
    return {
      list: async () => (await session.listTools()).map(({ name }) => name),
      call: async (name, args, { signal, onProgress: onprogress } = {}) =>
        answerOf(await session.callTool(name, args, { signal, onprogress, timeout: 60_000 })),
      close: () => client.closeAllSessions(),
    };
  },
);
