import { writeFile } from 'node:fs/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { CallToolResultSchema, type CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { ConfigError } from '../config.js';
import { messageOf } from '../errors.js';
import { packageInfo } from '../packageInfo.js';

export interface CallOptions {
  /** The server's base URL. */
  readonly url: string;
  readonly tool: string;
  /** JSON. */
  readonly args: string;
  write(line: string): void;
}

/** `greenroom call TOOL JSON`: one tool through a session of its own. Resolves with the exit code: 1 if the tool failed. */
export async function call({ url, tool, args, write }: CallOptions): Promise<number> {
  const parsed = parseArguments(args);
  const client = new Client({ name: 'greenroom-call', version: packageInfo.version });
  await client.connect(new SSEClientTransport(new URL('/sse?tools=all', url)));
  try {
    const result = await client.callTool({ name: tool, arguments: parsed }, CallToolResultSchema, { timeout: 600_000 });
    await print(CallToolResultSchema.parse(result), tool, write);
    return result.isError === true ? 1 : 0;
  } finally {
    await client.close();
  }
}

function parseArguments(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch (error) {
    throw new ConfigError(
      `The tool's arguments are not JSON: ${messageOf(error)}. Write them as '{"url":"https://…"}'.`,
    );
  }
  throw new ConfigError(`The tool's arguments are a JSON object, for example '{"url":"https://…"}'.`);
}

async function print(result: CallToolResult, tool: string, write: (line: string) => void): Promise<void> {
  for (const [index, content] of result.content.entries()) {
    if (content.type === 'text') write(content.text);
    if (content.type !== 'image') continue;
    const file = `${tool}-${index}.${content.mimeType.split('/')[1] ?? 'bin'}`;
    await writeFile(file, Buffer.from(content.data, 'base64'));
    write(`Image written to ${file}`);
  }
}
