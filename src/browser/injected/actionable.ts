import { elementOf, isShadowRoot, type AnyElement } from './elements.js';

const frameLimitMs = 50;

/**
 * Called on a node. Resolves to what keeps a user from acting on it, as the end of a sentence, or to undefined. Waits up
 * to `limitMs` for it to be shown, enabled, at rest and, for a pointer, not covered.
 */
export async function untilActionable(this: Node, pointer: boolean, limitMs: number): Promise<string | undefined> {
  const end = performance.now() + limitMs;
  for (;;) {
    const before = boxOf(this);
    const problem = problemOf(this, before, pointer);
    if (problem === undefined && !pointer) return undefined;
    await nextFrame();
    const after = boxOf(this);
    const isAtRest = before && after && before.left === after.left && before.top === after.top;
    if (problem === undefined && isAtRest) return undefined;
    if (performance.now() > end) return problem ?? 'does not stop moving. wait_for what ends the animation';
  }
}

/** The first box of an element, or of a text. */
function boxOf(node: Node): DOMRect | undefined {
  const element = elementOf(node);
  if (node === element) return element.getClientRects()[0];
  const range = document.createRange();
  range.selectNodeContents(node);
  return range.getClientRects()[0];
}

function problemOf(node: Node, box: DOMRect | undefined, pointer: boolean): string | undefined {
  const element = elementOf(node);
  if (!element?.isConnected) return 'is no longer in the page. take_snapshot again for the present uids';
  if (element.localName === 'option') return 'is an option of a select: fill the select with its label';
  const isFilePicker = element.localName === 'input' && element.type === 'file';
  if (!pointer && isFilePicker) return undefined;
  if (!box?.width || !box.height || !element.checkVisibility({ visibilityProperty: true })) {
    return 'is not visible. Make it appear first (open its menu, tab or section)';
  }
  if (element.closest(':disabled') || element.closest('[aria-disabled="true"]')) {
    return 'is disabled. Fill or choose what it waits for first';
  }
  return pointer ? coverOf(element, box) : undefined;
}

/** What a pointer would hit instead of the element. */
function coverOf(element: AnyElement, { left, top, width, height }: DOMRect): string | undefined {
  const root = element.getRootNode();
  const hit = (isShadowRoot(root) ? root : element.ownerDocument).elementFromPoint(left + width / 2, top + height / 2);
  if (!hit) return 'is outside the visible part of the page, and cannot be scrolled into it';
  if (isWithin(hit, element)) return undefined;
  return `is covered by ${tagOf(hit)}. Close or move what covers it, or act on that`;
}

/** Whether an element is inside another one, through slots and shadow roots, or inside its label. */
function isWithin(inner: Element, outer: AnyElement): boolean {
  for (let at: AnyElement | null = inner; at; at = parentOf(at)) {
    if (at === outer) return true;
    if (at.localName === 'label' && at.control === outer) return true;
  }
  return false;
}

function parentOf(element: Element): Element | null {
  const parent = element.assignedSlot ?? element.parentElement;
  if (parent) return parent;
  const root = element.getRootNode();
  return isShadowRoot(root) ? root.host : null;
}

function tagOf(element: Element): string {
  const id = element.id ? ` id="${element.id}"` : '';
  const classes = element.classList.length > 0 ? ` class="${element.classList.value}"` : '';
  return `<${element.localName}${id}${classes}>`;
}

/** Also comes in a tab that draws no frames. */
function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    requestAnimationFrame(() => resolve());
    setTimeout(resolve, frameLimitMs);
  });
}
