import type { Application } from 'express';
import { createApp, createRequestListener, createUpgrade, type AppDeps, type UpgradeListener } from './app.js';
import { createForwardedServer } from './forwardedRequests.js';
import type { Health } from './operationsRoutes.js';
import { probeBrowser } from '../browser/process/attachBrowser.js';
import type { BrowserPool } from '../browser/pool/browserLease.js';
import { memoryDirectory, type Directory } from '../cluster/ownership.js';
import { MemoryEventLog, type EventLog } from '../cluster/eventLog.js';
import type { ClusterNode } from '../cluster/node.js';
import type { ClusterStore } from '../cluster/clusterStore.js';
import { messageOf } from '../errors/errors.js';
import { systemClock, type Clock } from '../clock.js';
import { defineConfig, type Config, type Options } from '../config/config.js';
import { compileEmbedding, type Embedding } from './embedding.js';
import { silentLog, type Log } from '../log.js';
import {
  createContextRegistry,
  createClusterNode,
  createSessionQuota,
  createClusterStore,
  type CreateNodeDeps,
} from './clusterSetup.js';
import { describeHealth } from './health.js';
import { createSessionRestorer } from './sessionRestore.js';
import { createRoster } from './nodeListings.js';
import { createAdmissionDeps, openPool, createSessionParts, warmSessionCount } from './composition.js';
import { startObservers } from './observers.js';
import { supervisorDefaults, createSupervisor } from '../browser/supervisor.js';
import type { Observation } from '../telemetry/observer.js';
import type { Session } from '../session/session.js';
import { SessionRegistry } from '../session/registry.js';
import { startServer, type ListeningServer } from './httpServer.js';
import { WarmPool } from '../session/warmPool.js';
import { toPrincipal } from '../tenancy/auth.js';
import { openTenancy } from '../tenancy/tenancy.js';
import { allTools } from '../tools/allTools.js';
import { createAdmission } from '../transport/admission.js';
import { BodyMemory } from '../transport/bodyMemory.js';
import { OpenResponses } from '../transport/openResponses.js';
import { type ConnectionTransport, openConnectionSession } from '../transport/transport.js';
import type { RemovedRecords } from '../tenancy/userDocument.js';

export interface OrchestratorOptions extends Embedding {
  /** As the flags, in camelCase. */
  readonly options?: Options;
  /** A configuration that is checked already; wins over `options`. */
  readonly config?: Config;
  /** Where browsers come from; the orchestrator closes it. Default: launched or attached, as configured. */
  readonly pool?: BrowserPool;
  /** Where to look for a browser: the values of `CHROME_PATH` and `PATH`. */
  readonly search?: { readonly chromePath?: string | undefined; readonly searchPath?: string | undefined };
  readonly log?: Log;
  readonly clock?: Clock;
  /** Where sessions are claimed. Default: this process alone. */
  readonly directory?: Directory;
  /** Where the streams of Streamable HTTP are written down, to be resumed. Default: the memory of this process. */
  readonly eventLog?: EventLog;
  /** What this server shares with others. Default: the Redis of `redisUrl`, or nothing. The orchestrator closes it. */
  readonly store?: ClusterStore;
  /** Sees every observation, after the log and the metrics. */
  readonly observe?: (observation: Observation) => void;
}

export interface Orchestrator {
  /** The routes, to mount on an express app of one's own, at its root or under a path. Host and Origin are checked. */
  readonly app: Application;
  /** The WebSocket door: hang it on the `upgrade` event of the server that the app is mounted on. */
  readonly upgrade: UpgradeListener;
  readonly registry: SessionRegistry;
  /** Opens the port, then begins to keep warm sessions. Rejects if it cannot. */
  listen(): Promise<{ readonly url: string; readonly port: number }>;
  /** Opens a session over a transport of the caller's, for this machine's own user. Throws a `Refusal`: nothing was created. */
  connect(transport: ConnectionTransport): Session;
  /** The document of `GET /health`. */
  health(): Promise<Health>;
  /** Tells every client that subscribed to a resource that it changed. */
  resourceUpdated(uri: string): void;
  /** Drains: the listener first, then the sessions, the browsers last; bounded. Idempotent. */
  close(): Promise<void>;
}

/**
 * Builds a server from its parts. No port is opened before `listen` and no browser started before a session needs one;
 * whoever creates it calls `close`. Throws a `ConfigError` on options that are not allowed.
 */
export async function createOrchestrator(options: OrchestratorOptions = {}): Promise<Orchestrator> {
  const config = options.config ?? defineConfig(options.options);
  const { clock = systemClock, log = silentLog } = options;
  const lateBindings: LateBindings = {
    health: () => deps.health(),
    serveRequest: (socket, caller) => handleForwarded(socket, caller),
    restoreSession: (sessionId, stored) => restore(sessionId, stored),
  };
  const opened = await openParts(options, { config, clock, log, ...lateBindings });
  const { registry, watchers, tenancy, selectTools, pool, warm, node } = opened;
  let server: ListeningServer | undefined;
  const isListening = (): boolean => server === undefined || server.state() === 'listening';
  const deps: AppDeps = createAppDeps(options, opened, { config, clock, log, isListening });
  const restore = createSessionRestorer({ ...opened, ...deps, users: tenancy.users });
  const [app, upgrade, handleForwarded] = [createApp(deps), createUpgrade(deps), createForwardedServer(deps)];
  const drainSessions = (): Promise<void> => handOffAndDrain(opened);
  const closeBrowsers = async (): Promise<void> => {
    await Promise.all([pool.close(), tenancy.users.close(), node?.leave()]);
  };
  if (node !== undefined) joinCluster(node, log);
  return {
    app,
    upgrade,
    registry,
    health: deps.health,
    resourceUpdated: (uri) => registry.list().forEach((session) => session.server.resourceUpdated(uri)),
    connect: (channel) =>
      openConnectionSession(deps, { principal: toPrincipal('anyone'), toolSet: selectTools(null), channel }),
    listen: async () => {
      await watchers.listen();
      const { inspect } = watchers;
      const requestListener = createRequestListener(deps, app);
      server ??= startServer({ app: requestListener, upgrade, config, clock, inspect, drainSessions, closeBrowsers });
      const address = await server.opened;
      warm.start();
      return address;
    },
    close: async () => {
      if (server) await server.drain();
      else await drainSessions().then(closeBrowsers);
      await watchers.close();
    },
  };
}

/** What the doors need, from here on. */
function createAppDeps(
  { eventLog }: OrchestratorOptions,
  opened: Awaited<ReturnType<typeof openParts>>,
  { config, clock, log, isListening }: Pick<PartsDeps, 'config' | 'clock' | 'log'> & { isListening(): boolean },
): AppDeps {
  const {
    registry,
    watchers: observability,
    tenancy,
    selectTools,
    pool,
    parts,
    node,
    nodeName,
    others: otherNodeListings,
  } = opened;
  const startedAt = clock.now();
  const openResponses = new OpenResponses();
  tenancy.users.onRemoved = endRemovedAccess(registry, openResponses);
  return {
    ...config,
    ...tenancy,
    registry,
    parts,
    rateLimits: opened.admission.rateLimits,
    admit: createAdmission({
      ...opened.admission,
      authenticate: tenancy.authenticate,
      onStoreUnreachable: () => observability.observe(claimFailedObservation(clock)),
    }),
    selectTools,
    probeBrowser: (url, signal) => probeBrowser({ url, resolve: tenancy.resolveAddress, signal }),
    clock,
    bodyMemory: new BodyMemory(config.bodyLimit),
    eventLog: eventLog ?? node?.ownership ?? new MemoryEventLog(),
    openResponses,
    node,
    log,
    isReady: () => isListening() && node?.isReady !== false,
    nodeName,
    otherNodeListings,
    health: async () => {
      const uptimeMs = clock.now() - startedAt;
      return describeHealth({
        registry,
        pool,
        observability,
        uptimeMs,
        nodeName,
        otherNodes: await otherNodeListings(),
      });
    },
    metrics: () => observability.metrics.expose(),
    inspector: observability.inspector,
    observe: observability.observe,
  };
}

/** Without the store no session can be claimed: the creation failed before there was a session. */
function claimFailedObservation(clock: Clock): Observation {
  const [outcome, cause] = ['failed', 'claim-refused'] as const;
  return { kind: 'creation', actor: '', outcome, cause, at: clock.now(), durationMs: 0 };
}

/** Where there are other nodes, they go on with the sessions that can be gone on with. */
function handOffAndDrain({
  node,
  warm,
}: {
  readonly node: ClusterNode | undefined;
  readonly warm: WarmPool;
}): Promise<void> {
  node?.ownership.beginHandoff();
  return warm.drain();
}

/** Until the node is there it lets nobody in: `/ready` says so, and no session can be claimed. */
function joinCluster(node: ClusterNode, log: Log): void {
  node.join().then(
    () => log.info('joined', { node: node.name }),
    (error: unknown) => log.error('cannot join', { node: node.name, error: messageOf(error) }),
  );
}

/** What is asked only once the server is built. */
interface LateBindings extends Pick<CreateNodeDeps, 'serveRequest' | 'restoreSession'> {
  health(): Promise<Health>;
}

interface PartsDeps extends LateBindings, Pick<CreateNodeDeps, 'clock' | 'log'> {
  readonly config: Config;
}

/** Everything behind the doors. What is not allowed is found out before anything is opened. */
async function openParts(
  options: OrchestratorOptions,
  { config, clock, log, serveRequest, restoreSession, health }: PartsDeps,
) {
  const { onSession, observe, search } = options;
  const offering = compileEmbedding(options, defaultGroups(options, config));
  const store = await createClusterStore(config, options.store, log);
  const admission = createAdmissionDeps(config, store);
  const sessionQuota = createSessionQuota(config, store);
  const registry = new SessionRegistry(config, clock, sessionQuota);
  const tenancy = await openTenancy(config, clock, store?.server.users);
  const { users, resolveAddress: resolve } = tenancy;
  const rosters = createRoster({ config, store, registry, clock, log, rows: () => watchers.rows() });
  const { nodeName, roster, otherNodeListings } = rosters;
  const contextRegistry = createContextRegistry({ store, registry, log, node: () => node, pool: () => pool });
  const node = createClusterNode({
    config,
    store,
    registry,
    sessionQuota,
    users,
    roster,
    contextRegistry,
    clock,
    log,
    serveRequest,
    restoreSession,
  });
  const directory = options.directory ?? node?.ownership ?? memoryDirectory;
  const tools = (options.tools ?? allTools).map(({ name }) => name);
  const rows = async () => (await otherNodeListings()).flatMap((listing) => listing.rows);
  const remoteNodes = nodeName === undefined ? undefined : { node: nodeName, rows };
  const observerDeps = { remoteNodes, alertEpisodes: store?.server.alertEpisodes, observe };
  const watchers = startObservers({ config, clock, log, registry, tools, pool: () => pool, health, ...observerDeps });
  const { inspect } = watchers;
  const supervise = createSupervisor({ ...supervisorDefaults, inspect });
  const pool =
    options.pool ??
    (await openPool({ config, supervise, resolve, records: contextRegistry, ...search }, users, offering));
  const parts = createSessionParts({
    config,
    registry,
    pool,
    users,
    offering,
    clock,
    log,
    inspect,
    directory,
    onSession,
  });
  const warm = new WarmPool({
    registry,
    parts,
    clock,
    count: warmSessionCount(config, parts, onSession !== undefined),
  });
  return {
    registry,
    admission,
    selectTools: offering.selectTools,
    watchers,
    tenancy,
    pool,
    parts,
    warm,
    node,
    nodeName,
    others: otherNodeListings,
    directory,
  };
}

/** The groups of the configuration are ours: tools of one's own are all listed unless groups are asked for. */
function defaultGroups(options: OrchestratorOptions, config: Config): readonly string[] {
  const hasChosenGroups =
    options.tools === undefined || options.config !== undefined || options.options?.tools !== undefined;
  return hasChosenGroups ? config.tools : ['all'];
}

/** Ends what was opened with what is removed: streams, and sessions. Resolves when all that they owned is released. */
export function endRemovedAccess(registry: SessionRegistry, answers: OpenResponses) {
  return async ({ users, tokens, browsers }: RemovedRecords): Promise<void> => {
    for (const token of tokens) answers.closeForToken(token);
    await registry.closeWhere(
      ({ user, principal: { credentialId }, browserUrl }) =>
        users.includes(user) ||
        (credentialId !== undefined && tokens.includes(credentialId)) ||
        browsers.some((browser) => browser.user === user && browser.url === browserUrl),
    );
  };
}
