import type { Application } from 'express';
import { createApp, createListener, createUpgrade, type AppDeps, type UpgradeListener } from './app.js';
import { serveForwarded } from './app/forwarded.js';
import type { Health } from './app/operations.js';
import { endRemoved } from './app/removal.js';
import { probeBrowser } from './browser/process/attach.js';
import type { BrowserPool } from './browser/lease/lease.js';
import { memoryDirectory, type Directory } from './cluster/directory.js';
import { MemoryEventLog, type EventLog } from './cluster/eventLog.js';
import type { ClusterNode } from './cluster/node.js';
import type { Store } from './cluster/store.js';
import { messageOf } from './errors.js';
import { systemClock, type Clock } from './clock.js';
import { defineConfig, type Config, type Options } from './config.js';
import { compileEmbedding, type Embedding } from './orchestrator/embedding.js';
import { silentLog, type Log } from './log.js';
import { contextsOf, openNode, placesOf, sharedStore, type NodeGiven } from './orchestrator/cluster.js';
import { describeHealth } from './orchestrator/health.js';
import { restorer } from './orchestrator/restore.js';
import { openRoster } from './orchestrator/roster.js';
import { admissionOf, openPool, sessionParts, warmCount } from './orchestrator/parts.js';
import { startWatchers } from './orchestrator/watchers.js';
import { browserActorDefaults, browserSupervisor } from './session/browserActor.js';
import type { Observation } from './session/observer.js';
import type { Session } from './session/session.js';
import { SessionRegistry } from './session/sessionRegistry.js';
import { startServer, type ListeningServer } from './session/serverActor.js';
import { WarmSessions } from './session/warmSessions.js';
import { principalOf } from './tenancy/auth.js';
import { openTenancy } from './tenancy/tenancy.js';
import { allTools } from './tools/index.js';
import { createAdmission } from './transport/admission.js';
import { BodyMemory } from './transport/bodyMemory.js';
import { OpenAnswers } from './transport/openAnswers.js';
import type { ConnectionTransport } from './transport/connectionTransport.js';
import { openSession } from './transport/transport.js';

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
  readonly store?: Store;
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
export async function createOrchestrator(given: OrchestratorOptions = {}): Promise<Orchestrator> {
  const config = given.config ?? defineConfig(given.options);
  const { clock = systemClock, log = silentLog } = given;
  const late: LateParts = {
    health: () => deps.health(),
    serve: (socket, caller) => forwarded(socket, caller),
    restore: (sessionId, stored) => restore(sessionId, stored),
  };
  const opened = await openParts(given, { config, clock, log, ...late });
  const { registry, watchers, tenancy, selectTools, pool, warm, node } = opened;
  let server: ListeningServer | undefined;
  const isListening = (): boolean => server === undefined || server.state() === 'listening';
  const deps: AppDeps = appDeps(given, opened, { config, clock, log, isListening });
  const restore = restorer({ ...opened, ...deps, users: tenancy.users });
  const [app, upgrade, forwarded] = [createApp(deps), createUpgrade(deps), serveForwarded(deps)];
  const drainSessions = (): Promise<void> => drain(opened);
  const closeBrowsers = async (): Promise<void> => {
    await Promise.all([pool.close(), tenancy.users.close(), node?.leave()]);
  };
  if (node !== undefined) joinLater(node, log);
  return {
    app,
    upgrade,
    registry,
    health: deps.health,
    resourceUpdated: (uri) => registry.list().forEach((session) => session.server.resourceUpdated(uri)),
    connect: (channel) => openSession(deps, { principal: principalOf('anyone'), toolSet: selectTools(null), channel }),
    listen: async () => {
      await watchers.listen();
      const { inspect } = watchers;
      const whole = createListener(deps, app);
      server ??= startServer({ app: whole, upgrade, config, clock, inspect, drainSessions, closeBrowsers });
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
function appDeps(
  { eventLog }: OrchestratorOptions,
  opened: Awaited<ReturnType<typeof openParts>>,
  { config, clock, log, isListening }: Pick<Surroundings, 'config' | 'clock' | 'log'> & { isListening(): boolean },
): AppDeps {
  const { registry, watchers, tenancy, selectTools, pool, parts, node, nodeName, others } = opened;
  const startedAt = clock.now();
  const answers = new OpenAnswers();
  tenancy.users.onremoved = endRemoved(registry, answers);
  return {
    ...config,
    ...tenancy,
    registry,
    parts,
    limits: opened.admission.limits,
    admit: createAdmission({
      ...opened.admission,
      authenticate: tenancy.authenticate,
      failed: () => watchers.observe(unclaimed(clock)),
    }),
    selectTools,
    probeBrowser: (url, signal) => probeBrowser({ url, resolve: tenancy.resolveAddress, signal }),
    clock,
    bodyMemory: new BodyMemory(config.bodyLimit),
    eventLog: eventLog ?? node?.tenures ?? new MemoryEventLog(),
    answers,
    node,
    log,
    isReady: () => isListening() && node?.isReady !== false,
    nodeName,
    others,
    health: async () => {
      const uptimeMs = clock.now() - startedAt;
      return describeHealth({ registry, pool, watchers, uptimeMs, nodeName, others: await others() });
    },
    metrics: () => watchers.metrics.expose(),
    inspector: watchers.inspector,
    observe: watchers.observe,
  };
}

/** Without the store no session can be claimed: the creation failed before there was a session. */
function unclaimed(clock: Clock): Observation {
  const [outcome, cause] = ['failed', 'claim-refused'] as const;
  return { kind: 'creation', actor: '', outcome, cause, at: clock.now(), durationMs: 0 };
}

/** Where there are other nodes, they go on with the sessions that can be gone on with. */
function drain({ node, warm }: { readonly node: ClusterNode | undefined; readonly warm: WarmSessions }): Promise<void> {
  node?.tenures.handOver();
  return warm.drain();
}

/** Until the node is there it lets nobody in: `/ready` says so, and no session can be claimed. */
function joinLater(node: ClusterNode, log: Log): void {
  node.join().then(
    () => log.info('joined', { node: node.name }),
    (error: unknown) => log.error('cannot join', { node: node.name, error: messageOf(error) }),
  );
}

/** What is asked only once the server is built. */
interface LateParts extends Pick<NodeGiven, 'serve' | 'restore'> {
  health(): Promise<Health>;
}

interface Surroundings extends LateParts, Pick<NodeGiven, 'clock' | 'log'> {
  readonly config: Config;
}

/** Everything behind the doors. What is not allowed is found out before anything is opened. */
async function openParts(given: OrchestratorOptions, { config, clock, log, serve, restore, health }: Surroundings) {
  const { onSession, observe, search } = given;
  const offering = compileEmbedding(given, defaultGroups(given, config));
  const store = await sharedStore(config, given.store, log);
  const admission = admissionOf(config, store);
  const places = placesOf(config, store);
  const registry = new SessionRegistry(config, clock, places);
  const tenancy = await openTenancy(config, clock, store?.server.users);
  const { users, resolveAddress: resolve } = tenancy;
  const rosters = openRoster({ config, store, registry, clock, log, rows: () => watchers.rows() });
  const { nodeName, roster, others } = rosters;
  const contexts = contextsOf({ store, registry, log, node: () => node, pool: () => pool });
  const node = openNode({ config, store, registry, places, users, roster, contexts, clock, log, serve, restore });
  const directory = given.directory ?? node?.tenures ?? memoryDirectory;
  const tools = (given.tools ?? allTools).map(({ name }) => name);
  const rows = async () => (await others()).flatMap((listing) => listing.rows);
  const elsewhere = nodeName === undefined ? undefined : { node: nodeName, rows };
  const seen = { elsewhere, episodes: store?.server.episodes, observe };
  const watchers = startWatchers({ config, clock, log, registry, tools, pool: () => pool, health, ...seen });
  const { inspect } = watchers;
  const supervise = browserSupervisor({ ...browserActorDefaults, inspect });
  const pool =
    given.pool ?? (await openPool({ config, supervise, resolve, records: contexts, ...search }, users, offering));
  const parts = sessionParts({ config, registry, pool, users, offering, clock, log, inspect, directory, onSession });
  const warm = new WarmSessions({ registry, parts, clock, count: warmCount(config, parts, onSession !== undefined) });
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
    others,
    directory,
  };
}

/** The groups of the configuration are ours: tools of one's own are all listed unless groups are asked for. */
function defaultGroups(given: OrchestratorOptions, config: Config): readonly string[] {
  const isChosen = given.tools === undefined || given.config !== undefined || given.options?.tools !== undefined;
  return isChosen ? config.tools : ['all'];
}
