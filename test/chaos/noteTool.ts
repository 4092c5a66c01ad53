import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { NewHistoryEvent } from './history.js';
import { defineTool, type Resources, type Tool } from '../../src/tools/defineTool.js';

interface NoteTerm {
  readonly id: string;
  readonly notes: string[];
}

/**
 * The tool of a node: notes a text and answers all that its session has noted here. `tell` hears of each call before it is
 * answered. Reports progress 1 and 2, before and after the time that it is told to take.
 */
export function noteTool(node: string, tell: (told: NewHistoryEvent) => void): Tool {
  /** By what each session has for itself: one that goes on here has it anew. */
  const terms = new WeakMap<Resources, NoteTerm>();
  return defineTool({
    name: 'note',
    group: 'session',
    description: 'Notes a text and answers all that this session has noted here.',
    input: z.object({ text: z.string(), holdMs: z.number() }).strict(),
    output: z.object({
      ...{ node: z.string(), term: z.string(), session: z.string(), user: z.string() },
      ...{ notes: z.array(z.string()), calls: z.number() },
    }),
    annotations: { readOnlyHint: false },
    needs: 'nothing',
    handler: async ({ text, holdMs }, { session, resources, progress, signal }) => {
      const term = terms.get(resources) ?? { id: randomUUID(), notes: [] };
      terms.set(resources, term);
      term.notes.push(text);
      const echo = { node, term: term.id, session: session.id, user: session.user, calls: session.toolCalls };
      const notes = [...term.notes];
      tell({ type: 'carriedOut', text, ...echo });
      progress(1, 2);
      if (holdMs > 0) await pause(holdMs, undefined, { signal });
      progress(2, 2);
      return { text: 'Noted.', structured: { ...echo, notes } };
    },
  });
}
