import type { FlexFacts, LayoutFacts, StackingFacts } from './contract.js';
import { elementOf, isElement, isShadowRoot, isText, tagOf, type AnyElement } from './elements.js';
import {
  ancestorsOf,
  boxOf,
  disabledBy,
  freePoint,
  ofOther,
  parentOf,
  topAt,
  undrawnBy,
  unhittable,
} from './hitTest.js';

/** Called on a node. Its element's box, what keeps it from being seen or clicked, and how it is stacked. */
export function readLayout(this: Node): LayoutFacts {
  const element = elementOf(this);
  if (!element) throw new Error('is no element');
  const style = getComputedStyle(element);
  const ancestors = ancestorsOf(element);
  const rect = element.getBoundingClientRect();
  const isDrawn = element.getClientRects().length > 0;
  return {
    element: tagOf(element),
    url: element.ownerDocument.URL,
    ancestors: ancestors.map(tagOf),
    box: isDrawn ? [rect.left, rect.top, rect.width, rect.height].map((side) => Math.round(side * 100) / 100) : null,
    edges: edgesOf(style),
    layout: [`display ${style.display}`, `position ${style.position}`, `box-sizing ${style.boxSizing}`],
    flow: { writingMode: style.writingMode, direction: style.direction },
    hidden: hiddenBy(element, ancestors, style),
    stacking: stackingOf(element, ancestors, style),
    fixedIn: style.position === 'fixed' ? fixedIn(element, ancestors) : null,
    flex: flexOf(ancestors[0], style),
    click: clickAt(element),
  };
}

/** The longhands that each property sets; none for a name that is not a property. */
export function readLonghands(names: readonly string[]): Readonly<Record<string, readonly string[]>> {
  const probe = document.createElement('div').style;
  return Object.fromEntries(
    names.map((name) => {
      probe.cssText = '';
      // With a variable every shorthand is expanded, and any value is valid.
      probe.setProperty(name, 'var(--any)');
      return [name, name === 'all' ? ['all'] : [...probe]];
    }),
  );
}

/** Called on a node. The nodes that an event at it passes, except the window; the nearest first. */
export function lineageOf(this: Node, max: number): Node[] {
  const path: Node[] = [this];
  for (let at = outerOf(this); at && path.length < max; at = outerOf(at)) path.push(at);
  return path;
}

function outerOf(node: Node): Node | null {
  if (isShadowRoot(node)) return node.host;
  return ((isElement(node) || isText(node)) && node.assignedSlot) || node.parentNode;
}

/** Called on an event target. Its name in an answer. */
export function readTargetName(this: Node): string {
  if (isElement(this)) return tagOf(this);
  return isShadowRoot(this) ? `shadow root of ${tagOf(this.host)}` : this.nodeName.replace('#', '');
}

const fewRules = 2_000;
const maxWeighed = 20;

/**
 * Called on a node. Estimates the work of the browser to locate the rules of its element: for each matching rule it
 * searches the whole style sheet. Counted up to `limit`; 0 if the style sheets are small.
 */
export function weighRules(this: Node, limit: number): number {
  const element = elementOf(this);
  if (!element) return 0;
  let weight = 0;
  for (const sheet of sheetsFor(element)) {
    const selectors = selectorsOf(sheet);
    if (selectors.length < fewRules) continue;
    for (const one of [element, ...ancestorsOf(element).slice(0, maxWeighed)]) {
      for (const selector of selectors) {
        if (matches(one, selector)) weight += selectors.length;
        if (weight > limit) return weight;
      }
    }
  }
  return weight;
}

function sheetsFor(element: Element): CSSStyleSheet[] {
  const roots = [element, ...ancestorsOf(element)].flatMap((one) => [one.getRootNode(), one.shadowRoot]);
  const trees = new Set([...roots].filter((root) => root !== null)) as Set<Partial<DocumentOrShadowRoot>>;
  return [...trees].flatMap(({ styleSheets, adoptedStyleSheets }) => [
    ...(styleSheets ?? []),
    ...(adoptedStyleSheets ?? []),
  ]);
}

/** Of another origin's style sheets nothing can be read. */
function selectorsOf(sheet: CSSStyleSheet): string[] {
  const found: string[] = [];
  const collect = (rules: CSSRuleList): void => {
    for (const rule of rules) {
      if ('selectorText' in rule) found.push(String(rule.selectorText));
      if ('cssRules' in rule) collect(rule.cssRules as CSSRuleList);
    }
  };
  try {
    collect(sheet.cssRules);
  } catch {
    return [];
  }
  return found;
}

function matches(element: Element, selector: string): boolean {
  try {
    return element.matches(selector);
  } catch {
    return false;
  }
}

/** Called on a document or shadow root. Its host, if it has one. */
export function readHost(this: Node): string | null {
  return isShadowRoot(this) ? tagOf(this.host) : null;
}

/** The first element that a CSS selector finds, also in open shadow trees. */
export function findBySelector(selector: string): Element | null {
  const roots: (Document | ShadowRoot)[] = [document];
  for (const root of roots) {
    const found = root.querySelector(selector);
    if (found) return found;
    for (const element of root.querySelectorAll('*')) if (element.shadowRoot) roots.push(element.shadowRoot);
  }
  return null;
}

function edgesOf(style: CSSStyleDeclaration): string[] {
  const sides = ['top', 'right', 'bottom', 'left'];
  const edge = (name: string, suffix = ''): string[] => {
    const values = sides.map((side) => style.getPropertyValue(`${name}-${side}${suffix}`).replace(/px$/, ''));
    if (values.every((value) => value === '0')) return [];
    return [`${name} ${new Set(values).size === 1 ? (values[0] ?? '') : values.join(' ')}`];
  };
  return [...edge('margin'), ...edge('border', '-width'), ...edge('padding')];
}

/** Why it cannot be seen, if it cannot. */
function hiddenBy(element: Element, ancestors: readonly Element[], style: CSSStyleDeclaration): string | null {
  const undrawn = undrawnBy(element);
  if (undrawn !== null) return undrawn;
  const clear = [element, ...ancestors].find((one) => getComputedStyle(one).opacity === '0');
  if (clear) return `opacity: 0${ofOther(clear, element)}`;
  const rect = element.getBoundingClientRect();
  const isBoxless = rect.width === 0 || rect.height === 0;
  if (isBoxless && style.display !== 'contents' && !element.firstChild)
    return `its box is ${rect.width} × ${rect.height}`;
  return clippedBy(element, ancestors, style);
}

function clippedBy(element: Element, ancestors: readonly Element[], style: CSSStyleDeclaration): string | null {
  const rect = element.getBoundingClientRect();
  let position = style.position;
  for (const ancestor of ancestors) {
    if (position === 'fixed') return null;
    const outer = getComputedStyle(ancestor);
    const holds = position !== 'absolute' || outer.position !== 'static' || outer.transform !== 'none';
    if (!holds) continue;
    position = outer.position;
    if (outer.overflowX === 'visible' && outer.overflowY === 'visible') continue;
    const box = ancestor.getBoundingClientRect();
    const isOut = rect.right <= box.left || rect.left >= box.right || rect.bottom <= box.top || rect.top >= box.bottom;
    const isRoot = ancestor === document.documentElement || ancestor === document.body;
    if (isOut && !isRoot) return `it is outside of ${tagOf(ancestor)}, which has overflow: ${outer.overflow}`;
  }
  return null;
}

/** What of an element's style begins a stacking context (CSS positioned layout, compositing, containment). */
function contextReason(element: Element): string | null {
  const style = getComputedStyle(element);
  const parent = parentOf(element);
  if (!parent) return 'the root element';
  if (element.matches(':modal') || isPopover(element) || element === document.fullscreenElement) return 'the top layer';
  const { position, zIndex } = style;
  if (position === 'fixed' || position === 'sticky') return `position: ${position}`;
  const isItem = /flex|grid/.test(getComputedStyle(parent).display);
  if (zIndex !== 'auto' && (position !== 'static' || isItem)) return `z-index: ${zIndex}`;
  return effectReason(style);
}

/** Those of its properties that need no position. */
function effectReason(style: CSSStyleDeclaration): string | null {
  if (Number(style.opacity) < 1) return `opacity: ${style.opacity}`;
  for (const [name, initial] of contextProperties) {
    const value = style.getPropertyValue(name);
    if (value !== '' && value !== initial) return `${name}: ${value.slice(0, 80)}`;
  }
  if (/layout|paint|strict|content/.test(style.contain)) return `contain: ${style.contain}`;
  const willChange = style.willChange.split(/,\s*/).find((name) => willChangeNames.has(name));
  return willChange === undefined ? null : `will-change: ${willChange}`;
}

const contextProperties = [
  ['transform', 'none'],
  ['translate', 'none'],
  ['scale', 'none'],
  ['rotate', 'none'],
  ['perspective', 'none'],
  ['filter', 'none'],
  ['backdrop-filter', 'none'],
  ['clip-path', 'none'],
  ['mask-image', 'none'],
  ['mix-blend-mode', 'normal'],
  ['isolation', 'auto'],
  ['view-transition-name', 'none'],
] as const;
const willChangeNames: ReadonlySet<string> = new Set([
  ...contextProperties.map(([name]) => name),
  ...['opacity', 'z-index', 'position', 'mask'],
]);

function isPopover(element: Element): boolean {
  return element.hasAttribute('popover') && element.matches(':popover-open');
}

function stackingOf(element: AnyElement, ancestors: readonly Element[], style: CSSStyleDeclaration): StackingFacts {
  const outer = ancestors.map((one) => ({ one, reason: contextReason(one) })).find(({ reason }) => reason !== null);
  const isItem = ancestors[0] !== undefined && /flex|grid/.test(getComputedStyle(ancestors[0]).display);
  const isIgnored = style.zIndex !== 'auto' && style.position === 'static' && !isItem;
  return {
    zIndex: style.zIndex,
    isIgnored,
    makes: contextReason(element),
    within: outer ? `${tagOf(outer.one)} (${outer.reason ?? ''})` : null,
  };
}

/** What makes an ancestor hold what is fixed in it, in place of the viewport (CSS positioned layout). */
function fixedIn(element: Element, ancestors: readonly Element[]): string | null {
  if (element.matches(':modal') || isPopover(element)) return null;
  for (const ancestor of ancestors.filter((one) => one !== document.documentElement)) {
    const style = getComputedStyle(ancestor);
    const names = ['transform', 'translate', 'scale', 'rotate', 'perspective', 'filter', 'backdrop-filter'];
    const cause =
      names.find((name) => !['none', ''].includes(style.getPropertyValue(name))) ??
      (/layout|paint|strict|content/.test(style.contain) ? 'contain' : undefined) ??
      (style.willChange.split(/,\s*/).some((name) => names.includes(name)) ? 'will-change' : undefined);
    if (cause !== undefined) return `${tagOf(ancestor)} (${cause}: ${style.getPropertyValue(cause).slice(0, 80)})`;
  }
  return null;
}

function flexOf(parent: Element | undefined, style: CSSStyleDeclaration): FlexFacts | null {
  if (!parent || ['absolute', 'fixed'].includes(style.position)) return null;
  const { display, flexDirection, writingMode } = getComputedStyle(parent);
  if (!/flex/.test(display)) return null;
  const isAcross = flexDirection.startsWith('row') === writingMode.startsWith('horizontal');
  return { container: tagOf(parent), sizes: isAcross ? 'width' : 'height', flex: style.flex, basis: style.flexBasis };
}

/** Why a click at the position of an element does nothing at it. */
function clickAt(element: AnyElement): string | null {
  const box = boxOf(element);
  if (!box || box.width === 0 || box.height === 0) return 'it has no box to click';
  const disabled = disabledBy(element);
  if (disabled !== undefined) return `it ${disabled}`;
  if (freePoint(element, box) !== undefined) return null;
  const hit = topAt(element, box.left + box.width / 2, box.top + box.height / 2);
  const reason = unhittable(element, box);
  if (!hit && !reason?.startsWith('is inert')) return 'it is outside of what the page shows now: scroll to it';
  if (reason !== undefined || !hit) return `it ${reason ?? ''}`;
  const { position, zIndex } = getComputedStyle(hit);
  return `it is covered by ${tagOf(hit)} (position: ${position}, z-index: ${zIndex})`;
}
