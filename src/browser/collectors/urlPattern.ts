import { ToolError } from '../../errors.js';

/** The one form in which tools take addresses: a glob in which only `*` means anything, or `/regex/flags`. */
const regexForm = /^\/(.+)\/([dgimsuvy]*)$/;

/** Whether an address fits the whole pattern (glob) or is found by it (regex). Throws a ToolError on a bad regex. */
export function matcherOf(pattern: string): (url: string) => boolean {
  const regex = regexOf(pattern) ?? new RegExp(`^${pattern.split('*').map(escapeRegex).join('.*')}$`, 's');
  return (url) => regex.test(url);
}

/** Like {@link matcherOf}, but text without `*` fits wherever it occurs: what a person types into a filter. */
export function finderOf(pattern: string): (url: string) => boolean {
  if (regexForm.test(pattern) || pattern.includes('*')) return matcherOf(pattern);
  const wanted = pattern.toLowerCase();
  return (url) => url.toLowerCase().includes(wanted);
}

/** The pattern of Fetch.enable that lets through at least what the pattern matches. */
export function protocolPatternOf(pattern: string): string {
  return regexForm.test(pattern) ? '*' : pattern.replace(/[?\\]/g, '\\$&');
}

function regexOf(pattern: string): RegExp | undefined {
  const [, source, flags = ''] = regexForm.exec(pattern) ?? [];
  if (source === undefined) return undefined;
  try {
    // A global or sticky expression would remember where it stopped.
    return new RegExp(source, flags.replace(/[gy]/g, ''));
  } catch (cause) {
    throw new ToolError(`${pattern} is not a regular expression. For a plain pattern use *, as in *://*/api/*.`, {
      cause,
    });
  }
}

function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
