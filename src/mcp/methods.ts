import { noop } from '../async.js';
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

  'tools/call': async (server, params, request) => {
    const { id, signal: cancelled, displaced } = request;
    const { name } = params;
    const args = params['arguments'] ?? undefined;
    if (typeof name !== 'string') throw invalidParams('"name" is the name of a tool.');
    if (args !== undefined && !isObject(args)) throw invalidParams('"arguments" is an object.');
    const tool = server.features.toolSet.tools.get(name);
    if (!tool) throw invalidParams(`Unknown tool: ${name.slice(0, 100)}`);
    server.toolCalls += 1;
    const { session } = server;
    const { changes } = session.resources;
    const client = (signal: AbortSignal) => new CallClient(server, id, signal);
    const { progress, stop } = startProgress(server, params, { id, tool: name });
    const onWanted = (): void => request.wanted();
    const call = { tool, args, cancelled, displaced, onWanted, progress, client };
    const traced = { tool: name, sessionId: session.facts().id, meta: params['_meta'] };
    const result = await traceCall(traced, () => callTool(call, session)).finally(stop);
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

/** Below the 15 s after which proxies begin to cut silent streams, and far below the 60 s after which clients give up. */
const heartbeatMs = 10_000;
/** So small that a heartbeat never reaches the next step of the tool. */
const heartbeatStep = 0.00001;

/**
 * Sends progress only with the token of the request, and only while it grows (utilities/progress): what the tool reports,
 * and a heartbeat when it has reported nothing for a while.
 */
function startProgress(server: MethodContext, params: Params, { id, tool }: { id: RequestId; tool: string }) {
  const meta = params['_meta'];
  const progressToken = (isObject(meta) ? meta['progressToken'] : undefined) ?? undefined;
  if (progressToken === undefined) return { progress: noop, stop: noop };
  const { clock } = server.session;
  const startedAt = clock.now();
  let last = { progress: Number.NEGATIVE_INFINITY, total: {} };
  let timer: unknown;
  const stop = (): void => clock.clearTimeout(timer);
  const send = (progress: number, total: { readonly total?: number }, message?: string): void => {
    if (progress <= last.progress || !server.isInFlight(id)) return;
    last = { progress, total };
    server.notify('notifications/progress', { progressToken, progress, ...total, ...(message && { message }) }, id);
    stop();
    timer = clock.setTimeout(beat, heartbeatMs);
  };
  const beat = (): void => {
    const seconds = Math.round((clock.now() - startedAt) / 1_000);
    send(Math.max(last.progress, 0) + heartbeatStep, last.total, `${tool} is running for ${seconds} s`);
  };
  timer = clock.setTimeout(beat, heartbeatMs);
  const progress = (value: number, total?: number, message?: string): void =>
    send(value, total === undefined ? {} : { total }, message);
  return { progress, stop };
}

function clientOf(value: unknown): { name: string; version: string } | null {
  if (!isObject(value)) return null;
  const { name, version } = value;
  return { name: textOf(name).slice(0, 100), version: textOf(version).slice(0, 100) };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
