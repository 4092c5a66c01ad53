import type { RequestHandler } from 'express';
import { machines } from '../../machines/index.js';
import type { BrowserPool } from '../browser/lease/lease.js';
import type { Clock } from '../clock.js';
import type { EpisodeStore } from '../cluster/serverStore.js';
import type { Config } from '../config.js';
import type { Elsewhere } from '../inspector/elsewhere.js';
import { createInspector } from '../inspector/inspector.js';
import { createStately } from '../inspector/stately.js';
import type { Row } from '../inspector/wire.js';
import type { Log } from '../log.js';
import { startObservability, type Observability } from './observability.js';
import { tellAll, type Fold } from '../session/observer.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';
import { readingsOf } from './health.js';

export interface WatchersGiven {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: SessionRegistry;
  /** Names of every tool. */
  readonly tools: readonly string[];
  /** Asked only once the server is built. */
  pool(): BrowserPool;
  health(): Promise<object>;
  readonly elsewhere: Elsewhere | undefined;
  /** Where many nodes count creations together. */
  readonly episodes: EpisodeStore | undefined;
  /** An embedder's; hears last. */
  readonly observe?: Fold | undefined;
}

/** Everything that looks at the charts while they run: log, metrics, traces, alarm, our own page, Stately's inspector. */
export interface Watchers extends Observability {
  /** The inspector's page and its stream. */
  readonly inspector: RequestHandler;
  /** The inspector's table of this node. */
  rows(): Row[];
  /** Opens Stately's port, if one is asked for. Rejects if it cannot. Idempotent. */
  listen(): Promise<void>;
}

/** Starts to remember what happens. The orchestrator closes it, last of all. */
export function startWatchers(given: WatchersGiven): Watchers {
  const { config, clock, log, registry, tools, pool, health, elsewhere, episodes, observe } = given;
  const inspector = createInspector({ clock, find: (id) => registry.peek(id), health, elsewhere });
  const stately = statelyOf(config);
  const folds = [inspector.fold, stately?.fold, observe].filter((fold) => fold !== undefined);
  const readings = readingsOf(registry, pool);
  const observability = startObservability({
    config,
    clock,
    log,
    tools,
    episodes,
    observe: tellAll(folds),
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

function statelyOf({ inspectStately: port }: Config) {
  if (port === undefined) return undefined;
  const definitions = machines.map(({ name, machine }) => [name, JSON.stringify(machine.config)] as const);
  return createStately({ port, definitions: new Map<string, string>(definitions) });
}
