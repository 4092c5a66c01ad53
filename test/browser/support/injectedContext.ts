import { createContext, runInContext } from 'node:vm';
import { callExpression, type InjectedFunction } from '../../../src/browser/cdp/injectedFunctions.js';

export type AnyFunction = (...args: unknown[]) => unknown;

/** A context with these globals, in which an injected function can be called as it is in Chrome. */
export function openContext(globals: object) {
  const context = createContext({ Promise, performance, setTimeout, clearTimeout, ...globals });
  runInContext('globalThis.window = globalThis', context);
  return {
    context,
    call: <Args extends readonly unknown[]>(source: InjectedFunction<(...args: Args) => unknown>, ...args: Args) =>
      runInContext(callExpression(source, ...args), context) as unknown,
  };
}

/** An event of `chrome.*` that a test fires. */
export function fakeEvent() {
  const listeners = new Set<AnyFunction>();
  return {
    addListener: (listener: AnyFunction) => void listeners.add(listener),
    removeListener: (listener: AnyFunction) => void listeners.delete(listener),
    hasListener: (listener: AnyFunction) => listeners.has(listener),
    fire: (...args: unknown[]) => [...listeners].map((listener) => listener(...args)),
  };
}
