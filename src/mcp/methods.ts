import { logLevels } from '../tools/client.js';
import { CallClient, capabilitiesOf } from './callClient.js';
import { callTool, traceCall } from './callTool.js';
import { promptMethods } from './promptMethods.js';
import { invalidParams, isObject, type RequestId } from './protocol.js';
import { resourceMethods } from './resourceMethods.js';
import { paginate, type Method, type Params, type MethodContext } from './methodContext.js';

/** Every method that is served. One table for all sessions of the process. */
export const methods: Readonly<Record<string, Method>> = {
  initialize: (server, params) => {
    const { instructions } = server.features.serverFeatures;
    return {
      protocolVersion: server.initialize({
        client: clientOf(params['clientInfo']),
        clientCapabilities: capabilitiesOf(params['capabilities']),
        requestedVersion: params['protocolVersion'],
      }),
      capabilities: capabilitiesToDeclare(server),
      serverInfo: server.session.serverInfo,
      ...(instructions !== undefined && { instructions }),
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
    const { page, ...next } = paginate(server.features.toolSet.listings, params);
    return { tools: page, ...next };
  },

  'tools/call': async (server, params, { id, signal: cancelled }) => {
    const { name, arguments: args } = params;
    if (typeof name !== 'string') throw invalidParams('"name" is the name of a tool.');
    if (args !== undefined && !isObject(args)) throw invalidParams('"arguments" is an object.');
    const tool = server.features.toolSet.tools.get(name);
    if (!tool) throw invalidParams(`Unknown tool: ${name.slice(0, 100)}`);
    server.toolCalls += 1;
    const { session } = server;
    const { changes } = session.resources;
    const client = (signal: AbortSignal) => new CallClient(server, id, signal);
    const call = { tool, args, cancelled, progress: progressOf(server, params, id), client };
    const traced = { tool: name, sessionId: session.facts().id, meta: params['_meta'] };
    const result = await traceCall(traced, () => callTool(call, session));
    if (session.resources.changes !== changes) server.notify('notifications/resources/list_changed', {}, id);
    return { ...result };
  },

  ...resourceMethods,
  ...promptMethods,
};

/** Only what this session has: a client shows no menu for an undeclared capability. */
function capabilitiesToDeclare({ features: { serverFeatures } }: MethodContext): Record<string, object> {
  const { prompts, templates, isExtensible } = serverFeatures;
  const listChanged = isExtensible ? { listChanged: true } : {};
  const hasPrompts = prompts.size > 0 || isExtensible;
  return {
    tools: listChanged,
    logging: {},
    // Tools of every session store large results as resources.
    resources: { subscribe: true, listChanged: true },
    ...(hasPrompts && { prompts: listChanged }),
    ...((hasPrompts || templates.size > 0) && { completions: {} }),
  };
}

/** Sends progress only with the token of the request, and only while it grows (utilities/progress). */
function progressOf(server: MethodContext, params: Params, id: RequestId) {
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
