import { createMachine, not, type AnyStateMachine } from 'xstate';

/** A chart with one thing of it removed or turned round. */
export interface Mutant {
  readonly name: string;
  readonly machine: AnyStateMachine;
}

type Json = Record<string, unknown>;
type Path = readonly (string | number)[];

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): unknown[] => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

/** Functions stay the same ones. */
function copy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copy);
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, copy(each)])) : value;
}

function changeAt(config: unknown, path: Path, change: (value: unknown) => unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return change(config);
  if (Array.isArray(config))
    return config.flatMap((each: unknown, index) => {
      if (index !== first) return [each];
      const changed = changeAt(each, rest, change);
      return changed === undefined ? [] : [changed];
    });
  const changed = changeAt((config as Json)[first], rest, change);
  const others = Object.entries(config as Json);
  return Object.fromEntries(
    others.flatMap(([key, each]) => (key !== first ? [[key, each]] : changed === undefined ? [] : [[key, changed]])),
  );
}

interface Change {
  readonly name: string;
  readonly path: Path;
  readonly change: (value: unknown) => unknown;
}

const removed = () => undefined;

/** Names of the actions of a transition, or of an entry or exit. */
const actionName = (action: unknown): string => (isObject(action) ? String(action['type']) : String(action));

function actionChanges(owner: unknown, path: Path, label: string): Change[] {
  const list = listOf(owner);
  return list.map((action, index) => ({
    name: `${label}: without ${actionName(action)}`,
    path,
    change: () => list.filter((_, at) => at !== index),
  }));
}

/** Of one transition: it is gone; it stays where it is; its guard is gone, or turned round; each action is gone. */
function transitionChanges(transition: unknown, path: Path, label: string): Change[] {
  const parts: Json = isObject(transition) ? transition : { target: transition };
  const put = (change: Json) => () => {
    const entries = Object.entries({ ...parts, ...change });
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  };
  const { target, guard, reenter } = parts;
  return [
    { name: `${label}: removed`, path, change: removed },
    ...(target === undefined ? [] : [{ name: `${label}: stays`, path, change: put({ target: undefined }) }]),
    ...(reenter === true ? [{ name: `${label}: does not enter again`, path, change: put({ reenter: false }) }] : []),
    ...(typeof guard === 'string'
      ? [
          { name: `${label}: without its guard`, path, change: put({ guard: undefined }) },
          { name: `${label}: guard turned round`, path, change: put({ guard: not(guard) }) },
        ]
      : []),
    ...actionChanges(parts['actions'], [...path, 'actions'], label),
  ];
}

/** Of what one event leads to: a transition, or several of which the first that is allowed is taken. */
function choiceChanges(choice: unknown, path: Path, label: string): Change[] {
  if (!Array.isArray(choice)) return transitionChanges(choice, path, label);
  const each = choice.flatMap((one: unknown, index) => transitionChanges(one, [...path, index], `${label} [${index}]`));
  return [
    ...each,
    { name: `${label}: in the other order`, path, change: (value) => [...(value as unknown[])].reverse() },
  ];
}

function invokeChanges(invoke: unknown, path: Path, label: string): Change[] {
  if (!isObject(invoke)) return [];
  const what = `${label} ${String(invoke['src'])}`;
  const outcomes = (['onDone', 'onError'] as const).filter((key) => invoke[key] !== undefined);
  return [
    { name: `${what}: not started`, path, change: removed },
    ...outcomes.flatMap((key) => choiceChanges(invoke[key], [...path, key], `${what} ${key}`)),
  ];
}

function stateChanges(state: unknown, path: Path, name: string): Change[] {
  if (!isObject(state)) return [];
  const named = (key: 'on' | 'after'): Change[] =>
    Object.entries(isObject(state[key]) ? state[key] : {}).flatMap(([event, choice]) =>
      choiceChanges(choice, [...path, key, event], `${name} ${key} ${event}`),
    );
  const plain = (key: 'always' | 'onDone'): Change[] =>
    state[key] === undefined ? [] : choiceChanges(state[key], [...path, key], `${name} ${key}`);
  const inner = Object.entries(isObject(state['states']) ? state['states'] : {});
  return [
    ...named('on'),
    ...named('after'),
    ...plain('always'),
    ...plain('onDone'),
    ...invokeChanges(state['invoke'], [...path, 'invoke'], name),
    ...(['entry', 'exit'] as const).flatMap((key) => actionChanges(state[key], [...path, key], `${name} ${key}`)),
    ...(state['tags'] === undefined
      ? []
      : [{ name: `${name}: without its tag`, path: [...path, 'tags'], change: removed }]),
    ...inner.flatMap(([key, each]) =>
      stateChanges(each, [...path, 'states', key], name === '' ? key : `${name}.${key}`),
    ),
  ];
}

/** Every chart that differs from `machine` in one guard, action, transition, timer, actor or tag. */
export function mutantsOf(machine: AnyStateMachine): Mutant[] {
  const config = copy(machine.config);
  return stateChanges(config, [], machine.id).map(({ name, path, change }) => ({
    name,
    // The library types a configuration by the setup that it belongs to.
    machine: createMachine(changeAt(config, path, change) as never, machine.implementations as never),
  }));
}
