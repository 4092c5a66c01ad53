import type { AnyStateMachine, AnyStateNode } from 'xstate';

/** The trigger of a transition. `done` and `failed` name the invoked actor, or nothing for the end of the state itself. */
interface Trigger {
  readonly kind: 'event' | 'after' | 'always' | 'done' | 'failed';
  readonly name: string;
}

export interface Transition {
  readonly trigger: Trigger;
  readonly guard: string | null;
  readonly actions: readonly string[];
  /** Id of the target state; null for an internal transition. */
  readonly target: string | null;
}

/** A state as plain data: the source of every picture and table. */
export interface State {
  readonly id: string;
  readonly key: string;
  readonly type: AnyStateNode['type'];
  readonly description: string;
  readonly tags: readonly string[];
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  readonly invokes: readonly string[];
  /** Id of the initial child; null for an atomic or parallel state. */
  readonly initial: string | null;
  readonly transitions: readonly Transition[];
  readonly states: readonly State[];
}

/** Reads a machine without running it, in source order. */
export function readChart(machine: AnyStateMachine): State {
  return readState(machine.root);
}

/** The state and its descendants, outer before inner. */
export function allStates(state: State): State[] {
  return [state, ...state.states.flatMap(allStates)];
}

/** A declared no-op: the event is known in this state and changes nothing. */
export function isIgnored(transition: Transition): boolean {
  return transition.target === null && transition.actions.length === 0;
}

export function triggerText({ kind, name }: Trigger): string {
  switch (kind) {
    case 'event':
      return name;
    case 'after':
      return `after ${name}`;
    case 'always':
      return 'always';
    case 'done':
    case 'failed':
      return `${name} ${kind}`.trim();
  }
}

/** `event [guard] / action, action`. */
export function transitionText(transition: Transition): string {
  const guard = transition.guard === null ? '' : ` [${transition.guard}]`;
  const actions = transition.actions.length === 0 ? '' : ` / ${transition.actions.join(', ')}`;
  return `${triggerText(transition.trigger)}${guard}${actions}`;
}

function readState(node: AnyStateNode): State {
  const initial: AnyStateNode | undefined = node.type === 'compound' ? node.initial.target[0] : undefined;
  return {
    id: node.id,
    key: node.key,
    type: node.type,
    description: node.description ?? '',
    tags: node.tags,
    entry: node.entry.filter(isWritten).map(nameOf),
    exit: node.exit.filter(isWritten).map(nameOf),
    invokes: node.invoke.map((invoke) => nameOf(invoke.src)),
    initial: initial?.id ?? null,
    transitions: readTransitions(node),
    states: Object.values(node.states).map(readState),
  };
}

function readTransitions(node: AnyStateNode): Transition[] {
  return [...(node.always ?? []), ...[...node.transitions.values()].flat()].map((definition) => ({
    trigger: readTrigger(node, String(definition.eventType)),
    guard: definition.guard === undefined ? null : nameOf(definition.guard),
    actions: definition.actions.map(nameOf),
    target: definition.target?.[0]?.id ?? null,
  }));
}

/** XState names timers and the ends of actors as events with an `xstate.` prefix; here they have their own kind. */
function readTrigger(node: AnyStateNode, eventType: string): Trigger {
  if (eventType === '') return { kind: 'always', name: '' };
  if (eventType.startsWith('xstate.done.state.')) return { kind: 'done', name: '' };
  const delayed = node.after.find((definition) => definition.eventType === eventType);
  if (delayed !== undefined) return { kind: 'after', name: nameOf(delayed.delay) };
  const actor = node.invoke.find((invoke) => eventType.endsWith(`.actor.${invoke.id}`));
  if (actor === undefined) return { kind: 'event', name: eventType };
  return { kind: eventType.startsWith('xstate.error.') ? 'failed' : 'done', name: nameOf(actor.src) };
}

/** XState starts and cancels the timers of `after` with actions of its own, which no chart names. */
function isWritten(action: unknown): boolean {
  const type = typeof action === 'function' && 'type' in action ? action.type : null;
  return type !== 'xstate.raise' && type !== 'xstate.cancel';
}

/** The name of an action, guard, actor or delay, with the texts of its constant parameters. */
function nameOf(reference: unknown): string {
  if (typeof reference === 'string' || typeof reference === 'number') return String(reference);
  if (typeof reference === 'object' && reference !== null && 'type' in reference) {
    const params = 'params' in reference && typeof reference.params === 'object' ? (reference.params ?? {}) : {};
    const words = Object.values(params).filter((value) => typeof value === 'string');
    return words.length === 0 ? String(reference.type) : `${String(reference.type)}(${words.join(', ')})`;
  }
  throw new Error('A chart names its actions, guards, actors and delays; this one holds code inline.');
}
