import type { BoxPoint } from './contract.js';
import { elementOf, isShadowRoot, tagOf, type AnyElement } from './elements.js';

/** The places of a box that a user would try, as fractions of its size. */
const triedPoints: readonly BoxPoint[] = [
  [0.5, 0.5],
  [0.5, 0.25],
  [0.5, 0.75],
  [0.25, 0.5],
  [0.75, 0.5],
  [0.1, 0.5],
  [0.9, 0.5],
  [0.1, 0.1],
  [0.9, 0.9],
];
const controls =
  'a[href],button,input,select,textarea,summary,[role=button],[role=link],[role=checkbox],[role=menuitem]';

/** The first box of an element, or of a text, that has a size: what is empty in an inline element has a box, too. */
export function boxOf(node: Node): DOMRect | undefined {
  const boxes = [...boxesOf(node)];
  return boxes.find(({ width, height }) => width > 0 && height > 0) ?? boxes[0];
}

function boxesOf(node: Node): DOMRectList {
  const element = elementOf(node);
  if (node === element) return element.getClientRects();
  const range = document.createRange();
  range.selectNodeContents(node);
  return range.getClientRects();
}

/**
 * The point in the box of a node where a pointer reaches the node: its centre if possible, and not on another control
 * within it. Undefined if the node is completely covered.
 */
export function freePoint(node: Node, box: DOMRect): BoxPoint | undefined {
  const element = elementOf(node);
  if (!element) return undefined;
  let onInner: BoxPoint | undefined;
  for (const point of triedPoints) {
    const hit = reachedAt(element, box.left + box.width * point[0], box.top + box.height * point[1]);
    if (!hit) continue;
    const control = hit.closest(controls);
    if (!control || control === element || !element.contains(control)) return point;
    onInner ??= point;
  }
  return onInner;
}

/** Smaller elements are visually hidden, for screen readers only. */
export const minArea = 16;

/** Whether a pointer can act on an element as drawn. */
export function isReached(element: AnyElement): boolean {
  const box = boxOf(element);
  if (!box || box.width * box.height < minArea || !element.checkVisibility({ visibilityProperty: true })) return false;
  return freePoint(element, box) !== undefined;
}

/** Called on a node. Whether it is drawn and, where its centre is in view, a pointer reaches it. */
export function isSeen(this: Node): boolean {
  const box = boxOf(this);
  const element = elementOf(this);
  if (!box || !element || box.width * box.height < minArea) return false;
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const isInView = x >= 0 && y >= 0 && x < innerWidth && y < innerHeight;
  return isInView ? isReached(element) : element.checkVisibility({ visibilityProperty: true });
}

/** The element that a pointer hits at a point, resolved in the tree of `node`. */
export function topAt(node: Node, x: number, y: number): Element | undefined {
  return treeOf(node).elementsFromPoint(x, y)[0];
}

/** The element that is hit at a point, if it belongs to the given element. */
function reachedAt(element: AnyElement, x: number, y: number): Element | undefined {
  const hosts = hostsOf(element);
  for (const hit of treeOf(element).elementsFromPoint(x, y)) {
    if (isWithin(hit, element)) return hit;
    // A text that is assigned to a slot counts as its host: whether it is within the element shows what comes next.
    const isSlotted = hosts.some((host) => host === hit || (!host.shadowRoot && host.contains(hit)));
    if (!isSlotted) return undefined;
  }
  return undefined;
}

function treeOf(node: Node): Document | ShadowRoot {
  const root = node.getRootNode();
  return isShadowRoot(root) ? root : (node.ownerDocument ?? document);
}

/** The hosts of the shadow trees that an element is in. */
function hostsOf(element: Element): Element[] {
  const hosts: Element[] = [];
  for (let root = element.getRootNode(); isShadowRoot(root); root = root.host.getRootNode()) hosts.push(root.host);
  return hosts;
}

/** Whether an element is inside another one, through slots and shadow roots, or inside its label. */
export function isWithin(inner: Element, outer: AnyElement): boolean {
  for (let at: AnyElement | null = inner; at; at = parentOf(at)) {
    if (at === outer) return true;
    if (at.localName === 'label' && at.control === outer) return true;
  }
  return false;
}

/**
 * Why a pointer hits nothing of an element where it is drawn, as the end of a sentence. Undefined if it would be hit there
 * without what lies over it.
 */
export function unhittable(element: AnyElement, box: DOMRect): string | undefined {
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const hits = treeOf(element).elementsFromPoint(x, y);
  if (hits.some((hit) => isWithin(hit, element))) return undefined;
  const lineage = [element, ...ancestorsOf(element)];
  const styleOf = (one: Element, name: string): string => getComputedStyle(one).getPropertyValue(name);
  const inert = lineage.find((one) => one.hasAttribute('inert'));
  if (inert) return `is inert${inert === element ? '' : `, through ${tagOf(inert)}`}`;
  const modal = [...element.ownerDocument.querySelectorAll(':modal')].findLast((one) => !isWithin(element, one));
  if (modal) return `is inert while the modal ${tagOf(modal)} is open`;
  const byStyle = lineage.findLast((one) => styleOf(one, 'interactivity') === 'inert');
  if (byStyle) return `is inert (interactivity: inert${ofOther(byStyle, element)})`;
  const clip = hits.length === 0 ? undefined : lineage.find((one) => styleOf(one, 'clip-path') !== 'none');
  if (clip) return `is cut away by clip-path: ${styleOf(clip, 'clip-path').slice(0, 80)}${ofOther(clip, element)}`;
  return styleOf(element, 'pointer-events') === 'none' ? 'lets clicks through (pointer-events: none)' : undefined;
}

/** What disables an element, as the end of a sentence: itself, a control around it, or a fieldset. */
export function disabledBy(element: AnyElement): string | undefined {
  const control = element.closest(':disabled');
  if (!control || (control !== element && control.localName === 'fieldset')) return undefined;
  const group = control.hasAttribute('disabled') ? null : control.parentElement?.closest(':disabled');
  const through = group ?? (control === element ? undefined : control);
  return `is disabled${through ? `, through ${tagOf(through)}` : ''}`;
}

/** Why an element cannot be seen, whatever the page is scrolled to. */
export function undrawnBy(element: AnyElement): string | null {
  const lineage = [element, ...ancestorsOf(element)];
  const none = lineage.findLast((one) => getComputedStyle(one).display === 'none');
  if (none) return `display: none${ofOther(none, element)}`;
  const closed = lineage.find((one) => one.parentElement?.matches('details:not([open])') === true && !isSummary(one));
  if (closed?.parentElement) return `it is in the closed ${tagOf(closed.parentElement)}: open that by its summary`;
  const { visibility } = getComputedStyle(element);
  if (visibility !== 'visible') return `visibility: ${visibility}`;
  const skipped = ancestorsOf(element).find((one) => getComputedStyle(one).contentVisibility === 'hidden');
  return skipped ? `content-visibility: hidden of ${tagOf(skipped)}` : null;
}

const isSummary = (element: Element): boolean => element.matches('summary:first-of-type');

/** Whose property it is, if it is that of an ancestor. */
export const ofOther = (owner: Element, element: Element): string => (owner === element ? '' : ` of ${tagOf(owner)}`);

const maxAncestors = 400;

/** In the flat tree, the nearest first. */
export function ancestorsOf(element: Element): Element[] {
  const found: Element[] = [];
  for (let at = parentOf(element); at && found.length < maxAncestors; at = parentOf(at)) found.push(at);
  return found;
}

export function parentOf(element: Element): Element | null {
  const parent = element.assignedSlot ?? element.parentElement;
  if (parent) return parent;
  const root = element.getRootNode();
  return isShadowRoot(root) ? root.host : null;
}
