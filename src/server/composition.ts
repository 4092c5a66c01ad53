import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.js';
import { supervisorDefaults, createSupervisor } from '../browser/supervisor.js';
import { noBrowserPool, type BrowserPool } from '../browser/pool/browserLease.js';
import { openBrowserPool, type BrowserPoolOptions } from '../browser/pool/browserPool.js';
import { residentMemory } from '../browser/process/chromeProcess.js';
import { UrlRules } from '../browser/policy/urlRules.js';
import type { ClusterStore } from '../cluster/clusterStore.js';
import { memoryDirectory } from '../cluster/ownership.js';
import { ConfigError, type Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { BrowserHandles, Implementation } from '../mcp/methodContext.js';
import { Changes } from '../mcp/changes.js';
import { memoryTasks, Tasks } from '../mcp/tasks.js';
import { memoryRequestStates, RequestStates } from '../mcp/requestState.js';
import { ResponseMemory } from '../mcp/responseMemory.js';
import { UserResources } from '../mcp/resourceStore.js';
import { browserHandlesOf, type HandleOwner } from '../session/browserHandles.js';
import type { SessionDeps } from '../session/sessionDeps.js';
import { SessionQuota } from '../session/quota.js';
import { sessionIds, SessionRegistry } from '../session/registry.js';
import type { KeptText } from '../session/browserTime.js';
import { writeFileAtomically } from '../tenancy/userFileStore.js';
import { UserQuotas } from '../session/userQuotas.js';
import { WarmPool } from '../session/warmPool.js';
import { RateLimits } from '../tenancy/rateLimits.js';
import { openTenancy } from '../tenancy/tenancy.js';
import type { Users } from '../tenancy/users.js';
import { allTools } from '../tools/allTools.js';
import { FileEncryption } from '../tools/encryptedFiles.js';
import { createElsewhereCalls } from '../transport/forwarding.js';
import { Subscriptions } from '../transport/subscriptions.js';
import { compileTrustedProxies, type AdmissionDeps } from '../transport/admission.js';
import { Cluster, createClusterStore } from './clusterSetup.js';
import { compileEmbedding, type CompiledEmbedding, type Setup } from './embedding.js';
import { browsersIn } from './nodeListings.js';
import { startObservers } from './observers.js';
import { createSessionParts, warmSessionCount } from './sessionParts.js';

export type Stores = Awaited<ReturnType<typeof openStores>>;
export type ServerParts = Awaited<ReturnType<typeof buildParts>>;

/**
 * Phase 1: rejects what the schema cannot check (a `ConfigError`), then opens the users. The shared store is created and
 * not connected yet. The orchestrator closes `users`; the node closes the store.
 */
export async function openStores(setup: Setup) {
  const { config, clock, log } = setup;
  const embedding = compileEmbedding(setup, defaultGroups(setup));
  const store = await createClusterStore(config, setup.store, log);
  const admission = createAdmissionDeps(config, store);
  const tenancy = await openTenancy(config, clock, store?.server.users);
  return { embedding, store, admission, tenancy };
}

/** Phase 2: builds everything behind the routes. No port is open, no session is created and no node has joined yet. */
export async function buildParts(setup: Setup, { embedding, store, tenancy }: Stores) {
  const { config, clock, log, search } = setup;
  const { users } = tenancy;
  // Changed by `reload`.
  const caps = { maxSessions: config.maxSessions, maxSessionsPerUser: config.maxSessionsPerUser };
  const sessionQuota = store && new SessionQuota({ store: store.server.quota, caps, leaseMs: config.nodeLease });
  const registry = new SessionRegistry(caps, clock, sessionQuota, sessionIds(config.proxyPlace));
  const cluster = store && sessionQuota && new Cluster({ config, store, registry, sessionQuota, users, clock, log });
  const { quotas, usage } = createQuotas({ setup, users, registry, cluster, spentTime: keptSpentTime(config, store) });
  const watchers = startObservers({
    usage,
    setup,
    registry,
    cluster,
    tools: (setup.tools ?? allTools).map(({ name }) => name),
    alertEpisodes: store?.server.alertEpisodes,
    // The pool reports to the observers, and they read its figures, from the first request on.
    pool: () => pool,
  });
  const { inspect } = watchers;
  const supervise = createSupervisor({ ...supervisorDefaults, inspect });
  const records = cluster?.contextRegistry;
  const { allowedUrls: allowed, blockedUrls: blocked } = config;
  const rules = new UrlRules([{ allowed, blocked }], { blocksMetadata: config.auth !== 'none' });
  const { sessionMemory } = config;
  const resolve = tenancy.resolveAddress;
  const poolOptions = { config, sessionMemory, rules, supervise, inspect, resolve, records, ...search };
  const pool = setup.pool ?? (await openPool(poolOptions, users, embedding));
  const directory = setup.directory ?? cluster?.node.ownership ?? memoryDirectory;
  const shared = createStatelessParts(store, clock, embedding.serverInfo);
  const { changes } = shared;
  const responseMemory = new ResponseMemory(config.sessionMemory);
  const ownership = setup.eventLog ?? cluster?.node.ownership;
  const browsersOf = (owner: HandleOwner): BrowserHandles =>
    browserHandlesOf(
      {
        registry,
        // They need each other.
        parts,
        idleTimeoutMs: config.idleTimeout,
        openMemory: (user) => responseMemory.open(user),
        selectTools: embedding.selectTools,
        changes,
        callElsewhere: cluster && createElsewhereCalls({ registry, node: cluster.node }),
        listElsewhere: cluster && (async (caller) => browsersIn(await cluster.otherNodeListings(), caller)),
        isWritable: () => ownership?.isWritable !== false,
      },
      owner,
    );
  const parts: SessionDeps = createSessionParts({
    ...{ setup, registry, pool, users, embedding, inspect, directory, rules, browsersOf, quotas },
    encryption: new FileEncryption(config.dataDir, store?.server.fileKey),
  });
  const warm = new WarmPool({ registry, parts, clock, count: warmSessionCount(setup, parts) });
  const userResources = new UserResources(clock);
  const stateless = { ...shared, browsersOf, responseMemory };
  return { caps, registry, quotas, usage, cluster, watchers, pool, directory, parts, warm, stateless, userResources };
}

/** In the store of the nodes, or in the folder of the users, which one server has. */
function keptSpentTime({ auth, dataDir, nodeId }: Config, store: ClusterStore | undefined): KeptText | undefined {
  if (store !== undefined) {
    const { tasks } = store.server;
    const id = `browser-time ${nodeId}`;
    return { read: () => tasks.get(id), write: (text) => tasks.put(id, text, keptTimeMs) };
  }
  if (auth === 'none') return undefined;
  const file = join(dataDir, 'browser-time.json');
  return { read: () => readFile(file, 'utf8'), write: (text) => writeFileAtomically(dataDir, file, text) };
}

/** Longer than a day. */
const keptTimeMs = 48 * 36e5;

interface QuotaParts {
  readonly setup: Setup;
  readonly users: Users;
  readonly registry: SessionRegistry;
  readonly cluster: Cluster | undefined;
  readonly spentTime: KeptText | undefined;
}

/** The quotas of users, and the usage of each user at each node, for operators. */
function createQuotas({ setup, users, registry, cluster, spentTime }: QuotaParts) {
  const { config, clock, log } = setup;
  const quotas = new UserQuotas({
    sessions: () => registry.list(),
    hasUsers: config.auth !== 'none',
    quotasOf: async ({ user }) => (config.auth === 'none' ? [] : users.quotasOf(user)),
    defaults: config.userQuota,
    spentTime,
    elsewhere: cluster && (async (user) => (await cluster.usageElsewhere()).filter((used) => used.user === user)),
    ...{ residentMemory, clock, log },
  });
  const usage = async (): Promise<object[]> => {
    const own = await quotas.usage();
    if (cluster === undefined) return own;
    return [...own.map((user) => ({ node: cluster.nodeName, ...user })), ...(await cluster.usageElsewhere())];
  };
  return { quotas, usage };
}

/** What requests without a session share, with the other nodes too. */
function createStatelessParts(store: ClusterStore | undefined, clock: Clock, serverInfo: Implementation) {
  const shared = store?.server;
  const changes = new Changes(shared?.broadcast('changes'));
  const relay = shared?.broadcast('tasks');
  const allTasks = new Tasks({ store: shared?.tasks ?? memoryTasks(clock), relay, clock, changes });
  return {
    ...{ changes, allTasks },
    requestStates: new RequestStates(shared?.requestStates ?? memoryRequestStates(clock), clock),
    subscriptions: new Subscriptions({ changes, clock, allTasks, serverInfo }),
  };
}

/** The configured default groups apply to the built-in tools; an embedder's tools are all listed unless groups are selected. */
function defaultGroups({ tools, config, hasChosenGroups }: Setup): readonly string[] {
  return tools === undefined || hasChosenGroups ? config.tools : ['all'];
}

/** Rate limits and trusted proxies. Throws a `ConfigError` on a proxy that is no address. */
function createAdmissionDeps(
  config: Config,
  store: ClusterStore | undefined,
): Pick<AdmissionDeps, 'isTrustedProxy' | 'rateLimits'> {
  try {
    return {
      isTrustedProxy: compileTrustedProxies(config.trustProxy),
      rateLimits: new RateLimits(config, store?.server.createRateLimiter),
    };
  } catch (error) {
    throw new ConfigError(`--trust-proxy: ${messageOf(error)}. Allowed: addresses and networks.`, { cause: error });
  }
}

/** Opens the browsers of a server that needs some. If that fails, the users that were opened before are closed. */
async function openPool(
  options: BrowserPoolOptions,
  users: Users,
  { needsBrowser }: CompiledEmbedding,
): Promise<BrowserPool> {
  if (!needsBrowser) return noBrowserPool;
  try {
    return await openBrowserPool(options);
  } catch (error) {
    await users.close();
    throw error;
  }
}
