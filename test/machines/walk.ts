import type { AnyEventObject, AnyMachineSnapshot, AnyStateMachine, AnyStateNode } from 'xstate';
import { initialTransition, transition } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import {
  alertMachine,
  browserMachine,
  leaseMachine,
  machines,
  nodeMachine,
  ownershipMachine,
  serverMachine,
  sessionMachine,
} from '../../machines/index.js';

const failure = { reason: 'browser_failed', message: 'No browser was found.' };

/** At least one event of each type, and every kind where the kind matters. */
const samples: Readonly<Record<string, readonly AnyEventObject[]>> = {
  'message.received': [
    { type: 'message.received', kind: 'initialize' },
    { type: 'message.received', kind: 'request' },
    { type: 'message.received', kind: 'notification' },
  ],
  'transport.attached': [
    { type: 'transport.attached' },
    { type: 'transport.attached', client: { issuer: 'local', user: 'bob', resumable: false } },
  ],
  'transport.detached': [{ type: 'transport.detached', because: 'slow-client' }],
  'session.close': [{ type: 'session.close', because: 'operator-closed' }],
  'browser.failed': [{ type: 'browser.failed', failure }],
  'connection.opened': [{ type: 'connection.opened', version: 'Chrome/156' }],
  'connection.failed': [{ type: 'connection.failed', failure }],
  'connection.lost': [{ type: 'connection.lost', failure }],
  'window.measured': [
    { type: 'window.measured', window: { creations: 5, failures: 5, rate: 1, cause: 'browser-failed' } },
    { type: 'window.measured', window: { creations: 2, failures: 1, rate: 0.5, cause: 'browser-failed' } },
    { type: 'window.measured', window: { creations: 6, failures: 1, rate: 1 / 6, cause: 'browser-failed' } },
  ],
  'term.granted': [{ type: 'term.granted', term: { sessionId: 's', epoch: 1 } }],
  'session.ended': [
    { type: 'session.ended', because: 'client-closed' },
    { type: 'session.ended', because: 'server-draining' },
  ],
  'lease.renewed': [{ type: 'lease.renewed', until: 1_000 }],
  'listener.opened': [{ type: 'listener.opened', port: 4000 }],
  'listener.failed': [{ type: 'listener.failed', failure: { reason: 'listen_failed', message: 'in use' } }],
};

export const samplesOf = (type: string): readonly AnyEventObject[] => samples[type] ?? [{ type }];

/** A chart as it can be walked: delays exist, because entering a state schedules them; nothing is ever run. */
export interface ChartCase {
  readonly name: string;
  readonly machine: AnyStateMachine;
  readonly eventTypes: readonly string[];
  readonly inputs: readonly object[];
}

const session = { id: 'a', issuer: 'local', user: 'alice' };
const sessionInputs = [
  ...(['eager', 'lazy'] as const).flatMap((lease) =>
    [true, false].map((resumable) => ({ ...session, lease, resumable, queueLimit: resumable ? 1 : 0 })),
  ),
  { ...session, lease: 'lazy', resumable: false, queueLimit: 0, setup: 'none' },
];

const chartInputs: Readonly<Record<string, Pick<ChartCase, 'machine' | 'inputs'>>> = {
  session: {
    machine: sessionMachine.provide({
      delays: { setupTimeout: 1, initializeTimeout: 1, idleTimeout: 1, resumeGrace: 1, drainTimeout: 1 },
    }),
    inputs: sessionInputs,
  },
  browser: {
    machine: browserMachine.provide({ delays: { connectTimeout: 1, backoff: 1 } }),
    inputs: [{ id: 'b', mode: 'launch', maxAttempts: 2 }],
  },
  lease: {
    machine: leaseMachine,
    inputs: (['auto', 'context'] as const).flatMap((isolation) =>
      [false, true].map((isResumed) => ({ isolation, isResumed })),
    ),
  },
  node: { machine: nodeMachine.provide({ delays: { subscribeRetry: 1 } }), inputs: [{}] },
  ownership: {
    machine: ownershipMachine,
    inputs: (['claim', 'takeover'] as const).map((by) => ({ sessionId: 's', by })),
  },
  server: { machine: serverMachine.provide({ delays: { drainTimeout: 1, closeTimeout: 1 } }), inputs: [{}] },
  alert: {
    machine: alertMachine.provide({ delays: { confirmation: 1 } }),
    inputs: [{ failureRate: 0.2, minCreations: 5 }],
  },
};

export const chartCases: readonly ChartCase[] = machines.map(({ name, eventTypes }) => {
  const entry = chartInputs[name];
  if (entry === undefined) throw new Error(`The chart "${name}" has no sample input here.`);
  return { name, eventTypes, ...entry };
});

export function allNodes(node: AnyStateNode): AnyStateNode[] {
  return [node, ...Object.values(node.states).flatMap(allNodes)];
}

/** Instant states are left before anybody can see them. */
export function isInstant(node: AnyStateNode): boolean {
  return (node.always ?? []).some(({ guard }) => guard === undefined);
}

export interface Step {
  readonly snapshot: AnyMachineSnapshot;
  readonly event: AnyEventObject;
  /** Types of the actions, in order. */
  readonly actions: readonly string[];
}

/**
 * The shortest way to every situation that the chart can be in, for each of its inputs, as the steps of each way. Timers
 * and actors may end at any moment; the end of a state is the chart's own and cannot be sent.
 */
export function pathsThrough({ machine, eventTypes, inputs }: ChartCase): Step[][] {
  const internal = allNodes(machine.root)
    .flatMap((node) => [...node.transitions.keys()])
    .filter((type) => type.startsWith('xstate.') && !type.startsWith('xstate.done.state.'))
    .map((type) => (type.includes('.error.') ? { type, error: new Error('refused') } : { type, output: undefined }));
  const events = [...eventTypes.flatMap(samplesOf), ...internal];
  return inputs.flatMap((input) =>
    getShortestPaths(machine, { events, input, serializeState: serializeSituation }).map(({ steps }) =>
      replay(
        machine,
        input,
        steps.map(({ event }) => event).filter(({ type }) => type !== 'xstate.init'),
      ),
    ),
  );
}

/** Counters that grow without end are told apart as none, one and many. */
function serializeSituation({ value, context }: AnyMachineSnapshot): string {
  const bounded = Object.entries(context as Record<string, unknown>).map(([key, entry]) => [
    key,
    typeof entry === 'number' ? Math.min(entry, 2) : entry,
  ]);
  return JSON.stringify([value, bounded]);
}

export function replay(machine: AnyStateMachine, input: object, events: readonly AnyEventObject[]): Step[] {
  const steps: Step[] = [];
  let [snapshot, actions] = initialTransition(machine, input);
  steps.push({ snapshot, event: { type: 'xstate.init' }, actions: actions.map(({ type }) => type) });
  for (const event of events) {
    [snapshot, actions] = transition(machine, snapshot, event);
    steps.push({ snapshot, event, actions: actions.map(({ type }) => type) });
  }
  return steps;
}

export const chartNamed = (name: string): ChartCase => {
  const found = chartCases.find((walkable) => walkable.name === name);
  if (found === undefined) throw new Error(`There is no chart "${name}".`);
  return found;
};

/** Events by their type, or as objects. */
export type Script = readonly (string | AnyEventObject)[];

export interface Row {
  readonly given: string;
  readonly events: Script;
  readonly state: object | string;
  readonly context?: object;
}

/** Where the events of a script lead to. */
export function expectEnd(
  chart: ChartCase | undefined,
  input: object,
  script: Script,
  ...[state, context = {}]: [state: object | string, context?: object]
): void {
  const events = script.map((event) => (typeof event === 'string' ? { type: event } : event));
  const end = chart && replay(chart.machine, input, events).at(-1)?.snapshot;
  expect(end?.value).toEqual(state);
  expect(end?.context).toMatchObject(context);
}
