import type { Protocol } from 'puppeteer-core';
import { isCustom } from './cssProperties.js';

export type StyleOrigin = 'user-agent' | 'user' | 'author' | 'animation' | 'transition';

/** Ids, classes, and element names of a selector. */
export type Specificity = readonly [ids: number, classes: number, tags: number];

/** A longhand, its shorthand, or a custom property as a style declares it. */
export interface Declaration {
  readonly name: string;
  /** Without `!important`. */
  readonly value: string;
  readonly important: boolean;
  /** Why the browser does not use it. */
  readonly problem?: string;
  /** The physical longhands that it sets, and to what. `all` stands for every one. */
  readonly longhands: ReadonlyMap<string, string>;
}

/** Counts from 1, in the document. */
export interface WrittenPlace {
  readonly sheet: Protocol.CSS.CSSStyleSheetHeader;
  readonly line: number;
  readonly column: number;
}

/** The declarations of one rule, style attribute or animation that apply to an element. */
export interface StyleBlock {
  /** The selector, or `style attribute` and the like. */
  readonly name: string;
  readonly origin: StyleOrigin;
  readonly isAttached: boolean;
  /** Undefined for what has no selector. */
  readonly specificity: Specificity | undefined;
  /** `@layer`, `@media` and the like around it, the outermost first. */
  readonly conditions: readonly string[];
  /** Where it is written. */
  readonly place: string;
  /** The same in a style sheet that names a source map. */
  readonly written?: WrittenPlace | undefined;
  /** Position of its tree among those with rules for the element: shadow trees within it come before its own. */
  readonly tree: number;
  /** Position of its layer in its tree; Infinity outside of all layers, `attributesLayer` for attributes such as `width`. */
  readonly layer: number;
  /** Position among all blocks, the weakest first. */
  readonly order: number;
  readonly declarations: readonly Declaration[];
}

/** Below all rules of its tree. */
export const attributesLayer = -1;

/** One declaration among those that want to set the same property. */
export interface Candidate {
  readonly block: StyleBlock;
  readonly declaration: Declaration;
  /** Of the property, not of the shorthand. */
  readonly value: string;
}

/** What a property gets from one element's styles. */
export interface Outcome {
  /** Undefined: nothing on the element declares it. */
  readonly winner: Candidate | undefined;
  /** The stronger ones that refer to what is below: `revert`, `revert-layer`. */
  readonly rolledBack: readonly Candidate[];
  /** The others, the strongest first. */
  readonly overridden: readonly Candidate[];
}

const notInAll: ReadonlySet<string> = new Set(['direction', 'unicode-bidi']);

/** The value that a declaration gives a longhand, if any. */
function valueFor({ longhands }: Declaration, longhand: string): string | undefined {
  const isInAll = !isCustom(longhand) && !notInAll.has(longhand);
  return longhands.get(longhand) ?? (isInAll ? longhands.get('all') : undefined);
}

/** Who sets a longhand of an element, and who would without it. */
export function resolveCascade(blocks: readonly StyleBlock[], longhand: string): Outcome {
  const candidates = blocks.flatMap((block) => strongestOf(block, longhand));
  let open = candidates.toSorted((one, other) => compareCandidates(other, one).sign);
  const rolledBack: Candidate[] = [];
  for (;;) {
    const [winner, ...rest] = open;
    if (winner === undefined) return { winner, rolledBack, overridden: [] };
    if (!rollbacks.has(winner.value)) return { winner, rolledBack, overridden: rest };
    rolledBack.push(winner);
    open = rest.filter((candidate) => isBelow(candidate, winner));
  }
}

const rollbacks: ReadonlySet<string> = new Set(['revert', 'revert-layer']);

/** The last valid declaration of a block, `!important` before others; and those that it overrides. */
function strongestOf(block: StyleBlock, longhand: string): Candidate[] {
  return block.declarations.flatMap((declaration) => {
    const value = declaration.problem === undefined ? valueFor(declaration, longhand) : undefined;
    return value === undefined ? [] : [{ block, declaration, value }];
  });
}

/**
 * Whether a declaration still counts after one that rolls the cascade back: everything of its layer or origin is gone, and
 * what lies between the !important declarations of that and its others.
 */
function isBelow(candidate: Candidate, { block, value, declaration }: Candidate): boolean {
  const { origin, tree, layer, isAttached } = candidate.block;
  const isSameOrigin = origin === block.origin;
  const isSameLayer = isSameOrigin && tree === block.tree && layer === block.layer && isAttached === block.isAttached;
  if (value === 'revert' ? isSameOrigin : isSameLayer) return false;
  return compareCandidates({ block, value, declaration: { ...declaration, important: false } }, candidate).sign > 0;
}

/** css-cascade, "Origin and Importance": the highest wins. */
function originRank(origin: StyleOrigin, important: boolean): number {
  const ranks = { 'user-agent': [1, 7], user: [2, 6], author: [3, 5], animation: [4, 4], transition: [8, 8] };
  const [normal = 0, urgent = 0] = ranks[origin];
  return important ? urgent : normal;
}

interface Comparison {
  /** Positive where the first is stronger. */
  readonly sign: number;
  /** The reason why the other one wins. */
  readonly reason: string;
}

const originNames = {
  'user-agent': 'browser',
  user: 'user',
  author: 'page',
  animation: 'animation',
  transition: 'transition',
};

/** Compares two declarations of one property as the cascade does. */
export function compareCandidates(one: Candidate, other: Candidate): Comparison {
  const [a, b] = [one.block, other.block];
  const important = one.declaration.important;
  const rank = originRank(a.origin, important) - originRank(b.origin, other.declaration.important);
  const weaker = rank < 0 ? one : other;
  if (rank !== 0) return { sign: rank, reason: originReason(weaker, weaker === one ? other : one) };
  const reversed = important ? -1 : 1;
  if (a.tree !== b.tree) {
    const reason = important
      ? 'for !important the inner tree wins'
      : 'styles of the outer tree win over those of a shadow tree';
    return { sign: reversed * (a.tree - b.tree), reason };
  }
  if (a.isAttached !== b.isAttached)
    return { sign: a.isAttached ? 1 : -1, reason: 'the style attribute wins over rules' };
  if (a.layer !== b.layer)
    return { sign: a.layer > b.layer ? reversed : -reversed, reason: layerReason(important, a, b) };
  if (a.order !== b.order) return { sign: a.order - b.order, reason: specificityReason(a, b) };
  const [first, second] = [a.declarations.indexOf(one.declaration), a.declarations.indexOf(other.declaration)];
  return { sign: first - second, reason: 'declared again in the same rule' };
}

function originReason(weaker: Candidate, stronger: Candidate): string {
  if (stronger.declaration.important && !weaker.declaration.important) return 'it is not !important';
  if (weaker.declaration.important) return `!important of the ${originNames[stronger.block.origin]} wins`;
  return `the ${originNames[stronger.block.origin]} wins over the ${originNames[weaker.block.origin]}`;
}

function layerReason(important: boolean, a: StyleBlock, b: StyleBlock): string {
  if (a.layer === attributesLayer || b.layer === attributesLayer) return 'rules win over attributes';
  const isOneOutside = a.layer === Infinity || b.layer === Infinity;
  if (isOneOutside) return important ? 'for !important, layers win over rules in none' : 'rules in no layer win';
  return important ? 'for !important the earlier layer wins' : 'its layer is earlier';
}

function specificityReason(a: StyleBlock, b: StyleBlock): string {
  const [low, high] = a.order < b.order ? [a, b] : [b, a];
  if (low.specificity === undefined || high.specificity === undefined) return 'it comes earlier';
  const isEqual = low.specificity.every((part, index) => part === high.specificity?.[index]);
  if (isEqual) return 'equal specificity, and it comes earlier';
  return `its specificity ${low.specificity.join(',')} is less than ${high.specificity.join(',')}`;
}
