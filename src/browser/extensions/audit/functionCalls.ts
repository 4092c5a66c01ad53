import type { AnyNode, CallExpression, NewExpression } from 'acorn';
import { isFunctionNode, keyOf, type Names, type Scope } from './scopes.js';
import type { ScriptFacts } from './scriptFacts.js';

const laterCalls = new Set(['setTimeout', 'setInterval', 'queueMicrotask', 'requestIdleCallback', 'addEventListener']);
const laterMethods = new Set(['then', 'catch', 'finally', 'addListener', 'addEventListener']);
const eventMethods = new Set(['addListener', 'addEventListener']);
const atOnceMethods = new Set([
  ...['forEach', 'map', 'filter', 'some', 'every', 'find', 'findIndex', 'reduce', 'reduceRight', 'sort', 'flatMap'],
  ...['from', 'replace', 'replaceAll', 'call', 'apply'],
]);

/** The functions of a program by their index, and which may call which. */
export class FunctionCalls {
  /** The function that is looked at; 0 is the program. */
  within = 0;
  /** Whether that function has waited. */
  waited = false;
  readonly #indexes = new Map<AnyNode, number>();
  readonly #methods = new Map<string, number[]>();
  readonly #names: Names;
  readonly #facts: ScriptFacts;

  constructor(names: Names, facts: ScriptFacts) {
    this.#names = names;
    this.#facts = facts;
  }

  addCall(node: CallExpression | NewExpression, path: string, scope: Scope): void {
    const { callee } = node;
    const method = callee.type === 'MemberExpression' ? keyOf(callee.property, callee.computed) : undefined;
    const direct = this.#targetOf(callee, scope);
    if (direct !== undefined) this.#edge(direct, this.waited);
    else if (method !== undefined && !path.startsWith('chrome')) this.#edge(`method:${method}`, this.waited);
    const name = method ?? path;
    const isLater = laterCalls.has(path) || laterMethods.has(name) || path.startsWith('chrome.');
    const isAtOnce = path === 'Promise' || atOnceMethods.has(name);
    if (!isLater && !isAtOnce) return;
    for (const argument of node.arguments) {
      const target = this.#targetOf(argument, scope);
      if (target !== undefined) this.#edge(target, isLater || this.waited, eventMethods.has(name));
    }
  }

  #edge(to: number | string, isLate: boolean, isEvent = false): void {
    this.#facts.edges.push({ from: this.within, to, isLate, isEvent });
  }

  #targetOf(node: AnyNode, scope: Scope): number | string | undefined {
    const definition = this.#names.functionOf(node, scope);
    if (definition !== undefined) return this.indexOf(this.#callable(definition));
    const path = this.#names.valueOf(node, scope);
    return path?.startsWith('import:') === true ? path : undefined;
  }

  /** A class is called by its constructor. */
  #callable(node: AnyNode): AnyNode {
    if (node.type !== 'ClassDeclaration' && node.type !== 'ClassExpression') return node;
    const constructors = node.body.body.filter(
      (each) => each.type === 'MethodDefinition' && each.kind === 'constructor',
    );
    return constructors[0]?.type === 'MethodDefinition' ? constructors[0].value : node;
  }

  indexOf(node: AnyNode): number {
    const known = this.#indexes.get(node);
    if (known !== undefined) return known;
    const isAsync = isFunctionNode(node) && node.async;
    const index = this.#facts.functions.push({ parent: this.within, isInjected: false, isAsync }) - 1;
    this.#indexes.set(node, index);
    return index;
  }

  addMethod(name: string | undefined, node: AnyNode): void {
    if (name === undefined) return;
    const known = this.#methods.get(name);
    if (known === undefined) this.#methods.set(name, [this.indexOf(node)]);
    else known.push(this.indexOf(node));
  }

  /** The index of a function or class that was seen. */
  knownIndex(node: AnyNode): number | undefined {
    return this.#indexes.get(this.#callable(node));
  }

  /** A call of a method goes to the only function of that name. */
  resolveMethods(): void {
    const { edges } = this.#facts;
    edges.forEach((edge, index) => {
      if (typeof edge.to !== 'string' || !edge.to.startsWith('method:')) return;
      const [only, ...others] = this.#methods.get(edge.to.slice('method:'.length)) ?? [];
      if (only !== undefined && others.length === 0) edges[index] = { ...edge, to: only };
    });
  }
}
