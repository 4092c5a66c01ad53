import { messageOf, ToolError } from '../../errors/errors.js';
import { compileGlob } from '../patterns/glob.js';
import { compileRegex } from '../patterns/regex.js';
import { inSlices } from '../patterns/slices.js';

/** URL patterns of tools: a glob in which only `*` is special, or `/regex/flags`. */
const regexForm = /^\/(.+)\/([dgimsuvy]*)$/s;
const maxGlobChars = 2_000;

/** A test whether a URL matches: as a whole (glob) or in part (regex). Throws a ToolError for an invalid regex. */
export function urlMatcher(pattern: string): (url: string) => boolean {
  const [, source, flags = ''] = regexForm.exec(pattern) ?? [];
  if (source !== undefined) return parseRegex(source, flags, pattern);
  if (pattern.length <= maxGlobChars) return compileGlob(pattern);
  throw new ToolError(`url has ${pattern.length} characters, and a pattern has at most ${maxGlobChars}. Shorten it.`);
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

/** The pattern of Fetch.enable that lets through at least what the pattern matches. */
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
