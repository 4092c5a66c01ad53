import type { Rule } from './findings.js';
import type { Work } from './sourceText.js';

interface Tag {
  readonly name: string;
  readonly attributes: string;
  /** Whether text follows it. */
  hasText(): boolean;
}

/** Rules for every document of an extension. */
export const documentRules: readonly Rule[] = [
  {
    find: tagWhere(({ name, attributes, hasText }) => name === 'script' && isInline(attributes) && hasText()),
    severity: 'error',
    problem: 'Inline scripts do not run in extension pages.',
    fix: 'Put the code into a file: <script src="…">.',
  },
  {
    find: tagWhere(
      ({ name, attributes }) => name === 'script' && /\bsrc\s*=\s*["']?(?:https?:)?\/\//i.test(attributes),
    ),
    severity: 'error',
    problem: 'Scripts from elsewhere are refused.',
    fix: 'Put the file into the extension.',
  },
  {
    find: tagWhere(({ attributes }) => /\son(?:click|load|change|submit|input)\s*=/i.test(attributes)),
    severity: 'error',
    problem: 'Inline event handlers do not run in extension pages.',
    fix: 'Use addEventListener in a script file.',
  },
];

/** An inline script of data is never run. */
function isInline(attributes: string): boolean {
  return !/\bsrc\s*=/i.test(attributes) && !/application\/(?:ld\+)?json/i.test(attributes);
}

const lookAheadChars = 1_000;

/** Finds the first opening tag that meets a condition. A tag ends at the first bracket, in quotes or not. */
function tagWhere(meets: (tag: Tag) => boolean): (text: string) => Work<number> {
  return function* (text) {
    for (const { 0: tag, index } of text.matchAll(/<[a-z][^<>]*>/gi)) {
      yield;
      const [, name = ''] = /^<([a-z0-9-]+)/i.exec(tag) ?? [];
      const end = index + tag.length;
      const hasText = (): boolean => text.slice(end, end + lookAheadChars).trim() !== '';
      if (meets({ name: name.toLowerCase(), attributes: tag.slice(name.length + 1, -1), hasText })) return index;
    }
    return -1;
  };
}
