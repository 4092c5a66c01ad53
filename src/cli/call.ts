import { mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve } from 'node:path';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { CallToolResultSchema, type CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { messageOf } from '../errors/errors.js';
import { createFolder } from '../folders.js';
import { connect } from './connect.js';
import { openNamedSession, type NamedSessions } from './namedSessions.js';
import type { ToolCall } from './toolCalls.js';

export interface CallOptions {
  /** The server's address. */
  readonly url: string;
  readonly token?: string | undefined;
  readonly calls: readonly ToolCall[];
  /** Keeps the session under this name, or continues it. */
  readonly session?: { readonly name: string; readonly kept: NamedSessions } | undefined;
  /** Prints each result as one line of JSON. */
  readonly asJson?: boolean;
  /** A file or a folder for pictures and recordings. Default: a new temporary folder. */
  readonly output?: string | undefined;
  write(line: string): void;
  /** Receives lines that are not results. */
  note?(line: string): void;
}

/**
 * `greenroom call TOOL JSON [TOOL JSON …]`: opens a session, calls the tools in order and prints each result. Resolves with
 * the exit code: 1 at the first tool that fails; the tools after it are not called.
 */
export async function call(options: CallOptions): Promise<number> {
  const { calls, asJson = false, write } = options;
  const client = await openClient(options);
  const saved = new SavedFiles(options.output);
  try {
    for (const { tool, args } of calls) {
      const request = { name: tool, arguments: { ...args } };
      const answer = await client.callTool(request, CallToolResultSchema, { timeout: 600_000 }).catch(explain);
      const result = CallToolResultSchema.parse(answer);
      if (asJson) write(JSON.stringify({ tool, ...result }));
      else await printResult(result, tool, saved, write);
      if (result.isError === true) return 1;
    }
    return 0;
  } finally {
    await client.close();
  }
}

async function openClient({ url, token, session, note }: CallOptions): Promise<Client> {
  if (session === undefined) return (await connect({ url, token, name: 'greenroom-call' })).client;
  const { client, isContinued } = await openNamedSession(session.name, url, session.kept);
  if (!isContinued)
    note?.(`Opened session ${session.name}. It is kept; end it with: greenroom sessions --end ${session.name}`);
  return client;
}

/** Removes the code that the SDK puts before the message of the server. */
function explain(error: unknown): never {
  const message = messageOf(error).replace(/^MCP error -?\d+: /, '');
  const hint = message.startsWith('Unknown tool') ? ' List the tools: greenroom tools' : '';
  throw new Error(message.replace(/\w$/, '$&.') + hint, { cause: error });
}

async function printResult(
  { content }: CallToolResult,
  tool: string,
  saved: SavedFiles,
  write: (line: string) => void,
): Promise<void> {
  for (const item of content) {
    if (item.type === 'text') write(item.text);
    if (item.type === 'resource_link') write(`${item.name}: ${item.uri}`);
    if (item.type !== 'image' && item.type !== 'audio') continue;
    const file = await saved.save(tool, item.mimeType.split('/')[1] ?? 'bin', Buffer.from(item.data, 'base64'));
    write(`Image written to ${file}`);
  }
}

/** Writes the files of one command. */
class SavedFiles {
  readonly #output: string | undefined;
  #folder: string | undefined;
  #count = 0;

  constructor(output: string | undefined) {
    this.#output = output;
  }

  async save(tool: string, type: string, bytes: Buffer): Promise<string> {
    this.#count += 1;
    const file = await this.#next(tool, type);
    try {
      await createFolder(dirname(file), 0o755);
      await writeFile(file, bytes);
      return file;
    } catch (error) {
      const fix = 'Name another place with --output.';
      throw new Error(`The image cannot be written to ${file}: ${messageOf(error)}. ${fix}`, { cause: error });
    }
  }

  /** `--output shot.png` names the first file; further ones are numbered. A folder holds a file for each. */
  async #next(tool: string, type: string): Promise<string> {
    const output = this.#output;
    if (output !== undefined && !(await isFolder(output))) {
      const extension = extname(output);
      const number = this.#count === 1 ? '' : `-${this.#count}`;
      return resolve(dirname(output), `${basename(output, extension)}${number}${extension || `.${type}`}`);
    }
    this.#folder ??= output === undefined ? await mkdtemp(join(tmpdir(), 'greenroom-call-')) : resolve(output);
    return join(this.#folder, `${tool}-${this.#count}.${type}`);
  }
}

async function isFolder(path: string): Promise<boolean> {
  if (/[\\/]$/.test(path)) return true;
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === true;
}
