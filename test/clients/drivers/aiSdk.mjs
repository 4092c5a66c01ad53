/** The client of the Vercel AI SDK. */
import { createMCPClient } from '@ai-sdk/mcp';
import { answerOf, check, serverAddress } from './checks.mjs';

const { WAY } = process.env;

await check(
  async () => {
    const client = await createMCPClient({ transport: { type: WAY, url: serverAddress(WAY === 'sse' ? '/sse' : '/mcp') } });
    const tools = await client.tools();
    return {
      list: async () => Object.keys(tools),
      call: async (name, args, { signal: abortSignal } = {}) =>
        answerOf(await tools[name].execute(args, { toolCallId: '1', messages: [], abortSignal })),
      close: () => client.close(),
    };
  },
  { cannot: ['progress'] },
);
