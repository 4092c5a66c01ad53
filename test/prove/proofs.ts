import type { AnyStateMachine } from 'xstate';
import { machines } from '../../machines/index.js';
import { ChartSteps } from './chartSteps.js';
import { explore, type Counterexample, type ExploreOptions, type World } from './explore.js';
import { nodeLifecycle, ownershipLifecycle } from './clusterLifecycles.js';
import { LifecycleWorld } from './lifecycleWorld.js';
import { alertLifecycle, browserLifecycle, leaseLifecycle, serverLifecycle } from './lifecycles.js';
import { ServerWorld } from './serverWorld.js';
import { SessionWorld, type SessionBounds } from './sessionWorld.js';

/** One exploration, as it is printed and recorded. */
export interface Proof {
  readonly world: string;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** Distinct states of the charts. */
  readonly chartStates: number;
  readonly isComplete: boolean;
  readonly layers: readonly number[];
  readonly counterexamples: readonly Counterexample[];
}

/** Worlds of growing bounds: no further one is explored when one has brought no new state of a chart. */
export interface Family {
  readonly name: string;
  /** Of each bound, as long as there is one. */
  world(bound: number): World<unknown> | undefined;
  /** The same for the second checker, of a chart that is translated for it. */
  readonly second?: { readonly chart: string; bounds(bound: number): Readonly<Record<string, number>> };
}

const allDelays = ['setupTimeout', 'initializeTimeout', 'idleTimeout', 'resumeGrace', 'drainTimeout'];
const delays = Object.fromEntries(
  [...allDelays, 'connectTimeout', 'backoff', 'closeTimeout', 'confirmation', 'subscribeRetry'].map((name) => [
    name,
    1,
  ]),
);

/** A chart that can be stepped: entering a state arms its timers, and nothing is ever run. */
export const stepsOf = (machine: AnyStateMachine): ChartSteps => new ChartSteps(machine.provide({ delays }));

type SessionKind = Omit<SessionBounds, 'queueLimit' | 'maxInFlight'>;

const preparedKinds: readonly SessionKind[] = [
  ...(['eager', 'lazy'] as const).flatMap((lease) =>
    [true, false].flatMap((resumable) => [false, true].map((isWarm) => ({ lease, resumable, isWarm }))),
  ),
  ...(['eager', 'lazy'] as const).flatMap((lease) =>
    [false, true].map((isWarm) => ({ lease, resumable: true, isWarm, hasHandle: true as const })),
  ),
];
const sessionKinds: readonly SessionKind[] = [
  ...preparedKinds,
  ...preparedKinds.map((kind) => ({ ...kind, setup: 'none' as const })),
];

/** Every kind of session, with at most so many early messages and requests in flight. */
export const sessionWorlds = (
  steps: ChartSteps,
  bounds: Pick<SessionBounds, 'queueLimit' | 'maxInFlight' | 'isServed'>,
) => sessionKinds.map((kind) => new SessionWorld(steps, { ...kind, ...bounds }));

const leaseKinds = (['auto', 'context'] as const).flatMap((isolation) =>
  [false, true].map((isResumed) => ({ isolation, isResumed })),
);

const owners = ['claim', 'takeover'] as const;

type BoundlessChart = Exclude<(typeof machines)[number]['name'], 'session' | 'browser'>;

/** The worlds of the charts that have no bounds. */
export const boundlessWorlds: Readonly<Record<BoundlessChart, (steps: ChartSteps) => World<unknown>[]>> = {
  lease: (steps) =>
    leaseKinds.map(({ isolation, isResumed }) => new LifecycleWorld(steps, leaseLifecycle(isolation, isResumed))),
  node: (steps) => [new LifecycleWorld(steps, nodeLifecycle)],
  ownership: (steps) => owners.map((by) => new LifecycleWorld(steps, ownershipLifecycle(by))),
  server: (steps) => [new LifecycleWorld(steps, serverLifecycle)],
  alert: (steps) => [new LifecycleWorld(steps, alertLifecycle)],
};

/** What the second checker is told of each of these worlds. */
const boundlessBounds: Readonly<Record<BoundlessChart, readonly Readonly<Record<string, number>>[]>> = {
  lease: leaseKinds.map(({ isolation, isResumed }) => ({
    fixed: Number(isolation !== 'auto'),
    resumed: Number(isResumed),
  })),
  node: [{}],
  ownership: owners.map((by) => ({ takeover: Number(by === 'takeover') })),
  server: [{}],
  alert: [{}],
};

/** The worlds that each chart is explored in, smallest bounds: a change of the chart shows here. */
export function smallWorlds(name: (typeof machines)[number]['name'], machine: AnyStateMachine): World<unknown>[] {
  const steps = stepsOf(machine);
  if (name === 'session') return sessionWorlds(steps, { queueLimit: 1, maxInFlight: 2 });
  if (name === 'browser') return [0, 1, 2].map((attempts) => new LifecycleWorld(steps, browserLifecycle(attempts)));
  const worlds = boundlessWorlds[name](steps);
  // What is restored and what may move have nothing to do with each other.
  return name === 'lease' ? [worlds.at(-1), worlds.at(0)].filter((world) => world !== undefined) : worlds;
}

const machineOf = (name: string): AnyStateMachine => {
  const found = machines.find((each) => each.name === name);
  if (found === undefined) throw new Error(`No chart "${name}".`);
  return found.machine;
};

/** Everything that is explored: each chart alone, and sessions together in their server. */
export function families(isDeep: boolean): Family[] {
  const session = stepsOf(machineOf('session'));
  const server = stepsOf(machineOf('server'));
  const browser = stepsOf(machineOf('browser'));
  const one =
    (world: World<unknown>): Family['world'] =>
    (bound) =>
      bound === 1 ? world : undefined;
  const [warm] = [{ lease: 'eager', resumable: true, isWarm: true } as const];
  return [
    ...sessionKinds.map((kind) => {
      const world = (bound: number) =>
        new SessionWorld(session, { ...kind, queueLimit: bound - 1, maxInFlight: bound });
      return {
        name: world(1).title,
        world,
        second: { chart: 'session', bounds: (bound: number) => boundsOf(kind, bound) },
      };
    }),
    {
      name: 'sessions of one server',
      world: (bound) => {
        const size = isDeep ? 2 : 1;
        const each = new SessionWorld(session, { ...warm, queueLimit: size, maxInFlight: size });
        return new ServerWorld(each, new LifecycleWorld(server, serverLifecycle), bound);
      },
    },
    {
      name: 'browser',
      world: (bound) => new LifecycleWorld(browser, browserLifecycle(bound - 1)),
      second: { chart: 'browser', bounds: (bound) => ({ max: bound - 1 }) },
    },
    ...(Object.keys(boundlessWorlds) as BoundlessChart[]).flatMap((chart) =>
      boundlessWorlds[chart](stepsOf(machineOf(chart))).map((world, index) => ({
        name: world.name,
        world: one(world),
        second: { chart, bounds: () => boundlessBounds[chart][index] ?? {} },
      })),
    ),
  ];
}

const boundsOf = ({ lease, resumable, isWarm, setup, hasHandle }: SessionKind, bound: number) => ({
  ...{ lazy: Number(lease === 'lazy'), warm: Number(isWarm), noSetup: Number(setup === 'none') },
  ...{ handle: Number(hasHandle === true), resumable: Number(resumable), limit: bound - 1, max: bound },
});

export function prove(world: World<unknown>, options?: ExploreOptions): { proof: Proof; shapes: ReadonlySet<string> } {
  const { states, transitions, depth, layers, isComplete, counterexamples, shapes } = explore(world, options);
  const counts = { states: states.length, transitions, depth, chartStates: shapes.size };
  return { shapes, proof: { world: world.name, ...counts, isComplete, layers, counterexamples } };
}

/** Proofs of one family, the last of which has brought nothing new. Stops early at a counterexample. */
export function* proveFamily(family: Family, options: ExploreOptions): Generator<Proof> {
  let known: ReadonlySet<string> = new Set();
  for (let bound = 1; ; bound += 1) {
    const world = family.world(bound);
    if (world === undefined) return;
    const { proof, shapes } = prove(world, options);
    yield proof;
    const isNew = [...shapes].some((shape) => !known.has(shape));
    if (!isNew || !proof.isComplete || proof.counterexamples.length > 0) return;
    known = new Set([...known, ...shapes]);
  }
}
