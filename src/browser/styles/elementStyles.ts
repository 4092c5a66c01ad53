import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import { withCdpScope } from '../cdp/cdpScope.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import { readHost, readLayout, readLonghands, weighRules } from '../cdp/injectedFunctions.js';
import type { LayoutFacts } from '../injected/contract.js';
import type { PageElement } from '../page/element.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { StyleBlock } from './cascade.js';
import { placeInjectedRules } from './rulePlaces.js';
import { animatedBlocks, blocksOf, followSheets, type StyleReading } from './matchedStyles.js';

export const pseudoStates = ['hover', 'active', 'focus', 'focus-visible', 'focus-within', 'visited', 'target'] as const;
export type PseudoState = (typeof pseudoStates)[number];

export interface StyleRequest {
  /** Held while the styles are read. */
  readonly states: readonly PseudoState[];
  /** `before` for `::before`. */
  readonly pseudo: string | undefined;
  /** Properties whose longhands are needed. */
  readonly properties: readonly string[];
}

/** The styles of an ancestor, as far as they may be inherited. */
export interface InheritedStyles {
  readonly ancestor: string;
  readonly blocks: readonly StyleBlock[];
}

/** Why an element looks as it does. */
export interface ElementStyles {
  readonly layout: LayoutFacts;
  /** The weakest first. */
  readonly blocks: readonly StyleBlock[];
  /** The nearest ancestor first. */
  readonly inherited: readonly InheritedStyles[];
  readonly computed: ReadonlyMap<string, string>;
  readonly fonts: readonly Protocol.CSS.PlatformFontUsage[];
  /** The longhands of the requested properties; none for a name that is not a property. */
  readonly longhands: ReadonlyMap<string, readonly string[]>;
  /** Registered custom properties that elements do not inherit. */
  readonly notInherited: ReadonlySet<string>;
  /** The pseudo-elements that have rules. */
  readonly pseudoElements: readonly string[];
}

const layoutSchema: z.ZodType<LayoutFacts> = z.object({
  element: z.string(),
  url: z.string(),
  ancestors: z.array(z.string()),
  box: z.array(z.number()).nullable(),
  edges: z.array(z.string()),
  layout: z.array(z.string()),
  flow: z.object({ writingMode: z.string(), direction: z.string() }),
  hidden: z.string().nullable(),
  stacking: z.object({
    zIndex: z.string(),
    isIgnored: z.boolean(),
    makes: z.string().nullable(),
    within: z.string().nullable(),
  }),
  fixedIn: z.string().nullable(),
  flex: z
    .object({ container: z.string(), sizes: z.enum(['width', 'height']), flex: z.string(), basis: z.string() })
    .nullable(),
  click: z.string().nullable(),
});

const longhandsSchema = z.record(z.string(), z.array(z.string()));

/** Rules beyond these are the weakest, and left out. */
const maxRules = 2_000;
const maxAncestors = 100;

/**
 * Reads the styles of an element (CDP CSS.getMatchedStylesForNode) through a session of its own: forced states end with it.
 */
export async function readElementStyles(
  page: SessionPage,
  element: PageElement,
  request: StyleRequest,
  signal: AbortSignal,
): Promise<ElementStyles> {
  const weight = z.number().parse(await element.call(weighRules, maxWeight));
  if (weight > maxWeight) throw new ToolError(tooManyRules);
  return withCdpScope(page.page.browser(), signal, async (scope) => {
    const { targetInfo } = await element.address.document.cdp.send('Target.getTargetInfo');
    const cdp = await scope.attach(targetInfo.targetId);
    const styles = await scope.untilAborted(readThrough(cdp, page, element, request));
    return { ...styles, blocks: await scope.untilAborted(placeInjectedRules(scope, styles.blocks)) };
  });
}

/** Some seconds of the page's time. */
const maxWeight = 2e7;

const tooManyRules =
  'So many rules match this element, in so big a style sheet, that Chrome would take minutes to say where each is. Values: ' +
  'evaluate_script with getComputedStyle. To see rules, try a shorter style sheet (mock_network can answer another one).';

async function readThrough(
  cdp: CDPSession,
  page: SessionPage,
  element: PageElement,
  request: StyleRequest,
): Promise<ElementStyles> {
  const sheets = followSheets(cdp);
  const tree = new NodeTree(cdp);
  await tree.start();
  await cdp.send('CSS.enable');
  const nodeId = await tree.elementAt(element.address.backendNodeId);
  if (request.states.length > 0) await forceStates(cdp, tree.lineage(nodeId), request.states);
  const matched = await cdp.send('CSS.getMatchedStylesForNode', { nodeId });
  const layout = layoutSchema.parse(await element.call(readLayout));
  const parts = await controlParts(cdp, nodeId);
  const pseudo = request.pseudo === undefined ? undefined : requirePseudo(matched, parts, request.pseudo);
  const styledId = pseudo === undefined ? nodeId : (pseudo.nodeId ?? (await pseudoNode(cdp, nodeId, pseudo.name)));
  const rules = [...rulesIn(matched), ...(pseudo?.matches ?? []).map(({ rule }) => rule)];
  const [longhands, trees, shown] = await Promise.all([
    expandShorthands(page, element, { ...{ matched, rules }, names: request.properties }),
    describeTrees(element, rules),
    readShown(cdp, styledId, nodeId),
  ]);
  const reading: StyleReading = { sheets, documentUrl: layout.url, flow: layout.flow, longhands, trees };
  const own = blocksOf(matched, reading);
  const inherited = (matched.inherited ?? []).slice(0, maxAncestors).map((styles, index) => ({
    ancestor: layout.ancestors[index] ?? 'an ancestor',
    blocks: blocksOf(styles, reading),
  }));
  const styled = pseudo === undefined ? own : blocksOf({ matchedCSSRules: pseudo.matches }, reading);
  return {
    layout,
    blocks: [...styled, ...animatedBlocks(shown.animated, reading)].slice(-maxRules),
    inherited: pseudo === undefined ? inherited : [{ ancestor: layout.element, blocks: own }, ...inherited],
    computed: shown.computed,
    fonts: shown.fonts,
    longhands,
    notInherited: notInheritedOf(matched),
    pseudoElements: styledPseudos(matched, parts).map(({ name }) => name),
  };
}

/** What an element, or a pseudo-element that is drawn, comes to. */
async function readShown(cdp: CDPSession, nodeId: number | undefined, fontsOf: number) {
  const ofNode = <T>(read: (node: { nodeId: number }) => Promise<T>): Promise<T | undefined> =>
    nodeId === undefined ? Promise.resolve(undefined) : unlessGone(read({ nodeId }));
  const [computed, animated, fonts] = await Promise.all([
    ofNode((node) => cdp.send('CSS.getComputedStyleForNode', node)),
    ofNode((node) => cdp.send('CSS.getAnimatedStylesForNode', node)),
    unlessGone(cdp.send('CSS.getPlatformFontsForNode', { nodeId: nodeId ?? fontsOf })),
  ]);
  return {
    computed: new Map((computed?.computedStyle ?? []).map(({ name, value }) => [name, value])),
    animated: animated ?? {},
    fonts: fonts?.fonts ?? [],
  };
}

/** The reported part of a session's DOM: nodes are known once the path to them was pushed (CDP DOM). */
class NodeTree {
  readonly #cdp: CDPSession;
  readonly #parents = new Map<number, number>();
  readonly #types = new Map<number, number>();

  constructor(cdp: CDPSession) {
    this.#cdp = cdp;
    cdp.on('DOM.setChildNodes', ({ parentId, nodes }) => nodes.forEach((node) => this.#add(node, parentId)));
  }

  async start(): Promise<void> {
    await this.#cdp.send('DOM.enable');
    const { root } = await this.#cdp.send('DOM.getDocument', { depth: 1 });
    this.#add(root, undefined);
  }

  /** The node, or the element that holds a text; of a document, its root element. */
  async elementAt(backendNodeId: number): Promise<number> {
    const { nodeIds } = await this.#cdp.send('DOM.pushNodesByBackendIdsToFrontend', {
      backendNodeIds: [backendNodeId],
    });
    const nodeId = nodeIds[0] ?? 0;
    const type = this.#types.get(nodeId);
    if (type === documentType) return (await this.#cdp.send('DOM.querySelector', { nodeId, selector: ':root' })).nodeId;
    return type === textType ? (this.#parents.get(nodeId) ?? nodeId) : nodeId;
  }

  /** An element and the elements around it, the nearest first. */
  lineage(nodeId: number): number[] {
    const found: number[] = [];
    for (
      let at: number | undefined = nodeId;
      at !== undefined && found.length < maxAncestors;
      at = this.#parents.get(at)
    ) {
      if ((this.#types.get(at) ?? elementType) === elementType) found.push(at);
    }
    return found;
  }

  #add(node: Protocol.DOM.Node, parentId: number | undefined): void {
    this.#types.set(node.nodeId, node.nodeType);
    if (parentId !== undefined) this.#parents.set(node.nodeId, parentId);
    for (const child of [...(node.children ?? []), ...(node.shadowRoots ?? [])]) this.#add(child, node.nodeId);
    if (node.contentDocument) this.#add(node.contentDocument, node.nodeId);
  }
}

/** Of `Node.nodeType`. */
const elementType = 1;
const textType = 3;
const documentType = 9;

/** As with a real pointer, what is around a hovered element is hovered too. */
async function forceStates(
  cdp: CDPSession,
  [self = 0, ...around]: readonly number[],
  states: readonly PseudoState[],
): Promise<void> {
  const outer = new Set(states.filter((state) => state === 'hover' || state === 'active'));
  const isFocused = states.includes('focus') || states.includes('focus-visible');
  const own = isFocused ? [...states, 'focus', 'focus-within'] : states;
  await cdp.send('CSS.forcePseudoState', { nodeId: self, forcedPseudoClasses: [...new Set(own)] });
  const forced = [...outer, ...(isFocused || states.includes('focus-within') ? ['focus-within'] : [])];
  if (forced.length === 0) return;
  await Promise.all(
    around.map((nodeId) => unlessGone(cdp.send('CSS.forcePseudoState', { nodeId, forcedPseudoClasses: forced }))),
  );
}

type Matched = Protocol.CSS.GetMatchedStylesForNodeResponse;

interface StyledPseudo {
  /** `before` for `::before`. */
  readonly name: string;
  /** Of the element that a part of a control is. */
  readonly nodeId?: number;
  readonly matches: readonly Protocol.CSS.RuleMatch[];
}

/** An element of a control that rules reach by one name or several, such as `::-webkit-input-placeholder`. */
interface ControlPart extends StyledPseudo {
  readonly names: ReadonlySet<string>;
}

const maxParts = 30;

/** The parts of a form control, such as `::placeholder`: to Chrome they are elements of its user-agent shadow tree. */
async function controlParts(cdp: CDPSession, nodeId: number): Promise<ControlPart[]> {
  const { node } = await cdp.send('DOM.describeNode', { nodeId });
  const root = node.shadowRoots?.find(({ shadowRootType }) => shadowRootType === 'user-agent');
  if (!root) return [];
  const { node: tree } = await cdp.send('DOM.describeNode', { backendNodeId: root.backendNodeId, depth: -1 });
  const elements: number[] = [];
  const collect = ({ nodeType, backendNodeId, children = [] }: Protocol.DOM.Node): void => {
    if (nodeType === elementType) elements.push(backendNodeId);
    children.forEach(collect);
  };
  collect(tree);
  const backendNodeIds = elements.slice(0, maxParts);
  const { nodeIds } = await cdp.send('DOM.pushNodesByBackendIdsToFrontend', { backendNodeIds });
  const parts = await Promise.all(nodeIds.map((part) => unlessGone(readPart(cdp, part))));
  return parts.filter((part) => part !== undefined);
}

/** Its names are those in the selectors that match it: not each part has an attribute with one. */
async function readPart(cdp: CDPSession, nodeId: number): Promise<ControlPart | undefined> {
  const { matchedCSSRules: matches = [] } = await cdp.send('CSS.getMatchedStylesForNode', { nodeId });
  const names = new Set(
    matches.flatMap(({ rule: { selectorList }, matchingSelectors }) =>
      matchingSelectors.flatMap((index) => partName(selectorList.selectors[index]?.text ?? '') ?? []),
    ),
  );
  const [first] = names;
  const name = [...names].find((each) => !each.startsWith('-')) ?? first;
  return name === undefined ? undefined : { name, names, nodeId, matches };
}

/** The last pseudo-element of a selector. */
function partName(selector: string): string | undefined {
  const last = selector.split('::').slice(1).at(-1);
  return last === undefined ? undefined : /^[\w-]+/.exec(last)?.[0];
}

/** The pseudo-elements that have rules, those of the browser aside for the parts of a control. */
function styledPseudos({ pseudoElements = [] }: Matched, parts: readonly ControlPart[]): StyledPseudo[] {
  return [
    ...pseudoElements.map(({ pseudoType, matches }) => ({ name: pseudoType, matches })),
    ...parts.filter(({ matches }) => matches.some(({ rule }) => rule.origin !== 'user-agent')),
  ];
}

function requirePseudo(matched: Matched, parts: readonly ControlPart[], name: string): StyledPseudo {
  const wanted = name.replace(/^::?/, '');
  const styled = styledPseudos(matched, parts);
  const found = styled.find((pseudo) => pseudo.name === wanted) ?? parts.find(({ names }) => names.has(wanted));
  if (found) return found;
  const known = styled.map((pseudo) => `::${pseudo.name}`).join(', ');
  throw new ToolError(`No rule styles ::${wanted} of this element. Those with rules: ${known || 'none'}.`);
}

/** The pseudo-element, if it is drawn. */
async function pseudoNode(cdp: CDPSession, nodeId: number, type: string): Promise<number | undefined> {
  const { node } = await cdp.send('DOM.describeNode', { nodeId });
  const found = node.pseudoElements?.find(({ pseudoType }) => pseudoType === type);
  if (!found) return undefined;
  const backendNodeIds = [found.backendNodeId];
  const { nodeIds } = await cdp.send('DOM.pushNodesByBackendIdsToFrontend', { backendNodeIds });
  return nodeIds[0];
}

function* rulesIn(matched: Matched): Generator<Protocol.CSS.CSSRule> {
  const lists = [
    matched.matchedCSSRules ?? [],
    ...(matched.pseudoElements ?? []).map(({ matches }) => matches),
    ...(matched.inherited ?? []).slice(0, maxAncestors).map(({ matchedCSSRules }) => matchedCSSRules),
  ];
  for (const list of lists) for (const { rule } of list) yield rule;
}

interface DeclaredStyles {
  readonly matched: Matched;
  readonly rules: readonly Protocol.CSS.CSSRule[];
  readonly names: readonly string[];
}

/** The longhands of every property that is declared. */
async function expandShorthands(
  page: SessionPage,
  { address }: PageElement,
  { matched, rules, names: requested }: DeclaredStyles,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const names = new Set(requested);
  const styles = [
    matched.inlineStyle,
    matched.attributesStyle,
    ...(matched.inherited ?? []).map(({ inlineStyle }) => inlineStyle),
  ];
  for (const rule of rules) styles.push(rule.style);
  for (const style of styles) for (const { name } of style?.cssProperties ?? []) names.add(name);
  const expanded = await page.callInIsolatedWorld(readLonghands, [[...names]], address.document);
  return new Map(Object.entries(longhandsSchema.parse(expanded)));
}

const maxTrees = 20;

/** The hosts of the shadow trees that have rules for the element, by node id of the tree. */
async function describeTrees(
  element: PageElement,
  rules: readonly Protocol.CSS.CSSRule[],
): Promise<ReadonlyMap<number, string>> {
  const ids = new Set<number>();
  for (const { originTreeScopeNodeId } of rules) if (originTreeScopeNodeId) ids.add(originTreeScopeNodeId);
  const hosts = new Map<number, string>();
  for (const id of [...ids].slice(0, maxTrees)) {
    const host = await unlessGone(element.sameDocument(id).then((tree) => tree.call(readHost)));
    if (typeof host === 'string') hosts.set(id, host);
  }
  return hosts;
}

function notInheritedOf({ cssPropertyRegistrations = [], cssPropertyRules = [] }: Matched): ReadonlySet<string> {
  const registered = cssPropertyRegistrations
    .filter(({ inherits }) => !inherits)
    .map(({ propertyName }) => propertyName);
  const ruled = cssPropertyRules.filter(({ style }) =>
    style.cssProperties.some(({ name, value }) => name === 'inherits' && value === 'false'),
  );
  return new Set([...registered, ...ruled.map(({ propertyName }) => propertyName.text)]);
}
