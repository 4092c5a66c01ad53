import type { Application } from 'express';
import { probeBrowser } from '../browser/process/attachBrowser.js';
import { systemClock, type Clock } from '../clock.js';
import { MemoryEventLog } from '../cluster/eventLog.js';
import { defineConfig, type Config } from '../config/config.js';
import { readSecrets } from '../config/secretsFile.js';
import { hidingLog, silentLog } from '../log.js';
import { Secrets } from '../mcp/secrets.js';
import type { SessionRegistry } from '../session/registry.js';
import type { Session } from '../session/session.js';
import { parseQuotas } from '../session/userQuotas.js';
import type { Observation } from '../telemetry/observer.js';
import { toPrincipal } from '../tenancy/auth.js';
import type { RemovedRecords } from '../tenancy/userDocument.js';
import { createAdmission } from '../transport/admission.js';
import { BodyMemory } from '../transport/bodyMemory.js';
import { serveStatelessOver } from '../transport/statelessPipe.js';
import { OpenResponses } from '../transport/openResponses.js';
import { SdkTransport, type McpTransport } from '../transport/stdio.js';
import { ConnectionTransport, openConnectionSession } from '../transport/transport.js';
import { createApp, type AppDeps, type UpgradeListener } from './app.js';
import { buildParts, openStores, type ServerParts, type Stores } from './composition.js';
import type { OrchestratorOptions, Setup } from './embedding.js';
import { createForwardedServer } from './forwardedRequests.js';
import { startServer, type ListeningServer } from './httpServer.js';
import type { Health } from './operationsRoutes.js';
import { createSessionRestorer } from './sessionRestore.js';

export type { OrchestratorOptions } from './embedding.js';

export interface Orchestrator {
  /** The routes, to mount on an express app of the embedder, at its root or under a path. Host and Origin are checked. */
  readonly app: Application;
  /** Answers WebSocket handshakes: add it as the `upgrade` listener of the server that the app is mounted on. */
  readonly upgrade: UpgradeListener;
  readonly registry: SessionRegistry;
  /**
   * Opens the port, or takes over a socket that listens already (its file descriptor), then begins to keep warm sessions.
   * Rejects if it cannot.
   */
  listen(socket?: number): Promise<{ readonly url: string; readonly port: number }>;
  /** Resolves with true once sessions are accepted, with false if the server closes before. Many nodes wait for their store. */
  whenReady(): Promise<boolean>;
  /**
   * Opens a session over the caller's transport, such as the server's end of the SDK's `InMemoryTransport`, for the
   * local user. Throws a `Refusal`, or a `TypeError` if it is not a transport: nothing was created then.
   */
  connect(transport: ConnectionTransport | McpTransport): Session;
  /** The document of `GET /health`. */
  health(): Promise<Health>;
  /**
   * Applies changes at runtime: `--secrets` (the file is read again), `--max-sessions`, `--max-sessions-per-user` and
   * `--user-quota`. Throws a `ConfigError` for a file that cannot be read: nothing has changed then.
   */
  reload(config: Pick<Config, 'secrets' | 'maxSessions' | 'maxSessionsPerUser' | 'userQuota'>): void;
  /** Notifies every client that subscribed to a resource of its change. */
  resourceUpdated(uri: string): void;
  /** Drains: the listener first, then the sessions, the browsers last; bounded. Idempotent. */
  close(): Promise<void>;
}

/**
 * Builds a server from its parts. The caller calls `close`. Throws a `ConfigError` on options that are not allowed.
 *
 *     openStores ──► buildParts ──► start ──► listen ──► close
 *     options are    sessions,      the node  the port   port, sessions, browsers with users and node, observers
 *     checked, users browsers,      joins     opens, warm
 *     are opened     observers                sessions start
 *
 * No port is opened before `listen` and no browser is started before a session needs one. `connect` works without `listen`.
 */
export async function createOrchestrator(options: OrchestratorOptions = {}): Promise<Orchestrator> {
  const setup = resolveSetup(options);
  const stores = await openStores(setup);
  return start(setup, stores, await buildParts(setup, stores));
}

function resolveSetup(options: OrchestratorOptions): Setup {
  const config = options.config ?? defineConfig(options.options);
  const secrets = new Secrets(readSecrets(config.secrets));
  return {
    ...options,
    config,
    secrets,
    hasChosenGroups: options.config !== undefined || options.options?.tools !== undefined,
    clock: options.clock ?? systemClock,
    log: hidingLog(options.log ?? silentLog, (text) => secrets.hide(text)),
  };
}

/** Phase 3: the routes over the parts, the order in which the server stops, and the node that joins the others. */
function start(setup: Setup, stores: Stores, parts: ServerParts): Orchestrator {
  const { config, clock } = setup;
  const { users } = stores.tenancy;
  const { registry, quotas, cluster, watchers, pool, directory, warm, stateless } = parts;
  let server: ListeningServer | undefined;
  const isListening = (): boolean => server === undefined || server.state() === 'listening';
  const deps = createAppDeps(setup, stores, parts, isListening);
  const { app, requestListener, upgrade } = createApp(deps);
  const drainSessions = async (): Promise<void> => {
    // With other nodes, sessions that can be restored are handed off to them.
    cluster?.node.drain();
    stateless.subscriptions.close();
    await Promise.all([quotas.close(), stateless.allTasks.close(), warm.drain()]);
  };
  const closeBrowsers = async (): Promise<void> => {
    await Promise.all([pool.close(), users.close(), cluster?.node.leave(), parts.userResources.close()]);
  };
  cluster?.start({
    ...{ inspect: watchers.inspect, rows: watchers.rows },
    serveRequest: createForwardedServer(deps),
    restoreSession: createSessionRestorer({ ...deps, directory }),
    usage: () => quotas.published,
    sharedBrowsers: () => pool.sharedContexts?.() ?? [],
  });
  return {
    app,
    upgrade,
    registry,
    health: watchers.health,
    reload: (changed) => {
      takeOver(changed, setup, parts);
      if (server !== undefined) quotas.start();
    },
    resourceUpdated: (uri) => {
      for (const session of registry.list()) session.server.resourceUpdated(uri);
      stateless.changes.publish({ method: 'notifications/resources/updated', uri });
    },
    connect: (transport) => connectOver(transport, deps),
    listen: async (socket) => {
      await watchers.listen();
      const { inspect } = watchers;
      server ??= startServer({
        ...{ app: requestListener, upgrade, config, clock, inspect, socket },
        drainSessions,
        closeBrowsers,
      });
      const address = await server.opened;
      warm.start();
      quotas.start();
      return address;
    },
    whenReady: () => cluster?.joined ?? Promise.resolve(true),
    close: async () => {
      if (server) await server.drain();
      else await drainSessions().then(closeBrowsers);
      await watchers.close();
    },
  };
}

function takeOver(changed: Parameters<Orchestrator['reload']>[0], { secrets }: Setup, parts: ServerParts): void {
  const { maxSessions, maxSessionsPerUser, userQuota } = changed;
  secrets.replace(readSecrets(changed.secrets, { mayWait: false }));
  Object.assign(parts.caps, { maxSessions, maxSessionsPerUser });
  parts.quotas.defaults = parseQuotas(userQuota);
}

function connectOver(transport: ConnectionTransport | McpTransport, deps: AppDeps): Session {
  const channel = channelOf(transport);
  const request = { principal: toPrincipal('anyone'), toolSet: deps.selectTools(null), channel };
  const session = openConnectionSession(deps, request);
  serveStatelessOver(deps, session, channel);
  return session;
}

function channelOf(transport: ConnectionTransport | McpTransport): ConnectionTransport {
  if (transport instanceof ConnectionTransport) return transport;
  const methods = ['start', 'send', 'close'] as const;
  if (typeof transport === 'object' && methods.every((name) => typeof transport[name] === 'function'))
    return new SdkTransport(transport);
  throw new TypeError(
    'connect() takes an MCP transport, such as one of the pair of InMemoryTransport.createLinkedPair(): an object with start, send and close.',
  );
}

/** The dependencies of the routes. */
function createAppDeps(setup: Setup, stores: Stores, serverParts: ServerParts, isListening: () => boolean): AppDeps {
  const { config, clock, log } = setup;
  const { embedding, admission, tenancy } = stores;
  const { registry, usage, cluster, watchers, parts, stateless, userResources } = serverParts;
  const node = cluster?.node;
  const openResponses = new OpenResponses();
  tenancy.users.onRemoved = endRemovedAccess(registry, openResponses);
  return {
    ...tenancy,
    config,
    clock,
    log,
    registry,
    parts,
    node,
    openResponses,
    bodyLimit: config.bodyLimit,
    bodyMemory: new BodyMemory(config.bodyLimit),
    ...stateless,
    resourcesOf: (user) => userResources.of(user),
    eventLog: setup.eventLog ?? node?.ownership ?? new MemoryEventLog(),
    rateLimits: admission.rateLimits,
    admit: createAdmission({
      ...admission,
      authenticate: tenancy.authenticate,
      onStoreUnreachable: () => watchers.observe(claimFailedObservation(clock)),
    }),
    selectTools: embedding.selectTools,
    probeBrowser: (url, signal) => probeBrowser({ url, resolve: tenancy.resolveAddress, signal }),
    isReady: () => isListening() && node?.isReady !== false,
    nodeName: cluster?.nodeName,
    otherNodeListings: async () => (await cluster?.otherNodeListings()) ?? [],
    usage,
    health: watchers.health,
    metrics: () => watchers.metrics.expose(),
    inspector: watchers.inspector,
    observe: watchers.observe,
  };
}

/** Without the store no session can be claimed: the creation failed before a session existed. */
function claimFailedObservation(clock: Clock): Observation {
  const [outcome, cause] = ['failed', 'claim-refused'] as const;
  return { kind: 'creation', actor: '', outcome, cause, at: clock.now(), durationMs: 0 };
}

/** Closes the streams and sessions that a removed user, token or browser opened. Resolves when their resources are released. */
function endRemovedAccess(registry: SessionRegistry, openResponses: OpenResponses) {
  return async ({ users, tokens, browsers }: RemovedRecords): Promise<void> => {
    for (const token of tokens) openResponses.closeForToken(token);
    await registry.closeWhere(
      ({ user, principal: { credentialId }, browserUrl }) =>
        users.includes(user) ||
        (credentialId !== undefined && tokens.includes(credentialId)) ||
        browsers.some((browser) => browser.user === user && browser.url === browserUrl),
    );
  };
}
