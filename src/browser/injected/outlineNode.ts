import type { OutlineItem } from './contract.js';
import { isElement, isText, type AnyElement } from './elements.js';
import { cutText, shortenText } from '../../text.js';

const rolesByTag = new Map([
  ['ARTICLE', 'article'],
  ['ASIDE', 'complementary'],
  ['BUTTON', 'button'],
  ['DIALOG', 'dialog'],
  ['FIELDSET', 'group'],
  ['FIGURE', 'figure'],
  ['FOOTER', 'contentinfo'],
  ['FORM', 'form'],
  ['FRAME', 'Iframe'],
  ['H1', 'heading'],
  ['H2', 'heading'],
  ['H3', 'heading'],
  ['H4', 'heading'],
  ['H5', 'heading'],
  ['H6', 'heading'],
  ['HEADER', 'banner'],
  ['IFRAME', 'Iframe'],
  ['IMG', 'image'],
  ['LABEL', 'LabelText'],
  ['LI', 'listitem'],
  ['MAIN', 'main'],
  ['MENU', 'list'],
  ['NAV', 'navigation'],
  ['OL', 'list'],
  ['OPTION', 'option'],
  ['P', 'paragraph'],
  ['SELECT', 'combobox'],
  ['SUMMARY', 'DisclosureTriangle'],
  ['TABLE', 'table'],
  ['TBODY', 'rowgroup'],
  ['TD', 'cell'],
  ['TEXTAREA', 'textbox'],
  ['TFOOT', 'rowgroup'],
  ['TH', 'columnheader'],
  ['THEAD', 'rowgroup'],
  ['TR', 'row'],
  ['UL', 'list'],
]);

const rolesByInputType = new Map([
  ['button', 'button'],
  ['checkbox', 'checkbox'],
  ['file', 'button'],
  ['image', 'button'],
  ['number', 'spinbutton'],
  ['radio', 'radio'],
  ['range', 'slider'],
  ['reset', 'button'],
  ['search', 'searchbox'],
  ['submit', 'button'],
]);

const rolesNamedByContent = new Set(['button', 'heading', 'link', 'menuitem', 'option', 'switch', 'tab']);
const rolesWithValue = new Set(['combobox', 'searchbox', 'slider', 'spinbutton', 'textbox']);
/** ARIA's level of a heading that states none. */
const defaultHeadingLevel = 2;

/** A node as the accessibility tree would describe it, from its tag and attributes; texts are cut. */
export function describeNode(node: Node, maxTextCharacters: number): Omit<OutlineItem, 'parent'> {
  const cut = (text: string): string => truncate(text, maxTextCharacters);
  if (node === document) return { role: 'RootWebArea', name: cut(document.title) };
  if (isText(node)) return { role: 'StaticText', name: cut(node.data) };
  if (!isElement(node)) return { role: 'generic', name: '' };
  const role = roleOf(node);
  const value = rolesWithValue.has(role) && node.type !== 'password' ? node.value : undefined;
  return {
    role,
    name: cut(nameOf(node, role, maxTextCharacters)),
    ...(typeof value === 'string' && value !== '' && { value: cut(value) }),
    properties: propertiesOf(node, role),
  };
}

function truncate(text: string, max: number): string {
  const head = cutText(text, max);
  return head === text ? text : `${head}… (${text.length - head.length} more characters)`;
}

/** The first word of an attribute. A value that is not a word is ignored: it could look like a line of the snapshot. */
function wordOf(element: Element, attribute: string): string | undefined {
  return /^\s*([\w-]{1,40})(?!\S)/.exec(element.getAttribute(attribute) ?? '')?.[1];
}

function roleOf(element: AnyElement): string {
  return wordOf(element, 'role') ?? nativeRoleOf(element);
}

function nativeRoleOf(element: AnyElement): string {
  if (element.tagName === 'A') return element.href ? 'link' : 'generic';
  if (element.tagName === 'INPUT') return rolesByInputType.get(element.type ?? '') ?? 'textbox';
  return rolesByTag.get(element.tagName) ?? 'generic';
}

function nameOf(element: AnyElement, role: string, maxTextCharacters: number): string {
  const label = element.labels?.[0];
  return (
    element.getAttribute('aria-label') ||
    element.getAttribute('alt') ||
    (label && contentOf(label, maxTextCharacters)) ||
    (role === 'button' && element.tagName === 'INPUT' && element.value) ||
    (rolesNamedByContent.has(role) && contentOf(element, maxTextCharacters)) ||
    element.getAttribute('placeholder') ||
    element.getAttribute('title') ||
    ''
  );
}

/** The text in an element, which may be of any size, up to `max` characters. */
function contentOf(element: Element, max: number): string {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let text = '';
  while (text.length <= max && walker.nextNode()) {
    if (isText(walker.currentNode)) text += walker.currentNode.substringData(0, max + 1);
  }
  return shortenText(text, max);
}

/**
 * Compares with `true` instead of converting: in a form, a field of that name stands in the place of the property.
 */
function propertiesOf(element: AnyElement, role: string): OutlineItem['properties'] {
  const isCheckable = role === 'checkbox' || role === 'radio';
  return {
    level: role === 'heading' ? levelOf(element) : undefined,
    checked: wordOf(element, 'aria-checked') ?? (isCheckable ? element.checked === true : undefined),
    disabled: element.disabled === true || element.getAttribute('aria-disabled') === 'true' || undefined,
    expanded: wordOf(element, 'aria-expanded'),
    required: element.required === true || undefined,
    selected: wordOf(element, 'aria-selected'),
    focusable: (element.tabIndex ?? -1) >= 0 || undefined,
    clickable: (role === 'generic' && isClickable(element)) || undefined,
  };
}

/** Listeners cannot be seen from here. The cursor is inherited: the outermost element that has it counts. */
function isClickable(element: AnyElement): boolean {
  if (element.hasAttribute('onclick')) return true;
  const { parentElement } = element;
  const cursorOf = (of: Element): string => getComputedStyle(of).cursor;
  return cursorOf(element) === 'pointer' && (parentElement === null || cursorOf(parentElement) !== 'pointer');
}

function levelOf(element: Element): number {
  const level = Number(element.getAttribute('aria-level') ?? element.tagName[1]);
  return Number.isFinite(level) ? level : defaultHeadingLevel;
}
