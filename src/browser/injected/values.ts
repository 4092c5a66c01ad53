export type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

export const isFunction = (value: unknown): value is AnyFunction => typeof value === 'function';

/** Replaces a method, if it exists. An owner that does not allow it keeps its own method. */
export function replaceMethod(
  owner: object | undefined,
  name: string,
  makeReplacement: (original: AnyFunction) => AnyFunction,
): void {
  if (owner === undefined) return;
  const original: unknown = Reflect.get(owner, name);
  if (isFunction(original)) Reflect.set(owner, name, makeReplacement(original));
}

/** Some properties of `chrome` throw in some contexts. */
export function readProperty(owner: object, name: string): unknown {
  try {
    return Reflect.get(owner, name);
  } catch {
    return undefined;
  }
}

/** `JSON.stringify` returns undefined for a value that has no JSON, which its type leaves out. */
export const toJson = (value: unknown): string | undefined => JSON.stringify(value);

/** The function that `Runtime.addBinding` adds to the global object; it takes one string. */
export function findBinding(name: string): AnyFunction | undefined {
  const binding: unknown = Reflect.get(globalThis, name);
  return isFunction(binding) ? binding : undefined;
}
