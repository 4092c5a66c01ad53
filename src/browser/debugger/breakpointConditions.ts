import { createRequire } from 'node:module';
import type * as acorn from 'acorn';
import { messageOf, ToolError } from '../../errors/errors.js';
import { isFunctionNode, Names, type Binding } from '../extensions/audit/scopes.js';
import type { Breakpoint } from './breakpoints.js';

/** The name of a logpoint's code in stacks, followed by the id of its breakpoint. */
const codeName = 'greenroom:breakpoint/';

/** The breakpoint of a frame of a stack, whose code is a logpoint or a condition. */
export function breakpointOfFrame(url: string): number | undefined {
  return url.startsWith(codeName) ? Number(url.slice(codeName.length)) : undefined;
}

/**
 * The condition with which Chrome stops at a line (CDP Debugger.setBreakpointByUrl); empty for always. A logpoint is a
 * condition that logs and is false. One that throws says so in the console, and does not stop. A console of its own name
 * (V8's `console.context`) works also where a page has replaced its console.
 */
export function lineCondition({ id, condition, log }: Breakpoint): string {
  if (log === undefined && condition === undefined) return '';
  const own = `(console.context?.('breakpoint ${id}') ?? console)`;
  const failed = `catch (error) { ${own}.warn('The expressions of breakpoint ${id} threw:', error); false }`;
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

/** Longer code is not parsed: other sessions wait for it. */
const maxParsedChars = 256 * 1024;
/** What a scope of V8 begins with and ends at: a block, a function without its first words, or a script. */
const scopeFrames: readonly (readonly [string, string])[] = [
  ['(', ')'],
  ['(function', ')'],
  ['(async function', ')'],
  ['(function*', ')'],
  ['(async function*', ')'],
  ['', ''],
];

/** Offsets at which the code of one scope declares its own names. Empty for code that cannot be parsed alone. */
export function declarationsIn(code: string): ReadonlyMap<string, number> {
  const offsets = new Map<string, number>();
  if (code.length > maxParsedChars) return offsets;
  const frames = code.startsWith('{') ? scopeFrames.toReversed() : scopeFrames;
  for (const [before, after] of frames) {
    for (const [name, { kind, offset }] of namesOf(`${before}${code}${after}`, before === '')) {
      const at = offset - before.length;
      // A function and a class begin with another word.
      if (!offsets.has(name)) offsets.set(name, kind === 'function' || kind === 'class' ? code.indexOf(name, at) : at);
    }
    if (offsets.size > 0) break;
  }
  return offsets;
}

/** The names that a function in brackets, a block or a script declares; none for what is none of them. */
function namesOf(code: string, isStatement: boolean): [string, Binding][] {
  const { parse } = require('acorn') as typeof acorn;
  try {
    const sourceType = isStatement && /\b(?:import|export)\b/.test(code) ? 'module' : 'script';
    const program = parse(code, { ...alone, sourceType });
    const [first] = program.body;
    const nodes = isStatement ? [first?.type === 'BlockStatement' ? first : program] : functionIn(first);
    const names = new Names(program);
    const scopes = new Set(nodes.map((node) => names.scopeOf(node, names.program)));
    return [...scopes].flatMap((scope) => [...scope.names()]);
  } catch {
    return [];
  }
}

function functionIn(statement: acorn.AnyNode | undefined): readonly acorn.AnyNode[] {
  const expression = statement?.type === 'ExpressionStatement' ? statement.expression : undefined;
  return expression !== undefined && isFunctionNode(expression) ? [expression, expression.body] : [];
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
