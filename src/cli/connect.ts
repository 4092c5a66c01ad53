import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { z } from 'zod';
import { messageOf } from '../errors/errors.js';
import { packageInfo } from '../packageInfo.js';

export interface ConnectOptions {
  /** The server's address, with or without `/sse`; its query is kept. */
  readonly url: string;
  /** The `clientInfo` name. */
  readonly name: string;
  /** Tool groups, as in `--tools`. Default: all. */
  readonly tools?: string;
  /** The bearer token for a server with authentication. Never logged. */
  readonly token?: string | undefined;
  /** A session that outlives its client, over Streamable HTTP: its id, or null for a new one. Default: over SSE. */
  readonly session?: string | null;
}

export interface Connected {
  readonly client: Client;
  /** The id of a session that outlives its client. */
  readonly sessionId: string | undefined;
}

const refusalSchema = z.object({ error: z.object({ message: z.string() }) });

/**
 * Opens a session, or continues one. The caller closes the client. Throws an error of one line with the cause: the refusal of the server,
 * or that no server answers; nothing stays open then.
 */
export async function connect({ url, name, tools = 'all', token, session }: ConnectOptions): Promise<Connected> {
  let cause: string | undefined;
  // The SDK reports the status only, so the refusal is read here from the same response.
  const fetchAndRecordCause = async (address: string | URL, init?: RequestInit): Promise<Response> => {
    // A session without a stream does not wait for its client to come back: it ends by its idle timeout.
    if (session !== undefined && (init?.method ?? 'GET') === 'GET') return new Response(null, { status: 405 });
    try {
      const headers = new Headers(init?.headers);
      if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
      const response = await fetch(address, { ...init, headers });
      if (!response.ok) cause = await readRefusalMessage(response.clone(), url);
      return response;
    } catch (error) {
      cause = `Cannot reach ${url} (${fetchFailureReason(error)}): is a server running there? Start one with: greenroom serve`;
      throw error;
    }
  };
  const transport =
    session === undefined
      ? new SSEClientTransport(endpointOf(url, 'sse', tools), { fetch: fetchAndRecordCause })
      : new StreamableHTTPClientTransport(endpointOf(url, 'mcp', tools), {
          fetch: fetchAndRecordCause,
          ...(session !== null && { sessionId: session }),
        });
  const client = new Client({ name, version: packageInfo.version });
  try {
    await client.connect(transport);
    return { client, sessionId: 'sessionId' in transport ? transport.sessionId : undefined };
  } catch (error) {
    // An open transport would keep reconnecting, and keep the process alive.
    await transport.close();
    throw new Error(cause ?? `${url} does not answer as an MCP server: ${messageOf(error)}`, { cause: error });
  }
}

/** The address of an endpoint of the server. */
export function endpointOf(url: string, endpoint: 'sse' | 'mcp', tools: string): URL {
  const address = new URL(url);
  address.pathname = `${address.pathname.replace(/(?:\/(?:sse|mcp))?\/{0,9}$/, '')}/${endpoint}`;
  if (!address.searchParams.has('tools')) address.searchParams.set('tools', tools);
  return address;
}

/** The message of the JSON-RPC error in a refusal. */
async function readRefusalMessage(response: Response, url: string): Promise<string> {
  const body: unknown = await response.json().catch(() => undefined);
  const refusal = refusalSchema.safeParse(body);
  return refusal.success
    ? refusal.data.error.message
    : `${url} answered ${response.status}: is it the address of a Greenroom server?`;
}

/** The error of `fetch` is generic; its cause has the reason (`connect ECONNREFUSED 127.0.0.1:32122`). */
function fetchFailureReason(error: unknown): string {
  return messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
}
