/** The MCP adapters of LangChain. */
import { MultiServerMCPClient } from '@langchain/mcp-adapters';
import { check, serverAddress } from './checks.mjs';

const partsOf = (result) => (Array.isArray(result) ? result.flat() : [result]);

await check(async () => {
  let report;
  const client = new MultiServerMCPClient({
    mcpServers: { greenroom: { transport: 'http', url: serverAddress('/mcp') } },
    onProgress: (progress) => report?.(progress),
  });
  const tools = new Map((await client.getTools()).map((tool) => [tool.name, tool]));
  return {
    list: async () => [...tools.keys()],
    call: async (name, args, { signal, onProgress } = {}) => {
      report = onProgress;
      const parts = partsOf(await tools.get(name).invoke(args, { signal }));
      return {
        text: parts.map((part) => (typeof part === 'string' ? part : (part?.text ?? ''))).join('\n'),
        hasPicture: parts.some((part) => /image/.test(part?.type ?? '')),
        isError: false,
      };
    },
    close: () => client.close(),
  };
});
