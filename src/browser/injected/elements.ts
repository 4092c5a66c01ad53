import { asRead } from './contract.js';

type FieldProperties = Pick<
  HTMLInputElement,
  'checked' | 'disabled' | 'labels' | 'readOnly' | 'required' | 'select' | 'type' | 'value'
> &
  Pick<HTMLElement, 'focus' | 'innerText' | 'isContentEditable' | 'tabIndex' | 'title'> &
  Pick<HTMLAnchorElement, 'href'> &
  Pick<HTMLLabelElement, 'control'> &
  Pick<HTMLIFrameElement, 'contentDocument'> & {
    /** An editor that draws its text itself. TypeScript does not know it yet. */
    readonly editContext: { readonly text: string } | null;
  };

/**
 * An element of any kind, with the properties that only some kinds have. Elements are told apart by these and by name:
 * `instanceof` fails for elements of another frame.
 */
export type AnyElement = Element & Partial<FieldProperties>;

export const isElement = (node: Node): node is AnyElement => node.nodeType === Node.ELEMENT_NODE;

export const isText = (node: Node): node is Text => node.nodeType === Node.TEXT_NODE;

/** Options of a MutationObserver that reports every change. */
export const everyChange = { subtree: true, childList: true, attributes: true, characterData: true };

/** The elements and texts of a document, then those of its open shadow roots; `onRoot` is called for each before its nodes. */
export function* openNodes(
  document: Document,
  onRoot?: (root: Document | ShadowRoot) => void,
): Generator<Node, undefined> {
  const roots: (Document | ShadowRoot)[] = [document];
  for (let root = roots.pop(); root !== undefined; root = roots.pop()) {
    onRoot?.(root);
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      yield node;
      if (isElement(node) && node.shadowRoot) roots.push(node.shadowRoot);
    }
  }
}

/** The node itself, or the element that holds a text node. */
export const elementOf = (node: Node): AnyElement | null => (isElement(node) ? node : node.parentElement);

/** Why there is no element to act on, as the end of a sentence. */
export const withoutElement = (node: Node): string =>
  node.nodeType === Node.DOCUMENT_NODE
    ? 'is the whole page. Pass the uid of an element in it'
    : 'is no longer in the page. take_snapshot again for the present uids';

export const isShadowRoot = (node: Node): node is ShadowRoot =>
  node.nodeType === Node.DOCUMENT_FRAGMENT_NODE && 'host' in node;

export const sameText = (one: string | null, other: string): boolean =>
  asRead(one ?? '').trim() === asRead(other).trim();

const maxClassChars = 60;

/** The tag of an element with its id and classes. */
export function tagOf(element: Element): string {
  const classes = element.classList.value;
  const shown = classes.length > maxClassChars ? `${classes.slice(0, maxClassChars)}…` : classes;
  return `<${element.localName}${element.id ? ` id="${element.id}"` : ''}${shown ? ` class="${shown}"` : ''}>`;
}

export const isSlot = (node: Node): node is HTMLSlotElement => isElement(node) && node.localName === 'slot';

/** The label of an option: its accessible name, or its text, including slotted text. */
export function shownTextOf(element: AnyElement): string {
  const text = element.getAttribute('aria-label') ?? (element.innerText?.trim() || slottedText(element));
  return asRead(text).trim();
}

function slottedText(node: Node): string {
  if (isText(node)) return node.data;
  const assigned = isSlot(node) ? node.assignedNodes() : [];
  return [...(assigned.length > 0 ? assigned : node.childNodes)].map(slottedText).join('');
}
