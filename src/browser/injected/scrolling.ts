import type { ScrollMove, ScrollResult } from './contract.js';
import { elementOf, isShadowRoot, type AnyElement } from './elements.js';

/** A smaller distance is a rounding of fractional sizes and does not count as scrollable. */
const leastWay = 2;
/** Share of the visible part to scroll by default: the rest of it stays visible for orientation. */
const defaultPart = 0.8;

/**
 * Called on a node, or on nothing for the document. Scrolls the nearest box around it that can go that way, the document
 * last; without a node also the largest box, for pages whose document does not scroll. `undefined` if nothing can.
 */
export function scrollNearest(this: Node | undefined, { direction, pixels, toEnd }: ScrollMove): ScrollResult | null {
  const isVertical = direction === 'up' || direction === 'down';
  const box = boxAround(this, isVertical) ?? (this === undefined ? largestBox(isVertical) : undefined);
  if (box === undefined) return null;
  const positionOf = (): number => (isVertical ? box.scrollTop : box.scrollLeft);
  const shown = isVertical ? box.clientHeight : box.clientWidth;
  const total = isVertical ? box.scrollHeight : box.scrollWidth;
  const before = positionOf();
  const sign = direction === 'down' || direction === 'right' ? 1 : -1;
  const way = sign * (toEnd ? total : (pixels ?? Math.round(shown * defaultPart)));
  box.scrollBy({ [isVertical ? 'top' : 'left']: way, behavior: 'instant' });
  return {
    box: nameOf(box),
    moved: Math.round(positionOf() - before),
    position: Math.round(positionOf()),
    shown,
    total,
  };
}

/** The nearest box around a node, through slots and shadow roots, that can scroll on the axis. */
function boxAround(from: Node | undefined, isVertical: boolean): Element | undefined {
  for (let at = from === undefined ? null : elementOf(from); at !== null; at = parentOf(at)) {
    if (isScrollable(at, isVertical)) return at;
  }
  const root = document.scrollingElement;
  return root !== null && hasWay(root, isVertical) ? root : undefined;
}

function parentOf(element: AnyElement): AnyElement | null {
  if (element.assignedSlot) return element.assignedSlot;
  const parent = element.parentNode;
  if (parent === null) return null;
  return isShadowRoot(parent) ? parent.host : elementOf(parent);
}

function largestBox(isVertical: boolean): Element | undefined {
  const boxes = [...document.querySelectorAll('*')].filter((element) => isScrollable(element, isVertical));
  const areaOf = (element: Element): number => element.clientWidth * element.clientHeight;
  return boxes.sort((one, other) => areaOf(other) - areaOf(one))[0];
}

function isScrollable(element: Element, isVertical: boolean): boolean {
  if (element === document.scrollingElement || !hasWay(element, isVertical)) return false;
  const { overflowX, overflowY } = getComputedStyle(element);
  return ['auto', 'scroll', 'overlay', 'hidden'].includes(isVertical ? overflowY : overflowX);
}

const hasWay = (element: Element, isVertical: boolean): boolean =>
  isVertical
    ? element.scrollHeight - element.clientHeight >= leastWay
    : element.scrollWidth - element.clientWidth >= leastWay;

function nameOf(element: Element): string {
  if (element === document.scrollingElement) return 'the page';
  const label = element.getAttribute('aria-label') ?? element.id;
  return label === '' ? `<${element.localName}>` : `<${element.localName}> ${label.slice(0, 60)}`;
}
