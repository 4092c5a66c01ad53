import type { RequestHandler } from 'express';
import { machines } from '../../machines/index.js';
import type { BrowserPool } from '../browser/pool/browserLease.js';
import type { Clock } from '../clock.js';
import type { AlertEpisodeStore } from '../cluster/clusterStore.js';
import type { Config } from '../config/config.js';
import type { RemoteNodes } from '../inspector/sessionTable.js';
import { createInspector } from '../inspector/inspector.js';
import { createStately } from '../inspector/stately.js';
import type { SessionRow } from '../inspector/wire.js';
import type { Log } from '../log.js';
import { startObservability, type Observability } from '../telemetry/observability.js';
import { fanOut, type ObservationHandler } from '../telemetry/observer.js';
import type { SessionRegistry } from '../session/registry.js';
import { createReadings } from './health.js';

export interface ObserversDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: SessionRegistry;
  /** Names of every tool. */
  readonly tools: readonly string[];
  /** Asked only once the server is built. */
  pool(): BrowserPool;
  health(): Promise<object>;
  readonly remoteNodes: RemoteNodes | undefined;
  /** Where many nodes count creations together. */
  readonly alertEpisodes: AlertEpisodeStore | undefined;
  /** An embedder's; hears last. */
  readonly observe?: ObservationHandler | undefined;
}

/** Everything that looks at the charts while they run: log, metrics, traces, alarm, our own page, Stately's inspector. */
export interface Observers extends Observability {
  /** The inspector's page and its stream. */
  readonly inspector: RequestHandler;
  /** The inspector's table of this node. */
  rows(): SessionRow[];
  /** Opens Stately's port, if one is asked for. Rejects if it cannot. Idempotent. */
  listen(): Promise<void>;
}

/** Starts to remember what happens. The orchestrator closes it, last of all. */
export function startObservers(deps: ObserversDeps): Observers {
  const { config, clock, log, registry, tools, pool, health, remoteNodes, alertEpisodes, observe } = deps;
  const inspector = createInspector({ clock, find: (id) => registry.peek(id), health, remoteNodes });
  const stately = createStatelyInspector(config);
  const handlers = [inspector.onObservation, stately?.onObservation, observe].filter((fold) => fold !== undefined);
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
    listen: async () => {
      await (listening ??= stately?.listen());
    },
    close: async () => {
      await observability.close();
      await stately?.close();
    },
  };
}

function createStatelyInspector({ inspectStately: port }: Config) {
  if (port === undefined) return undefined;
  const definitions = machines.map(({ name, machine }) => [name, JSON.stringify(machine.config)] as const);
  return createStately({ port, definitions: new Map<string, string>(definitions) });
}
