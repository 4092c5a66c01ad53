import type { AnyNode, AssignmentExpression, CallExpression, NewExpression } from 'acorn';
import { faultsOfCall, heldBy, itemsOf, propertyOf, type Around } from './callFaults.js';
import { isFunctionNode, keyOf } from './scopes.js';

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
  found.references.push(...remoteOfCall(node, path, around));
  found.uses.push(...faultsOfCall(node, path, around));
  found.defined.push(...(path === 'Object.defineProperty' ? definedProperty(node.arguments, around) : []));
  if (path === 'chrome.tabs.query')
    for (const key of ['url', 'title'])
      if (propertyOf(node.arguments[0], key, around)) found.uses.push(`${path}{${key}}`);
  return found;
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
  return {
    references: key === 'src' ? remoteScripts(left.object, right, { names, scope }) : [],
    defined: object === '' && key !== undefined ? [key] : [],
  };
}

/** An address that a script element gets. Of an element that may be another the name has to end as that of a script. */
function remoteScripts(element: AnyNode, address: AnyNode | undefined, around: Around): Found['references'] {
  const path = address && beginningOf(address, around);
  if (address === undefined || path === undefined || !/^(?:https?:)?\/\/[\w.-]+/i.test(path)) return [];
  const isUnknown = around.names.valueOf(element, around.scope) === 'document.createElement()';
  const isRemote = isScriptElement(element, around) || (isUnknown && remoteScript.test(path));
  if (!isRemote || isOwnMachine(path)) return [];
  return [{ kind: 'remote script', path, offset: address.start, from: 'self' }];
}

const isOwnMachine = (address: string): boolean => /^(?:https?:)?\/\/(?:localhost|127\.0\.0\.1)\b/i.test(address);

function isScriptElement(node: AnyNode, around: Around): boolean {
  if (node.type === 'Identifier') {
    const sources = around.scope.find(node.name)?.binding.sources ?? [];
    return sources.some((source) => source.node.type === 'CallExpression' && isScriptElement(source.node, around));
  }
  if (node.type !== 'CallExpression' || node.callee.type === 'Super' || !node.arguments[0]) return false;
  if (around.names.valueOf(node.callee, around.scope) !== 'document.createElement') return false;
  return keyOf(node.arguments[0], true)?.toLowerCase() === 'script';
}

/** A text that is written out, or its beginning. */
function beginningOf(node: AnyNode, around: Around): string | undefined {
  const value = heldBy(node, around);
  if (value?.type === 'TemplateLiteral') return value.quasis[0]?.value.cooked ?? undefined;
  if (value?.type === 'BinaryExpression' && value.operator === '+' && value.left.type !== 'PrivateIdentifier')
    return beginningOf(value.left, around);
  return value && keyOf(value, true);
}

/** Scripts from elsewhere that a call puts into a document. */
function remoteOfCall(
  { callee, arguments: [first, second] }: CallExpression | NewExpression,
  path: string,
  around: Around,
): Found['references'] {
  if (path === 'Object.assign' && first) return remoteScripts(first, propertyOf(second, 'src', around), around);
  if (callee.type === 'MemberExpression' && callee.object.type !== 'Super' && first)
    if (keyOf(callee.property, callee.computed) === 'setAttribute' && keyOf(first, true) === 'src')
      return remoteScripts(callee.object, second, around);
  const written = /^document\.write(?:ln)?$/.test(path) && first ? beginningOf(first, around) : undefined;
  const [, address] = /<script[^>]{1,500}src\s*=\s*["']?((?:https?:)?\/\/[^"'\s>]+)/i.exec(written ?? '') ?? [];
  if (address === undefined || first === undefined || isOwnMachine(address)) return [];
  return [{ kind: 'remote script', path: address, offset: first.start, from: 'self' }];
}

const remoteScript = /^(?:https?:)?\/\/[^?#]+\.m?js(?:[?#]|$)/i;

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
    if (text === undefined || text.path === '') return;
    const place = { path: text.path, offset: node.start, from };
    if (kind === 'importScripts') references.push({ kind, ...place });
    else if ((kind === 'worker' || kind === 'injected script') && /^(?:https?:)?\/\//i.test(text.path))
      references.push({ kind: 'remote script', ...place });
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
