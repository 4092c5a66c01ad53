import type { Application } from 'express';
import { machines } from '../machines/index.js';
import { createApp } from './app.js';
import { openBrowserPool } from './browser/lease/pool.js';
import type { BrowserPool } from './browser/lease/lease.js';
import { memoryDirectory, type Directory } from './cluster/directory.js';
import { systemClock, type Clock } from './clock.js';
import { ConfigError, defineConfig, type Config, type Options } from './config.js';
import { Refusal } from './errors.js';
import { createInspector } from './inspector/inspector.js';
import { silentLog, type Log } from './log.js';
import { createStately, type Stately } from './inspector/stately.js';
import { createMetrics } from './metrics.js';
import { browserActorDefaults, browserSupervisor } from './session/browserActor.js';
import { createObserver, type Fold, type Observation } from './session/observer.js';
import { provideSession } from './session/sessionActor.js';
import type { Session, SessionParts } from './session/session.js';
import { SessionRegistry } from './session/sessionRegistry.js';
import { startServer, type ListeningServer } from './session/serverActor.js';
import { logTransitions } from './session/transitionLog.js';
import { authenticateNone } from './tenancy/auth.js';
import { compileCatalogue, UnknownGroupError, type Catalogue } from './tools/catalogue.js';
import type { Tool } from './tools/defineTool.js';
import { allTools } from './tools/index.js';
import { packageInfo } from './packageInfo.js';

export interface OrchestratorOptions {
  /** As the flags, in camelCase. */
  readonly options?: Options;
  /** A configuration that is checked already; wins over `options`. */
  readonly config?: Config;
  /** Default: every tool of this package. */
  readonly tools?: readonly Tool[];
  /** Where browsers come from; the orchestrator closes it. Default: launched or attached, as configured. */
  readonly pool?: BrowserPool;
  /** Where to look for a browser: the values of `CHROME_PATH` and `PATH`. */
  readonly search?: { readonly chromePath?: string | undefined; readonly searchPath?: string | undefined };
  readonly log?: Log;
  readonly clock?: Clock;
  /** Where sessions are claimed. Default: this process alone. */
  readonly directory?: Directory;
  /** Runs once for each session before it can be announced; a rejection closes the session. */
  readonly onSession?: (session: Session, signal: AbortSignal) => Promise<void>;
  /** Sees every observation, after the log and the metrics. */
  readonly observe?: (observation: Observation) => void;
}

export interface Orchestrator {
  /** The routes, to mount on an express app of one's own. */
  readonly app: Application;
  readonly registry: SessionRegistry;
  /** Opens the port. Rejects if it cannot. */
  listen(): Promise<{ readonly url: string; readonly port: number }>;
  health(): object;
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
  const selectTools = toolSelector(compileCatalogue(given.tools ?? allTools), config.tools);
  const registry = new SessionRegistry(config);
  const inspector = createInspector({ clock, factsOf: (id) => registry.peek(id)?.facts(), health: () => health() });
  const stately = statelyOf(config);
  const folds = [logTransitions(log), metrics.fold, inspector.fold, ...others(stately?.fold, given.observe)];
  const inspect = createObserver(clock, folds);
  const supervise = browserSupervisor({ ...browserActorDefaults, inspect });
  const pool = given.pool ?? (await openBrowserPool({ config, supervise, ...given.search }));
  const { directory = memoryDirectory, onSession } = given;
  const parts = sessionParts({ config, registry, pool, clock, log, inspect, directory, onSession });
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
    selectTools,
    clock,
    log,
    allowedHosts: config.allowedHosts,
    allowedOrigins: config.allowedOrigins,
    bodyLimit: config.bodyLimit,
    isReady: () => server === undefined || server.state() === 'listening',
    health,
    inspector: inspector.routes,
  });

  const drain = { drainSessions: () => registry.drain(), closeBrowsers: () => pool.close() };
  return {
    app,
    registry,
    health,
    listen: async () => {
      if (server === undefined) await stately?.listen();
      server ??= startServer({ app, config, clock, inspect, ...drain });
      return server.opened;
    },
    close: async () => {
      if (server) await server.drain();
      else await drain.drainSessions().then(drain.closeBrowsers);
      await stately?.close();
    },
  };
}

const others = (...folds: (Fold | undefined)[]): Fold[] => folds.filter((fold) => fold !== undefined);

function statelyOf({ inspectStately: port }: Config): Stately | undefined {
  if (port === undefined) return undefined;
  const definitions = new Map<string, string>(
    machines.map(({ name, machine }) => [name, JSON.stringify(machine.config)]),
  );
  return createStately({ port, definitions });
}

interface PartsGiven {
  readonly config: Config;
  readonly registry: SessionRegistry;
  readonly pool: BrowserPool;
  readonly clock: Clock;
  readonly log: Log;
  readonly inspect: SessionParts['inspect'];
  readonly directory: Directory;
  readonly onSession: OrchestratorOptions['onSession'];
}

function sessionParts(given: PartsGiven): SessionParts {
  const { config, registry, pool, clock, log, inspect, directory, onSession } = given;
  const logic = provideSession({
    find: (id) => registry.get(id),
    pool,
    isolation: config.isolation,
    delays: { ...config, resumeGrace: 0 },
    registerTools: (session, signal) => onSession?.(session, signal) ?? Promise.resolve(),
    claim: ({ id, principal }, signal) => directory.claim({ sessionId: id, principal }, signal),
  });
  return { logic, serverInfo: packageInfo, workspace: config.workspace, lease: config.lease, clock, log, inspect };
}

function toolSelector(catalogue: Catalogue, defaults: readonly string[]) {
  try {
    catalogue.select(defaults);
  } catch (error) {
    throw error instanceof UnknownGroupError ? new ConfigError(`--tools: ${error.message}`, { cause: error }) : error;
  }
  return (asked: string | null) => {
    try {
      return catalogue.select(asked === null ? defaults : asked.split(',').filter(Boolean));
    } catch (error) {
      if (error instanceof UnknownGroupError) throw new Refusal('invalid_parameter', { detail: error.message });
      throw error;
    }
  };
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
