import type { RequestHandler } from 'express';
import { machines } from '../../machines/index.js';
import type { Clock } from '../clock.js';
import type { Config } from '../config.js';
import { createInspector } from '../inspector/inspector.js';
import { createStately } from '../inspector/stately.js';
import type { Fold } from '../session/observer.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';

export interface InspectionGiven {
  readonly config: Pick<Config, 'inspectStately'>;
  readonly clock: Clock;
  readonly registry: SessionRegistry;
  health(): Promise<object>;
}

/** Those who look at the charts while they run: our own page, and Stately's inspector where it is asked for. */
export interface Inspection {
  readonly folds: readonly Fold[];
  /** The page and its stream. */
  readonly routes: RequestHandler;
  /** Opens Stately's port, if there is one. Rejects if it cannot. Idempotent. */
  listen(): Promise<void>;
  close(): Promise<void>;
}

/** Starts to remember what happens; the orchestrator closes it. */
export function startInspection({ config, clock, registry, health }: InspectionGiven): Inspection {
  const inspector = createInspector({ clock, find: (id) => registry.peek(id), health });
  const { inspectStately: port } = config;
  const definitions = () =>
    new Map<string, string>(machines.map(({ name, machine }) => [name, JSON.stringify(machine.config)]));
  const stately = port === undefined ? undefined : createStately({ port, definitions: definitions() });
  let listening: Promise<unknown> | undefined;
  return {
    folds: stately === undefined ? [inspector.fold] : [inspector.fold, stately.fold],
    routes: inspector.routes,
    listen: async () => {
      await (listening ??= stately?.listen());
    },
    close: async () => stately?.close(),
  };
}
