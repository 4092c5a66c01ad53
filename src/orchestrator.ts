import type { Application } from 'express';
import { machines } from '../machines/index.js';
import { createApp, createUpgrade, type AppDeps, type UpgradeListener } from './app.js';
import type { Health } from './app/operations.js';
import { probeBrowser } from './browser/process/attach.js';
import { openBrowserPool, type BrowserPoolOptions } from './browser/lease/pool.js';
import type { BrowserHealth, BrowserPool } from './browser/lease/lease.js';
import { memoryDirectory, type Directory } from './cluster/directory.js';
import { MemoryEventLog, type EventLog } from './cluster/eventLog.js';
import { systemClock, type Clock } from './clock.js';
import { ConfigError, defineConfig, type Config, type Options } from './config.js';
import { messageOf, Refusal } from './errors.js';
import { createInspector } from './inspector/inspector.js';
import { createStately, type Stately } from './inspector/stately.js';
import { silentLog, type Log } from './log.js';
import { startObservability, type Observability } from './observability.js';
import { browserActorDefaults, browserSupervisor } from './session/browserActor.js';
import { tellAll, type Fold, type Observation } from './session/observer.js';
import { provideSession } from './session/sessionActor.js';
import type { Session, SessionParts } from './session/session.js';
import { SessionRegistry } from './session/sessionRegistry.js';
import { startServer, type ListeningServer } from './session/serverActor.js';
import { WarmSessions } from './session/warmSessions.js';
import { principalOf, type Authenticate } from './tenancy/auth.js';
import { unauthorized } from './tenancy/bearer.js';
import { RateLimits } from './tenancy/rateLimits.js';
import { openTenancy } from './tenancy/tenancy.js';
import type { Users } from './tenancy/users.js';
import { createAdmission, trustedProxies, type Admit } from './transport/admission.js';
import { compileCatalogue, UnknownGroupError, type Catalogue } from './tools/catalogue.js';
import type { Tool } from './tools/defineTool.js';
import { allTools } from './tools/index.js';
import { openSession, type ConnectionTransport } from './transport/transport.js';
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
  /** Where the streams of Streamable HTTP are written down, to be resumed. Default: the memory of this process. */
  readonly eventLog?: EventLog;
  /**
   * Runs once for each session before it can be announced; a rejection closes the session. It knows the session's client,
   * so that with it no session is set up before there is one: `prewarm` is 0.
   */
  readonly onSession?: (session: Session, signal: AbortSignal) => Promise<void>;
  /** Sees every observation, after the log and the metrics. */
  readonly observe?: (observation: Observation) => void;
}

export interface Orchestrator {
  /** The routes, to mount on an express app of one's own. */
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
  const tools = given.tools ?? allTools;
  const selectTools = toolSelector(compileCatalogue(tools), config.tools);
  const registry = new SessionRegistry(config, clock);
  const inspector = createInspector({ clock, find: (id) => registry.peek(id), health: () => health() });
  const stately = statelyOf(config);
  const observability = startObservability({
    config,
    clock,
    log,
    tools: tools.map(({ name }) => name),
    observe: tellAll(others(inspector.fold, stately?.fold, given.observe)),
    sessions: () => registry.list().map(readSession),
    warm: () => registry.warm().length,
    browsers: async () => readBrowsers(pool.health(), await pool.memory()),
  });
  const { inspect, observe } = observability;
  const supervise = browserSupervisor({ ...browserActorDefaults, inspect });
  const tenancy = await openTenancy(config, clock);
  const { users, resolveAddress: resolve } = tenancy;
  const pool = given.pool ?? (await openPool({ config, supervise, resolve, ...given.search }, users));
  const { directory = memoryDirectory, onSession } = given;
  const parts = sessionParts({ config, registry, pool, users, clock, log, inspect, directory, onSession });
  const warm = new WarmSessions({ registry, parts, clock, count: onSession ? 0 : warmCount(config) });
  let server: ListeningServer | undefined;

  const health = () => describeHealth({ registry, pool, observability, uptimeMs: clock.now() - startedAt });

  const deps: AppDeps = {
    registry,
    parts,
    ...tenancy,
    admit: admission(config, tenancy.authenticate),
    selectTools,
    probeBrowser: (url) => probeBrowser({ url, resolve, signal: new AbortController().signal }),
    clock,
    eventLog: given.eventLog ?? new MemoryEventLog(),
    log,
    allowedHosts: config.allowedHosts,
    allowedOrigins: config.allowedOrigins,
    trustProxy: config.trustProxy,
    bodyLimit: config.bodyLimit,
    isReady: () => server === undefined || server.state() === 'listening',
    health,
    inspector: inspector.routes,
    metrics: () => observability.metrics.expose(),
    observe,
  };
  const [app, upgrade] = [createApp(deps), createUpgrade(deps)];

  const drain = { drainSessions: () => warm.drain(), closeBrowsers: () => closeAll(pool, users) };
  return {
    app,
    upgrade,
    registry,
    health,
    connect: (channel) => openSession(deps, { principal: principalOf('anyone'), toolSet: selectTools(null), channel }),
    listen: async () => {
      if (server === undefined) await stately?.listen();
      server ??= startServer({ app, upgrade, config, clock, inspect, ...drain });
      const address = await server.opened;
      warm.start();
      return address;
    },
    close: async () => {
      if (server) await server.drain();
      else {
        await drain.drainSessions();
        await drain.closeBrowsers();
      }
      await observability.close();
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
  readonly users: Users;
  readonly clock: Clock;
  readonly log: Log;
  readonly inspect: SessionParts['inspect'];
  readonly directory: Directory;
  readonly onSession: OrchestratorOptions['onSession'];
}

function sessionParts(given: PartsGiven): SessionParts {
  const { config, registry, pool, users, clock, log, inspect, directory, onSession } = given;
  const logic = provideSession({
    find: (id) => registry.get(id),
    pool,
    isolation: config.isolation,
    delays: config,
    registerTools: (session, signal) => onSession?.(session, signal) ?? Promise.resolve(),
    claim: async ({ id, principal }, signal) => {
      // The token may have been revoked while the browser was opened.
      if (!(await users.stillHolds(principal))) throw unauthorized({ wrong: true });
      await directory.claim({ sessionId: id, principal }, signal);
    },
  });
  const { workspace, lease, onEarlyMessage } = config;
  const queueLimit = onEarlyMessage === 'queue' ? config.queueLimit : 0;
  return { logic, serverInfo: packageInfo, workspace, lease, queueLimit, clock, log, inspect };
}

/** Only a session that begins in a context of the shared browser can be set up for anybody. */
function warmCount({ lease, isolation, prewarm }: Config): number {
  return lease === 'eager' && (isolation === 'auto' || isolation === 'context') ? prewarm : 0;
}

function admission(config: Config, authenticate: Authenticate): Admit {
  try {
    const isTrusted = trustedProxies(config.trustProxy);
    return createAdmission({ authenticate, isTrusted, limits: new RateLimits(config) });
  } catch (error) {
    throw new ConfigError(`--trust-proxy: ${messageOf(error)}. Allowed: addresses and networks.`, { cause: error });
  }
}

async function openPool(options: BrowserPoolOptions, users: Users): Promise<BrowserPool> {
  try {
    return await openBrowserPool(options);
  } catch (error) {
    await users.close();
    throw error;
  }
}

async function closeAll(pool: BrowserPool, users: Users): Promise<void> {
  await Promise.all([pool.close(), users.close()]);
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

const readSession = (session: Session) => ({
  state: session.state,
  transport: session.channel.kind,
  inFlight: session.actor.getSnapshot().context.inFlight,
});

function readBrowsers(
  { contexts, ready, connecting, lost, failed, queued }: BrowserHealth,
  residentBytes: number | null,
) {
  return { byState: { ready, connecting, lost, failed }, contexts, queued, residentBytes };
}

interface HealthGiven {
  readonly registry: SessionRegistry;
  readonly pool: BrowserPool;
  readonly observability: Observability;
  readonly uptimeMs: number;
}

async function describeHealth({ registry, pool, observability, uptimeMs }: HealthGiven) {
  return {
    status: 'ok',
    version: packageInfo.version,
    sessions: { ...countSessions(registry.list()), warm: registry.warm().length },
    browsers: { ...pool.health(), memoryBytes: await pool.memory() },
    performance: observability.metrics.performance(),
    alerts: observability.alerts(),
    uptime: uptimeMs / 1000,
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
