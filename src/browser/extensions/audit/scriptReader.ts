import {
  parse,
  type AnyNode,
  type CallExpression,
  type ImportExpression,
  type NewExpression,
  type Program,
} from 'acorn';
import { findInAssignment, referencesOfCall, type Found, type Reference } from './fileReferences.js';
import { forEachChild, forEachTarget, isFunctionNode, keyOf, Names, type FunctionNode, type Scope } from './scopes.js';
import { Conditions, isNegative, isWindow, KeptState, namesOtherBrowser, onlyLogs } from './conditions.js';
import { FunctionCalls } from './functionCalls.js';
import type { ScriptFacts } from './scriptFacts.js';

/** How an expression is used: `held` in a name or a condition, `value` given to something else. */
type Role = 'value' | 'callee' | 'held';

type Handler<Type extends AnyNode['type']> = (
  node: Extract<AnyNode, { type: Type }>,
  scope: Scope,
  more: { readonly role: Role; readonly around: Scope },
) => void;

/** What a script does, as far as it can be told without running it. */
export function factsOf(path: string, text: string, isModule: boolean): ScriptFacts {
  const facts: ScriptFacts = {
    ...{ path, text, isModule, functions: [{ parent: 0, isInjected: false, isAsync: false }], uses: [], edges: [] },
    ...{
      references: [],
      exports: new Map(),
      properties: new Set(),
      strings: new Set(),
      tested: new Set(),
      defined: new Set(),
      escapes: false,
    },
    state: new Map(),
  };
  try {
    const sourceType = isModule ? 'module' : 'script';
    const program = parse(text, { ecmaVersion: 'latest', allowHashBang: true, sourceType });
    new Walker(program, facts).walk();
    return facts;
  } catch (error) {
    if (error instanceof RangeError)
      return { ...facts, problem: { message: 'it nests too deep', offset: 0, isTooDeep: true } };
    if (!(error instanceof SyntaxError)) throw error;
    const offset = 'pos' in error && typeof error.pos === 'number' ? error.pos : 0;
    return { ...facts, problem: { message: error.message.replace(/ \(\d+:\d+\)$/, ''), offset, isTooDeep: false } };
  }
}

class Walker {
  readonly #names: Names;
  readonly #calls: FunctionCalls;
  readonly #used = new Set<string>();
  readonly #conditions: Conditions;
  readonly #state: KeptState;
  readonly #exported: [exported: string, local: string][] = [];
  #guards = 0;

  readonly program: Program;
  readonly facts: ScriptFacts;

  constructor(program: Program, facts: ScriptFacts) {
    this.program = program;
    this.facts = facts;
    this.#names = new Names(program);
    this.#calls = new FunctionCalls(this.#names, facts);
    this.#conditions = new Conditions(this.#names, facts);
    this.#state = new KeptState(this.#names, facts);
  }

  walk(): void {
    const scope = this.#names.program;
    for (const statement of this.program.body) this.#visit(statement, scope);
    const { uses } = this.facts;
    uses.forEach((use, index) => {
      if (!use.isGuarded && this.#conditions.guards(use.path)) uses[index] = { ...use, isGuarded: true };
    });
    this.#calls.resolveMethods();
    for (const [name] of scope.names()) this.#export(name, name);
    for (const [exported, local] of this.#exported) this.#export(exported, local);
  }

  #wait(offset: number): void {
    this.#calls.waited = true;
    if (this.#calls.within === 0) this.facts.topAwait ??= offset;
  }

  #export(exported: string, local: string): void {
    const binding = this.#names.program.find(local)?.binding;
    if (binding === undefined) return;
    const definition = binding.definition && this.#calls.knownIndex(binding.definition);
    const value = this.#names.valueOf({ type: 'Identifier', name: local, start: 0, end: 0 }, this.#names.program);
    const known = value === local ? undefined : value;
    if (known === undefined && definition === undefined) return;
    this.facts.exports.set(exported, {
      ...(known === undefined ? {} : { value: known }),
      ...(definition === undefined ? {} : { definition }),
    });
  }

  #visit(node: AnyNode, around: Scope, role: Role = 'value'): void {
    const scope = this.#names.scopeOf(node, around);
    // Each handler takes the nodes of its own type.
    const handler = this.#handlers[node.type] as Handler<AnyNode['type']> | undefined;
    if (handler === undefined) forEachChild(node, (child) => this.#visit(child, scope));
    else handler(node, scope, { role, around });
  }

  readonly #handlers: { readonly [Type in AnyNode['type']]?: Handler<Type> } = {
    Identifier: (node, scope, { role }) => this.#read(node, scope, role),
    MemberExpression: (node, scope, { role }) => this.#member(node, scope, role),
    CallExpression: (node, scope) => this.#call(node, scope),
    NewExpression: (node, scope) => this.#call(node, scope),
    ImportExpression: (node, scope) => this.#import(node, scope),
    FunctionDeclaration: (node, _scope, { around }) => this.#function(node, around),
    FunctionExpression: (node, _scope, { around }) => this.#function(node, around),
    ArrowFunctionExpression: (node, _scope, { around }) => this.#function(node, around),
    AwaitExpression: (node, scope) => {
      this.#visit(node.argument, scope, 'held');
      this.#wait(node.start);
    },
    Literal: ({ value }) => {
      if (typeof value === 'string') this.#string(value);
    },
    TemplateElement: ({ value }) => this.#string(value.cooked ?? ''),
    IfStatement: (node, scope) => this.#branch(node, scope),
    ConditionalExpression: (node, scope) => this.#branch(node, scope),
    LogicalExpression: (node, scope) => {
      this.#conditions.ask(node.left, scope);
      this.#visit(node.left, scope, 'held');
      // What stands behind `||` or `??` is for where the first is missing.
      const isGuard = node.operator !== '&&' || namesOtherBrowser(node.left);
      this.#guarded(isGuard, () => this.#visit(node.right, scope, 'held'));
    },
    UnaryExpression: (node, scope) => {
      if (node.operator === '!' || node.operator === 'typeof') this.#conditions.ask(node.argument, scope);
      this.#visit(node.argument, scope, 'held');
    },
    BinaryExpression: (node, scope) => {
      this.#conditions.ask(node, scope);
      if (node.left.type !== 'PrivateIdentifier') this.#visit(node.left, scope, 'held');
      this.#visit(node.right, scope, 'held');
    },
    TryStatement: (node, scope) => this.#try(node, scope),
    VariableDeclarator: ({ id, init }, scope) => {
      this.#pattern(id, scope);
      if (init) this.#visit(init, scope, id.type === 'ArrayPattern' ? 'value' : 'held');
    },
    AssignmentExpression: (node, scope) => this.#assignment(node, scope),
    UpdateExpression: (node, scope) => {
      this.#state.update(node, scope, this.#calls.within);
      this.#visit(node.argument, scope);
    },
    Property: (node, scope) => this.#property(node, scope),
    MethodDefinition: (node, scope) => this.#property(node, scope),
    PropertyDefinition: (node, scope) => this.#property(node, scope),
    ImportDeclaration: ({ source }) => this.#static(String(source.value), source.start),
    ExportAllDeclaration: ({ source }) => this.#static(String(source.value), source.start),
    ExportNamedDeclaration: (node, scope) => this.#exportNamed(node, scope),
    ExportDefaultDeclaration: (node, scope) => {
      this.#visit(node.declaration, scope);
      this.#exportDefault(node.declaration, scope);
    },
    LabeledStatement: (node, scope) => this.#visit(node.body, scope),
    BreakStatement: () => undefined,
    ContinueStatement: () => undefined,
    MetaProperty: () => undefined,
    ForOfStatement: (node, scope) => {
      if (node.await) this.#wait(node.start);
      forEachChild(node, (child, key) => this.#visit(child, scope, key === 'right' ? 'held' : 'value'));
    },
    CatchClause: (node, scope) => this.#visit(node.body, scope),
    ExpressionStatement: (node, scope) => this.#visit(node.expression, scope, 'held'),
  };

  #property(
    node: Extract<AnyNode, { type: 'Property' | 'MethodDefinition' | 'PropertyDefinition' }>,
    scope: Scope,
  ): void {
    if (node.computed || node.key.type === 'Literal') this.#visit(node.key, scope);
    if (!node.value) return;
    if (isFunctionNode(node.value)) this.#calls.addMethod(keyOf(node.key, node.computed), node.value);
    this.#visit(node.value, scope);
  }

  #string(text: string): void {
    if (text.length <= 500) this.facts.strings.add(text);
    else if (text.includes('_favicon')) this.facts.strings.add('_favicon/');
  }

  /** Only the defaults of a pattern are code. */
  #pattern(pattern: AnyNode, scope: Scope): void {
    forEachTarget(pattern, [], (target, keys) => {
      for (const key of keys) if (key !== '[]') this.facts.properties.add(key);
      if (target.type === 'MemberExpression') this.#visit(target, scope);
    });
    if (pattern.type !== 'Identifier') this.#defaults(pattern, scope);
  }

  #defaults(pattern: AnyNode, scope: Scope): void {
    if (pattern.type === 'AssignmentPattern') {
      this.#visit(pattern.right, scope, 'held');
      this.#defaults(pattern.left, scope);
    } else if (pattern.type === 'ArrayPattern' || pattern.type === 'ObjectPattern' || pattern.type === 'Property') {
      forEachChild(pattern, (child, key) => {
        if (key !== 'key') this.#defaults(child, scope);
      });
    }
  }

  #read(node: Extract<AnyNode, { type: 'Identifier' }>, scope: Scope, role: Role): void {
    this.#state.read(node, scope, this.#calls.within);
    this.#use(node, isWindow(node, scope) ? 'window' : this.#names.valueOf(node, scope), role);
  }

  #member(node: Extract<AnyNode, { type: 'MemberExpression' }>, scope: Scope, role: Role): void {
    const path = this.#names.valueOf(node, scope);
    const key = keyOf(node.property, node.computed);
    const object = node.object.type === 'Super' ? undefined : this.#names.valueOf(node.object, scope);
    if (node.optional && object !== undefined) this.#conditions.tested.add(object);
    if (path !== undefined) this.#use(node, path, role);
    else if (key !== undefined) this.facts.properties.add(key);
    else if (object === 'chrome') this.facts.escapes = true;
    else if (object?.startsWith('chrome.') === true) this.#use(node, `${object}[?]`, 'held');
    if (node.computed && node.property.type !== 'PrivateIdentifier') this.#visit(node.property, scope);
    if (path !== undefined) this.#inside(node.object, scope);
    else if (node.object.type !== 'Super') this.#visit(node.object, scope, 'held');
  }

  /** The calls in a path that is known as a whole. */
  #inside(node: AnyNode, scope: Scope): void {
    if (isWindow(node, scope)) this.#use(node, 'window', 'held');
    if (node.type === 'Identifier' || node.type === 'Super') return;
    if (node.type !== 'MemberExpression') {
      this.#visit(node, scope, 'held');
      return;
    }
    if (node.optional && node.object.type !== 'Super') {
      const object = this.#names.valueOf(node.object, scope);
      if (object !== undefined) this.#conditions.tested.add(object);
    }
    if (node.computed && node.property.type !== 'PrivateIdentifier') this.#visit(node.property, scope);
    this.#inside(node.object, scope);
  }

  #use(node: AnyNode, path: string | undefined, role: Role): void {
    if (path === undefined || path === '' || path === 'undefined') return;
    if (path === 'chrome' && role === 'value') this.facts.escapes = true;
    const [isGuarded, isLate, isCalled] = [this.#guards > 0, this.#calls.waited, role === 'callee'];
    // The first of its kind in a function stands for all.
    const kind = `${this.#calls.within} ${isGuarded} ${isLate} ${isCalled} ${path}`;
    if (this.#used.has(kind)) return;
    this.#used.add(kind);
    this.facts.uses.push({ path, offset: node.start, within: this.#calls.within, isGuarded, isLate, isCalled });
  }

  #call(node: CallExpression | NewExpression, scope: Scope): void {
    this.#state.call(node, scope, this.#calls.within);
    const { callee } = node;
    if (callee.type !== 'Super') {
      const path = this.#names.valueOf(callee, scope);
      if (node.type === 'CallExpression' && node.optional && path !== undefined) this.#conditions.tested.add(path);
      if (path === 'Boolean') for (const argument of node.arguments) this.#conditions.ask(argument, scope);
      this.#calls.addCall(node, path ?? '', scope);
      const found = referencesOfCall(node, path ?? '', { names: this.#names, scope });
      this.#addFound(found);
      for (const each of found.injected)
        this.facts.functions[this.#calls.indexOf(each)] = {
          parent: this.#calls.within,
          isInjected: true,
          isAsync: false,
        };
      for (const each of found.uses) this.#use(node, each, 'callee');
      this.#visit(callee, scope, 'callee');
    }
    for (const argument of node.arguments) this.#visit(argument, scope);
  }

  #addFound({ references, defined }: Pick<Found, 'references' | 'defined'>): void {
    for (const each of references) this.#refer(each);
    for (const each of defined) this.facts.defined.add(each);
  }

  #refer(reference: Omit<Reference, 'within' | 'isGuarded'>): void {
    this.facts.references.push({ ...reference, within: this.#calls.within, isGuarded: this.#guards > 0 });
  }

  #function(node: FunctionNode, around: Scope): void {
    const scope = this.#names.scopeOf(node, around);
    const before = { within: this.#calls.within, waited: this.#calls.waited, guards: this.#guards };
    const index = this.#calls.indexOf(node);
    const facts = this.facts.functions[index];
    if (facts) this.facts.functions[index] = { ...facts, parent: before.within };
    this.#calls.within = index;
    this.#calls.waited = false;
    for (const parameter of node.params) this.#pattern(parameter, scope);
    this.#visit(node.body, scope);
    this.#calls.within = before.within;
    this.#calls.waited = before.waited;
  }

  #import(node: ImportExpression, scope: Scope): void {
    const path = keyOf(node.source, true);
    const place = { offset: node.start, path: path ?? '', from: 'self' } as const;
    this.#refer({ ...place, kind: 'dynamic import' });
    this.#visit(node.source, scope);
  }

  #static(path: string, offset: number): void {
    this.#refer({ kind: 'import', path, offset, from: 'self' });
  }

  #exportNamed(node: Extract<AnyNode, { type: 'ExportNamedDeclaration' }>, scope: Scope): void {
    if (node.source) this.#static(String(node.source.value), node.source.start);
    if (node.declaration) this.#visit(node.declaration, scope);
    for (const { local, exported } of node.specifiers) {
      const [name, as] = [keyOf(local, false), keyOf(exported, false)];
      if (name === undefined || as === undefined) continue;
      if (node.source) this.facts.exports.set(as, { value: `import:${String(node.source.value)}#${name}` });
      else this.#exported.push([as, name]);
    }
  }

  #exportDefault(node: AnyNode, scope: Scope): void {
    const definition = isFunctionNode(node) ? this.#calls.indexOf(node) : undefined;
    const value = this.#names.valueOf(node, scope);
    if (definition !== undefined) this.facts.exports.set('default', { definition });
    else if (value !== undefined) this.facts.exports.set('default', { value });
  }

  #branch(node: Extract<AnyNode, { type: 'IfStatement' | 'ConditionalExpression' }>, scope: Scope): void {
    const { test, consequent, alternate } = node;
    const asks = this.#conditions.ask(test, scope);
    const isOther = namesOtherBrowser(test);
    const role = node.type === 'ConditionalExpression' ? 'held' : 'value';
    this.#visit(test, scope, 'held');
    this.#guarded(isOther || (asks && isNegative(test)), () => this.#visit(consequent, scope, role));
    if (alternate) this.#guarded(isOther || (asks && !isNegative(test)), () => this.#visit(alternate, scope, role));
  }

  #guarded(isGuard: boolean, visit: () => void): void {
    if (isGuard) this.#guards += 1;
    visit();
    if (isGuard) this.#guards -= 1;
  }

  /** An error that is only logged is still one. */
  #try(node: Extract<AnyNode, { type: 'TryStatement' }>, scope: Scope): void {
    const handler = node.handler?.body.body;
    this.#guarded(handler !== undefined && !onlyLogs(handler), () => this.#visit(node.block, scope));
    if (node.handler) this.#visit(node.handler, scope);
    if (node.finalizer) this.#visit(node.finalizer, scope);
  }

  #assignment(node: Extract<AnyNode, { type: 'AssignmentExpression' }>, scope: Scope): void {
    const { left, right } = node;
    const value = this.#names.valueOf(right, scope);
    this.#state.assign(node, scope, this.#calls.within);
    this.#pattern(left, scope);
    this.#addFound(findInAssignment(node, { names: this.#names, scope }));
    const target = left.type === 'MemberExpression' ? this.#names.valueOf(left, scope) : undefined;
    if (left.type === 'Identifier' && scope.find(left.name) === undefined) this.#global(left.name, value);
    else if (target !== undefined && !target.includes('.')) this.#global(target, value);
    else if (value === 'chrome' && left.type === 'MemberExpression') this.facts.escapes = true;
    if (left.type === 'MemberExpression' && isFunctionNode(right))
      this.#calls.addMethod(keyOf(left.property, left.computed), right);
    this.#visit(right, scope, 'held');
  }

  #global(name: string, value: string | undefined): void {
    if (value !== undefined && value !== name) this.facts.exports.set(name, { value });
  }
}
