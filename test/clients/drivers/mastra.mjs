/** The MCP client of Mastra. */
import { MCPClient } from '@mastra/mcp';
import { answerOf, check, serverAddress } from './checks.mjs';

await check(
  async () => {
    const client = new MCPClient({
      id: `clients-${Date.now()}`,
      servers: { greenroom: { url: new URL(serverAddress('/mcp')), timeout: 60_000 } },
    });
    const tools = await client.listTools();
    return {
      list: async () => Object.keys(tools),
      call: async (name, args, { signal: abortSignal } = {}) => {
        const result = await tools[`greenroom_${name}`].execute(args, { abortSignal });
        // What it gives the model of a structured answer is not what the answer is.
        const content = Object.getOwnPropertySymbols(result).map((symbol) => result[symbol]).find(Array.isArray);
        return answerOf(content === undefined ? result : { content });
      },
      close: () => client.disconnect(),
    };
  },
  { cannot: ['progress'] },
);
