import type { Leaves } from './wire.js';

/** The leaves of a state value: `{ active: { serving: 'idle' } }` is `active.serving.idle`. */
export function leavesOf(value: unknown): Leaves {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const below = leavesOf(inner);
    return below.length === 0 ? [key] : below.map((leaf) => `${key}.${leaf}`);
  });
}

export function sameLeaves(one: Leaves, other: Leaves): boolean {
  return one.length === other.length && one.every((leaf, index) => leaf === other[index]);
}
