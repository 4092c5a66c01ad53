import type { DeclaredVariables } from './contract.js';
import { print } from './reporter.js';
import { toJson } from './values.js';

const maxVariables = 200;

/** In a worker: its own global variables and those that the functions return, printed. Functions are left out. */
export function readVariables(declared: DeclaredVariables): Record<string, string> {
  const globals = Object.keys(globalThis).map(
    (name) => [name, () => Reflect.get(globalThis, name) as unknown] as const,
  );
  const found: Record<string, string> = {};
  for (const [name, read] of [...globals, ...Object.entries(declared)].slice(0, maxVariables)) {
    const text = printed(read);
    if (text !== undefined) found[name] = text;
  }
  return found;
}

/** Undefined for a function, and before the declaration ran. */
function printed(read: () => unknown): string | undefined {
  try {
    const value = read();
    if (typeof value === 'function') return undefined;
    if (value instanceof Map || value instanceof Set) return print([...value]);
    return print(value);
  } catch {
    return undefined;
  }
}

const maxListed = 20;
const maxListedChars = 80;

/** The variables that hold data, shortly: `count = 3`, `seen = Set(2)`. */
export function listVariables(declared: DeclaredVariables): string[] {
  const listed = Object.entries(declared).flatMap(([name, read]) => {
    try {
      const value = read();
      if (typeof value === 'function' || value === undefined) return [];
      return [`${name} = ${shortForm(value).slice(0, maxListedChars)}`];
    } catch {
      return [];
    }
  });
  return listed.slice(0, maxListed);
}

function shortForm(value: unknown): string {
  if (value instanceof Map || value instanceof Set) return `${value.constructor.name}(${value.size})`;
  return String(toJson(value));
}
