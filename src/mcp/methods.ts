import type { ToolSet } from '../tools/catalogue.js';
import type { ResourceLink } from '../tools/defineTool.js';
import { callTool, type CallEnvironment } from './callTool.js';
import { isObject, logLevels, rpcCodes, RpcError, type LogLevel, type RequestId } from './protocol.js';
import { traceCall } from './toolTrace.js';

/** What a method may do with the MCP server of the session that called it. */
export interface Serving {
  readonly host: {
    readonly environment: CallEnvironment;
    readonly toolSet: ToolSet;
    readonly serverInfo: Readonly<Record<string, string>>;
  };
  client: { readonly name: string; readonly version: string } | null;
  logLevel: LogLevel;
  toolCalls: number;
  /** Settles the revision that is spoken from here on. */
  negotiate(asked: unknown): string;
  notify(method: string, params: Record<string, unknown>, relatedTo?: RequestId): void;
  isInFlight(id: RequestId): boolean;
}

type Params = Readonly<Record<string, unknown>>;

interface RequestInfo {
  readonly id: RequestId;
  /** Aborted when the client cancels or the session ends. */
  readonly signal: AbortSignal;
}

type Method = (
  server: Serving,
  params: Params,
  request: RequestInfo,
) => Record<string, unknown> | Promise<Record<string, unknown>>;

const instructions =
  'Debugs Chrome pages and Chrome extensions. Start with new_page or list_pages, look with take_snapshot, act by the ' +
  'uids it prints. Page tools work on the selected page, or on the one that pageId names. For extensions: ' +
  'install_extension, list_extension_contexts, evaluate_in_extension, get_extension_runtime_errors, get_extension_logs.';

/** Escaped or in base64 it is larger still, and a transport gives up on a client for whom too much waits. */
const maxReadBytes = 8 * 1024 ** 2;

/** Every method that is served. One table for the process: a session adds nothing to it. */
export const methods: Readonly<Record<string, Method>> = {
  initialize: (server, params) => {
    server.client = clientOf(params['clientInfo']);
    return {
      protocolVersion: server.negotiate(params['protocolVersion']),
      capabilities: { tools: {}, logging: {}, resources: {} },
      serverInfo: server.host.serverInfo,
      instructions,
    };
  },

  ping: () => ({}),

  'logging/setLevel': (server, params) => {
    const level = logLevels.find((candidate) => candidate === params['level']);
    if (!level) throw invalidParams(`"level" is one of ${logLevels.join(', ')}.`);
    server.logLevel = level;
    return {};
  },

  'tools/list': (server, params) => {
    if (params['cursor'] !== undefined) throw invalidParams('Unknown cursor: the list has one page.');
    return { tools: server.host.toolSet.listings };
  },

  'tools/call': async (server, params, { id, signal }) => {
    const { name, arguments: args } = params;
    if (typeof name !== 'string') throw invalidParams('"name" is the name of a tool.');
    if (args !== undefined && !isObject(args)) throw invalidParams('"arguments" is an object.');
    const tool = server.host.toolSet.tools.get(name);
    if (!tool) throw invalidParams(`Unknown tool: ${name.slice(0, 100)}`);
    server.toolCalls += 1;
    const progress = progressOf(server, params, id);
    const { environment } = server.host;
    const traced = { tool: name, sessionId: environment.session.id, meta: params['_meta'] };
    const run = () => callTool({ tool, args, cancelled: signal, progress }, environment);
    return { ...(await traceCall(traced, run)) };
  },

  'resources/list': (server) => ({
    resources: server.host.environment.resources.list().map(({ bytes, ...link }) => ({ ...link, size: bytes })),
  }),

  'resources/templates/list': () => ({ resourceTemplates: [] }),

  'resources/read': async (server, { uri }) => {
    if (typeof uri !== 'string') throw invalidParams('"uri" is the address of a resource.');
    const { resources } = server.host.environment;
    const link = resources.list().find((resource) => resource.uri === uri);
    if (!link) throw new RpcError(rpcCodes.resourceNotFound, `Resource not found: ${uri.slice(0, 200)}`);
    if (link.bytes > maxReadBytes) {
      throw invalidParams(`${link.name} has ${link.bytes} bytes, more than one message may carry (${maxReadBytes}).`);
    }
    return { contents: [contentsOf(link, await resources.read(uri))] };
  },
};

function contentsOf({ uri, mimeType }: ResourceLink, data: Buffer): Record<string, string> {
  const isText = mimeType.startsWith('text/') || mimeType === 'application/json';
  return { uri, mimeType, ...(isText ? { text: data.toString('utf8') } : { blob: data.toString('base64') }) };
}

/** Progress goes out only with the token that the request carried, and only while it grows (utilities/progress). */
function progressOf(server: Serving, params: Params, id: RequestId) {
  const meta = params['_meta'];
  const progressToken = isObject(meta) ? meta['progressToken'] : undefined;
  let last = Number.NEGATIVE_INFINITY;
  return (progress: number, total?: number, message?: string): void => {
    if (progressToken === undefined || progress <= last || !server.isInFlight(id)) return;
    last = progress;
    const extra = { ...(total !== undefined && { total }), ...(message !== undefined && { message }) };
    server.notify('notifications/progress', { progressToken, progress, ...extra }, id);
  };
}

function clientOf(value: unknown): { name: string; version: string } | null {
  if (!isObject(value)) return null;
  const { name, version } = value;
  return { name: textOf(name).slice(0, 100), version: textOf(version).slice(0, 100) };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function invalidParams(message: string): RpcError {
  return new RpcError(rpcCodes.invalidParams, message);
}
