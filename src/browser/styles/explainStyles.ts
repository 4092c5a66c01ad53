import {
  compareCandidates,
  resolveCascade,
  type Candidate,
  type Declaration,
  type Outcome,
  type StyleBlock,
} from './cascade.js';
import { isCustom, isInherited, physicalName } from './cssProperties.js';
import type { ElementStyles } from './elementStyles.js';

/** An overridden declaration, and why another one wins. */
export interface Overridden {
  readonly candidate: Candidate;
  readonly reason: string;
}

/** Where the value of one or several longhands comes from. */
export interface PropertyOrigin {
  readonly names: readonly string[];
  readonly computed: string | undefined;
  /** Undefined: nothing declares it, and the initial value counts. */
  readonly winner: Candidate | undefined;
  /** The ancestor that has the winner. */
  readonly inheritedFrom: string | undefined;
  /** The declaration of `inherit` and the like that leads there. */
  readonly askedBy: Candidate | undefined;
  readonly rolledBack: readonly Candidate[];
  readonly overridden: readonly Overridden[];
  /** Why the layout made another size of the declared one. */
  readonly sizedBy: string | undefined;
  /** Of the custom properties that its value uses. */
  readonly variables: readonly PropertyOrigin[];
}

/** What becomes of one declaration. */
export interface DeclarationUse {
  readonly declaration: Declaration;
  /** `partly`: some of its longhands are overridden. */
  readonly state: 'used' | 'partly' | 'overridden' | 'invalid';
  /** What wins over it. */
  readonly by: Overridden | undefined;
  /** Of one that is used: a custom property that it needs and nothing sets. The inherited or initial value counts instead. */
  readonly missing: string | undefined;
  /** Why the layout made another size of it. */
  readonly sizedBy?: string | undefined;
}

const maxVariables = 6;

/** Where the values of a property come from: one answer for each declaration that sets some of its longhands. */
export function explainProperty(styles: ElementStyles, name: string, depth = 0): PropertyOrigin[] {
  const longhands = [
    ...new Set((styles.longhands.get(name) ?? [name]).map((one) => physicalName(one, styles.layout.flow))),
  ];
  const groups = new Map<unknown, PropertyOrigin>();
  for (const longhand of longhands) {
    const origin = originOf(styles, longhand, depth);
    const key = origin.winner?.declaration ?? origin.inheritedFrom ?? '';
    const known = groups.get(key);
    groups.set(key, known ? merge(known, origin) : origin);
  }
  return [...groups.values()];
}

function merge(one: PropertyOrigin, other: PropertyOrigin): PropertyOrigin {
  const values = [one.computed, other.computed].flatMap((value) => value?.split('; ') ?? []);
  const seen = new Set(one.overridden.map(({ candidate }) => candidate.declaration));
  return {
    ...one,
    names: [...one.names, ...other.names],
    computed: [...new Set(values)].join('; '),
    overridden: [...one.overridden, ...other.overridden.filter(({ candidate }) => !seen.has(candidate.declaration))],
  };
}

function originOf(styles: ElementStyles, longhand: string, depth: number): PropertyOrigin {
  const { outcome, inheritedFrom, askedBy } = valueOrigin(styles, longhand);
  const { winner, rolledBack } = outcome;
  const used = [...new Set(winner && variablesIn(winner.declaration).map(({ name }) => name))];
  return {
    names: [longhand],
    computed: styles.computed.get(longhand),
    winner,
    inheritedFrom,
    askedBy,
    rolledBack,
    sizedBy: winner && sizedBy(styles, longhand, winner.value),
    overridden: outcome.overridden.flatMap((candidate) => (winner ? [overriddenBy(candidate, winner)] : [])),
    variables: depth > 1 ? [] : used.slice(0, maxVariables).flatMap((name) => explainProperty(styles, name, depth + 1)),
  };
}

/** Why a declared width or height in pixels is not the one that the element has. */
function sizedBy({ computed, layout }: ElementStyles, name: string, declared: string): string | undefined {
  const used = computed.get(name);
  if ((name !== 'width' && name !== 'height') || used === undefined || used === declared) return undefined;
  if (!/^[\d.]+px$/.test(declared)) return undefined;
  if (used === 'auto') return computed.get('display') === 'inline' ? `display: inline has no ${name}` : undefined;
  const bound = [`min-${name}`, `max-${name}`].find((limit) => computed.get(limit) === used);
  if (bound !== undefined) return `${bound}: ${used} bounds it`;
  const { flex } = layout;
  if (flex?.sizes !== name) return undefined;
  const isBasis = flex.basis !== 'auto';
  const what = isBasis ? `flex-basis: ${flex.basis} counts in its place, and flex` : 'flex';
  return `${what} ${!isBasis && parseFloat(used) < parseFloat(declared) ? 'shrank' : 'sized'} it in ${flex.container} (flex: ${flex.flex})`;
}

function overriddenBy(candidate: Candidate, winner: Candidate): Overridden {
  return { candidate, reason: compareCandidates(candidate, winner).reason };
}

interface ValueOrigin {
  readonly outcome: Outcome;
  readonly inheritedFrom: string | undefined;
  readonly askedBy: Candidate | undefined;
}

/** Follows `inherit`, and implicit inheritance, to the ancestor that declares the value. */
function valueOrigin({ blocks, inherited, notInherited }: ElementStyles, longhand: string): ValueOrigin {
  const passesDown = isInherited(longhand, notInherited);
  const own = resolveCascade(blocks, longhand);
  if (!asksParent(own, passesDown)) return { outcome: own, inheritedFrom: undefined, askedBy: undefined };
  for (const { ancestor, blocks: outer } of inherited) {
    const outcome = resolveCascade(outer, longhand);
    const { winner } = outcome;
    if (winner !== undefined && !asksParent(outcome, passesDown)) {
      return { outcome: { ...outcome, overridden: [] }, inheritedFrom: ancestor, askedBy: own.winner };
    }
    if (winner === undefined && !passesDown) break;
  }
  return { outcome: { ...own, winner: undefined }, inheritedFrom: undefined, askedBy: own.winner };
}

function asksParent({ winner }: Outcome, passesDown: boolean): boolean {
  if (winner === undefined) return passesDown;
  return winner.value === 'inherit' || (passesDown && ['unset', 'revert', 'revert-layer'].includes(winner.value));
}

/** What becomes of each declaration of the element's own styles, by block; the strongest block first. */
export function explainBlocks(styles: ElementStyles): { block: StyleBlock; uses: DeclarationUse[] }[] {
  const { blocks } = styles;
  const outcomes = new Map<string, Outcome>();
  const outcomeOf = (longhand: string): Outcome => {
    const known = outcomes.get(longhand) ?? resolveCascade(blocks, longhand);
    outcomes.set(longhand, known);
    return known;
  };
  return strongestFirst(blocks).map((block) => ({
    block,
    uses: block.declarations.map((declaration) => useOf(block, declaration, { outcomeOf, styles })),
  }));
}

function strongestFirst(blocks: readonly StyleBlock[]): StyleBlock[] {
  const any: Declaration = { name: '', value: '', important: false, longhands: new Map() };
  const asCandidate = (block: StyleBlock): Candidate => ({ block, declaration: any, value: '' });
  return blocks.toSorted((one, other) => compareCandidates(asCandidate(other), asCandidate(one)).sign);
}

function useOf(
  block: StyleBlock,
  declaration: Declaration,
  { outcomeOf, styles }: { readonly styles: ElementStyles; readonly outcomeOf: (longhand: string) => Outcome },
): DeclarationUse {
  if (declaration.problem !== undefined) return { declaration, state: 'invalid', by: undefined, missing: undefined };
  let wins = 0;
  let by: Overridden | undefined;
  for (const [longhand, value] of declaration.longhands) {
    const { winner, rolledBack } = outcomeOf(longhand);
    const strongest = rolledBack[0] ?? winner;
    const isUsed = winner?.declaration === declaration || rolledBack.some((one) => one.declaration === declaration);
    // The properties that `all` sets are listed only if they were asked for.
    if (isUsed || longhand === 'all') wins += 1;
    else if (strongest) {
      by ??= { candidate: strongest, reason: overriddenBy({ block, declaration, value }, strongest).reason };
    }
  }
  const state = by === undefined ? 'used' : wins === 0 ? 'overridden' : 'partly';
  const needed = state === 'used' ? variablesIn(declaration).filter(({ hasFallback }) => !hasFallback) : [];
  return {
    ...{ declaration, state, by },
    missing: needed.find(({ name }) => !styles.computed.has(name))?.name,
    sizedBy: state === 'used' ? sizedBy(styles, declaration.name, declaration.value) : undefined,
  };
}

/** The custom properties that a value refers to. */
function variablesIn({ value }: Declaration): { readonly name: string; readonly hasFallback: boolean }[] {
  const references = value.matchAll(/var\(\s*(--[^\s,)]+)\s*(\)?)/g);
  return [...references].map(([, name = '', end = '']) => ({ name, hasFallback: end === '' }));
}

/** The inherited declarations that apply to the element, the nearest ancestor first. */
export function inheritedDeclarations(
  styles: ElementStyles,
): { ancestor: string; block: StyleBlock; declaration: Declaration }[] {
  const found = new Map<Declaration, { ancestor: string; block: StyleBlock; declaration: Declaration }>();
  const names = new Set<string>();
  for (const { blocks } of styles.inherited) {
    for (const { origin, declarations } of blocks) {
      if (origin === 'user-agent') continue;
      for (const { longhands } of declarations) for (const name of longhands.keys()) names.add(name);
    }
  }
  for (const name of names) {
    if (isCustom(name) || !isInherited(name, styles.notInherited)) continue;
    const { outcome, inheritedFrom } = valueOrigin(styles, name);
    const { winner } = outcome;
    if (winner === undefined || inheritedFrom === undefined || winner.block.origin === 'user-agent') continue;
    found.set(winner.declaration, { ancestor: inheritedFrom, block: winner.block, declaration: winner.declaration });
  }
  return [...found.values()];
}
