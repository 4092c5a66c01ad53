import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checklist } from './checklist.js';
import { root } from '../support/root.js';

test.each(checklist.map(({ threat, heldBy }) => ({ threat, heldBy })))(
  '[C-SECURITY] "$threat" is held by tests that exist',
  ({ heldBy }) => {
    for (const [file, words] of heldBy) {
      const source = readFileSync(join(root, `test/${file}.test.ts`), 'utf8');
      expect([file, words, source.includes(words)]).toEqual([file, words, true]);
    }
  },
);
