import type { AnyNode } from 'acorn';
import { forEachChild, keyOf, type Names, type Scope } from './scopes.js';
import type { ScriptFacts } from './scriptFacts.js';

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
