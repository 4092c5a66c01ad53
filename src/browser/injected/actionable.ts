import type { ActionCheck } from './contract.js';
import { elementOf, isShadowRoot, tagOf, withoutElement, type AnyElement } from './elements.js';
import {
  boxOf,
  disabledBy,
  freePoint,
  isReached,
  isWithin,
  minArea,
  parentOf,
  topAt,
  undrawnBy,
  unhittable,
} from './hitTest.js';
import { drawnTwin } from './optionList.js';

type ActionPlace = Exclude<ActionCheck, { readonly problem: string }>;

const frameLimitMs = 50;
const choiceTypes = ['checkbox', 'radio', 'file'];
const choiceRoles = ['checkbox', 'radio', 'switch'];
const fields = 'input:not([type=hidden]),select,textarea,button';
const maxLevels = 4;
const covered = 'is covered by ';
/** During a view transition, pictures of the page cover it. */
const transitionMs = 4_000;

/**
 * Called on a node. Resolves to what keeps a user from acting on it, as the end of a sentence, or to the point of its
 * first box where a pointer reaches it. Waits up to `limitMs` for it to be shown, enabled, at rest and, for a pointer, not
 * covered. A choice that is hidden behind its own looks is acted on through what stands for it.
 */
export async function untilActionable(this: Node, pointer: boolean, limitMs: number): Promise<ActionCheck> {
  const end = performance.now() + limitMs + (isInTransition() ? transitionMs : 0);
  let isCentred = false;
  for (;;) {
    const acting = actingNode(this);
    const before = boxOf(acting);
    const problem = problemOf(acting, before, pointer);
    const isStandIn = acting !== this;
    const isKeyed = elementOf(acting)?.localName === 'area';
    if (problem === undefined && (!pointer || isKeyed)) return { isStandIn, ...(isKeyed && { key: 'Enter' as const }) };
    await nextFrame();
    const isLate = performance.now() > end;
    const rest = problem === undefined ? restOf(acting, before, isLate) : undefined;
    if (rest) return { isStandIn, ...rest };
    if (isLate) return givenUp(this, problem);
    if (!isCentred && problem?.startsWith(covered) === true) {
      // What stays at an edge of the page, such as a header, covers what is scrolled only just into view.
      isCentred = true;
      elementOf(acting)?.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
    }
  }
}

/** Its box, and where a pointer reaches it, once it has stopped moving, or after the limit. */
function restOf(node: Node, before: DOMRect | undefined, isLate: boolean): Omit<ActionPlace, 'isStandIn'> | undefined {
  if (!before || !(isAtRest(node, before) || (isLate && isAnimatedForever(node)))) return undefined;
  return { box: [before.width, before.height], at: freePoint(node, before) };
}

function isAtRest(node: Node, before: DOMRect): boolean {
  const after = boxOf(node);
  return after !== undefined && before.left === after.left && before.top === after.top;
}

function givenUp(node: Node, problem: string | undefined): ActionCheck {
  if (isHiddenChoice(node)) return { isStandIn: false, key: 'Space' };
  return { problem: problem ?? 'does not stop moving. wait_for what ends the animation' };
}

/** Called on a choice that no pointer reaches. The element through which a user would set it. */
export function standIn(this: Node): Node {
  return actingNode(this);
}

/** Called on a node. Whether the centre of its element is in the visible part of its document. */
export function isInView(this: Node): boolean {
  const box = boxOf(this);
  if (!box) return false;
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  return x >= 0 && y >= 0 && x < innerWidth && y < innerHeight && topAt(this, x, y) !== undefined;
}

function problemOf(node: Node, box: DOMRect | undefined, pointer: boolean): string | undefined {
  const element = elementOf(node);
  if (!element?.isConnected) return withoutElement(node);
  if (element.localName === 'option') return 'is an option of a select: fill the select with its label';
  if (!pointer && element.matches('input[type=file]')) return undefined;
  if (element.localName === 'area') return undefined;
  if (!isDrawn(element, box) && (pointer || !takesKeys(element))) {
    return unseen(element);
  }
  const disabled = disabledBy(element) ?? (element.closest('[aria-disabled="true"]') ? 'is disabled' : undefined);
  if (disabled !== undefined) return `${disabled}. Fill or choose what it waits for first`;
  return pointer && box ? coverOf(element, box) : undefined;
}

function unseen(element: AnyElement): string {
  const reason = undrawnBy(element);
  return `is not visible${reason === null ? '' : ` (${reason})`}. Make it appear first (open its menu, tab or section)`;
}

function isDrawn(element: AnyElement, box: DOMRect | undefined): boolean {
  // One without a box of its own is as visible as its parent.
  const boxed = getComputedStyle(element).display === 'contents' ? parentOf(element) : element;
  return Boolean(box?.width && box.height && boxed?.checkVisibility({ visibilityProperty: true }));
}

/** Editors draw their text themselves, and take the keys through a field without a size. */
function takesKeys(element: AnyElement): boolean {
  const takesText = element.localName === 'textarea' || element.isContentEditable === true || element.editContext;
  if (!takesText) return false;
  element.focus?.();
  const root = element.getRootNode();
  return (isShadowRoot(root) ? root : element.ownerDocument).activeElement === element;
}

/** What a pointer would hit instead of the element. */
function coverOf(element: AnyElement, box: DOMRect): string | undefined {
  // A hit on the text of an element with `display: contents` is a hit on the element around it.
  if (freePoint(element, box) !== undefined || getComputedStyle(element).display === 'contents') return undefined;
  const reason = unhittable(element, box);
  if (reason?.startsWith('is inert') === true) return `${reason}. Close or finish what the page shows in its place`;
  if (reason !== undefined) return reason;
  const hit = topAt(element, box.left + box.width / 2, box.top + box.height / 2);
  if (!hit) return 'is outside the visible part of the page, and cannot be scrolled into it';
  return `${covered}${tagOf(hit)}. Close or move what covers it, or act on that`;
}

const isInTransition = (): boolean => document.documentElement.matches(':active-view-transition');

/** Whether a style animates the element, or one around it, without an end. */
function isAnimatedForever(node: Node): boolean {
  for (let at: Element | null = elementOf(node); at; at = parentOf(at)) {
    const ends = at.getAnimations().map(({ effect }) => effect?.getComputedTiming().endTime);
    if (ends.includes(Number.POSITIVE_INFINITY)) return true;
  }
  return false;
}

/** Also comes in a tab that draws no frames. */
function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    requestAnimationFrame(() => resolve());
    setTimeout(resolve, frameLimitMs);
  });
}

/**
 * The node that a pointer acts on for a node. Design systems hide a checkbox, radio button, switch or file field and draw
 * another element in its place: then it is its label, or what is drawn in the same control. Otherwise the node itself.
 */
export function actingNode(node: Node): Node {
  const element = elementOf(node);
  if (element === null || element !== node || isReached(element)) return node;
  // It has no box of its own: what is in it has.
  const isUnboxed = getComputedStyle(element).display === 'contents';
  return (isUnboxed ? firstDrawn(element) : drawnInstead(element)) ?? node;
}

/** What stands for a choice, or a field, that others draw. */
function drawnInstead(element: AnyElement): Node | undefined {
  if (element.getAttribute('role') === 'option') return drawnTwin(element);
  if (!isChoice(element) && !isDrawnByOthers(element)) return undefined;
  const labels = [...(element.labels ?? [])];
  const found = labels.find(isReached) ?? overIt(element) ?? (isChoice(element) ? besideIt(element) : undefined);
  // The next look at it may find it in view.
  if (!found) (labels[0] ?? element).scrollIntoView({ block: 'center', behavior: 'instant' });
  return found;
}

function firstDrawn(element: Element): Node | undefined {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const box = boxOf(walker.currentNode);
    if (box && box.width * box.height >= minArea) return walker.currentNode;
  }
  return undefined;
}

function isChoice(element: AnyElement): boolean {
  const isNative = element.localName === 'input' && choiceTypes.includes(element.type ?? '');
  return isNative || choiceRoles.includes(element.getAttribute('role') ?? '');
}

/** Whether an element is a choice that only screen readers and the keyboard are meant to reach. */
export function isHiddenChoice(node: Node): boolean {
  const element = elementOf(node);
  if (element === null || element !== node || !isChoice(element) || element.matches(':disabled')) return false;
  const box = boxOf(element);
  if (element.labels?.length || !box || !element.checkVisibility({ visibilityProperty: true })) return false;
  const isUnseen = box.width * box.height < minArea || !element.checkVisibility({ opacityProperty: true });
  return isUnseen && !isUnderLayer(element, box);
}

/** Whether something that lies over the page is where the element is. */
function isUnderLayer(element: AnyElement, box: DOMRect): boolean {
  let at: Element | null = topAt(element, box.left + box.width / 2, box.top + box.height / 2) ?? null;
  for (; at && !isWithin(element, at); at = parentOf(at)) {
    if (['fixed', 'absolute'].includes(getComputedStyle(at).position)) return true;
  }
  return false;
}

/** The field of a list of options, or one that cannot be seen itself. */
function isDrawnByOthers(element: AnyElement): boolean {
  if (!element.matches('input,select,textarea')) return false;
  return element.getAttribute('role') === 'combobox' || !element.checkVisibility({ opacityProperty: true });
}

/** The element that is drawn over a field, if the field is the only one in their common parent. */
function overIt(element: AnyElement): AnyElement | undefined {
  const box = boxOf(element);
  const hit = box && topAt(element, box.left + box.width / 2, box.top + box.height / 2);
  const control = controlOf(element);
  return hit && hit !== control && control && isWithin(hit, control) && isReached(hit) ? hit : undefined;
}

/** The outermost of the nearest elements around a field in which it is the only one. */
function controlOf(element: Element): Element | undefined {
  let control: Element | undefined;
  let at = parentOf(element);
  for (let level = 0; at && at.localName !== 'body' && level < maxLevels; level++) {
    if (at.querySelectorAll(fields).length > 1) break;
    control = at;
    at = parentOf(at);
  }
  return control;
}

/** The element that is drawn in place of a hidden checkbox or radio button: beside it, or around it. */
function besideIt(element: AnyElement): AnyElement | undefined {
  const control = controlOf(element);
  for (let at: Element = element; control && at !== control;) {
    const parent = parentOf(at);
    if (!parent) return undefined;
    const drawn = [...parent.children].find((sibling) => sibling !== at && isReached(sibling));
    if (drawn ?? isReached(parent)) return drawn ?? parent;
    at = parent;
  }
  // Stars and tabs: what is drawn follows each field.
  const next = element.nextElementSibling;
  return next && !next.matches(fields) && !next.querySelector(fields) && isReached(next) ? next : undefined;
}
