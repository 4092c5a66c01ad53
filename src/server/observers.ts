import type { RequestHandler } from 'express';
import { machines } from '../../machines/index.js';
import type { BrowserPool } from '../browser/pool/browserLease.js';
import type { AlertEpisodeStore } from '../cluster/clusterStore.js';
import type { Config } from '../config/config.js';
import { createInspector } from '../inspector/inspector.js';
import { createStately } from '../inspector/stately.js';
import type { SessionRow } from '../inspector/wire.js';
import { AuditLog } from '../telemetry/auditLog.js';
import { startObservability, type Observability } from '../telemetry/observability.js';
import { fanOut } from '../telemetry/observer.js';
import { flushSpans } from '../telemetry/sessionTrace.js';
import type { SessionRegistry } from '../session/registry.js';
import type { Cluster } from './clusterSetup.js';
import type { Setup } from './embedding.js';
import { createReadings, describeHealth } from './health.js';
import type { Health } from './operationsRoutes.js';

export interface ObserversDeps {
  readonly setup: Setup;
  readonly registry: SessionRegistry;
  /** Absent: there is one node, this one. */
  readonly cluster: Cluster | undefined;
  /** Names of every tool. */
  readonly tools: readonly string[];
  /** Where many nodes count creations together. */
  readonly alertEpisodes: AlertEpisodeStore | undefined;
  /** What each user uses. */
  usage(): Promise<readonly object[]>;
  /** Called with the first request or scrape, not before. */
  pool(): BrowserPool;
}

/** All observers of the running state charts: log, metrics, traces, alert, inspector, Stately's inspector. */
export interface Observers extends Observability {
  /** The inspector's page and its stream. */
  readonly inspector: RequestHandler;
  /** The inspector's table of this node. */
  rows(): SessionRow[];
  /** The document of `GET /health`. */
  health(): Promise<Health>;
  /** Opens Stately's port, if one is configured. Rejects if it cannot. Idempotent. */
  listen(): Promise<void>;
}

/** Starts to record observations. The orchestrator closes the observers, last of all. */
export function startObservers(deps: ObserversDeps): Observers {
  const { setup, registry, cluster, tools, pool, usage, alertEpisodes } = deps;
  const { config, clock, log, observe } = setup;
  const startedAt = clock.now();
  const health = (): Promise<Health> =>
    describeHealth({ registry, cluster, pool: pool(), observability, uptimeMs: clock.now() - startedAt });
  const inspector = createInspector({
    clock,
    find: (id) => registry.peek(id),
    health,
    usage,
    remoteNodes: cluster && {
      node: cluster.nodeName,
      rows: async () => (await cluster.otherNodeListings()).flatMap((listing) => listing.rows),
    },
  });
  const stately = createStatelyInspector(config);
  const auditLog = createAuditLog(setup, registry);
  const handlers = [inspector.onObservation, auditLog?.onObservation, stately?.onObservation, observe].filter(
    (handler) => handler !== undefined,
  );
  const readings = createReadings(registry, pool);
  const observability = startObservability({
    config,
    clock,
    log,
    tools,
    alertEpisodes,
    observe: fanOut(handlers),
    ...readings,
  });
  let listening: Promise<unknown> | undefined;
  return {
    ...observability,
    inspector: inspector.routes,
    rows: inspector.rows,
    health,
    listen: async () => {
      await (listening ??= stately?.listen());
    },
    close: async () => {
      await observability.close();
      await Promise.all([auditLog?.close(), flushSpans()]);
      await stately?.close();
    },
  };
}

function createAuditLog({ config: { auditLog: file }, clock, log }: Setup, registry: SessionRegistry) {
  if (file === undefined) return undefined;
  const find = (id: string) => {
    const session = registry.peek(id);
    return session?.isWarm === true ? undefined : session;
  };
  return new AuditLog({ file, clock, log, find });
}

function createStatelyInspector({ inspectStately: port }: Config) {
  if (port === undefined) return undefined;
  const definitions = machines.map(({ name, machine }) => [name, JSON.stringify(machine.config)] as const);
  return createStately({ port, definitions: new Map<string, string>(definitions) });
}
