type FieldProperties = Pick<
  HTMLInputElement,
  'checked' | 'disabled' | 'labels' | 'readOnly' | 'required' | 'select' | 'type' | 'value'
> &
  Pick<HTMLElement, 'focus' | 'innerText' | 'isContentEditable' | 'tabIndex' | 'title'> &
  Pick<HTMLAnchorElement, 'href'> &
  Pick<HTMLLabelElement, 'control'> &
  Pick<HTMLIFrameElement, 'contentDocument'>;

/**
 * An element of any kind, with the properties that only some kinds have. Elements are told apart by these and by name:
 * `instanceof` fails for elements of another frame.
 */
export type AnyElement = Element & Partial<FieldProperties>;

export const isElement = (node: Node): node is AnyElement => node.nodeType === Node.ELEMENT_NODE;

export const isText = (node: Node): node is Text => node.nodeType === Node.TEXT_NODE;

/** The node itself, or the element that holds a text node. */
export const elementOf = (node: Node): AnyElement | null => (isElement(node) ? node : node.parentElement);

export const isShadowRoot = (node: Node): node is ShadowRoot =>
  node.nodeType === Node.DOCUMENT_FRAGMENT_NODE && 'host' in node;
