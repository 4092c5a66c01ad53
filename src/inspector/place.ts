import type { Leaves } from './wire.js';

/** Where a chart is. One object for each combination of states, so that places are compared by identity. */
export interface Place {
  readonly leaves: Leaves;
  /** Every state that is entered, outer ones too. */
  readonly states: readonly string[];
}

/** As many as the charts have combinations of states. */
const places = new Map<string, Place>();

/** The place that a state value names: `{ active: { serving: 'idle' } }` is `active.serving.idle`. */
export function placeOf(value: unknown): Place {
  const key = keyOf(value, '');
  const known = places.get(key);
  if (known !== undefined) return known;
  const leaves = key.split(' ');
  const outwards = (leaf: string): string[] =>
    leaf.split('.').map((_, index, keys) => keys.slice(0, index + 1).join('.'));
  const place = { leaves, states: [...new Set(leaves.flatMap(outwards))] };
  places.set(key, place);
  return place;
}

function keyOf(value: unknown, path: string): string {
  if (typeof value !== 'object' || value === null) return path + String(value);
  let joined = '';
  for (const [name, inner] of Object.entries(value))
    joined += `${joined === '' ? '' : ' '}${keyOf(inner, `${path}${name}.`)}`;
  return joined === '' ? path.slice(0, -1) : joined;
}
