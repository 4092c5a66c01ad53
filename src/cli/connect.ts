import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { z } from 'zod';
import { messageOf } from '../errors/errors.js';
import { packageInfo } from '../packageInfo.js';
import { timeLimit } from '../clock.js';
import type { Config } from '../config/config.js';
import { serverUrl } from '../server/httpServer.js';

export interface ConnectOptions {
  /** The server's address, with or without `/sse`; its query is kept. */
  readonly url: string;
  /** What the client calls itself. */
  readonly name: string;
  /** Tool groups, as in `--tools`. Default: all. */
  readonly tools?: string;
  /** Shown to a server with authentication; kept and told nowhere. */
  readonly token?: string | undefined;
}

const refusalSchema = z.object({ error: z.object({ message: z.string() }) });

/**
 * Opens a session of its own. The caller closes the client. Throws one line that names the cause: what the server
 * refused with, or that none answers; nothing is left open then.
 */
export async function connect({ url, name, tools = 'all', token }: ConnectOptions): Promise<Client> {
  let cause: string | undefined;
  // The SDK reports a status at most: what the server said is read here, from the same answer.
  const fetchAndRecordCause = async (address: string | URL, init?: RequestInit): Promise<Response> => {
    try {
      const headers = new Headers(init?.headers);
      if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
      const response = await fetch(address, { ...init, headers });
      if (!response.ok) cause = await readRefusalMessage(response.clone(), url);
      return response;
    } catch (error) {
      cause = `Cannot reach ${url} (${fetchFailureReason(error)}): is a server running there?`;
      throw error;
    }
  };
  const transport = new SSEClientTransport(sseUrl(url, tools), { fetch: fetchAndRecordCause });
  const client = new Client({ name, version: packageInfo.version });
  try {
    await client.connect(transport);
    return client;
  } catch (error) {
    // The transport would go on trying, and keep the process alive.
    await transport.close();
    throw new Error(cause ?? `${url} does not answer as an MCP server over SSE: ${messageOf(error)}`, { cause: error });
  }
}

function sseUrl(url: string, tools: string): URL {
  const address = new URL(url);
  address.pathname = `${address.pathname.replace(/(?:\/sse)?\/{0,9}$/, '')}/sse`;
  if (!address.searchParams.has('tools')) address.searchParams.set('tools', tools);
  return address;
}

/** The message of the JSON-RPC error in a refusal. */
async function readRefusalMessage(response: Response, url: string): Promise<string> {
  const body: unknown = await response.json().catch(() => undefined);
  const refusal = refusalSchema.safeParse(body);
  return refusal.success
    ? refusal.data.error.message
    : `${url} answered ${response.status}: is it the server's address?`;
}

/** `fetch` says that it failed; its cause says why (`connect ECONNREFUSED 127.0.0.1:32122`). */
function fetchFailureReason(error: unknown): string {
  return messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
}

const commonHealthFields = { status: z.literal('ok'), version: z.string() };
const openHealthSchema = z.object({ ...commonHealthFields, sessions: z.object({}) });
/** With authentication a stranger is told this much, and nothing else. */
const guardedHealthSchema = z.strictObject({ ...commonHealthFields, uptime: z.number() });

export interface RunningServer {
  readonly url: string;
  /** Whether it asks for a token. */
  readonly requiresToken: boolean;
}

const probeTimeoutMs = 500;

/** The server that is running at `--host` and `--port` already; undefined if none answers at once. */
export async function findRunningServer({
  host,
  port,
}: Pick<Config, 'host' | 'port'>): Promise<RunningServer | undefined> {
  const url = serverUrl(host, port);
  try {
    const response = await fetch(`${url}/health`, { signal: timeLimit(probeTimeoutMs) });
    const health: unknown = await response.json();
    const requiresToken = guardedHealthSchema.safeParse(health).success;
    return requiresToken || openHealthSchema.safeParse(health).success ? { url, requiresToken } : undefined;
  } catch {
    return undefined;
  }
}
