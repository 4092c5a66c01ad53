import {
  initialTransition,
  transition,
  type AnyEventObject,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type AnyTransitionDefinition,
  type StateValue,
} from 'xstate';

/** What a chart asked for in one step, in order. */
export type Effect =
  | { readonly kind: 'action'; readonly name: string }
  | { readonly kind: 'start'; readonly actor: string; readonly id: string }
  | { readonly kind: 'stop'; readonly id: string }
  | { readonly kind: 'arm'; readonly timer: string }
  | { readonly kind: 'cancel'; readonly timer: string }
  | { readonly kind: 'send'; readonly event: string };

export interface ChartStep {
  readonly next: number;
  readonly effects: readonly Effect[];
  /** Whether the chart names the event in this state, if only as a no-op. */
  readonly isHandled: boolean;
  /** What the event makes it take. */
  readonly edges: readonly AnyTransitionDefinition[];
}

/** An action that a transition asks for; the library leaves its type open. */
interface Executable {
  readonly type: string;
  readonly params?: unknown;
}

/** Fields of XState's own actions: the library types them as unknown parameters. */
interface Params {
  readonly id?: string;
  readonly src?: unknown;
  readonly sendId?: string;
  readonly delay?: number;
  readonly event?: AnyEventObject;
}

type Guard = (args: { context: unknown; event: unknown }, params: unknown) => boolean;

/** Of guards, in one step. */
const maxEvaluations = 1_000;

const nameOfSource = (src: unknown): string => (typeof src === 'string' ? src : 'inline');

function effectOf({ type, params }: Executable): Effect[] {
  const given = (params ?? {}) as Params;
  const { id = '', src, sendId = '', delay, event } = given;
  if (type === 'xstate.spawnChild') return [{ kind: 'start', actor: nameOfSource(src), id }];
  if (type === 'xstate.stopChild') return [{ kind: 'stop', id }];
  if (type === 'xstate.raise') return delay === undefined ? [] : [{ kind: 'arm', timer: id }];
  if (type === 'xstate.cancel') return [{ kind: 'cancel', timer: sendId }];
  if (type === 'xstate.sendTo') return [{ kind: 'send', event: event?.type ?? '' }];
  return type.startsWith('xstate.') ? [] : [{ kind: 'action', name: type }];
}

/** The order of keys is XState's; a state is told apart by value and context alone. */
const keyOf = ({ value, context, status }: AnyMachineSnapshot): string => JSON.stringify([value, context, status]);

/**
 * The steps of one chart, each taken once with XState's own `transition` and remembered: a snapshot is a number, so that an
 * exploration of many charts together compares and stores numbers.
 */
export class ChartSteps {
  readonly snapshots: AnyMachineSnapshot[] = [];
  /** Where a chart was started or restored, and each step that something around it made it take. */
  readonly starts = new Set<number>();
  readonly taken = new Map<string, { readonly from: number; readonly event: string; readonly next: number }>();
  readonly edges = new Set<AnyTransitionDefinition>();
  readonly #machine: AnyStateMachine;
  readonly #ids = new Map<string, number>();
  readonly #steps = new Map<string, ChartStep>();

  #evaluations = 0;

  constructor(machine: AnyStateMachine) {
    const guards: [string, Guard][] = Object.entries(machine.implementations.guards as Record<string, Guard>);
    const counted = guards.map(([name, guard]) => [
      name,
      (...given: Parameters<Guard>) => this.#evaluate(guard, given),
    ]);
    this.#machine = machine.provide({ guards: Object.fromEntries(counted) as Record<string, Guard> });
  }

  /** A chart that moves by itself without end would never come back from `transition`. */
  #evaluate(guard: Guard, given: Parameters<Guard>): boolean {
    this.#evaluations += 1;
    if (this.#evaluations > maxEvaluations) throw new Error('The chart moves without end.');
    return guard(...given);
  }

  start(input: object): ChartStep {
    this.#evaluations = 0;
    const [snapshot, actions]: [AnyMachineSnapshot, readonly Executable[]] = initialTransition(this.#machine, input);
    const next = this.#idOf(snapshot);
    this.starts.add(next);
    return { next, effects: actions.flatMap(effectOf), isHandled: true, edges: [] };
  }

  /** A step that is taken. */
  step(from: number, event: AnyEventObject): ChartStep {
    const step = this.probe(from, event);
    for (const edge of step.edges) this.edges.add(edge);
    this.taken.set(`${from} ${event.type} ${step.next}`, { from, event: event.type, next: step.next });
    return step;
  }

  /** A step that could be taken. */
  probe(from: number, event: AnyEventObject): ChartStep {
    const key = `${from} ${JSON.stringify(event)}`;
    const known = this.#steps.get(key);
    if (known !== undefined) return known;
    const before = this.snapshot(from);
    this.#evaluations = 0;
    const edges: AnyTransitionDefinition[] = this.#machine.getTransitionData(before, event);
    const [after, actions]: [AnyMachineSnapshot, readonly Executable[]] = transition(this.#machine, before, event);
    const step = { next: this.#idOf(after), effects: actions.flatMap(effectOf), isHandled: edges.length > 0, edges };
    this.#steps.set(key, step);
    return step;
  }

  /** What tells a snapshot apart, in whatever order the snapshots were found. */
  label(id: number): string {
    return keyOf(this.snapshot(id));
  }

  snapshot(id: number): AnyMachineSnapshot {
    const snapshot = this.snapshots[id];
    if (snapshot === undefined) throw new Error(`No snapshot ${id}.`);
    return snapshot;
  }

  /** The number of a snapshot that was stored and changed, with the actors that ran then. */
  resume({ children }: AnyMachineSnapshot, value: StateValue, context: object): number {
    const restored = this.#idOf(Object.assign(this.#machine.resolveState({ value, context }), { children }));
    this.starts.add(restored);
    return restored;
  }

  #idOf(snapshot: AnyMachineSnapshot): number {
    const key = keyOf(snapshot);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.#ids.set(key, this.snapshots.length);
    return this.snapshots.push(snapshot) - 1;
  }
}
