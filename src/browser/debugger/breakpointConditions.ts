import { createRequire } from 'node:module';
import type * as acorn from 'acorn';
import { messageOf, ToolError } from '../../errors/errors.js';
import { shortenText } from '../../text.js';
import { forEachChild, Names, type Scope } from '../extensions/audit/scopes.js';
import type { Breakpoint } from './breakpoints.js';

/** The name of a logpoint's code in stacks, followed by the id of its breakpoint. */
const codeName = 'greenroom:breakpoint/';

/** The breakpoint of a frame of a stack, whose code is a logpoint or a condition. */
export function breakpointOfFrame(url: string): number | undefined {
  return url.startsWith(codeName) ? Number(url.slice(codeName.length)) : undefined;
}

const threw = (id: number): string => `The expressions of breakpoint ${id} threw:`;

/** How often the expressions of a breakpoint threw, and what: `3 times: ReferenceError: sum is not defined`. */
export function failureIn(
  messages: Iterable<{ readonly type: string; readonly text: string; readonly count: number }>,
  id: number,
): string | undefined {
  let times = 0;
  let last = '';
  for (const { type, text, count } of messages) {
    if (type !== 'logpoint' || !text.startsWith(threw(id))) continue;
    times += count;
    last = text.slice(threw(id).length).split('\n', 1)[0]?.trim() ?? '';
  }
  return times === 0 ? undefined : `${times === 1 ? 'once' : `${times} times`}: ${shortenText(last, 200)}`;
}

/** The expressions of a breakpoint, as the code at one place calls its variables. */
export type Expressions = Pick<Breakpoint, 'condition' | 'log'>;

/** Expressions with the names of the code; undefined where they have no others. */
export function inCodeOf(
  { condition, log }: Expressions,
  codeNames: ReadonlyMap<string, string>,
): Expressions | undefined {
  const written = { condition, log: log === undefined ? undefined : logArguments(log) };
  const renamed = {
    condition: written.condition && withNames(written.condition, codeNames),
    log: written.log && withNames(written.log, codeNames),
  };
  return renamed.condition === written.condition && renamed.log === written.log ? undefined : renamed;
}

/**
 * The condition with which Chrome stops at a line (CDP Debugger.setBreakpointByUrl); empty for always. A logpoint is a
 * condition that logs and is false. One that throws says so in the console, and does not stop. A console of its own name
 * (V8's `console.context`) works also where a page has replaced its console.
 */
export function lineCondition({ id, condition, log }: Pick<Breakpoint, 'id'> & Expressions): string {
  if (log === undefined && condition === undefined) return '';
  const own = `(console.context?.('breakpoint ${id}') ?? console)`;
  const failed = `catch (error) { ${own}.warn('${threw(id)}', error); false }`;
  const test = log === undefined ? `(${condition}\n)` : logging({ condition, log }, own);
  return `try { ${test} } ${failed}\n//# sourceURL=${codeName}${id}`;
}

/** The same as one expression, for a frame that is paused already. */
export function pausedExpression(breakpoint: Breakpoint): string | undefined {
  const code = lineCondition(breakpoint);
  return code === '' ? undefined : code;
}

function logging({ condition, log }: { readonly condition: string | undefined; readonly log: string }, own: string) {
  const call = `${own}.log(${logArguments(log)}\n)`;
  return `${condition === undefined ? '' : `if (${condition}\n) `}${call}; false`;
}

/** Throws a ToolError when it is no JavaScript expression. */
export function checkCondition(condition: string): void {
  const error = syntaxError(`(${condition}\n)`);
  if (error !== undefined) {
    throw new ToolError(`condition is no JavaScript expression: ${error}. Such as total > 100 && user.name === "Ada".`);
  }
}

/** What `console.log` gets: expressions with commas between, a text with expressions in braces, or a text. */
export function logArguments(log: string): string {
  if (syntaxError(`[${log}\n]`) === undefined) return log;
  const parts = log.split(/(\{[^{}]*\})/).filter((part) => part !== '');
  const asArguments = parts.map((part, index) => {
    const code = /^\{([^{}]+)\}$/.exec(part)?.[1];
    if (code !== undefined && syntaxError(`(${code}\n)`) === undefined) return `(${code}\n)`;
    // The first text of a console call is a format.
    return JSON.stringify((index === 0 ? part.replaceAll('%', '%%') : part).trim());
  });
  return asArguments.join(', ');
}

/** An expression with other names for its variables; properties keep theirs. */
export function withNames(expression: string, names: ReadonlyMap<string, string>): string {
  const { tokenizer, tokTypes } = require('acorn') as typeof acorn;
  try {
    const tokens = [...tokenizer(expression, { ecmaVersion: 'latest' })];
    let renamed = '';
    let end = 0;
    for (const [index, { type, start, end: after }] of tokens.entries()) {
      const [before, next] = [tokens[index - 1]?.type, tokens[index + 1]?.type];
      const isProperty = before === tokTypes.dot || before === tokTypes.questionDot;
      const isKey = next === tokTypes.colon && (before === tokTypes.braceL || before === tokTypes.comma);
      const name = names.get(expression.slice(start, after));
      if (type !== tokTypes.name || isProperty || isKey || name === undefined) continue;
      renamed += expression.slice(end, start) + name;
      end = after;
    }
    return renamed + expression.slice(end);
  } catch {
    return expression;
  }
}

/** A name that code can use, and where it is declared. */
interface DeclaredName {
  readonly name: string;
  readonly offset: number;
}

/** The names that the code at an offset of a script can use, of the innermost scope first. Throws for no JavaScript. */
export function namesAround(code: string, offset: number): DeclaredName[] {
  const { parse } = require('acorn') as typeof acorn;
  const sourceType = /\b(?:import|export)\b/.test(code) ? 'module' : 'script';
  const program = parse(code, { ...alone, sourceType });
  const names = new Names(program);
  const scopes = new Set([names.program]);
  const enter = (node: acorn.AnyNode, around: Scope): void => {
    const scope = names.scopeOf(node, around);
    scopes.add(scope);
    forEachChild(node, (child) => {
      if (child.start <= offset && offset < child.end) enter(child, scope);
    });
  };
  enter(program, names.program);
  const declared = [...scopes].reverse().flatMap((scope) => [...scope.names()]);
  return declared.map(([name, { kind, offset: at }]) => {
    // A function and a class begin with another word.
    return { name, offset: kind === 'function' || kind === 'class' ? code.indexOf(name, at + kind.length - 1) : at };
  });
}

const alone = {
  ecmaVersion: 'latest',
  allowReturnOutsideFunction: true,
  allowAwaitOutsideFunction: true,
  allowSuperOutsideMethod: true,
  checkPrivateFields: false,
} as const;

const require = createRequire(import.meta.url);

/** The parser is loaded with the first condition: starting the server does not need it. */
function syntaxError(code: string): string | undefined {
  const { parse } = require('acorn') as typeof acorn;
  try {
    parse(code, { ecmaVersion: 'latest', allowSuperOutsideMethod: true, checkPrivateFields: false });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
