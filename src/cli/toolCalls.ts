import { ConfigError } from '../config/config.js';
import { messageOf } from '../errors/errors.js';

/** One tool with its arguments. */
export interface ToolCall {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/**
 * Reads `TOOL JSON [TOOL JSON …]`. A tool that takes no arguments may stand alone. Throws a `ConfigError` before anything
 * has been called.
 */
export function readToolCalls(words: readonly string[]): ToolCall[] {
  const calls: ToolCall[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const [tool = '', next] = words.slice(index);
    if (!isToolName(tool)) throw new ConfigError(`A tool's name was expected here: ${tool}`);
    const hasArguments = next !== undefined && !isToolName(next);
    calls.push({ tool, args: hasArguments ? parseArguments(tool, next) : {} });
    if (hasArguments) index += 1;
  }
  return calls;
}

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
  throw new ConfigError(`The arguments of ${tool} are a JSON object, for example '{"url":"https://…"}'.`);
}
