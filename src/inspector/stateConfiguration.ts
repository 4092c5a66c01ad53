import type { Leaves } from './wire.js';

/** Where a chart is. One object for each combination of states, so that places are compared by identity. */
export interface StateConfiguration {
  readonly leaves: Leaves;
  /** Every state that is entered, outer ones too. */
  readonly states: readonly string[];
}

/** Where a walk through the names of a state value has come to. */
interface TrieNode {
  readonly next: Map<string, TrieNode>;
  /** The place, if values end here. */
  configuration: StateConfiguration | undefined;
}

/** As many steps as the charts have combinations of states. */
const root: TrieNode = { next: new Map(), configuration: undefined };
/** Goes back to the outer state: none is called so. */
const parentKey = '';

/** The place that a state value names: `{ active: { serving: 'idle' } }` is `active.serving.idle`. */
export function configurationOf(value: unknown): StateConfiguration {
  const end = walk(root, value);
  return (end.configuration ??= toConfiguration(leavesOf(value, '')));
}

/** By names alone, so that a place that is known costs no new string. */
function walk(from: TrieNode, value: unknown): TrieNode {
  if (typeof value !== 'object' || value === null) return childOf(from, String(value));
  let at = from;
  for (const [name, inner] of Object.entries(value)) at = childOf(walk(childOf(at, name), inner), parentKey);
  return at;
}

function childOf({ next }: TrieNode, name: string): TrieNode {
  const known = next.get(name);
  if (known !== undefined) return known;
  const step: TrieNode = { next: new Map(), configuration: undefined };
  next.set(name, step);
  return step;
}

function toConfiguration(leaves: Leaves): StateConfiguration {
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
