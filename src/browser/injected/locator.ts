import type { ElementLocator } from './contract.js';
import { elementOf, isShadowRoot, type AnyElement } from './elements.js';

/** Attributes that name an element for tests, then those that rarely change. */
const attributes = ['data-testid', 'data-test', 'data-test-id', 'data-cy', 'name', 'aria-label', 'placeholder', 'href'];
const maxValueLength = 80;
/** An id that a program made up is another one next time. */
const stableId = /^[a-z](?!.*\d{3})[\w-]*$/i;

/** Called on a node. Selectors by which a script finds its element again: one for the document and each shadow root. */
export function locateElement(this: Node): ElementLocator | null {
  const element = elementOf(this);
  if (element === null) return null;
  const selectors: string[] = [];
  for (let at: AnyElement = element; ;) {
    const root = at.getRootNode();
    if (!isParent(root)) return null;
    selectors.unshift(selectorIn(root, at));
    if (!isShadowRoot(root)) return { selectors, field: fieldOf(element) };
    at = root.host;
  }
}

const isParent = (node: Node): node is Document | ShadowRoot => 'querySelectorAll' in node;

function fieldOf({ localName, type = '' }: AnyElement): ElementLocator['field'] {
  if (localName === 'select') return 'select';
  return localName === 'input' && (type === 'checkbox' || type === 'radio') ? 'choice' : 'other';
}

function selectorIn(root: Document | ShadowRoot, element: Element): string {
  const parts: string[] = [];
  for (let at: Element | null = element; at !== null; at = at.parentElement) {
    const tail = parts.length === 0 ? '' : ` > ${parts.join(' > ')}`;
    for (const own of ownSelectors(at)) {
      const selector = own + tail;
      if (root.querySelectorAll(selector).length === 1) return selector;
    }
    parts.unshift(positionOf(at));
  }
  return parts.join(' > ');
}

function ownSelectors(element: Element): string[] {
  const tag = CSS.escape(element.localName);
  const byAttribute = attributes.flatMap((name) => {
    const value = element.getAttribute(name);
    if (value === null || value === '' || value.length > maxValueLength) return [];
    return [`${name.startsWith('data-') ? '' : tag}[${name}=${JSON.stringify(value)}]`];
  });
  return [...(stableId.test(element.id) ? [`#${element.id}`] : []), ...byAttribute];
}

function positionOf(element: Element): string {
  const tag = CSS.escape(element.localName);
  const siblings = [...(element.parentNode?.children ?? [])].filter(({ localName }) => localName === element.localName);
  return siblings.length === 1 ? tag : `${tag}:nth-of-type(${siblings.indexOf(element) + 1})`;
}
