import type { AnyEventObject, AnyMachineSnapshot } from 'xstate';
import type { ChartSteps, Effect } from './chartSteps.js';
import type { Move, World } from './explore.js';

/** A chart, the timers and actors that it has started, and what happened around it. */
export interface LifecycleState<Facts> {
  readonly chart: number;
  readonly facts: Facts;
  readonly actors: readonly string[];
  readonly timers: readonly string[];
}

/** A state as the rules see it. */
export interface Situation<Facts> extends LifecycleState<Facts> {
  readonly snapshot: AnyMachineSnapshot;
}

/** An event that may come, who sends it, and what is true around the chart from then on. */
export interface Happening<Facts> {
  readonly event: AnyEventObject;
  readonly by: Move<unknown>['by'];
  readonly isGood?: boolean;
  readonly facts?: Facts;
}

/** What surrounds one chart, and what must hold. */
export interface Lifecycle<Facts> {
  readonly name: string;
  readonly eventTypes: readonly string[];
  readonly input: object;
  readonly facts: Facts;
  happenings(situation: Situation<Facts>): readonly Happening<Facts>[];
  /** The facts after an action of the chart, or the start of an actor, with what is wrong about it. */
  act?(facts: Facts, action: string, violate: (promise: string) => void): Facts;
  /** Each with whether it holds. */
  promises(situation: Situation<Facts>): Readonly<Record<string, boolean>>;
  /** Of one step. */
  stepPromises?(
    before: Situation<Facts>,
    event: AnyEventObject,
    after: Situation<Facts>,
  ): Readonly<Record<string, boolean>>;
  /** The context with its counters up to where no guard tells them apart any more. */
  abstract?(context: object): object;
  /** Whether it may stay here for as long as nothing comes from outside. */
  mayRest(situation: Situation<Facts>): boolean;
  isAwaited(situation: Situation<Facts>): boolean;
  /** Without one, what it must be able to come back to. */
  isEnd?(situation: Situation<Facts>): boolean;
}

export interface Running {
  readonly actors: readonly string[];
  readonly timers: readonly string[];
}

/** The timers and actors of a chart after an effect: what it has started and not stopped. */
export function track({ actors, timers }: Running, effect: Effect): Running {
  if (effect.kind === 'start') return { timers, actors: [...actors, `${effect.actor} ${effect.id}`].toSorted() };
  if (effect.kind === 'stop') return { timers, actors: actors.filter((each) => !each.endsWith(` ${effect.id}`)) };
  if (effect.kind === 'arm') return { actors, timers: [...new Set([...timers, effect.timer])].toSorted() };
  if (effect.kind === 'cancel') return { actors, timers: timers.filter((timer) => timer !== effect.timer) };
  return { actors, timers };
}

export const runs = ({ actors }: Running, actor: string): boolean =>
  actors.some((each) => each.startsWith(`${actor} `));

/** The answers of an actor that a chart has invoked for a promise. */
export function answersOf<Facts>(
  { actors }: Running,
  actor: string,
  by: Happening<Facts>['by'] = 'own',
): Happening<Facts>[] {
  const id = actors.find((each) => each.startsWith(`${actor} `))?.slice(actor.length + 1);
  if (id === undefined) return [];
  return [
    { by, isGood: true, event: { type: `xstate.done.actor.${id}`, output: undefined, actorId: id } },
    { by, event: { type: `xstate.error.actor.${id}`, error: new Error(`${actor} refused`), actorId: id } },
  ];
}

/** One of the charts alone, with all that may happen around it. */
export class LifecycleWorld<Facts extends object> implements World<LifecycleState<Facts>> {
  readonly name: string;
  readonly steps: ChartSteps;
  readonly #lifecycle: Lifecycle<Facts>;

  constructor(steps: ChartSteps, lifecycle: Lifecycle<Facts>) {
    this.name = lifecycle.name;
    this.steps = steps;
    this.#lifecycle = lifecycle;
  }

  starts(): LifecycleState<Facts>[] {
    const { input, facts } = this.#lifecycle;
    const { next, effects } = this.steps.start(input);
    return [this.#after({ chart: next, facts, actors: [], timers: [] }, effects, () => undefined)];
  }

  key({ chart, facts, actors, timers }: LifecycleState<Facts>): string {
    return JSON.stringify([this.#label(chart), facts, actors, timers]);
  }

  shapes({ chart }: LifecycleState<Facts>): string[] {
    return [JSON.stringify(this.steps.snapshot(chart).value)];
  }

  isEnd(state: LifecycleState<Facts>): boolean {
    return this.#lifecycle.isEnd?.(this.#seen(state)) ?? this.steps.snapshot(state.chart).status !== 'active';
  }

  isAwaited(state: LifecycleState<Facts>): boolean {
    return this.#lifecycle.isAwaited(this.#seen(state));
  }

  mayRest(state: LifecycleState<Facts>): boolean {
    return this.#lifecycle.mayRest(this.#seen(state));
  }

  violations(state: LifecycleState<Facts>): string[] {
    const situation = this.#seen(state);
    const { snapshot, actors, timers } = situation;
    const where = `in ${JSON.stringify(snapshot.value)}`;
    const isOver = snapshot.status !== 'active';
    const promises = isOver
      ? { 'S5: what was opened is closed': actors.length === 0 && timers.length === 0 }
      : this.#lifecycle.promises(situation);
    const samples = this.#lifecycle.happenings(situation).map(({ event }) => event);
    const unnamed = this.#lifecycle.eventTypes.filter((type) => {
      const event = samples.find((each) => each.type === type) ?? this.#sample(type);
      return !isOver && !this.steps.probe(state.chart, event).isHandled;
    });
    return [...broken(promises, where), ...unnamed.map((type) => `S9: ${type} is not handled ${where}`)];
  }

  moves(state: LifecycleState<Facts>): Move<LifecycleState<Facts>>[] {
    const situation = this.#seen(state);
    if (situation.snapshot.status !== 'active') return [];
    const timers = state.timers.map((type): Happening<Facts> => ({ by: 'own', event: { type } }));
    return [...timers, ...this.#lifecycle.happenings(situation)].map(({ event, by, isGood, facts }) => ({
      name: [event.type.replace(/^xstate\.|actor\.\d+\./g, ''), event['detail']].filter(Boolean).join(' '),
      by,
      ...(isGood !== undefined && { isGood }),
      take: (violate) => this.#take(situation, event, facts ?? state.facts, violate),
    }));
  }

  #label(chart: number): string {
    const { value, context, status } = this.steps.snapshot(chart);
    const data = context as object;
    return JSON.stringify([value, this.#lifecycle.abstract?.(data) ?? data, status]);
  }

  #sample(type: string): AnyEventObject {
    return { type, failure: { reason: 'internal', message: '' }, window: { creations: 0, failures: 0, rate: 0 } };
  }

  #seen(state: LifecycleState<Facts>): Situation<Facts> {
    return { ...state, snapshot: this.steps.snapshot(state.chart) };
  }

  #take(before: Situation<Facts>, event: AnyEventObject, facts: Facts, violate: (promise: string) => void) {
    const step = this.steps.step(before.chart, event);
    const where = `in ${JSON.stringify(before.snapshot.value)}`;
    if (!step.isHandled) violate(`S9: ${event.type} is not handled ${where}`);
    const actors = before.actors.filter((each) => !event.type.endsWith(`.actor.${each.split(' ')[1]}`));
    const timers = before.timers.filter((timer) => timer !== event.type);
    const after = this.#after({ chart: step.next, facts, actors, timers }, step.effects, violate);
    const promises = this.#lifecycle.stepPromises?.(before, event, this.#seen(after)) ?? {};
    for (const promise of broken(promises, `${event.type} ${where}`)) violate(promise);
    return after;
  }

  #after(state: LifecycleState<Facts>, effects: readonly Effect[], violate: (promise: string) => void) {
    let { facts } = state;
    let running: Running = state;
    for (const effect of effects) {
      running = track(running, effect);
      if (effect.kind === 'action') facts = this.#lifecycle.act?.(facts, effect.name, violate) ?? facts;
      if (effect.kind === 'start') facts = this.#lifecycle.act?.(facts, `start ${effect.actor}`, violate) ?? facts;
    }
    return { chart: state.chart, facts, actors: running.actors, timers: running.timers };
  }
}

const broken = (promises: Readonly<Record<string, boolean>>, where: string): string[] =>
  Object.entries(promises).flatMap(([promise, holds]) => (holds ? [] : [`${promise}, ${where}`]));
