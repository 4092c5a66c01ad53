import { messageOf, ToolError } from '../../errors/errors.js';
import { compileRegex } from './regex.js';
import { inSlices } from './slices.js';

/** Limits on text and glob for `?`, which needs a comparison per character. */
const maxTextChars = 4_000;
const maxGlobChars = 1_000;

/**
 * A test whether a text matches a glob as a whole. `*` matches anything and, optionally, `?` one character. Each part
 * between stars is searched once, from the end of the previous match, so time depends on the text and not on the number
 * of stars. With `?`, a glob or text beyond the limits does not match.
 */
export function compileGlob(glob: string, { questionMark = false } = {}): (text: string) => boolean {
  const wild = questionMark && glob.includes('?');
  if (wild && glob.length > maxGlobChars) return () => false;
  const find = wild ? indexOfWild : (text: string, part: string, from: number) => text.indexOf(part, from);
  const [first = '', ...rest] = glob.split('*');
  const last = rest.pop();
  const startsWith = (text: string, part: string, at: number) =>
    wild ? fitsAt(text, part, at) : text.startsWith(part, at);
  if (last === undefined) return (text) => text.length === first.length && startsWith(text, first, 0);
  const middle = rest.filter((part) => part !== '');
  return (text) => {
    const end = text.length - last.length;
    if (wild && text.length > maxTextChars) return false;
    if (end < first.length || !startsWith(text, first, 0) || !startsWith(text, last, end)) return false;
    let at = first.length;
    for (const part of middle) {
      const found = find(text, part, at);
      if (found === -1 || found + part.length > end) return false;
      at = found + part.length;
    }
    return at <= end;
  };
}

function indexOfWild(text: string, part: string, from: number): number {
  for (let at = from; at + part.length <= text.length; at++) if (fitsAt(text, part, at)) return at;
  return -1;
}

function fitsAt(text: string, part: string, at: number): boolean {
  for (let index = 0; index < part.length; index++) {
    if (part[index] !== '?' && part[index] !== text[at + index]) return false;
  }
  return true;
}

/** URL patterns of tools: a glob in which only `*` is special, or `/regex/flags`. */
const regexForm = /^\/(.+)\/([dgimsuvy]*)$/s;
const maxUrlPatternChars = 2_000;

/** A test whether a URL matches: as a whole (glob) or in part (regex). Throws a ToolError for an invalid regex. */
export function urlMatcher(pattern: string): (url: string) => boolean {
  const [, source, flags = ''] = regexForm.exec(pattern) ?? [];
  if (source !== undefined) return parseRegex(source, flags, pattern);
  if (pattern.length <= maxUrlPatternChars) return compileGlob(pattern);
  throw new ToolError(
    `url has ${pattern.length} characters, and a pattern has at most ${maxUrlPatternChars}. Shorten it.`,
  );
}

/** The URLs that match a filter. Text without `*` matches wherever it occurs. */
export async function findUrls(
  pattern: string | undefined,
  urls: Iterable<string>,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const all = new Set(urls);
  if (pattern === undefined) return all;
  return inSlices(finding(urlFilter(pattern), all), signal);
}

function* finding(finds: (url: string) => boolean, urls: ReadonlySet<string>): Generator<undefined, Set<string>> {
  const found = new Set<string>();
  for (const url of urls) {
    if (finds(url)) found.add(url);
    yield;
  }
  return found;
}

function urlFilter(pattern: string): (url: string) => boolean {
  if (regexForm.test(pattern) || pattern.includes('*')) return urlMatcher(pattern);
  const lowerCasePattern = pattern.toLowerCase();
  return (url) => url.toLowerCase().includes(lowerCasePattern);
}

/** The pattern for Fetch.enable that matches at least the URLs of the pattern. */
export function fetchPattern(pattern: string): string {
  return regexForm.test(pattern) ? '*' : pattern.replace(/[?\\]/g, '\\$&');
}

function parseRegex(source: string, flags: string, pattern: string): (url: string) => boolean {
  try {
    return compileRegex(source, flags);
  } catch (cause) {
    throw new ToolError(
      `${pattern} is not a regular expression that can be used: ${messageOf(cause)} For a plain pattern use *, as in ` +
        '*://*/api/*.',
      { cause },
    );
  }
}
