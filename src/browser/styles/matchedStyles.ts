import type { CDPSession, Protocol } from 'puppeteer-core';
import { cutText, shortenText } from '../../text.js';
import { physicalName, type FlowDirection } from './cssProperties.js';
import {
  attributesLayer,
  type Declaration,
  type Specificity,
  type StyleBlock,
  type StyleOrigin,
  type WrittenPlace,
} from './cascade.js';

/**
 * The means to read styles: expands shorthands and resolves positions in the same way for an element and its ancestors.
 */
export interface StyleReading {
  readonly sheets: ReadonlyMap<string, Protocol.CSS.CSSStyleSheetHeader>;
  readonly documentUrl: string;
  readonly flow: FlowDirection;
  /** The longhands of shorthands, where the browser does not name them: those with `var()`, and `all`. */
  readonly longhands: ReadonlyMap<string, readonly string[]>;
  /** What encloses the rules of a tree that is not the document, by node id. */
  readonly trees: ReadonlyMap<number, string>;
}

interface MatchedStyles {
  readonly inlineStyle?: Protocol.CSS.CSSStyle | undefined;
  readonly attributesStyle?: Protocol.CSS.CSSStyle | undefined;
  readonly matchedCSSRules?: readonly Protocol.CSS.RuleMatch[] | undefined;
}

/** The styles of one element as blocks, the weakest first. */
export function blocksOf(
  { inlineStyle, attributesStyle, matchedCSSRules = [] }: MatchedStyles,
  reading: StyleReading,
): StyleBlock[] {
  const order = new RulePositions(matchedCSSRules);
  const blocks: StyleBlock[] = [];
  if (attributesStyle) {
    const name = 'attributes of the element';
    blocks.push({
      ...plainBlock(name, attributesStyle, reading),
      tree: order.ownTree,
      layer: attributesLayer,
      order: -1,
    });
  }
  for (const [index, { rule, matchingSelectors }] of matchedCSSRules.entries()) {
    blocks.push({
      name: selectorText(rule, matchingSelectors),
      origin: originOf(rule),
      isAttached: false,
      specificity: specificityOf(rule, matchingSelectors),
      conditions: conditionsOf(rule),
      place: placeOf(rule, reading),
      written: writtenPlace(rule, reading),
      ...order.of(rule),
      order: index,
      declarations: declarationsOf(rule.style, reading),
    });
  }
  if (inlineStyle) {
    const block = plainBlock('style attribute', inlineStyle, reading);
    if (block.declarations.length > 0) {
      blocks.push({ ...block, isAttached: true, tree: order.ownTree, order: matchedCSSRules.length });
    }
  }
  return blocks;
}

/** The styles that animations and transitions currently set. */
export function animatedBlocks(
  { animationStyles = [], transitionsStyle }: Protocol.CSS.GetAnimatedStylesForNodeResponse,
  reading: StyleReading,
): StyleBlock[] {
  const animations = animationStyles.map(({ name, style }, index): StyleBlock => {
    const block = plainBlock(`animation ${name ?? '(by script)'}`, style, reading);
    return { ...block, origin: 'animation', order: 1e6 + index };
  });
  if (!transitionsStyle) return animations;
  return [...animations, { ...plainBlock('transition', transitionsStyle, reading), origin: 'transition', order: 2e6 }];
}

const maxSelectorChars = 160;

/** The selectors of a rule; of a long list, those that match. */
function selectorText(
  { selectorList: { text, selectors } }: Protocol.CSS.CSSRule,
  matching: readonly number[],
): string {
  if (text.length <= shortSelectorChars) return text;
  const matched = matching.flatMap((index) => selectors[index]?.text ?? []).join(', ');
  return shortenText(matched === '' ? text : matched, maxSelectorChars);
}

const shortSelectorChars = 50;

function plainBlock(name: string, style: Protocol.CSS.CSSStyle, reading: StyleReading): StyleBlock {
  return {
    ...{ name, origin: 'author', isAttached: false, specificity: undefined, conditions: [], place: '' },
    ...{ tree: 0, layer: Infinity, order: 0 },
    declarations: declarationsOf(style, reading),
  };
}

/** The browser's own rules name neither ids nor classes: those of the user's level, which extensions inject, mostly do. */
function originOf({ origin, selectorList, styleSheetId }: Protocol.CSS.CSSRule): StyleOrigin {
  if (origin !== 'user-agent') return 'author';
  return styleSheetId === undefined && /[#.][a-z_]/i.test(selectorList.text) ? 'user' : 'user-agent';
}

/** How the place of a rule begins that an extension has put into the page, by its manifest or by insertCSS. */
export const injectedPlace = 'injected by an extension';

/** Chrome lists matching rules in the order of the normal cascade; layers and trees are numbered as they appear. */
class RulePositions {
  readonly #trees: number[] = [];
  readonly #layers = new Map<string, number>();
  /** Of the element itself: after the shadow trees within it, before those that style it as a part. */
  readonly ownTree: number;

  constructor(matches: readonly Protocol.CSS.RuleMatch[]) {
    const parts = new Set<number>();
    for (const { rule } of matches) {
      if (rule.origin === 'user-agent') continue;
      const tree = rule.originTreeScopeNodeId ?? 0;
      if (!this.#trees.includes(tree)) this.#trees.push(tree);
      if (/::part\(/.test(rule.selectorList.text)) parts.add(tree);
      const layer = layerKey(rule);
      if (layer !== '' && !this.#layers.has(layer)) this.#layers.set(layer, this.#layers.size);
    }
    const own = this.#trees.findLastIndex((tree) => !parts.has(tree));
    this.ownTree = own === -1 ? -0.5 : own;
  }

  of(rule: Protocol.CSS.CSSRule): { tree: number; layer: number } {
    if (rule.origin === 'user-agent') return { tree: 0, layer: Infinity };
    return {
      tree: this.#trees.indexOf(rule.originTreeScopeNodeId ?? 0),
      layer: this.#layers.get(layerKey(rule)) ?? Infinity,
    };
  }
}

/** Layers with the same name are one; those without a name are distinguished by their place. */
function layerKey({ layers = [], originTreeScopeNodeId }: Protocol.CSS.CSSRule): string {
  if (layers.length === 0) return '';
  const names = layers.map(({ text, styleSheetId, range }) => text || `${styleSheetId ?? ''} ${JSON.stringify(range)}`);
  return `${originTreeScopeNodeId ?? 0} ${names.reverse().join('.')}`;
}

function specificityOf(rule: Protocol.CSS.CSSRule, matching: readonly number[]): Specificity | undefined {
  const all = matching.flatMap((index): Specificity[] => {
    const found = rule.selectorList.selectors[index]?.specificity;
    return found ? [[found.a, found.b, found.c]] : [];
  });
  return all.toSorted((one, other) => other[0] - one[0] || other[1] - one[1] || other[2] - one[2])[0];
}

function conditionsOf(rule: Protocol.CSS.CSSRule): string[] {
  const { layers = [], media = [], containerQueries = [], supports = [], scopes = [], startingStyles = [] } = rule;
  const nesting = (rule.nestingSelectors ?? []).toReversed();
  return [
    ...(layers.length === 0
      ? []
      : [
          `@layer ${layers
            .map(({ text }) => text || '(anonymous)')
            .toReversed()
            .join('.')}`,
        ]),
    ...media.toReversed().map(({ text }) => `@media ${text}`),
    ...containerQueries
      .toReversed()
      .map(({ text, name }) => `@container ${name === undefined ? '' : `${name} `}${text}`),
    ...supports.filter(({ active }) => active).map(({ text }) => `@supports ${text}`),
    ...scopes.map(({ text }) => `@scope ${text}`),
    ...(startingStyles.length > 0 ? ['@starting-style'] : []),
    ...(nesting.length > 0 ? [`within ${nesting.join(' ')}`] : []),
  ].map((text) => cutText(text, maxSelectorChars));
}

/** The declarations as they are written; of the browser's own styles, which have no text, as they are set. */
function declarationsOf({ cssProperties, range }: Protocol.CSS.CSSStyle, reading: StyleReading): Declaration[] {
  const isWritten = range !== undefined && cssProperties.some((property) => property.range !== undefined);
  return cssProperties.flatMap((property) => {
    if (property.disabled === true || (isWritten && property.range === undefined)) return [];
    return [declarationOf(property, reading)];
  });
}

function declarationOf(property: Protocol.CSS.CSSProperty, reading: StyleReading): Declaration {
  const value = withoutImportant(property.value);
  const known = property.longhandProperties ?? [];
  const expanded = reading.longhands.get(property.name) ?? [property.name];
  const longhands: [string, string][] =
    known.length > 0 ? known.map((one) => [one.name, one.value]) : expanded.map((name) => [name, value]);
  const isUnknown = property.parsedOk === false && reading.longhands.get(property.name)?.length === 0;
  const problem = isUnknown ? 'no such property' : property.parsedOk === false ? 'invalid value' : undefined;
  return {
    name: property.name,
    value,
    important: property.important === true,
    ...(problem !== undefined && { problem }),
    longhands: new Map(longhands.map(([name, set]) => [physicalName(name, reading.flow), withoutImportant(set)])),
  };
}

function withoutImportant(value: string): string {
  const at = value.lastIndexOf('!');
  const isImportant =
    at !== -1 &&
    value
      .slice(at + 1)
      .trim()
      .toLowerCase() === 'important';
  return (isImportant ? value.slice(0, at) : value).trim();
}

/** Where a rule is written: file and line, or what made its style sheet. */
function placeOf(rule: Protocol.CSS.CSSRule, { sheets, documentUrl, trees }: StyleReading): string {
  const origin = originOf(rule);
  if (origin === 'user-agent') return 'browser';
  if (origin === 'user') return `${injectedPlace} (origin USER)`;
  if (rule.origin === 'injected') return injectedPlace;
  const sheet = rule.styleSheetId === undefined ? undefined : sheets.get(rule.styleSheetId);
  const tree = trees.get(rule.originTreeScopeNodeId ?? 0);
  return `${sheetPlace(sheet, rangeOf(rule), documentUrl)}${tree === undefined ? '' : `, in the shadow tree of ${tree}`}`;
}

/** In a minified file, columns say more than lines. */
const longLine = 120;

const rangeOf = ({ selectorList, style }: Protocol.CSS.CSSRule): Protocol.CSS.SourceRange | undefined =>
  selectorList.selectors[0]?.range ?? style.range;

function positionOf(
  { startLine, startColumn }: Protocol.CSS.CSSStyleSheetHeader,
  range?: Protocol.CSS.SourceRange,
): { line: number; column: number } {
  const from = range ?? { startLine: 0, startColumn: 0 };
  const column = from.startColumn + (from.startLine === 0 ? startColumn : 0) + 1;
  return { line: from.startLine + startLine + 1, column };
}

/** With the column in a long line. */
function lineOf(sheet: Protocol.CSS.CSSStyleSheetHeader, range?: Protocol.CSS.SourceRange): string {
  const { line, column } = positionOf(sheet, range);
  return column > longLine ? `${line}:${column}` : String(line);
}

function writtenPlace(rule: Protocol.CSS.CSSRule, { sheets }: StyleReading): WrittenPlace | undefined {
  const sheet = rule.styleSheetId === undefined ? undefined : sheets.get(rule.styleSheetId);
  return sheet?.sourceMapURL ? { sheet, ...positionOf(sheet, rangeOf(rule)) } : undefined;
}

function sheetPlace(
  sheet: Protocol.CSS.CSSStyleSheetHeader | undefined,
  range: Protocol.CSS.SourceRange | undefined,
  documentUrl: string,
): string {
  if (sheet === undefined) return 'a style sheet that is gone';
  const at = lineOf(sheet, range);
  const url = /^chrome-extension:\/\/([a-p]{32})\/(.*)$/.exec(sheet.sourceURL);
  if (url) return `extension ${url[1] ?? ''}, ${url[2] ?? ''}:${at}`;
  if (sheet.isConstructed) return `${sheet.sourceURL || 'constructed style sheet (adoptedStyleSheets)'}, line ${at}`;
  if (sheet.sourceURL === '') return `<style> made by a script, line ${at}`;
  const changed = sheet.isInline && sheet.isMutable ? ' (changed by a script)' : '';
  // The style sheets of a srcdoc document are told with the address of the page around it.
  const address = sheet.isInline && sheet.hasSourceURL !== true ? documentUrl : sheet.sourceURL;
  return `${shortAddress(address, documentUrl)}:${at}${changed}`;
}

/** Without the origin, where it is that of the document. */
function shortAddress(url: string, documentUrl: string): string {
  const [origin, own] = [originAt(url), originAt(documentUrl)];
  const isOwn = origin !== undefined && origin !== 'null' && origin === own;
  return cutText(isOwn ? url.slice(origin.length) : url, maxSelectorChars);
}

/** Tells of every style sheet of a session's documents. */
export function followSheets(cdp: CDPSession): Map<string, Protocol.CSS.CSSStyleSheetHeader> {
  const sheets = new Map<string, Protocol.CSS.CSSStyleSheetHeader>();
  cdp.on('CSS.styleSheetAdded', ({ header }) => void sheets.set(header.styleSheetId, header));
  return sheets;
}

const originAt = (url: string): string | undefined => (URL.canParse(url) ? new URL(url).origin : undefined);
