import type { AnyNode, AssignmentExpression, CallExpression, NewExpression, UpdateExpression } from 'acorn';
import { forEachChild, isFunctionNode, keyOf, type Binding, type Names, type Scope } from './scopes.js';
import type { ScriptFacts, StateVariable } from './scriptFacts.js';

/** What the conditions of a program ask for, and so may be missing. */
export class Conditions {
  readonly tested: Set<string>;
  readonly #names: Names;
  readonly #state: ScriptFacts['state'];

  constructor(names: Names, { tested, state }: ScriptFacts) {
    this.tested = tested;
    this.#names = names;
    this.#state = state;
  }

  /** Whether the code asks whether something on the way to a path is there. */
  guards(path: string): boolean {
    return prefixesOf(path).some((prefix) => this.tested.has(prefix));
  }

  /** What a condition asks for may be missing. Whether it asks for something global. */
  ask(node: AnyNode, scope: Scope): boolean {
    switch (node.type) {
      case 'LogicalExpression': {
        const left = this.ask(node.left, scope);
        return this.ask(node.right, scope) || left;
      }
      case 'UnaryExpression':
        return this.ask(node.argument, scope);
      case 'BinaryExpression':
        return this.#compare(node, scope);
      default: {
        const path = isWindow(node, scope) ? 'window' : this.#names.valueOf(node, scope);
        const variable = node.type === 'Identifier' ? this.#state.get(node.name) : undefined;
        if (variable) variable.isTested = true;
        if (path === undefined || path === 'undefined') return false;
        if (path !== '') this.tested.add(path);
        return true;
      }
    }
  }

  #compare(node: Extract<AnyNode, { type: 'BinaryExpression' }>, scope: Scope): boolean {
    if (node.left.type === 'PrivateIdentifier') return false;
    const key = keyOf(node.left, true);
    const path = this.#names.valueOf(node.right, scope);
    if (node.operator === 'in' && key !== undefined && path !== undefined) {
      this.tested.add(path === '' ? key : `${path}.${key}`);
      return true;
    }
    const left = this.ask(node.left, scope);
    return this.ask(node.right, scope) || left;
  }
}

/** Whether a condition holds where something is missing. */
export function isNegative(test: AnyNode): boolean {
  if (test.type === 'UnaryExpression') return test.operator === '!';
  if (test.type !== 'BinaryExpression' || (test.operator !== '===' && test.operator !== '==')) return false;
  return [test.left, test.right].some(isNothing);
}

/** `window` itself, which is not everywhere. */
export const isWindow = (node: AnyNode, scope: Scope): boolean =>
  node.type === 'Identifier' && node.name === 'window' && scope.find('window') === undefined;

function isNothing(node: AnyNode): boolean {
  if (node.type === 'Identifier') return node.name === 'undefined';
  return node.type === 'Literal' && (node.value === null || node.value === 'undefined');
}

/** `chrome.tabs` and `chrome.tabs.query` of `chrome.tabs.query`; of what is no API also its first name. */
export function prefixesOf(path: string): string[] {
  const parts = path.split('.');
  const prefixes = parts.map((_part, index) => parts.slice(0, index + 1).join('.'));
  if (parts[0] === 'chrome') return prefixes.slice(1);
  return [...prefixes, 'window', 'document'];
}

const otherBrowsers = [
  'firefox',
  'safari',
  'gecko',
  'mv2',
  'mv3',
  'manifest_version',
  'manifestversion',
  'getmanifest',
];

/** Whether a condition asks which browser or manifest version this is. */
export function namesOtherBrowser(node: AnyNode): boolean {
  const text = node.type === 'Identifier' ? node.name : node.type === 'Literal' ? String(node.value) : '';
  if (text !== '' && text.length < 100 && otherBrowsers.some((word) => text.toLowerCase().includes(word))) return true;
  let isNamed = false;
  forEachChild(node, (child) => (isNamed ||= namesOtherBrowser(child)));
  return isNamed;
}

/** Whether code only says that something went wrong. */
export function onlyLogs(body: readonly AnyNode[]): boolean {
  return body.length > 0 && body.every(isLog);
}

function isLog(statement: AnyNode): boolean {
  if (statement.type === 'ThrowStatement') return true;
  if (statement.type !== 'ExpressionStatement' || statement.expression.type !== 'CallExpression') return false;
  const { callee } = statement.expression;
  return callee.type === 'MemberExpression' && callee.object.type === 'Identifier' && callee.object.name === 'console';
}

/** Whether an expression mentions a name. */
export function mentions(node: AnyNode, name: string): boolean {
  if (node.type === 'Identifier') return node.name === name;
  let isThere = false;
  forEachChild(node, (child) => (isThere ||= mentions(child, name)));
  return isThere;
}

const containers = new Set(['Map', 'Set', 'Array', 'Object']);
const adding = new Set(['set', 'add', 'push', 'unshift']);
/** Neither adds anything nor tells what is in. */
const removing = new Set(['delete', 'clear']);

/** Changes and readings of the variables at the top of a program that may change, and of the lists and maps that they hold. */
export class KeptState {
  readonly #names: Names;
  readonly #state: ScriptFacts['state'];
  /** Names whose mention is a change and no reading. */
  readonly #changed = new Set<AnyNode>();

  constructor(names: Names, { state }: ScriptFacts) {
    this.#names = names;
    this.#state = state;
    for (const [name, binding] of names.program.names()) this.#watch(name, binding);
  }

  read(node: Extract<AnyNode, { type: 'Identifier' }>, scope: Scope, within: number): void {
    if (!this.#changed.has(node)) this.#variable(node.name, scope)?.readers.add(within);
  }

  assign({ left, right, operator }: AssignmentExpression, scope: Scope, within: number): void {
    const value = this.#names.valueOf(right, scope);
    if (left.type === 'Identifier') {
      // The id of a timer is worth nothing once the worker has slept, as the timer itself.
      if (value === 'setTimeout()' || value === 'setInterval()') return;
      this.#write(left.name, scope, { within, counts: operator !== '=' || mentions(right, left.name) });
    } else if (left.type === 'MemberExpression' && isKeepable(right, value)) {
      this.#writeInto(left, scope, { within, counts: operator !== '=' });
    }
  }

  update({ argument }: UpdateExpression, scope: Scope, within: number): void {
    if (argument.type === 'Identifier') this.#write(argument.name, scope, { within, counts: true });
    else this.#writeInto(argument, scope, { within, counts: true });
  }

  call({ callee, arguments: given }: CallExpression | NewExpression, scope: Scope, within: number): void {
    if (callee.type !== 'MemberExpression') return;
    const method = keyOf(callee.property, callee.computed) ?? '';
    const isAdding = adding.has(method);
    if (!isAdding && !removing.has(method)) return;
    const root = rootOf(callee.object);
    if (root !== undefined) this.#changed.add(root);
    if (isAdding && given.every((each) => isKeepable(each, this.#names.valueOf(each, scope))))
      this.#writeInto(callee, scope, { within, counts: false });
  }

  /** Variables, and constants that hold a list or a map. */
  #watch(name: string, { kind, offset, sources }: Binding): void {
    const [only] = sources;
    const holds = kind === 'const' && only?.keys.length === 0 && isContainer(only.node) && !/cache|memo/i.test(name);
    if (kind !== 'let' && !holds) return;
    const nothing = { writers: new Set<number>(), readers: new Set<number>(), counts: false, isTested: false };
    this.#state.set(name, { name, offset, ...nothing });
  }

  #writeInto(node: AnyNode, scope: Scope, change: Change): void {
    const root = rootOf(node);
    if (root === undefined) return;
    this.#changed.add(root);
    this.#write(root.name, scope, change);
  }

  #write(name: string, scope: Scope, { within, counts }: Change): void {
    const variable = this.#variable(name, scope);
    variable?.writers.add(within);
    if (variable && counts) variable.counts = true;
  }

  #variable(name: string, scope: Scope): StateVariable | undefined {
    return scope.find(name)?.scope === this.#names.program ? this.#state.get(name) : undefined;
  }
}

interface Change {
  readonly within: number;
  readonly counts: boolean;
}

function rootOf(node: AnyNode): Extract<AnyNode, { type: 'Identifier' }> | undefined {
  let root = node;
  while (root.type === 'MemberExpression' && root.object.type !== 'Super') root = root.object;
  return root.type === 'Identifier' ? root : undefined;
}

function isContainer(node: AnyNode): boolean {
  if (node.type === 'NewExpression') return node.callee.type === 'Identifier' && containers.has(node.callee.name);
  if (node.type === 'ArrayExpression') return true;
  if (node.type !== 'ObjectExpression') return false;
  return node.properties.every((property) => property.type === 'Property' && !isFunctionNode(property.value));
}

const unkept = /^(?:resolve|reject|done|callback|cb|reply|respond|sendResponse|\w*[pP]ort)$/;

/** Whether a value could be kept in storage: not a port, a callback, a timer or an object of a class. */
function isKeepable(node: AnyNode, value: string | undefined): boolean {
  if (isFunctionNode(node) || /^chrome\.runtime\.(?:onConnect|connect)|^set(?:Timeout|Interval)\(/.test(value ?? ''))
    return false;
  if (node.type === 'NewExpression') return isContainer(node);
  if (node.type === 'Identifier') return !unkept.test(node.name);
  if (node.type === 'CallExpression') return value === undefined || !value.startsWith('chrome.');
  if (node.type !== 'ObjectExpression') return true;
  return node.properties.every((each) => each.type === 'Property' && isKeepable(each.value, undefined));
}
