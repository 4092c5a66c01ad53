import { compileRegex } from '../patterns/regex.js';

/** A search query: a text, ignoring case, or a regular expression. */
export type TextQuery = { readonly text: string } | { readonly regex: string; readonly flags: string };

/** Counts from 1. */
export interface TextMatch {
  readonly line: number;
  readonly column: number;
  /** The line, or what is around the match in a long one. */
  readonly excerpt: string;
}

/** Matches of one text; the search stops there. */
const maxMatches = 200;
const excerptChars = 160;
/** Part of a line that an expression is matched against. */
const windowChars = 2_000;

/** What matches in a text, once in an excerpt. */
export function searchText(text: string, query: TextQuery): TextMatch[] {
  const found: TextMatch[] = [];
  let [line, start, newline] = [1, 0, text.indexOf('\n')];
  for (const index of 'text' in query ? placesOf(text, query.text) : placesMatching(text, query)) {
    while (newline !== -1 && newline < index) {
      line += 1;
      start = newline + 1;
      newline = text.indexOf('\n', start);
    }
    const end = newline === -1 ? text.length : newline;
    const from = end - start <= excerptChars ? start : Math.max(start, index - excerptChars / 4);
    const excerpt = text.slice(from, Math.min(end, from + excerptChars)).trim();
    const last = found.at(-1);
    if (last?.line === line && last.excerpt.length > 0 && index < start + last.column + excerptChars / 2) continue;
    found.push({ line, column: index - start + 1, excerpt });
    if (found.length >= maxMatches) break;
  }
  return found;
}

function* placesOf(text: string, wanted: string): Generator<number> {
  const lower = text.toLowerCase();
  // A letter of two in lower case would move all places after it.
  const [within, part] = lower.length === text.length ? [lower, wanted.toLowerCase()] : [text, wanted];
  for (let at = within.indexOf(part); at !== -1; at = within.indexOf(part, at + part.length)) yield at;
}

/** The beginnings of the lines, or of the parts of long lines, that match. */
function* placesMatching(text: string, { regex, flags }: { regex: string; flags: string }): Generator<number> {
  const matches = compileRegex(regex, flags);
  for (let start = 0; start <= text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    for (let from = start; from === start || from < end; from += windowChars) {
      if (matches(text.slice(from, Math.min(end, from + windowChars)))) yield from;
    }
    start = end + 1;
  }
}

/** A regular expression (RE2) for the lines where a function or method of this name is written. */
export function functionPattern(name: string): string {
  const word = `#?${name.replaceAll('$', String.raw`\$`)}`;
  const params = String.raw`\s*(<[^>]*>\s*)?\(([^;]*(\{|=>)|[^;()]*$)`;
  const modifiers = String.raw`(^|[{};])\s*((async|static|public|private|protected|get|set)\s+)*\*?\s*`;
  return [
    String.raw`(^|[^\w$.])function\b\s*\*?\s*${word}\s*[<(]`,
    String.raw`(^|[^\w$])${word}\s*[:=]\s*(async\b\s*)?(function\b|[\w$]+\s*=>|${params})`,
    `${modifiers}${word}${params}`,
    String.raw`,\s*${word}\s*\([^;()]*\)\s*\{`,
  ].join('|');
}

const maxHeadChars = 2_000;

/**
 * Where the body of a function that begins in a line starts: the first position at which the function can be paused.
 */
export function functionBody(text: string, line: number, name: string): { line: number; column: number | undefined } {
  const start = text.split('\n', line - 1).join('\n').length + (line > 1 ? 1 : 0);
  let depth = 0;
  let at = Math.max(start, text.indexOf(name, start) + name.length);
  for (const end = Math.min(text.length, at + maxHeadChars); at < end; at++) {
    if ('(['.includes(text[at] ?? '')) depth += 1;
    if (')]'.includes(text[at] ?? '')) depth -= 1;
    if (depth === 0 && (text[at] === '{' || text.startsWith('=>', at))) break;
  }
  const [opening = ''] = /^(?:=>\s*)?\{?\s*/.exec(text.slice(at, at + maxHeadChars)) ?? [];
  const before = text.slice(0, at + opening.length).split('\n');
  const column = (before.at(-1)?.length ?? 0) + 1;
  return { line: before.length, column: before.length === line ? column : undefined };
}
