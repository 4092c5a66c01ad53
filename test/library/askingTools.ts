import { z } from 'zod';
import { defineTextTool, type Tool } from '../../src/index.js';

const noInput = z.strictObject({});
const note = z.object({ name: z.string(), copies: z.int().default(1), kind: z.enum(['a', 'b']).optional() });

/** Tools that do nothing but ask their client, and answer what it said. */
export const askingTools: readonly Tool[] = [
  defineTextTool({
    name: 'sample',
    description: "Asks the client's model",
    input: z.strictObject({ prompt: z.string() }),
    async handler({ prompt }, { client }) {
      const messages = [{ role: 'user', content: { type: 'text', text: prompt } }] as const;
      return JSON.stringify(await client.createMessage({ messages, maxTokens: 10 }));
    },
  }),
  defineTextTool({
    name: 'sample_with_tools',
    description: "Gives the client's model a tool",
    input: noInput,
    async handler(_args, { client }) {
      const weather = { name: 'weather', inputSchema: { type: 'object' } };
      return JSON.stringify(await client.createMessage({ messages: [], maxTokens: 10, tools: [weather] }));
    },
  }),
  defineTextTool({
    name: 'fill_in',
    description: 'Shows a form',
    input: noInput,
    handler: async (_args, { client }) => JSON.stringify(await client.elicit({ message: 'Which?', form: note })),
  }),
  defineTextTool({
    name: 'visit',
    description: 'Sends the person to an address',
    input: noInput,
    async handler(_args, { client }) {
      const question = { message: 'Log in', url: 'https://example.com/login', elicitationId: 'e-1' };
      const { action } = await client.elicitUrl(question);
      client.elicitationCompleted('e-1');
      return action;
    },
  }),
  defineTextTool({
    name: 'roots',
    description: "Names the client's folders",
    input: noInput,
    timeoutMs: 1e9,
    handler: async (_args, { client }) => JSON.stringify(await client.listRoots({ timeoutMs: 5_000 })),
  }),
  defineTextTool({
    name: 'say',
    description: 'Logs what it is told',
    input: z.strictObject({ text: z.string() }),
    handler({ text }, { client }) {
      client.log('info', text);
      return 'said';
    },
  }),
  defineTextTool({
    name: 'many',
    description: 'Asks more than may wait at once',
    input: noInput,
    timeoutMs: 1e9,
    async handler(_args, { client }) {
      const asked = Array.from({ length: 65 }, () => client.listRoots());
      const outcomes = await Promise.allSettled(asked);
      return outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : [])).join();
    },
  }),
];
