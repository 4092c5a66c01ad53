import { createRequire } from 'node:module';
import type * as re2js from 're2js';
import { messageOf, ToolError } from '../../errors/errors.js';
import { translate, type RegexSource } from './regexSource.js';

/** Limit on a pattern in characters. */
const maxPatternChars = 500;
/** Limit on a pattern in instructions: a repetition `{n}` counts n times. */
const maxInstructions = 300;
/** Limits on the searched text, in characters, and in instructions times characters: the rest is ignored. */
const maxTextChars = 4_000;
const maxSteps = 150_000;
/** Characters after which the state cache of RE2 is dropped, which may take 8 MB per pattern. */
const forgetAfterChars = 100_000;

export interface RegexTest {
  (text: string): boolean;
  /** So many characters of a text are searched. */
  readonly chars: number;
}

/**
 * A test whether a client's regular expression matches a text. Runs in linear time (RE2), therefore without look-around
 * and back-references. Searches the first 4,000 characters of a text, fewer for a long pattern. Throws a ToolError that
 * says what is wrong with `source`.
 */
export function compileRegex(source: string, flags: string): RegexTest {
  if (source.length > maxPatternChars) {
    throw new ToolError(
      `it has ${source.length} characters, and a pattern has at most ${maxPatternChars}. Shorten it.`,
    );
  }
  const translated = translate(source);
  if (translated.size > maxInstructions) {
    throw new ToolError(
      `its repetitions come to ${translated.size} characters, and a pattern has at most ${maxInstructions}. ` +
        'Use * or + for a count, or a smaller one.',
    );
  }
  let regex = compile(translated, flags);
  let read = 0;
  const chars = Math.min(maxTextChars, Math.floor(maxSteps / Math.max(regex.programSize(), translated.size)));
  const test = (text: string): boolean => {
    if (read > forgetAfterChars) [regex, read] = [compile(translated, flags), 0];
    read += Math.min(text.length, chars);
    return regex.test(text.length > chars ? text.slice(0, chars) : text);
  };
  return Object.assign(test, { chars });
}

/** Imported with the first pattern, not when the server starts. */
const loadEngine = () => createRequire(import.meta.url)('re2js') as typeof re2js;

function compile({ source }: RegexSource, flags: string): re2js.RE2JS {
  const { RE2JS, RE2JSException } = loadEngine();
  const { CASE_INSENSITIVE, MULTILINE, DOTALL } = RE2JS;
  const meanings: Readonly<Record<string, number>> = { i: CASE_INSENSITIVE, m: MULTILINE, s: DOTALL };
  const bits = Array.from(flags).reduce((sum, flag) => sum | (meanings[flag] ?? 0), 0);
  try {
    return RE2JS.compile(source, bits);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw new ToolError(`${messageOf(error).replace('error parsing regexp: ', '')}.`, { cause: error });
  }
}
