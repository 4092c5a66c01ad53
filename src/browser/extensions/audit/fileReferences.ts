import type { AnyNode, AssignmentExpression, CallExpression, NewExpression } from 'acorn';
import { forEachChild, isFunctionNode, keyOf, type Names, type Scope } from './scopes.js';

/** A file that code names. */
export interface Reference {
  readonly kind:
    | 'import'
    | 'dynamic import'
    | 'importScripts'
    | 'injected script'
    | 'injected style'
    | 'page'
    | 'offscreen document'
    | 'image'
    | 'worker'
    | 'resource'
    | 'remote script';
  readonly path: string;
  readonly offset: number;
  /** What a relative path begins at: the folder of the extension, the script, or the page or worker that runs it. */
  readonly from: 'folder' | 'self' | 'context';
  readonly within: number;
  readonly isGuarded: boolean;
}

export interface Found {
  readonly references: Omit<Reference, 'within' | 'isGuarded'>[];
  /** Functions that are run in pages. */
  readonly injected: AnyNode[];
  /** Further uses, written as paths. */
  readonly uses: string[];
  /** Global names that it assigns. */
  readonly defined: string[];
}

interface Around {
  readonly names: Names;
  readonly scope: Scope;
}

/** Arguments of Chrome's functions that are files: where they stand in the first argument, or in which argument. */
const fileArguments: Readonly<Record<string, readonly [Reference['kind'], string | number]>> = {
  'chrome.offscreen.createDocument': ['offscreen document', 'url'],
  'chrome.action.setPopup': ['page', 'popup'],
  'chrome.action.setIcon': ['image', 'path'],
  'chrome.sidePanel.setOptions': ['page', 'path'],
  'chrome.notifications.create': ['image', 'iconUrl'],
  'chrome.tabs.create': ['page', 'url'],
  'chrome.windows.create': ['page', 'url'],
  'chrome.runtime.getURL': ['resource', 0],
  'chrome.devtools.panels.create': ['page', 2],
  Worker: ['worker', 0],
  SharedWorker: ['worker', 0],
};

/** Chrome's functions for which a relative path begins at the folder of the extension. */
const fromFolder = (path: string): boolean =>
  path.startsWith('chrome.') && !/^chrome\.(notifications|action\.setIcon)/.test(path);

const injections = new Set([
  'chrome.scripting.executeScript',
  'chrome.scripting.insertCSS',
  'chrome.scripting.removeCSS',
  'chrome.scripting.registerContentScripts',
  'chrome.scripting.updateContentScripts',
  'chrome.tabs.executeScript',
  'chrome.userScripts.register',
  'chrome.userScripts.execute',
]);

/** What a call says about files and functions. */
export function referencesOfCall(node: CallExpression | NewExpression, path: string, around: Around): Found {
  const found: Found = { references: [], injected: [], uses: [], defined: [] };
  const known = Object.hasOwn(fileArguments, path) ? fileArguments[path] : undefined;
  if (known !== undefined) ofArgument({ node, path, found }, known, around);
  if (path === 'importScripts')
    for (const argument of node.arguments)
      add(found, { kind: 'importScripts', from: 'context', node: argument }, around);
  if (injections.has(path))
    for (const argument of node.arguments) ofInjection(argument, around, { found, isStyle: path.endsWith('CSS') });
  found.defined.push(...(path === 'Object.defineProperty' ? definedProperty(node.arguments, around) : []));
  found.uses.push(...faultsOfCall(node, path, around));
  if (path === 'chrome.tabs.query')
    for (const key of ['url', 'title'])
      if (propertyOf(node.arguments[0], key, around)) found.uses.push(`${path}{${key}}`);
  return found;
}

/** Uses that are wrong in themselves, or hide others. */
function faultsOfCall({ arguments: [first] }: CallExpression | NewExpression, path: string, around: Around): string[] {
  if ((path === 'setTimeout' || path === 'setInterval') && isText(first)) return ['eval'];
  if (path === 'chrome.contextMenus.create') return menuFaults(first, around);
  if (!/^chrome\.runtime\.onMessage(?:External)?\.addListener$/.test(path) || first === undefined) return [];
  return answersLate(around.names.functionOf(first, around.scope)) ? [`${path}{late}`] : [];
}

/** `Object.defineProperty(globalThis, 'window', …)`. */
function definedProperty([object, key]: readonly AnyNode[], { names, scope }: Around): string[] {
  const name = key && keyOf(key, true);
  return object && name !== undefined && names.valueOf(object, scope) === '' ? [name] : [];
}

/** What an assignment says about files and global names. */
export function findInAssignment(
  { left, right }: AssignmentExpression,
  { names, scope }: Around,
): Pick<Found, 'references' | 'defined'> {
  if (left.type === 'Identifier')
    return { references: [], defined: scope.find(left.name) === undefined ? [left.name] : [] };
  if (left.type !== 'MemberExpression' || left.object.type === 'Super') return { references: [], defined: [] };
  const key = keyOf(left.property, left.computed);
  const object = names.valueOf(left.object, scope);
  const path = keyOf(right, true) ?? '';
  const isScript = key === 'src' && object === 'document.createElement()' && remoteScript.test(path);
  return {
    references: isScript ? [{ kind: 'remote script', path, offset: right.start, from: 'self' }] : [],
    defined: object === '' && key !== undefined ? [key] : [],
  };
}

const remoteScript = /^(?:https?:)?\/\/[^?#]+\.m?js(?:[?#]|$)/i;

const isText = (node: AnyNode | undefined): boolean =>
  node?.type === 'TemplateLiteral' || (node?.type === 'Literal' && typeof node.value === 'string');

/**
 * Whether a listener of messages answers in a callback and returns nothing, so that its answer comes too late. One that
 * returns a value, or that is async, is not judged.
 */
function answersLate(listener: AnyNode | undefined): boolean {
  if (listener === undefined || !isFunctionNode(listener) || listener.async || listener.body.type !== 'BlockStatement')
    return false;
  const [, , reply] = listener.params;
  if (reply?.type !== 'Identifier') return false;
  let [isLate, returnsValue] = [false, false];
  const look = (node: AnyNode): void => {
    if (isFunctionNode(node)) return;
    if (node.type === 'ReturnStatement' && node.argument) returnsValue = true;
    if (node.type === 'CallExpression') isLate ||= handsOn(node, reply.name);
    forEachChild(node, look);
  };
  forEachChild(listener.body, look);
  return isLate && !returnsValue;
}

/** Whether a call gets a callback, and with it a name, that it does not call at once. */
function handsOn({ callee, arguments: given }: CallExpression, name: string): boolean {
  const method = callee.type === 'MemberExpression' ? keyOf(callee.property, callee.computed) : undefined;
  let root: AnyNode = callee;
  while (root.type === 'MemberExpression' && root.object.type !== 'Super') root = root.object;
  const isChrome = root.type === 'Identifier' && (root.name === 'chrome' || root.name === 'browser');
  if (!isChrome && !(method !== undefined && ['then', 'finally'].includes(method)) && nameOf(callee) !== 'setTimeout')
    return false;
  return given.some((each) =>
    each.type === 'Identifier' ? each.name === name : isFunctionNode(each) && isNamed(each.body, name),
  );
}

const nameOf = (node: AnyNode): string => (node.type === 'Identifier' ? node.name : '');

function isNamed(node: AnyNode, name: string): boolean {
  let isThere = node.type === 'Identifier' && node.name === name;
  forEachChild(node, (child) => (isThere ||= isNamed(child, name)));
  return isThere;
}

/** What service workers may not pass, and must. */
function menuFaults(entry: AnyNode | undefined, around: Around): string[] {
  const value = heldBy(entry, around);
  if (value?.type !== 'ObjectExpression') return [];
  const isWhole = value.properties.every(
    (property) => property.type === 'Property' && keyOf(property.key, property.computed) !== undefined,
  );
  return [
    ...(propertyOf(value, 'onclick', around) ? ['chrome.contextMenus.create{onclick}'] : []),
    ...(isWhole && !propertyOf(value, 'id', around) ? ['chrome.contextMenus.create{no id}'] : []),
  ];
}

interface Call {
  readonly node: CallExpression | NewExpression;
  readonly path: string;
  readonly found: Found;
}

function ofArgument(
  { node, path, found }: Call,
  [kind, where]: readonly [Reference['kind'], string | number],
  around: Around,
): void {
  const from = fromFolder(path) ? 'folder' : 'context';
  if (typeof where === 'number') {
    add(found, { kind, from, node: node.arguments[where] }, around);
    return;
  }
  for (const argument of node.arguments) {
    for (const each of itemsOf(propertyOf(argument, where, around))) add(found, { kind, from, node: each }, around);
  }
}

/** The items of a list, the values of an object, or the value itself. */
function itemsOf(value: AnyNode | undefined): AnyNode[] {
  if (value?.type === 'ArrayExpression') return value.elements.filter((element) => element !== null);
  if (value?.type === 'ObjectExpression')
    return value.properties.map((property) => (property.type === 'Property' ? property.value : property));
  return value === undefined ? [] : [value];
}

/** `files` of `insertCSS` are style sheets. */
function ofInjection(
  argument: AnyNode,
  around: Around,
  { found, isStyle }: { readonly found: Found; readonly isStyle: boolean },
): void {
  const value = heldBy(argument, around);
  if (value?.type === 'ArrayExpression') {
    for (const element of itemsOf(value)) ofInjection(element, around, { found, isStyle });
    return;
  }
  for (const key of ['func', 'function']) {
    const given = propertyOf(value, key, around);
    const injected = given && around.names.functionOf(given, around.scope);
    if (injected && isFunctionNode(injected)) found.injected.push(injected);
  }
  for (const key of ['files', 'js', 'css', 'file']) {
    const kind = key === 'css' || isStyle ? 'injected style' : 'injected script';
    const list = propertyOf(value, key, around);
    for (const node of list?.type === 'ObjectExpression' ? [] : itemsOf(list)) {
      const file = node.type === 'ObjectExpression' ? propertyOf(node, 'file', around) : node;
      add(found, { kind, from: 'folder', node: file }, around);
    }
  }
}

function add(
  { references }: Found,
  { kind, from, node }: Pick<Reference, 'kind' | 'from'> & { readonly node: AnyNode | null | undefined },
  around: Around,
): void {
  if (!node) return;
  const text = textOf(node, around);
  if (text === undefined || text.path === '' || /^[a-z][\w+.-]*:|^\/\/|^#/i.test(text.path)) {
    if (kind === 'importScripts' && text !== undefined && text.path !== '')
      references.push({ kind, path: text.path, offset: node.start, from });
    return;
  }
  references.push({ kind, path: text.path, offset: node.start, from: text.from ?? from });
}

interface Text {
  readonly path: string;
  readonly from?: Reference['from'];
}

/** A text that is written out, also as an address of a file of the extension. */
function textOf(node: AnyNode, around: Around): Text | undefined {
  const key = keyOf(node, true);
  if (key !== undefined) return { path: key };
  if (node.type === 'Identifier') {
    const held = heldBy(node, around);
    return held === undefined || held.type === 'Identifier' ? undefined : textOf(held, around);
  }
  if (node.type === 'CallExpression') return addressOf(node, around);
  return node.type === 'NewExpression' ? moduleAddressOf(node, around) : undefined;
}

function addressOf({ callee, arguments: [first] }: CallExpression, around: Around): Text | undefined {
  if (callee.type === 'Super' || around.names.valueOf(callee, around.scope) !== 'chrome.runtime.getURL')
    return undefined;
  const inner = first && textOf(first, around);
  return inner && { path: inner.path, from: 'folder' };
}

/** `new URL('./a.js', import.meta.url)`. */
function moduleAddressOf({ callee, arguments: [relative, base] }: NewExpression, around: Around): Text | undefined {
  if (callee.type !== 'Identifier' || callee.name !== 'URL' || relative === undefined) return undefined;
  if (base?.type !== 'MemberExpression' || base.object.type !== 'MetaProperty') return undefined;
  const inner = textOf(relative, around);
  return inner && { path: inner.path, from: 'self' };
}

/** The expression that a constant name holds, or the expression itself. */
function heldBy(node: AnyNode | undefined, { scope }: Around): AnyNode | undefined {
  if (node?.type !== 'Identifier') return node;
  const binding = scope.find(node.name)?.binding;
  const [only, ...others] = binding?.sources ?? [];
  return binding?.kind === 'const' && only?.keys.length === 0 && others.length === 0 ? only.node : undefined;
}

function propertyOf(node: AnyNode | undefined, key: string, around: Around): AnyNode | undefined {
  const value = heldBy(node, around);
  if (value?.type !== 'ObjectExpression') return undefined;
  for (const property of value.properties) {
    if (property.type === 'Property' && keyOf(property.key, property.computed) === key) return property.value;
  }
  return undefined;
}
