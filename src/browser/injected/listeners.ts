import type {} from './chromeApi.js';
import type { WorkerActivity } from './extensionContract.js';
import { isFunction, readProperty, replaceMethod, type AnyFunction } from './values.js';

/** Replaces each listener of a `chrome.*` event; `removeListener` and `hasListener` still take the original. */
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

const maxEventNames = 100;

/** Counts the events that the listeners of a context receive: each `chrome.*` event once for all its listeners. */
export class HeardEvents {
  #first: { readonly name: string; readonly at: number } | undefined;
  readonly #heard = new Map<string, { count: number; last: number }>();

  /** Wraps the listeners that are added from now on, to every event below `chrome.*`. */
  watch(owner: object, path: readonly string[] = []): void {
    for (const key of Object.getOwnPropertyNames(owner)) {
      const value = readProperty(owner, key);
      if (typeof value !== 'object' || value === null) continue;
      if (!('addListener' in value) || !('hasListener' in value)) {
        if (path.length < 2) this.watch(value, [...path, key]);
        continue;
      }
      const name = [...path, key].join('.');
      let heardAt: number | undefined;
      replaceListeners(value, (listener) => (...args) => {
        // Chrome calls the listeners of an event one after the other.
        const now = Date.now();
        if (heardAt !== now) this.#hear(name, now);
        heardAt = now;
        return listener(...args);
      });
    }
  }

  read(): Pick<WorkerActivity, 'first' | 'events'> {
    return { first: this.#first, events: [...this.#heard].map(([name, heard]) => ({ name, ...heard })) };
  }

  #hear(name: string, at: number): void {
    this.#first ??= { name, at };
    const known = this.#heard.get(name);
    if (known !== undefined) Object.assign(known, { count: known.count + 1, last: at });
    else if (this.#heard.size < maxEventNames) this.#heard.set(name, { count: 1, last: at });
  }
}

const correctedKey = Symbol.for('greenroom.firstInstall');

/**
 * In a worker, before its first statement: listeners of `chrome.runtime.onInstalled` that would hear of an update from
 * `placeholderVersion` hear of an install. Returns false, as the condition of a breakpoint that never stops.
 */
export function correctInstallDetails(placeholderVersion: string): false {
  const event = globalThis.chrome?.runtime?.onInstalled;
  if (event === undefined || Reflect.has(event, correctedKey)) return false;
  Object.defineProperty(event, correctedKey, { value: true });
  replaceListeners(
    event,
    (listener) =>
      (details, ...rest) =>
        listener(isUpdateFrom(details, placeholderVersion) ? { reason: 'install' } : details, ...rest),
  );
  return false;
}

const isUpdateFrom = (details: unknown, version: string): boolean =>
  typeof details === 'object' && details !== null && Reflect.get(details, 'previousVersion') === version;
