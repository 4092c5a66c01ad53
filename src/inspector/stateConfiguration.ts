import type { Leaves } from './wire.js';

/** The state configuration of a chart. One object for each, so that configurations are compared by identity. */
export interface StateConfiguration {
  readonly leaves: Leaves;
  /** Every entered state, with its ancestors. */
  readonly states: readonly string[];
}

/** A node of the trie of state names. */
interface TrieNode {
  readonly next: Map<string, TrieNode>;
  /** The configuration of the state value that ends here. */
  configuration: StateConfiguration | undefined;
}

/** Bounded by the number of configurations of the charts. */
const root: TrieNode = { next: new Map(), configuration: undefined };
/** The edge back to the parent state: no state has this name. */
const parentKey = '';

/** The configuration of a state value: `{ active: { serving: 'idle' } }` is `active.serving.idle`. */
export function configurationOf(value: unknown): StateConfiguration {
  const end = walk(root, value);
  return (end.configuration ??= toConfiguration(leavesOf(value, '')));
}

/** Compares names alone, so that a known configuration costs no new string. */
function walk(from: TrieNode, value: unknown): TrieNode {
  if (typeof value !== 'object' || value === null) return childOf(from, String(value));
  let at = from;
  for (const [name, inner] of Object.entries(value)) at = childOf(walk(childOf(at, name), inner), parentKey);
  return at;
}

function childOf({ next }: TrieNode, name: string): TrieNode {
  const known = next.get(name);
  if (known !== undefined) return known;
  const child: TrieNode = { next: new Map(), configuration: undefined };
  next.set(name, child);
  return child;
}

function toConfiguration(leaves: Leaves): StateConfiguration {
  const withAncestors = (leaf: string): string[] =>
    leaf.split('.').map((_, index, names) => names.slice(0, index + 1).join('.'));
  return { leaves, states: [...new Set(leaves.flatMap(withAncestors))] };
}

/** A state without child states is its own leaf. */
function leavesOf(value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [path + String(value)];
  const inner = Object.entries(value).flatMap(([name, within]) => leavesOf(within, `${path}${name}.`));
  return inner.length === 0 ? [path.slice(0, -1)] : inner;
}
