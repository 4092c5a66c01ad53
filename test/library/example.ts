import express from 'express';
import { z } from 'zod';
import { createOrchestrator, definePrompt, defineResource, defineTextTool } from '../../src/index.js';

/** An MCP server for notes, below /notes of an express app. */
export async function serveNotes(port: number) {
  const notes = new Map([['welcome', 'Notes live here.']]);

  const writeNote = defineTextTool({
    name: 'write_note',
    description: 'Write a note; asks before it replaces one',
    input: z.strictObject({ name: z.string(), text: z.string() }),
    timeoutMs: 300_000, // People take their time.
    async handler({ name, text }, { client }) {
      if (notes.has(name) && client.capabilities.forms) {
        const form = z.object({ replace: z.boolean() });
        const answer = await client.elicit({ message: `Replace ${name}?`, form });
        if (answer.action !== 'accept' || !answer.content.replace) return 'Nothing was written.';
      }
      notes.set(name, text);
      orchestrator.resourceUpdated(`notes://${name}`);
      return `Wrote ${name}.`;
    },
  });

  const orchestrator = await createOrchestrator({
    serverInfo: { name: 'notes', version: '1.0.0' },
    tools: [writeNote],
    resources: [
      defineResource({
        uri: 'notes://{name}',
        name: 'A note',
        mimeType: 'text/plain',
        complete: { name: () => [...notes.keys()] },
        read: ({ name = '' }) => notes.get(name),
      }),
    ],
    prompts: [
      definePrompt({
        name: 'tidy_up',
        description: 'Merge notes that say the same',
        arguments: z.strictObject({ about: z.string().describe('A word that they have in common') }),
        messages: ({ about }) => `Read every note about ${about}, and write one that replaces them.`,
      }),
    ],
    // Runs before the session id is announced, so the client finds these tools at its first request.
    onSession(session) {
      const whoAmI = () => `You are ${session.facts.user}, with ${notes.size} notes.`;
      session.add({
        tools: [
          defineTextTool({
            name: 'who_am_i',
            description: 'Name the user of this session',
            input: z.strictObject({}),
            handler: whoAmI,
          }),
        ],
      });
    },
  });

  const app = express();
  app.use('/notes', orchestrator.app); // /notes/mcp, /notes/sse, /notes/health …
  const server = app.listen(port, '127.0.0.1');
  return {
    server,
    health: () => orchestrator.health(),
    async close() {
      server.close();
      await orchestrator.close();
    },
  };
}
