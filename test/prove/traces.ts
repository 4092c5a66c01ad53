import type { AnyMachineSnapshot } from 'xstate';
import type { ObservationHandler } from '../../src/telemetry/observer.js';
import type { ChartSteps } from './chartSteps.js';
import type { World } from './explore.js';
import { LifecycleWorld } from './lifecycleWorld.js';
import { browserLifecycle } from './lifecycles.js';
import { boundlessWorlds, sessionWorlds, stepsOf } from './proofs.js';
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
  /** Whether a world with this name could have what looks like this. */
  couldBe?(name: string, shape: string): boolean;
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
      ].flatMap((bounds) => sessionWorlds(steps, { ...bounds, isServed: true })),
    couldBe: (name, shape) =>
      name.includes(shape.includes('"eager"') ? 'eager' : 'lazy') &&
      name.includes('nothing to set up') !== shape.includes('"whole"'),
  },
  browser: {
    shape: ({ attempts, maxAttempts, wasReady, version, failure }) => [
      ...[fillOf(attempts, maxAttempts), wasReady, version !== null, failure !== null],
    ],
    worlds: (steps) => [0, 1, 2, 3].map((attempts) => new LifecycleWorld(steps, browserLifecycle(attempts))),
  },
  lease: {
    shape: ({ isolation, isResumed, losses }) => [isolation === 'auto', isResumed, Math.min(Number(losses), 2)],
    worlds: boundlessWorlds.lease,
  },
  node: { shape: ({ leaseUntil }) => Number(leaseUntil) > 0, worlds: boundlessWorlds.node },
  ownership: {
    shape: ({ by, term, closedBecause }) => [by, term !== null, closedBecause !== null],
    worlds: boundlessWorlds.ownership,
  },
  server: { shape: ({ port, failure }) => [port !== null, failure !== null], worlds: boundlessWorlds.server },
  alert: {
    shape: ({ window, minCreations, failureRate }) => {
      const { creations, rate } = window as Readonly<Record<string, number>>;
      const isHigh = Number(rate) >= Number(failureRate);
      return isHigh && Number(creations) >= Number(minCreations) ? 'failing' : isHigh ? 'few' : 'fine';
    },
    worlds: boundlessWorlds.alert,
  },
};

const shapeOf = ({ shape }: TracedChart, value: unknown, context: unknown): string =>
  JSON.stringify([value, shape(context as Fields)]);

/** The promises are checked elsewhere: here every move is made once. */
export function goEveryWay<State>(world: World<State>): void {
  const known = new Set<string>();
  const open = [...world.starts()];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const key = world.key(state);
    if (known.has(key)) continue;
    known.add(key);
    open.push(...world.moves(state).map((move) => move.take(() => undefined)));
  }
}

/** As a step of a chart is told apart from others. */
const keyOf = ({ from, event, to }: Omit<SeenStep, 'chart'>): string =>
  from === undefined ? `begins ${to}` : `${from} ${event} ${to}`;

/** What is left of the steps when those are taken away that some world of their chart has. */
function leftAfter(chart: string, traced: TracedChart, seen: readonly SeenStep[]): readonly SeenStep[] {
  const left = new Map(seen.map((step) => [keyOf(step), step]));
  const steps = stepsOf(machineNamed(chart));
  const shapes: string[] = [];
  const shapeAt = (id: number): string => {
    const { value, context }: AnyMachineSnapshot = steps.snapshot(id);
    return (shapes[id] ??= shapeOf(traced, value, context));
  };
  for (const world of traced.worlds(steps)) {
    const isAsked = [...left.values()].some(({ to }) => traced.couldBe?.(world.name, to) !== false);
    if (!isAsked) continue;
    goEveryWay(world);
    for (const id of steps.starts) left.delete(keyOf({ event: '', to: shapeAt(id) }));
    for (const { from, event, next } of steps.taken.values())
      left.delete(keyOf({ from: shapeAt(from), event, to: shapeAt(next) }));
    steps.starts.clear();
    steps.taken.clear();
  }
  return [...left.values()];
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

/** The steps that are in no explored graph: whoever took one left it. */
export function stepsOutside(steps: readonly SeenStep[]): string[] {
  const left = Object.entries(tracedCharts).flatMap(([chart, traced]) => {
    const own = steps.filter((step) => step.chart === chart);
    return own.length === 0 ? [] : leftAfter(chart, traced, own);
  });
  return left.map(({ chart, from, event, to }) => `${chart}: ${event} from ${from ?? 'nothing'} to ${to}`);
}
