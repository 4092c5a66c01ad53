import type { ScopeText } from './contract.js';

const maxDepth = 6;
const maxItems = 50;
const maxStringChars = 1_000;

interface Output {
  /** Objects that are being written, outermost first. */
  readonly ancestors: object[];
  remainingCharacters: number;
}

/**
 * Called on a value: writes it as a console would, at most six levels and `maxCharacters` characters of it. Called so
 * that the browser refuses side effects, and so writes only to what it created itself.
 */
export function formatValue(this: unknown, maxCharacters: number): string {
  return format(this, { ancestors: [], remainingCharacters: maxCharacters });
}

/** Called on the scope of a paused frame: its variables, each of at most `maxCharacters` characters. */
export function formatScope(
  this: Readonly<Record<string, unknown>>,
  maxVariables: number,
  maxCharacters: number,
): ScopeText {
  const names = Object.keys(this);
  const isFunction = (name: string): boolean => typeof this[name] === 'function';
  const values = names.filter((name) => !isFunction(name));
  const variables = values.slice(0, maxVariables).map((name) => {
    const value = format(this[name], { ancestors: [], remainingCharacters: maxCharacters });
    const isCut = value.length > maxCharacters;
    return { name, value: isCut ? `${value.slice(0, maxCharacters).toWellFormed()}…` : value };
  });
  return { variables, more: values.length - variables.length, functions: names.length - values.length };
}

function format(value: unknown, output: Output): string {
  if (output.remainingCharacters <= 0) return '…';
  const text = typeof value === 'object' && value !== null ? formatObject(value, output) : formatPrimitive(value);
  output.remainingCharacters -= text.length;
  return text;
}

function formatPrimitive(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > maxStringChars ? `${value.slice(0, maxStringChars).toWellFormed()}…` : value);
  }
  if (typeof value === 'bigint') return `${value}n`;
  return typeof value === 'function' ? `function ${value.name}` : String(value);
}

function formatObject(value: object, output: Output): string {
  const { ancestors } = output;
  if (ancestors.includes(value)) return '(circular)';
  if (value instanceof RegExp) return String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (ancestors.length === maxDepth) return Array.isArray(value) ? '[…]' : '{…}';
  ancestors.push(value);
  const text = value instanceof Error ? formatError(value, output) : formatContent(value, output);
  ancestors.pop();
  return text;
}

/** Its name, message, fields and cause. Chrome counts the reading of its stack as a side effect. */
function formatError(error: Error, output: Output): string {
  const own = (key: string): unknown => Object.getOwnPropertyDescriptor(error, key)?.value;
  const fields = Object.keys(error).filter((key) => !['name', 'stack', 'message', 'cause'].includes(key));
  const shown = fields.slice(0, maxItems).map((key) => `${key}: ${format(own(key), output)}`);
  const [message, cause] = [own('message'), own('cause')];
  const parts = [
    typeof message === 'string' ? `: ${message}` : '',
    shown.length === 0 ? '' : ` {${joinItems(shown, fields.length)}}`,
    cause === undefined ? '' : ` (caused by ${format(cause, output)})`,
  ];
  return `${nameOf(error)}${parts.join('')}`;
}

function nameOf(error: Error): string {
  for (let owner: object | null = error; owner !== null; owner = Object.getPrototypeOf(owner) as object | null) {
    const name: unknown = Object.getOwnPropertyDescriptor(owner, 'name')?.value;
    if (typeof name === 'string') return name;
  }
  return 'Error';
}

function formatContent(value: object, output: Output): string {
  const prefix = classPrefix(value);
  if (isList(value)) {
    const length = Math.min(value.length, maxItems);
    const shown = Array.from({ length }, (_, index) => format(value[index], output));
    return `${prefix}[${joinItems(shown, value.length)}]`;
  }
  if (value instanceof Map || value instanceof Set) {
    return `${prefix}{${joinItems(formatMembers(value, output), value.size)}}`;
  }
  const keys = Object.keys(value);
  const shown = keys.slice(0, maxItems).map((key) => {
    const property = Object.getOwnPropertyDescriptor(value, key);
    return `${key}: ${property?.get === undefined ? format(property?.value, output) : '(getter)'}`;
  });
  return `${prefix}{${joinItems(shown, keys.length)}}`;
}

function classPrefix(value: object): string {
  const prototype = Object.getPrototypeOf(value) as object | null;
  const name = prototype?.constructor.name ?? 'Object';
  return name === 'Object' || name === 'Array' ? '' : `${name} `;
}

const isList = (value: object): value is ArrayLike<unknown> & object =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

/** `forEach` would count as a side effect; iteration does not. */
function formatMembers(value: Map<unknown, unknown> | Set<unknown>, output: Output): string[] {
  const shown: string[] = [];
  for (const [key, item] of value.entries()) {
    if (shown.length === maxItems) break;
    shown.push(value instanceof Map ? `${format(key, output)} => ${format(item, output)}` : format(item, output));
  }
  return shown;
}

function joinItems(shown: readonly string[], total: number): string {
  return shown.join(', ') + (total > shown.length ? `, … ${total - shown.length} more` : '');
}
