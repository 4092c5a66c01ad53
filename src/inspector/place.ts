import type { Leaves } from './wire.js';

/** Where a chart is. One object for each combination of states, so that places are compared by identity. */
export interface Place {
  readonly leaves: Leaves;
  /** Every state that is entered, outer ones too. */
  readonly states: readonly string[];
}

/** Where a walk through the names of a state value has come to. */
interface Step {
  readonly next: Map<string, Step>;
  /** The place, if values end here. */
  place: Place | undefined;
}

/** As many steps as the charts have combinations of states. */
const start: Step = { next: new Map(), place: undefined };
/** Goes back to the outer state: none is called so. */
const outwards = '';

/** The place that a state value names: `{ active: { serving: 'idle' } }` is `active.serving.idle`. */
export function placeOf(value: unknown): Place {
  const end = walk(start, value);
  return (end.place ??= describe(leavesOf(value, '')));
}

/** By names alone, so that a place that is known costs no new string. */
function walk(from: Step, value: unknown): Step {
  if (typeof value !== 'object' || value === null) return stepTo(from, String(value));
  let at = from;
  for (const [name, inner] of Object.entries(value)) at = stepTo(walk(stepTo(at, name), inner), outwards);
  return at;
}

function stepTo({ next }: Step, name: string): Step {
  const known = next.get(name);
  if (known !== undefined) return known;
  const step: Step = { next: new Map(), place: undefined };
  next.set(name, step);
  return step;
}

function describe(leaves: Leaves): Place {
  const around = (leaf: string): string[] =>
    leaf.split('.').map((_, index, names) => names.slice(0, index + 1).join('.'));
  return { leaves, states: [...new Set(leaves.flatMap(around))] };
}

/** A state without states inside is its own leaf. */
function leavesOf(value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [path + String(value)];
  const inner = Object.entries(value).flatMap(([name, within]) => leavesOf(within, `${path}${name}.`));
  return inner.length === 0 ? [path.slice(0, -1)] : inner;
}
