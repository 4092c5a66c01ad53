import { noop } from '../async.js';
import { logLevels, type LogLevel } from '../tools/client.js';
import { CallClient, capabilitiesOf } from './callClient.js';
import { callTool, failureOf, traceCall } from './callTool.js';
import { clientOf } from './envelope.js';
import { shareResult } from './messageText.js';
import { promptMethods } from './promptMethods.js';
import { invalidParams, isLeftOut, isObject, isShallow, skillsExtension, type RequestId } from './protocol.js';
import { resourceMethods } from './resourceMethods.js';
import { paginate, type Method, type Params, type MethodContext, type RequestInfo } from './methodContext.js';
import { nearestNames, type ToleranceKind } from './tolerantArguments.js';
import { ToolError } from '../errors/errors.js';
import { shortenText } from '../text.js';
import { browserIdArgument, browserTools, takesBrowserId } from '../tools/browserTools.js';
import type { Tool } from '../tools/defineTool.js';
import { listingsFor, type ToolSet } from '../tools/catalogue.js';

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
      capabilities: { ...capabilitiesOfServer(server), logging: {} },
      serverInfo: server.session.serverInfo,
      ...(instructions !== undefined && { instructions }),
    };
  },

  ping: () => ({}),

  'logging/setLevel': (server, params) => {
    const level = readLevel(params['level']);
    if (!level) throw invalidParams(`"level" is one of ${logLevels.join(', ')}.`);
    server.logLevel = level;
    return {};
  },

  'tools/list': (server, params) => {
    return toolsPage(listingsFor(server.features.toolSet, server.profile), params);
  },

  'tools/call': async (server, params, request) => {
    const { id, signal: cancelled, displaced } = request;
    const { name } = params;
    if (typeof name !== 'string') throw invalidParams('"name" is the name of a tool.');
    const args = argumentsOf(params['arguments'], request);
    const { toolSet } = server.features;
    const named = browserIdOf(server, name, args);
    if (named.browserId !== undefined && named.browserId !== server.session.facts().id)
      return callByHandle(server, { params, args, request, browserId: named.browserId });
    const tool = findTool(server, name);
    if (!tool) throw invalidParams(describeUnknownTool(toolSet, name));
    if (named.isMissing) return { ...failureOf(missingBrowserId(name)) };
    server.toolCalls += 1;
    const { session } = server;
    const { changes } = session.resources;
    const client = (signal: AbortSignal) => new CallClient(server, id, signal);
    const { profile, protocolVersion: revision } = server;
    const { progress, stop } = startProgress(server, params, { id, tool: tool.name });
    const onWanted = (): void => request.wanted();
    const tolerated = (kinds: Iterable<ToleranceKind>): void => request.tolerated(kinds);
    const call = {
      ...{ tool, args: named.args, cancelled, displaced, onWanted, progress, client, profile, revision, tolerated },
    };
    const traced = { tool: tool.name, sessionId: session.facts().id, meta: params['_meta'] };
    const result = await traceCall(traced, () => callTool(call, session)).finally(stop);
    if (session.resources.changes !== changes) server.notify('notifications/resources/list_changed', {}, id);
    return { ...result };
  },

  ...resourceMethods,
  ...promptMethods,
};

/** Logging libraries write their levels in capitals, and abbreviate one of them. */
function readLevel(given: unknown): LogLevel | undefined {
  const wanted = typeof given === 'string' ? given.toLowerCase() : undefined;
  return wanted === 'warn' ? 'warning' : logLevels.find((level) => level === wanted);
}

type Listings = ReturnType<typeof listingsFor>;

const firstPages = new WeakMap<Listings, Record<string, unknown>>();

/** The result of `tools/list`. The first page of a list is one object for all who ask for it. */
export function toolsPage(listings: Listings, params: Params): Record<string, unknown> {
  const isFirst = params['cursor'] === undefined;
  const known = isFirst ? firstPages.get(listings) : undefined;
  if (known !== undefined) return known;
  const { page, ...next } = paginate(listings, params);
  const result = { tools: page, ...next };
  if (isFirst) firstPages.set(listings, shareResult(result));
  return result;
}

/** A tool of the client. The tools that open and close browsers are available to every client, listed or not. */
function findTool({ features: { toolSet }, callerFeatures }: MethodContext, name: string): Tool | undefined {
  const listed = [toolSet, callerFeatures?.toolSet].map((set) => set?.tools.get(name) ?? set?.aliases.get(name));
  return listed.find((found) => found !== undefined) ?? browserTools.find((tool) => tool.name === name);
}

interface NamedBrowser {
  readonly browserId: string | undefined;
  /** Without the id, which no tool reads. */
  readonly args: Record<string, unknown> | undefined;
  /** A client without a session has to name a browser. */
  readonly isMissing: boolean;
}

function browserIdOf(server: MethodContext, name: string, args: Record<string, unknown> | undefined): NamedBrowser {
  const { toolSet } = server.features;
  const tool = findTool(server, name) ?? toolSet.all.get(name);
  if (tool === undefined || !takesBrowserId(tool)) return { browserId: undefined, args, isMissing: false };
  const { [browserIdArgument]: given, ...rest } = args ?? {};
  const browserId = typeof given === 'string' && given !== '' ? given : undefined;
  if (browserId !== undefined) return { browserId, args: rest, isMissing: false };
  const isLeftOut = given === undefined || given === null || given === '';
  return { browserId, args: isLeftOut ? rest : args, isMissing: server.session.facts().id === '' };
}

const missingBrowserId = (tool: string): string =>
  `${tool} works on a browser: pass browser_id. open_browser gives a new one; list_browsers shows yours.`;

interface CallByHandle {
  readonly params: Params;
  readonly args: Record<string, unknown> | undefined;
  readonly request: RequestInfo;
  readonly browserId: string;
}

/** Lets the session that holds the browser serve the call. A handle that leads nowhere is a failure of the call. */
async function callByHandle(server: MethodContext, { params, args, request, browserId }: CallByHandle) {
  try {
    const call = { method: 'tools/call', params: { ...params, arguments: args }, caller: server, request };
    return await server.session.browsers.forward(browserId, call);
  } catch (error) {
    if (error instanceof ToolError) return { ...failureOf(error.message) };
    throw error;
  }
}

/** Null and an empty list count as left out, and the text of an object as that object. */
function argumentsOf(given: unknown, request: RequestInfo): Record<string, unknown> | undefined {
  if (given === undefined || isObject(given)) return given;
  const isNothing = isLeftOut(given) || given === '';
  const parsed = isNothing ? {} : typeof given === 'string' ? parseObject(given) : undefined;
  if (parsed === undefined) throw invalidParams('"arguments" is an object.');
  request.tolerated([typeof given === 'string' ? 'text' : 'null']);
  return parsed;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && isShallow(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Names the group of the tool, or similar tools: those of the session before others. */
function describeUnknownTool({ all, tools }: ToolSet, name: string): string {
  const unknown = `Unknown tool: ${shortenText(name, 100)}`;
  const elsewhere = all.get(name);
  if (elsewhere !== undefined) return `${unknown}. It is ${inGroup(elsewhere)}`;
  const near = nearestNames(name, [...tools.keys()]);
  if (near.length > 0) return `${unknown}. Did you mean ${near.join(' or ')}?`;
  const other = all.get(nearestNames(name, [...all.keys()])[0] ?? '');
  return other === undefined ? unknown : `${unknown}. Did you mean ${other.name}? It is ${inGroup(other)}`;
}

const inGroup = ({ group }: Tool): string =>
  `in the group "${group}", which this session has not selected: connect with ?tools=${group} or ?tools=all, or start ` +
  'the server with --tools all.';

/** Only what this session has: a client shows no menu for an undeclared capability. */
export function capabilitiesOfServer({ features: { serverFeatures } }: MethodContext): Record<string, object> {
  const { prompts, templates, skills, isExtensible } = serverFeatures;
  const listChanged = isExtensible ? { listChanged: true } : {};
  const hasPrompts = prompts.size > 0 || isExtensible;
  return {
    tools: listChanged,
    // Tools of every session store large results as resources.
    resources: { subscribe: true, listChanged: true },
    ...(hasPrompts && { prompts: listChanged }),
    ...((hasPrompts || templates.size > 0) && { completions: {} }),
    ...(skills.size > 0 && { extensions: { [skillsExtension]: {} } }),
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
  const report = (_progress: number, _total?: number, message?: string): void => {
    if (message !== undefined) server.report?.(message);
  };
  if (progressToken === undefined) return { progress: report, stop: noop };
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
  const progress = (value: number, total?: number, message?: string): void => {
    report(value, total, message);
    send(value, total === undefined ? {} : { total }, message);
  };
  return { progress, stop };
}
