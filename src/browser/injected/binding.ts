import { isFunction, type AnyFunction } from './values.js';

/** The function that `Runtime.addBinding` adds to the global object; it takes one string. */
export function findBinding(name: string): AnyFunction | undefined {
  const binding: unknown = Reflect.get(globalThis, name);
  return isFunction(binding) ? binding : undefined;
}
