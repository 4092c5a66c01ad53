import type { AnyMachineSnapshot } from 'xstate';
import type { ObservationHandler } from '../../src/telemetry/observer.js';
import type { ChartSteps } from './chartSteps.js';
import type { World } from './explore.js';
import { LifecycleWorld } from './lifecycleWorld.js';
import { alertLifecycle, browserLifecycle, serverLifecycle } from './lifecycles.js';
import { sessionWorlds, stepsOf } from './proofs.js';
import { machineNamed } from './translations.js';

/** A step of a chart that somebody saw: what it looked like before it and after it. Without `from` it began there. */
export interface SeenStep {
  readonly chart: string;
  readonly from?: string;
  readonly event: string;
  readonly to: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** What a chart looks like in a trace, and the worlds whose ways its traces must be. */
interface TracedChart {
  /** Its context, as guards tell it apart. */
  shape(context: Fields): unknown;
  worlds(steps: ChartSteps): readonly World<unknown>[];
}

const fillOf = (count: unknown, most: unknown): string =>
  Number(count) === 0 ? 'none' : Number(count) < Number(most) ? 'some' : 'full';

/** One entry for each chart. */
const tracedCharts: Readonly<Record<string, TracedChart>> = {
  session: {
    shape: ({ attached, browser, held, queueLimit, handshake, inFlight, closedBecause, failure, ...rest }) => [
      ...[attached, browser, fillOf(held, queueLimit), handshake, Math.min(Number(inFlight), 2), closedBecause],
      ...[failure !== null, rest['lease'], rest['resumable'], rest['setup'] ?? 'whole', rest['user'] === null],
    ],
    // Early messages and requests in flight: each of the two more often than a guard can tell.
    worlds: (steps) =>
      [
        { queueLimit: 0, maxInFlight: 3 },
        { queueLimit: 1, maxInFlight: 1 },
        { queueLimit: 3, maxInFlight: 1 },
      ].flatMap((bounds) => sessionWorlds(steps, bounds)),
  },
  browser: {
    shape: ({ attempts, maxAttempts, wasReady, version, failure }) => [
      ...[fillOf(attempts, maxAttempts), wasReady, version !== null, failure !== null],
    ],
    worlds: (steps) => [0, 1, 2, 3].map((attempts) => new LifecycleWorld(steps, browserLifecycle(attempts))),
  },
  server: {
    shape: ({ port, failure }) => [port !== null, failure !== null],
    worlds: (steps) => [new LifecycleWorld(steps, serverLifecycle)],
  },
  alert: {
    shape: ({ window, minCreations, failureRate }) => {
      const { creations, rate } = window as Readonly<Record<string, number>>;
      const isHigh = Number(rate) >= Number(failureRate);
      return isHigh && Number(creations) >= Number(minCreations) ? 'failing' : isHigh ? 'few' : 'fine';
    },
    worlds: (steps) => [new LifecycleWorld(steps, alertLifecycle)],
  },
};

const shapeOf = ({ shape }: TracedChart, value: unknown, context: unknown): string =>
  JSON.stringify([value, shape(context as Fields)]);

/** The promises are checked elsewhere: here every move is made once. */
function goEveryWay<State>(world: World<State>): void {
  const known = new Set<string>();
  const open = [...world.starts()];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const key = world.key(state);
    if (known.has(key)) continue;
    known.add(key);
    open.push(...world.moves(state).map((move) => move.take(() => undefined)));
  }
}

/** Every step that is taken somewhere in the explored worlds of a chart. */
function explored(chart: string, traced: TracedChart): Set<string> {
  const steps = stepsOf(machineNamed(chart));
  for (const world of traced.worlds(steps)) goEveryWay(world);
  const shapeAt = (id: number): string => {
    const { value, context }: AnyMachineSnapshot = steps.snapshot(id);
    return shapeOf(traced, value, context);
  };
  const shapes = steps.snapshots.map((_, id) => shapeAt(id));
  const seen = [...steps.taken.values()].map(({ from, event, next }) => `${shapes[from]} ${event} ${shapes[next]}`);
  const starts = [...steps.starts].map((id) => `begins ${shapes[id]}`);
  return new Set([...seen, ...starts]);
}

/** Follows the charts of a program: where each is, and every step that is not like one before. */
export class TraceRecorder {
  readonly #steps = new Map<string, SeenStep>();
  /** Of each actor, and whether it has only begun there. */
  readonly #places = new Map<string, { readonly shape: string; readonly isFirst: boolean }>();
  readonly #onNew: ((step: SeenStep) => void) | undefined;

  /** `onNew` is told at once: what a process has seen is lost when it dies. */
  constructor(onNew?: (step: SeenStep) => void) {
    this.#onNew = onNew;
  }

  get steps(): readonly SeenStep[] {
    return [...this.#steps.values()];
  }

  /** A handler of observations. What is on its way within a step is no place. */
  readonly observe: ObservationHandler = (observation) => {
    if (observation.kind !== 'transition' && observation.kind !== 'step') return;
    const { machine: chart, actor, cause: event, value, context } = observation;
    const traced = tracedCharts[chart];
    // Ended from outside: no step of the chart.
    if (event === 'xstate.stop') return;
    const begins = event === 'xstate.init' || (observation.kind === 'transition' && observation.from === '');
    if (traced === undefined || (observation.kind === 'transition' && !begins)) return;
    const to = shapeOf(traced, value, context);
    const place = this.#places.get(`${chart} ${actor}`);
    this.#places.set(`${chart} ${actor}`, { shape: to, isFirst: begins });
    // What it passes as it begins is no place either: only what it goes on from.
    if (begins || place === undefined) return;
    if (place.isFirst) this.#record({ chart, event: 'xstate.init', to: place.shape });
    this.#record({ chart, from: place.shape, event, to });
  };

  #record(step: SeenStep): void {
    const key = JSON.stringify(step);
    if (this.#steps.has(key)) return;
    this.#steps.set(key, step);
    this.#onNew?.(step);
  }
}

const graphs = new Map<string, Set<string>>();

/** The steps that are in no explored graph: whoever took one left it. */
export function stepsOutside(steps: readonly SeenStep[]): string[] {
  const outside = steps.filter(({ chart, from, event, to }) => {
    const traced = tracedCharts[chart];
    if (traced === undefined) return false;
    const graph = graphs.get(chart) ?? explored(chart, traced);
    graphs.set(chart, graph);
    return !graph.has(from === undefined ? `begins ${to}` : `${from} ${event} ${to}`);
  });
  return outside.map(({ chart, from, event, to }) => `${chart}: ${event} from ${from ?? 'nothing'} to ${to}`);
}
