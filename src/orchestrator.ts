import type { Application } from 'express';
import { createApp } from './app.js';
import { noBrowsers } from './browser/lease/noBrowsers.js';
import { openBrowserPool } from './browser/lease/pool.js';
import type { BrowserPool } from './browser/lease/lease.js';
import { memoryDirectory, type Directory } from './cluster/directory.js';
import { MemoryEventLog, type EventLog } from './cluster/eventLog.js';
import { systemClock, type Clock } from './clock.js';
import { defineConfig, type Config, type Options } from './config.js';
import { compileEmbedding, type Embedding, type Offering } from './embedding.js';
import { silentLog, type Log } from './log.js';
import { createMetrics } from './metrics.js';
import { browserActorDefaults, browserSupervisor } from './session/browserActor.js';
import { createObserver, type Observation } from './session/observer.js';
import { openSession } from './session/openSession.js';
import { provideSession } from './session/sessionActor.js';
import type { Session, SessionParts } from './session/session.js';
import { SessionRegistry } from './session/sessionRegistry.js';
import { startServer, type ListeningServer } from './session/serverActor.js';
import { logTransitions } from './session/transitionLog.js';
import { authenticateNone } from './tenancy/auth.js';
import { packageInfo } from './packageInfo.js';

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
  /** Sees every observation, after the log and the metrics. */
  readonly observe?: (observation: Observation) => void;
}

export interface Orchestrator {
  /** The routes, to mount on an express app of one's own, at its root or under a path. Host and Origin are checked. */
  readonly app: Application;
  readonly registry: SessionRegistry;
  /** Opens the port. Rejects if it cannot. */
  listen(): Promise<{ readonly url: string; readonly port: number }>;
  health(): object;
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
  const startedAt = clock.now();
  const metrics = createMetrics();
  const offering = compileEmbedding(given, defaultGroups(given, config));
  const registry = new SessionRegistry(config);
  const folds = [logTransitions(log), metrics.fold, ...(given.observe ? [given.observe] : [])];
  const inspect = createObserver(clock, folds);
  const pool = given.pool ?? (await openPool(given, config, offering.needsBrowser, inspect));
  const { directory = memoryDirectory, eventLog = new MemoryEventLog(), onSession } = given;
  const parts = sessionParts({ config, registry, pool, offering, clock, log, inspect, directory, onSession });
  let server: ListeningServer | undefined;

  const health = () => ({
    status: 'ok',
    version: packageInfo.version,
    sessions: countSessions(registry.list()),
    browsers: pool.health(),
    performance: metrics.performance(),
    uptime: (clock.now() - startedAt) / 1000,
  });

  const app = createApp({
    registry,
    parts,
    authenticate: authenticateNone,
    selectTools: offering.selectTools,
    clock,
    eventLog,
    log,
    allowedHosts: config.allowedHosts,
    allowedOrigins: config.allowedOrigins,
    bodyLimit: config.bodyLimit,
    isReady: () => server === undefined || server.state() === 'listening',
    health,
  });

  const drain = { drainSessions: () => registry.drain(), closeBrowsers: () => pool.close() };
  return {
    app,
    registry,
    health,
    resourceUpdated: (uri) => {
      for (const { server } of registry.list()) server.resourceUpdated(uri);
    },
    listen: () => {
      server ??= startServer({ app, config, clock, inspect, ...drain });
      return server.opened;
    },
    close: async () => {
      if (server) return server.drain();
      await drain.drainSessions();
      await drain.closeBrowsers();
    },
  };
}

/** The groups of the configuration are ours: tools of one's own are all listed unless groups are asked for. */
function defaultGroups(given: OrchestratorOptions, config: Config): readonly string[] {
  const isChosen = given.tools === undefined || given.config !== undefined || given.options?.tools !== undefined;
  return isChosen ? config.tools : ['all'];
}

function openPool(
  { search }: OrchestratorOptions,
  config: Config,
  needsBrowser: boolean,
  inspect: SessionParts['inspect'],
): Promise<BrowserPool> | BrowserPool {
  if (!needsBrowser) return noBrowsers;
  return openBrowserPool({ config, supervise: browserSupervisor({ ...browserActorDefaults, inspect }), ...search });
}

interface PartsGiven {
  readonly config: Config;
  readonly registry: SessionRegistry;
  readonly pool: BrowserPool;
  readonly offering: Offering;
  readonly clock: Clock;
  readonly log: Log;
  readonly inspect: SessionParts['inspect'];
  readonly directory: Directory;
  readonly onSession: OrchestratorOptions['onSession'];
}

function sessionParts(given: PartsGiven): SessionParts {
  const { config, registry, pool, clock, log, inspect, directory, onSession } = given;
  const { offer, serverInfo } = given.offering;
  const logic = provideSession({
    find: (id) => registry.get(id),
    pool,
    isolation: config.isolation,
    delays: config,
    registerTools: async (session, signal) => onSession?.(openSession(session), signal),
    claim: ({ id, principal }, signal) => directory.claim({ sessionId: id, principal }, signal),
  });
  // What will never come is not waited for.
  const lease = pool === noBrowsers ? 'lazy' : config.lease;
  return { logic, serverInfo, offer, workspace: config.workspace, lease, clock, log, inspect };
}

function countSessions(sessions: readonly Session[]) {
  return {
    total: sessions.length,
    active: sessions.filter((session) => session.state === 'active').length,
    byState: tally(sessions.map((session) => session.state)),
    byUser: tally(sessions.map((session) => session.user)),
  };
}

function tally(keys: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return Object.fromEntries(counts);
}
