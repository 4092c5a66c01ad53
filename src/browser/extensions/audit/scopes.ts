import type { AnyNode, AssignmentExpression, CallExpression, Program } from 'acorn';

export type FunctionNode = Extract<
  AnyNode,
  { type: 'FunctionDeclaration' | 'FunctionExpression' | 'ArrowFunctionExpression' }
>;

/** Where a name of a program may get its value from: an expression, and what is taken out of it. */
interface Source {
  readonly node: AnyNode;
  readonly scope: Scope;
  /** As `tabs` of `const { tabs } = chrome`; `[]` for an item. */
  readonly keys: readonly string[];
}

/** A declared name. */
export interface Binding {
  readonly kind: 'let' | 'const' | 'function' | 'class' | 'parameter' | 'import';
  /** Where it is declared. */
  readonly offset: number;
  /** The function or class that it names. */
  readonly definition?: AnyNode;
  /** `./api.js#name` of an import; `#*` for all of a module. */
  readonly imported?: string;
  readonly sources: Source[];
  /** What is assigned that has no known value, as by `x++`. */
  isUnknown: boolean;
}

/** The names that are declared in a part of a program. */
export class Scope {
  readonly #names = new Map<string, Binding>();
  readonly parent: Scope | undefined;
  readonly holdsVar: boolean;

  constructor(parent: Scope | undefined, holdsVar: boolean) {
    this.parent = parent;
    this.holdsVar = holdsVar;
  }

  declare(name: string, binding: Omit<Binding, 'sources' | 'isUnknown'>): Binding {
    const known = this.#names.get(name);
    if (known !== undefined && known.kind !== 'function') return known;
    const declared = { ...binding, sources: known?.sources ?? [], isUnknown: false };
    this.#names.set(name, declared);
    return declared;
  }

  find(name: string): { readonly binding: Binding; readonly scope: Scope } | undefined {
    const binding = this.#names.get(name);
    return binding === undefined ? this.parent?.find(name) : { binding, scope: this };
  }

  names(): Iterable<[string, Binding]> {
    return this.#names;
  }
}

export function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

export function forEachChild(node: AnyNode, visit: (child: AnyNode, key: string) => void): void {
  const fields = node as unknown as Record<string, unknown>;
  for (const key in fields) {
    const value = fields[key];
    if (Array.isArray(value)) {
      for (const item of value) if (isNode(item)) visit(item, key);
    } else if (isNode(value)) visit(value, key);
  }
}

export function isFunctionNode(node: AnyNode): node is FunctionNode {
  return (
    node.type === 'FunctionDeclaration' || node.type === 'FunctionExpression' || node.type === 'ArrowFunctionExpression'
  );
}

/** A pattern that declares names, and all that is known of it. */
interface Declared {
  readonly pattern: AnyNode;
  readonly kind: 'let' | 'const' | 'parameter';
  readonly scope: Scope;
  readonly source?: Source | undefined;
  readonly definition?: AnyNode | undefined;
}

type Declaration<Type extends AnyNode['type']> = (
  node: Extract<AnyNode, { type: Type }>,
  scope: Scope,
  inner: Scope,
) => void;

const scopeTypes = new Set([
  ...['BlockStatement', 'ForStatement', 'ForInStatement', 'ForOfStatement', 'SwitchStatement'],
  ...['CatchClause', 'StaticBlock'],
]);

/** The name of a property that is written out. */
export function keyOf(node: AnyNode, computed: boolean): string | undefined {
  if (!computed && node.type === 'Identifier') return node.name;
  if (node.type === 'Literal' && (typeof node.value === 'string' || typeof node.value === 'number'))
    return typeof node.value === 'number' ? '[]' : node.value;
  if (node.type === 'TemplateLiteral' && node.expressions.length === 0)
    return node.quasis[0]?.value.cooked ?? undefined;
  return undefined;
}

/** The names of a program and what is known of their values. */
export class Names {
  readonly program: Scope;
  readonly #scopes = new Map<AnyNode, Scope>();
  readonly #assignments: [AssignmentExpression, Scope][] = [];
  readonly #calls: [CallExpression, Scope][] = [];
  readonly #running = new Set<Binding>();
  readonly #values = new Map<Binding, string | undefined>();

  constructor(program: Program) {
    this.program = new Scope(undefined, true);
    this.#scopes.set(program, this.program);
    for (const statement of program.body) this.#declareIn(statement, this.program);
    for (const [node, scope] of this.#assignments) this.#assign(node.left, { node: node.right, scope, keys: [] });
    for (const [node, scope] of this.#calls) this.#passArguments(node, scope);
  }

  /** The scope that a node opens, or else the one around it. */
  scopeOf(node: AnyNode, around: Scope): Scope {
    return this.#scopes.get(node) ?? around;
  }

  #open(node: AnyNode, parent: Scope, holdsVar: boolean): Scope {
    const scope = new Scope(parent, holdsVar);
    this.#scopes.set(node, scope);
    return scope;
  }

  #declareIn(node: AnyNode, scope: Scope): void {
    let inner = scope;
    if (isFunctionNode(node)) inner = this.#declareFunction(node, scope);
    else if (scopeTypes.has(node.type)) inner = this.#open(node, scope, node.type === 'StaticBlock');
    const declare = this.#declarations[node.type] as Declaration<AnyNode['type']> | undefined;
    declare?.(node, scope, inner);
    forEachChild(node, (child) => this.#declareIn(child, inner));
  }

  readonly #declarations: { readonly [Type in AnyNode['type']]?: Declaration<Type> } = {
    VariableDeclaration: (node, scope) => this.#declareVariables(node, scope),
    ClassDeclaration: (node, scope) => {
      // `export default class {}` has no name.
      if (isNode(node.id)) scope.declare(node.id.name, { kind: 'class', offset: node.start, definition: node });
    },
    ImportDeclaration: (node, scope) => this.#declareImports(node, scope),
    CatchClause: ({ param }, _scope, inner) => {
      if (param) this.#declare({ pattern: param, kind: 'parameter', scope: inner });
    },
    AssignmentExpression: (node, scope) => this.#assignments.push([node, scope]),
    CallExpression: (node, scope) => this.#calls.push([node, scope]),
    UpdateExpression: ({ argument }, scope) => {
      if (argument.type !== 'Identifier') return;
      this.#assignments.push([{ ...unknownAssignment, left: argument, right: argument }, scope]);
    },
    ForOfStatement: ({ left, right }, scope, inner) => {
      const id = left.type === 'VariableDeclaration' ? left.declarations[0]?.id : undefined;
      if (id) this.#declare({ pattern: id, kind: 'let', scope: inner, source: { node: right, scope, keys: ['[]'] } });
    },
  };

  #declareFunction(node: FunctionNode, scope: Scope): Scope {
    // `export default function () {}` has no name.
    if (node.type === 'FunctionDeclaration' && isNode(node.id))
      scope.declare(node.id.name, { kind: 'function', offset: node.start, definition: node });
    const inner = this.#open(node, scope, true);
    if (node.type === 'FunctionExpression' && node.id)
      inner.declare(node.id.name, { kind: 'function', offset: node.start, definition: node });
    for (const parameter of node.params) this.#declare({ pattern: parameter, kind: 'parameter', scope: inner });
    return inner;
  }

  #declareVariables(node: Extract<AnyNode, { type: 'VariableDeclaration' }>, scope: Scope): void {
    let holder = scope;
    while (node.kind === 'var' && !holder.holdsVar && holder.parent !== undefined) holder = holder.parent;
    for (const { id, init } of node.declarations) {
      const kind = node.kind === 'const' ? 'const' : 'let';
      const definition = init && isFunctionNode(init) ? init : undefined;
      const source = init ? { node: init, scope, keys: [] } : undefined;
      this.#declare({ pattern: id, kind, scope: holder, source, definition });
    }
  }

  #declareImports(node: Extract<AnyNode, { type: 'ImportDeclaration' }>, scope: Scope): void {
    for (const specifier of node.specifiers) {
      let name = '*';
      if (specifier.type === 'ImportDefaultSpecifier') name = 'default';
      else if (specifier.type === 'ImportSpecifier') name = keyOf(specifier.imported, false) ?? '*';
      scope.declare(specifier.local.name, {
        kind: 'import',
        offset: specifier.start,
        imported: `${String(node.source.value)}#${name}`,
      });
    }
  }

  #declare({ pattern, kind, scope, source, definition }: Declared): void {
    forEachTarget(pattern, [], (target, keys, node) => {
      if (target.type !== 'Identifier') return;
      const offset = target.start;
      const whole = keys.length === 0 && definition ? { kind, offset, definition } : { kind, offset };
      const binding = scope.declare(target.name, whole);
      if (node !== undefined) binding.sources.push({ node, scope, keys: [] });
      if (source !== undefined) binding.sources.push({ ...source, keys: [...source.keys, ...keys] });
    });
  }

  #assign(pattern: AnyNode, source: Source): void {
    forEachTarget(pattern, [], (target, keys) => {
      if (target.type !== 'Identifier') return;
      const binding = source.scope.find(target.name)?.binding;
      if (binding === undefined) return;
      if (isWithin(source.node, target.name)) binding.isUnknown = true;
      else binding.sources.push({ ...source, keys: [...source.keys, ...keys] });
    });
  }

  /** What Chrome passes to a callback is known by the call. */
  #passArguments(call: CallExpression, scope: Scope): void {
    const { callee } = call;
    if (callee.type !== 'MemberExpression') return;
    const method = keyOf(callee.property, callee.computed);
    for (const argument of call.arguments) {
      const callback = this.functionOf(argument, scope);
      if (callback === undefined || !isFunctionNode(callback)) continue;
      const inner = this.scopeOf(callback, scope);
      const taken = takenBy(method ?? '', call, callee.object);
      if (taken === undefined) continue;
      callback.params.forEach((parameter, index) => {
        if (index > 0 && taken.first) return;
        const keys = taken.first ? taken.keys : [...taken.keys, String(index)];
        this.#declareAgain(parameter, inner, { node: taken.node, scope, keys });
      });
    }
  }

  #declareAgain(parameter: AnyNode, scope: Scope, source: Source): void {
    forEachTarget(parameter, [], (target, keys) => {
      if (target.type !== 'Identifier') return;
      scope.find(target.name)?.binding.sources.push({ ...source, keys: [...source.keys, ...keys] });
    });
  }

  /** The function that an expression stands for, if it is written in this file. */
  functionOf(node: AnyNode, scope: Scope): AnyNode | undefined {
    if (isFunctionNode(node)) return node;
    if (node.type !== 'Identifier') return undefined;
    const binding = scope.find(node.name)?.binding;
    return binding?.definition;
  }

  /**
   * What an expression stands for, as a path from the global object: `chrome.tabs.query`, `document`. A result of a
   * call ends in `()`, an item in `[]`; what comes from another file begins with `import:`.
   */
  valueOf(node: AnyNode, scope: Scope): string | undefined {
    switch (node.type) {
      case 'Identifier':
        return this.#ofName(node.name, scope);
      case 'MemberExpression':
        return this.#ofMember(node, scope);
      case 'ChainExpression':
        return this.valueOf(node.expression, scope);
      case 'AwaitExpression':
        return this.valueOf(node.argument, scope);
      case 'AssignmentExpression':
        return this.valueOf(node.right, scope);
      case 'SequenceExpression':
        return this.#first(node.expressions.slice(-1), scope);
      case 'LogicalExpression':
        return this.#first(node.operator === '&&' ? [node.right] : [node.left, node.right], scope);
      case 'ConditionalExpression':
        return this.#first([node.consequent, node.alternate], scope);
      case 'CallExpression':
        return this.#ofCall(node, scope);
      default:
        return undefined;
    }
  }

  #first(nodes: readonly AnyNode[], scope: Scope): string | undefined {
    const values = nodes.map((node) => this.valueOf(node, scope)).filter((value) => value !== undefined);
    return values.find((value) => value === 'chrome' || value.startsWith('chrome.')) ?? values[0];
  }

  #ofName(name: string, scope: Scope): string | undefined {
    const found = scope.find(name);
    if (found === undefined) return globalNames.get(name) ?? name;
    const { binding } = found;
    if (binding.imported !== undefined) return `import:${binding.imported}`;
    if (binding.definition !== undefined || this.#running.has(binding)) return undefined;
    if (this.#values.has(binding)) return this.#values.get(binding);
    this.#running.add(binding);
    const values = binding.sources.map(({ node, scope: from, keys }) => {
      const value = this.valueOf(node, from);
      return value === undefined ? undefined : keys.reduce(join, value);
    });
    this.#running.delete(binding);
    const known = values.filter((value) => value !== undefined);
    const value =
      known.find((each) => /^chrome\b/.test(each)) ?? (known.length === values.length ? known[0] : undefined);
    this.#values.set(binding, value);
    return value;
  }

  #ofMember(node: Extract<AnyNode, { type: 'MemberExpression' }>, scope: Scope): string | undefined {
    const object = node.object.type === 'Super' ? undefined : this.valueOf(node.object, scope);
    const key = keyOf(node.property, node.computed);
    if (object === undefined || key === undefined) return undefined;
    return join(object, key);
  }

  #ofCall(node: CallExpression, scope: Scope): string | undefined {
    const { callee } = node;
    if (callee.type === 'Super') return undefined;
    const value = this.valueOf(callee, scope);
    if (value === undefined || value === '') return undefined;
    const [, of = '', method = ''] = /^(.*)\.(\w+)$/.exec(value) ?? [];
    if (of.includes('(') && sameList.has(method)) return of;
    if (of.includes('(') && oneItem.has(method)) return join(of, '[]');
    return `${value}()`;
  }
}

const sameList = new Set(['filter', 'slice', 'sort', 'reverse', 'then', 'catch', 'finally', 'toSorted']);
const oneItem = new Set(['find', 'at', 'pop', 'shift', 'findLast']);
const perItem = new Set(['forEach', 'map', 'filter', 'find', 'some', 'every', 'flatMap', 'findIndex', 'findLast']);

/** What the callback of a call gets: its first parameter, or each by its index. */
function takenBy(
  method: string,
  call: CallExpression,
  object: AnyNode,
): { node: AnyNode; keys: readonly string[]; first: boolean } | undefined {
  if (method === 'then') return { node: object, keys: [], first: true };
  if (perItem.has(method)) return { node: object, keys: ['[]'], first: true };
  if (method === 'addListener') return { node: call, keys: [], first: false };
  return { node: call, keys: [], first: true };
}

const globalNames: ReadonlyMap<string, string> = new Map([
  ['window', ''],
  ['self', ''],
  ['globalThis', ''],
  ['browser', 'chrome'],
]);

/** A property of a path. */
function join(path: string, key: string): string {
  if (path === '') return globalNames.get(key) ?? key;
  if (key === '[]') return `${path}[]`;
  return path.length > 200 ? path : `${path}.${key}`;
}

const unknownAssignment = { type: 'AssignmentExpression', operator: '+=', start: 0, end: 0 } as const;

/** Whether a value is made of the name itself, as in `x = x + 1`. */
function isWithin(node: AnyNode, name: string): boolean {
  if (node.type === 'Identifier') return node.name === name;
  return node.type === 'BinaryExpression' && (isWithin(node.left, name) || isWithin(node.right, name));
}

/** What a pattern assigns to, with the keys on the way, and what it gets where nothing is given. */
export function forEachTarget(
  pattern: AnyNode,
  keys: readonly string[],
  visit: (target: AnyNode, keys: readonly string[], otherwise?: AnyNode) => void,
): void {
  switch (pattern.type) {
    case 'ObjectPattern':
      for (const property of pattern.properties) {
        if (property.type === 'RestElement') forEachTarget(property.argument, keys, visit);
        else forEachTarget(property.value, [...keys, keyOf(property.key, property.computed) ?? '?'], visit);
      }
      return;
    case 'ArrayPattern':
      for (const element of pattern.elements) if (element) forEachTarget(element, [...keys, '[]'], visit);
      return;
    case 'AssignmentPattern':
      forEachTarget(pattern.left, keys, (target, inner, node) =>
        visit(target, inner, target === pattern.left ? pattern.right : node),
      );
      return;
    case 'RestElement':
      forEachTarget(pattern.argument, keys, visit);
      return;
    default:
      visit(pattern, keys);
  }
}
