import type { PrintedValue } from './contract.js';
import { isFunction } from './values.js';

/** More than any answer shows: the rest would cost its server the time to read it. */
const maxChars = 1_000_000;

/**
 * In a page's own world or in a worker: calls `code` if it is a function, awaits what it returns, and prints that as
 * JSON, with a text in the place of every value that JSON lacks.
 */
export async function runAndPrint(code: unknown, ...values: readonly unknown[]): Promise<PrintedValue> {
  const value: unknown = await (isFunction(code) ? code(...values) : code);
  const json = printJson(value);
  // A page may have replaced what strings are cut with: only a long one needs it.
  return { json: json === undefined || json.length <= maxChars ? json : json.slice(0, maxChars), kind: typeof value };
}

function printJson(value: unknown): string | undefined {
  try {
    return stringify(value);
  } catch {
    return stringify(readableCopy(value, []));
  }
}

function stringify(value: unknown): string | undefined {
  const ancestors: unknown[] = [];
  return JSON.stringify(value, function (this: unknown, _key: string, item: unknown): unknown {
    if (typeof item !== 'object' || item === null) return printPrimitive(item);
    while (ancestors.length > 0 && ancestors.at(-1) !== this) ancestors.pop();
    if (ancestors.includes(item)) return '[Circular]';
    ancestors.push(item);
    return printObject(item);
  });
}

/** With a text in the place of every part that throws when it is read. */
function readableCopy(value: unknown, ancestors: readonly object[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (ancestors.includes(value)) return '[Circular]';
  const own: { readonly toJSON?: unknown } = value;
  const printed = isFunction(own.toJSON) ? own.toJSON.call(value) : printObject(value);
  if (typeof printed !== 'object' || printed === null) return printed;
  const copied = (key: string): unknown => copyProperty(printed, key, [...ancestors, value]);
  if (Array.isArray(printed)) return Array.from({ length: printed.length }, (_, key) => copied(String(key)));
  return Object.fromEntries(Object.keys(printed).map((key) => [key, copied(key)]));
}

function copyProperty(owner: object, key: string, ancestors: readonly object[]): unknown {
  try {
    return readableCopy(Reflect.get(owner, key), ancestors);
  } catch (error) {
    return `[Throws ${String(error)}]`;
  }
}

function printPrimitive(item: unknown): unknown {
  if (typeof item === 'bigint') return `${item}n`;
  if (typeof item === 'function') return `[Function ${item.name || 'anonymous'}]`;
  if (typeof item === 'symbol') return item.toString();
  return typeof item === 'number' && !Number.isFinite(item) ? String(item) : item;
}

function printObject(item: object): unknown {
  if (item instanceof Error) return item.stack || String(item);
  if (item instanceof RegExp) return String(item);
  if (item instanceof Promise) return '[Promise]';
  if (typeof Node === 'function' && item instanceof Node) return printNode(item);
  if (typeof Window === 'function' && item instanceof Window) return '[Window]';
  return printCollection(item);
}

function printCollection(item: object): unknown {
  if (item instanceof Map) return printMap(item);
  if (item instanceof Set || isNodeList(item) || isFieldList(item)) return [...item];
  if (item instanceof ArrayBuffer) return `[ArrayBuffer of ${item.byteLength} bytes]`;
  if (ArrayBuffer.isView(item) && !(item instanceof DataView)) return [...(item as unknown as Iterable<unknown>)];
  return item;
}

function printMap(map: ReadonlyMap<unknown, unknown>): unknown {
  return [...map.keys()].every((key) => typeof key === 'string') ? Object.fromEntries(map) : [...map];
}

function isNodeList(item: object): item is object & Iterable<unknown> {
  const types = [
    'NodeList',
    'HTMLCollection',
    'NamedNodeMap',
    'DOMTokenList',
    'FileList',
    'StyleSheetList',
    'DOMRectList',
  ];
  return types.some((name) => isOfType(item, name));
}

function isFieldList(item: object): item is object & Iterable<unknown> {
  return ['Headers', 'FormData', 'URLSearchParams'].some((name) => isOfType(item, name));
}

/** A worker lacks most of these types. */
function isOfType(item: object, name: string): boolean {
  const type: unknown = Reflect.get(globalThis, name);
  return typeof type === 'function' && item instanceof type;
}

function printNode(node: Node & { readonly id?: string }): string {
  return `[${node.nodeName.toLowerCase()}${node.id ? `#${node.id}` : ''}]`;
}
