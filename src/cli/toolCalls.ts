import { readFileSync } from 'node:fs';
import { ConfigError } from '../config/config.js';
import { messageOf } from '../errors/errors.js';

/** One tool with its arguments. */
export interface ToolCall {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/**
 * Parses `TOOL JSON [TOOL JSON …]`; JSON may be left out for a tool without arguments. Throws a `ConfigError`, before any tool
 * is called.
 */
export function readToolCalls(words: readonly string[]): ToolCall[] {
  const calls: ToolCall[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const [tool = '', next] = words.slice(index);
    if (!isToolName(tool))
      throw new ConfigError(`Expected the name of a tool: ${tool}. Usage: greenroom call TOOL JSON [TOOL JSON ...]`);
    const hasArguments = next !== undefined && !isToolName(next);
    calls.push({ tool, args: hasArguments ? parseArguments(tool, next) : {} });
    if (hasArguments) index += 1;
  }
  return calls;
}

/**
 * The calls of `--file`: one on each line, `TOOL JSON`; empty lines and lines that begin with # are skipped. `-` is standard
 * input.
 */
export function readScript(path: string): ToolCall[] {
  return readText(path)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .flatMap((line) => {
      const end = line.search(/\s/);
      return readToolCalls(end === -1 ? [line] : [line.slice(0, end), line.slice(end).trim()]);
    });
}

function readText(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw new ConfigError(`--file ${path}: ${messageOf(error)}`);
  }
}

/** The first word that may be a tool: of `call new_page --help`. */
export const firstToolName = (words: readonly string[]): string | undefined => words.find(isToolName);

const isToolName = (word: string): boolean => /^[a-z]\w*$/i.test(word);

function parseArguments(tool: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch (error) {
    throw new ConfigError(
      `The arguments of ${tool} are not JSON: ${messageOf(error)}. Write them as '{"url":"https://…"}'.`,
    );
  }
  throw new ConfigError(`The arguments of ${tool} must be a JSON object, for example '{"url":"https://…"}'.`);
}
