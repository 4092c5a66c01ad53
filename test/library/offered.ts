import { z } from 'zod';
import { definePrompt, defineResource, defineTextTool, type Resource } from '../../src/index.js';
import { nextTurn } from '../support/gate.js';

/** A tool that needs no browser. */
export const greet = (name: string) =>
  defineTextTool({ name, description: 'Greets', input: z.strictObject({}), handler: () => `Hello from ${name}.` });

/** A prompt whose arguments complete themselves: one to what fits the other, one to more than are told. */
export const poem = definePrompt({
  name: 'poem',
  title: 'A poem',
  description: 'Writes a poem',
  arguments: z.strictObject({
    about: z.string().describe('What it is about'),
    form: z.string().optional(),
  }),
  complete: {
    about: async (_context, { others }) => {
      await nextTurn();
      return ['Spring', 'the spring', 'rain', ...(others['form'] === 'ode' ? ['springtime'] : [])];
    },
    form: () => Array.from({ length: 150 }, (_, index) => `form ${index}`),
  },
  messages: ({ about, form = 'poem' }, { session }) => `A ${form} about ${about} for ${session.user}.`,
});

/** A resource that reads as its own address unless it is told otherwise. */
export const text = (uri: string, read: Resource['read'] = () => uri): Resource =>
  defineResource({ uri, name: uri, mimeType: 'text/plain', read });

/** Resources of a template, of which any exists but those of the name `none`. */
export const notes = defineResource({
  uri: 'notes://{folder}/{name}',
  name: 'Notes',
  description: 'A note of a folder',
  mimeType: 'text/plain',
  complete: { folder: () => ['home', 'work'] },
  read: ({ folder, name }) => (name === 'none' ? undefined : `${folder} and ${name}`),
});
