import { writeFile } from 'node:fs/promises';
import { CallToolResultSchema, type CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { connect } from './connect.js';
import type { ToolCall } from './program.js';

export interface CallOptions {
  /** The server's address. */
  readonly url: string;
  readonly token?: string | undefined;
  readonly calls: readonly ToolCall[];
  write(line: string): void;
}

/**
 * `greenroom call TOOL JSON [TOOL JSON …]`: opens a session, calls the tools in order and prints each result. Resolves with
 * the exit code: 1 at the first tool that fails; the tools after it are not called.
 */
export async function call({ url, token, calls, write }: CallOptions): Promise<number> {
  const client = await connect({ url, token, name: 'greenroom-call' });
  try {
    for (const [index, { tool, args }] of calls.entries()) {
      const request = { name: tool, arguments: { ...args } };
      const result = await client.callTool(request, CallToolResultSchema, { timeout: 600_000 });
      await printResult(CallToolResultSchema.parse(result), `${tool}-${index + 1}`, write);
      if (result.isError === true) return 1;
    }
    return 0;
  } finally {
    await client.close();
  }
}

async function printResult(result: CallToolResult, name: string, write: (line: string) => void): Promise<void> {
  for (const [index, content] of result.content.entries()) {
    if (content.type === 'text') write(content.text);
    if (content.type !== 'image') continue;
    const file = `${name}-${index}.${content.mimeType.split('/')[1] ?? 'bin'}`;
    await writeFile(file, Buffer.from(content.data, 'base64'));
    write(`Image written to ${file}`);
  }
}
