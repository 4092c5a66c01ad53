import { Refusal } from '../errors/errors.js';
import { listingsFor, type ToolListing } from '../tools/catalogue.js';
import { metaKeys } from './envelope.js';
import { profileOf } from './clientProfiles.js';
import { capabilitiesOfServer, methods, toolsPage } from './methods.js';
import { isSharedResult, shareResult } from './messageText.js';
import type { Method, MethodContext, Params, UserTasks } from './methodContext.js';
import { statelessVersions, tasksExtension } from './protocol.js';
import type { MethodTable } from './requests.js';
import { tasksNotDeclared } from './tasks.js';

/** How long a client may use a result without asking again, and whether other users may use it too (server/caching). */
interface CacheHint {
  readonly ttlMs: number;
  readonly cacheScope: 'public' | 'private';
}

/** The same for everybody at one address, and changed by an update of the server alone. */
const ofServer: CacheHint = { ttlMs: 300_000, cacheScope: 'public' };
/** Of one user, and changed by their calls. */
const ofUser: CacheHint = { ttlMs: 0, cacheScope: 'private' };
/** Lists that an embedder may change. */
const changeable: CacheHint = { ttlMs: 0, cacheScope: 'private' };

const openBrowserFirst =
  'Call open_browser first and pass the browser_id in its answer to every tool that works on a browser; close_browser when done.';

/** The tools, by the address alone: a list does not depend on the name of the client. */
function statelessListings({ session, features }: MethodContext): ReturnType<typeof listingsFor> {
  const { operator, connection } = session.profileChoices;
  return listingsFor(features.toolSet, { ...profileOf('', operator, connection), browserId: 'required' });
}

const listingsByName = new WeakMap<object, ReadonlyMap<string, ToolListing>>();

/** The listing of one tool; undefined for a tool that is not listed. */
export function statelessListing(server: MethodContext, name: unknown): ToolListing | undefined {
  const listings = statelessListings(server);
  const known = listingsByName.get(listings) ?? new Map(listings.map((listing) => [listing.name, listing]));
  listingsByName.set(listings, known);
  return typeof name === 'string' ? known.get(name) : undefined;
}

const listTools: Method = (server, params) => {
  return toolsPage(statelessListings(server), params);
};

/** Lists do not depend on a connection, so only the results of calls change them. */
export function statelessCapabilities(server: MethodContext): Record<string, object> {
  const { prompts, ...rest } = capabilitiesOfServer(server);
  return {
    ...rest,
    tools: {},
    ...(prompts && { prompts: {} }),
    extensions: { ...rest['extensions'], [tasksExtension]: {} },
  };
}

const discover: Method = (server) => {
  const { instructions } = server.features.serverFeatures;
  const hasBrowsers = server.features.toolSet.tools.has('open_browser');
  const text = [...(hasBrowsers ? [openBrowserFirst] : []), ...(instructions === undefined ? [] : [instructions])];
  return {
    supportedVersions: statelessVersions,
    capabilities: statelessCapabilities(server),
    ...(text.length > 0 && { instructions: text.join('\n') }),
  };
};

/** A method of tasks. Throws first of all for a client that has not declared them. */
const ofTasks =
  (run: (tasks: UserTasks, params: Params) => Promise<Record<string, unknown>>): Method =>
  ({ tasks }, params) => {
    if (tasks === undefined) throw tasksNotDeclared();
    return run(tasks, params);
  };

const updateTask = ofTasks(async (tasks, { taskId, inputResponses }) => {
  await tasks.update(taskId, inputResponses);
  return {};
});

const cancelTask = ofTasks(async (tasks, { taskId }) => {
  await tasks.cancel(taskId);
  return {};
});

/** Answered by a stream of its own. */
export const listenMethod = 'subscriptions/listen';

const served: Readonly<Record<string, { readonly run: Method | undefined; readonly cache?: CacheHint }>> = {
  'server/discover': { run: discover, cache: ofServer },
  'tools/list': { run: listTools, cache: ofServer },
  'tools/call': { run: methods['tools/call'] },
  'prompts/list': { run: methods['prompts/list'], cache: ofServer },
  'prompts/get': { run: methods['prompts/get'] },
  'resources/list': { run: methods['resources/list'], cache: ofUser },
  'resources/templates/list': { run: methods['resources/templates/list'], cache: ofServer },
  'resources/read': { run: methods['resources/read'], cache: ofUser },
  'skills/list': { run: methods['skills/list'], cache: ofServer },
  'skills/get': { run: methods['skills/get'], cache: ofServer },
  'completion/complete': { run: methods['completion/complete'] },
  'tasks/get': { run: ofTasks((tasks, { taskId }) => tasks.get(taskId)) },
  'tasks/update': { run: updateTask },
  'tasks/cancel': { run: cancelTask },
};

/** Adds what every result of the revision has: its type, the server that made it, and how long it may be kept. */
function completed(run: Method, cache: CacheHint | undefined): Method {
  return async (server, params, request) => {
    const result = await outcomeOf(run, server, params, request);
    if (result['resultType'] === 'input_required') return withServerInfo(server, result);
    const { isExtensible } = server.features.serverFeatures;
    const hint = cache === ofServer && isExtensible ? changeable : cache;
    const complete = (): Result => withServerInfo(server, { resultType: 'complete', ...result, ...hint });
    return isSharedResult(result) ? sharedCompletion(result, server, complete) : complete();
  };
}

const completions = new WeakMap<object, WeakMap<Result, Result>>();

/** A result that is the same for all clients of one server stays the same when it is completed. */
function sharedCompletion(result: Result, { features }: MethodContext, complete: () => Result): Result {
  const ofServerFeatures = completions.get(features.serverFeatures) ?? new WeakMap<Result, Result>();
  completions.set(features.serverFeatures, ofServerFeatures);
  const known = ofServerFeatures.get(result) ?? shareResult(complete());
  ofServerFeatures.set(result, known);
  return known;
}

/** Requests of the handler to the client take precedence over its result or error. */
async function outcomeOf(run: Method, ...[server, params, request]: Parameters<Method>): Promise<Result> {
  try {
    const result = await run(server, params, request);
    return (await server.inputRequired?.()) ?? result;
  } catch (error) {
    const required = await server.inputRequired?.();
    if (required) return required;
    throw error;
  }
}

type Result = Record<string, unknown>;

function withServerInfo({ session }: MethodContext, result: Result): Result {
  return {
    ...result,
    _meta: { ...(result['_meta'] as object | undefined), [metaKeys.serverInfo]: session.serverInfo },
  };
}

const statelessMethods: Readonly<Record<string, Method>> = Object.fromEntries(
  Object.entries(served).flatMap(([name, { run, cache }]) =>
    run === undefined ? [] : [[name, completed(run, cache)]],
  ),
);

/** Every method of the revision. */
export const statelessMethodNames: readonly string[] = [...Object.keys(served), listenMethod];

/** The methods of the revision, for one request: those of features that the server does not declare are unknown. */
export function statelessTable(server: MethodContext): MethodTable {
  return {
    methods: statelessMethods,
    refusalOf: (method) => (isServed(server, method) ? null : new Refusal('unknown_method')),
  };
}

/** Whether a request has a method of the revision that this server declares. */
export function isServed(server: MethodContext, method: string): boolean {
  if (method === listenMethod) return true;
  if (!Object.hasOwn(statelessMethods, method)) return false;
  const capabilities = capabilitiesOfServer(server);
  if (method.startsWith('prompts/')) return 'prompts' in capabilities;
  if (method.startsWith('skills/')) return 'extensions' in capabilities;
  return !method.startsWith('completion/') || 'completions' in capabilities;
}
