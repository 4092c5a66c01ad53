import { readFileSync } from 'node:fs';
import { checklist } from './checklist.js';

test.each(checklist.map(({ threat, heldBy }) => ({ threat, heldBy })))(
  '[C-SECURITY] "$threat" is held by tests that exist',
  ({ heldBy }) => {
    for (const [file, words] of heldBy) {
      const source = readFileSync(new URL(`../${file}.test.ts`, import.meta.url), 'utf8');
      expect([file, words, source.includes(words)]).toEqual([file, words, true]);
    }
  },
);
