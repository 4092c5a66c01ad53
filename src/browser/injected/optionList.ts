import { isElement, isShadowRoot, isSlot, sameText, shownTextOf, type AnyElement } from './elements.js';
import { isReached } from './hitTest.js';

const optionRoles =
  '[role=option],[role=menuitem],[role=menuitemradio],[role=menuitemcheckbox],[role=treeitem],[role=radio]';
const listRoles = ['listbox', 'radiogroup', 'menu', 'tree'];
const checkIntervalMs = 50;

/** Whether an element has options to choose from that are not native ones. */
export function offersOptions(element: AnyElement): boolean {
  const role = element.getAttribute('role') ?? '';
  return role === 'combobox' || listRoles.includes(role) || hasPopup(element);
}

const hasPopup = (element: AnyElement): boolean =>
  ['listbox', 'menu', 'tree', 'true', 'dialog', 'grid'].includes(element.getAttribute('aria-haspopup') ?? '');

/** Called on a node. Whether its options are already shown: its list is open, or the node is the list. */
export function isOpen(this: AnyElement): boolean {
  return this.getAttribute('aria-expanded') === 'true' || listRoles.includes(this.getAttribute('role') ?? '');
}

/** Called on an element with options. Resolves to the drawn option with that label, or to null after `limitMs`. */
export async function untilOption(this: AnyElement, label: string, limitMs: number): Promise<Node | null> {
  const end = performance.now() + limitMs;
  for (;;) {
    const found = findOption(this, label);
    if (found || performance.now() > end) return found ?? null;
    await new Promise((resolve) => setTimeout(resolve, checkIntervalMs));
  }
}

/** Called on an element with options. The labels of the shown options. */
export function optionLabels(this: AnyElement): string[] {
  return optionsOf(this).flatMap((option) => shownTextOf(option) || []);
}

/** By label first, then by value. An option that is for screen readers alone has a twin that is drawn. */
function findOption(owner: AnyElement, label: string): Element | undefined {
  const options = optionsOf(owner);
  const found =
    options.find((option) => sameText(shownTextOf(option), label)) ??
    options.find((option) => sameText(shownTextOf(option).toLowerCase(), label.toLowerCase())) ??
    options.find((option) => [option.value, option.getAttribute('data-value')].includes(label));
  if (!found) return undefined;
  found.scrollIntoView({ block: 'nearest' });
  return isReached(found) ? found : drawnTwin(found);
}

/** The innermost element outside of lists for screen readers that is drawn with the text of an option. */
export function drawnTwin(option: AnyElement): AnyElement | undefined {
  const text = shownTextOf(option);
  if (text === '') return undefined;
  const matching = [...option.ownerDocument.querySelectorAll<AnyElement>('body *')].filter(
    (element) =>
      element.childElementCount === 0 &&
      sameText(element.textContent, text) &&
      element !== option &&
      isReached(element),
  );
  return matching.findLast((element) => !element.closest('[role=combobox],button,label'));
}

/** Those of the list that it names, else those of its own, else all that are drawn. */
function optionsOf(owner: AnyElement): AnyElement[] {
  const root = owner.getRootNode();
  const ids = `${owner.getAttribute('aria-controls') ?? ''} ${owner.getAttribute('aria-owns') ?? ''}`;
  for (const id of ids.split(/\s+/).filter(Boolean)) {
    const options = deepOptions(byId(root, id));
    if (options.length > 0) return options;
  }
  const own = deepOptions(owner);
  if (own.length > 0) return own;
  return deepOptions(owner.ownerDocument).filter((option) => option.checkVisibility({ visibilityProperty: true }));
}

const byId = (root: Node, id: string): Element | null =>
  root instanceof Document || isShadowRoot(root) ? root.getElementById(id) : null;

/** The options in a tree, in its shadow trees, and in the nodes assigned to its slots. */
function deepOptions(root: Node | null): AnyElement[] {
  const found = new Set<AnyElement>();
  const visit = (at: Node): void => {
    if (isElement(at)) {
      if (at.matches(optionRoles)) found.add(at);
      if (at.shadowRoot) visit(at.shadowRoot);
      if (isSlot(at)) at.assignedNodes().forEach(visit);
    }
    at.childNodes.forEach(visit);
  };
  root?.childNodes.forEach(visit);
  if (root && isElement(root) && root.shadowRoot) visit(root.shadowRoot);
  if (root && isElement(root) && isSlot(root)) root.assignedNodes().forEach(visit);
  return [...found];
}
