/** The client of mcp-use. */
import { MCPClient } from 'mcp-use/client';
import { answerOf, check, serverAddress } from './checks.mjs';

await check(async () => {
  const client = new MCPClient({ mcpServers: { greenroom: { url: serverAddress('/mcp') } } });
  const session = await client.createSession('greenroom');
  return {
    list: async () => (await session.listTools()).map(({ name }) => name),
    call: async (name, args, { signal, onProgress } = {}) =>
      answerOf(await session.callTool(name, args, { signal, onprogress: onProgress, resetTimeoutOnProgress: true })),
    close: () => client.closeAllSessions(),
  };
});
