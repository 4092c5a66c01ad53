import type {} from './chromeApi.js';
import { replaceListeners } from './listeners.js';

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
