import { isFunction, replaceMethod, type AnyFunction } from './values.js';

/** Replaces each listener of a `chrome.*` event by another function, under which it can also be found and removed. */
export function replaceListeners(
  event: object | undefined,
  makeReplacement: (listener: AnyFunction) => AnyFunction,
): void {
  const replacements = new WeakMap<AnyFunction, AnyFunction>();
  const replacementOf = (listener: unknown): unknown =>
    isFunction(listener) ? (replacements.get(listener) ?? listener) : listener;
  replaceMethod(event, 'addListener', (original) => (listener, ...rest) => {
    if (isFunction(listener) && !replacements.has(listener)) replacements.set(listener, makeReplacement(listener));
    return original.call(event, replacementOf(listener), ...rest);
  });
  for (const name of ['removeListener', 'hasListener']) {
    replaceMethod(event, name, (original) => (listener) => original.call(event, replacementOf(listener)));
  }
}
