import { followCall } from './followCall.js';
import { isFunction, readProperty, replaceMethod, type AnyFunction } from './values.js';
import type { ChromeApi } from './chromeApi.js';
import type { RequestReport } from './extensionContract.js';
import { shortenText } from '../../text.js';
import { print, printAll, type Reporter } from './reporter.js';

const maxDepth = 3;

/** Wraps every function below `chrome.*` except those of events: each call is reported while `isTracing` is true. */
export function watchCalls(
  reporter: Reporter,
  owner: object,
  isTracing: () => boolean,
  path: readonly string[] = [],
): void {
  for (const name of Object.getOwnPropertyNames(owner)) {
    const value = readProperty(owner, name);
    if (typeof value === 'object' && value !== null && path.length < maxDepth && !('addListener' in value)) {
      watchCalls(reporter, value, isTracing, [...path, name]);
    }
    if (!isFunction(value) || path.length === 0) continue;
    const api = [...path, name].join('.');
    replaceMethod(owner, name, (original) => (...args) => {
      if (!isTracing()) return original.apply(owner, args);
      return followCall(original, owner, args, reporter.begin('call', api, { value: printAll(args) }));
    });
  }
}

/**
 * Reports which permissions an extension requests of its user, and the answers. While `isRefusing` returns true, Chrome
 * shows no prompt: requests for permissions that are not yet granted are refused.
 */
export function watchPrompts({ permissions }: ChromeApi, reporter: Reporter, isRefusing: () => boolean): void {
  replaceMethod(permissions, 'request', (original) => (...args) => {
    const end = reporter.begin('prompt', 'permissions.request', { value: print(args[0]) });
    const self: object = permissions ?? {};
    const isGranted = async ([wanted]: readonly unknown[]): Promise<boolean> =>
      (await permissions?.contains(wanted)) ?? false;
    return followCall(isRefusing() ? answeringCallback(isGranted) : original, self, args, end);
  });
}

const maxUrlChars = 2_000;
const requestTypes: readonly string[] = ['fetch', 'xmlhttprequest', 'beacon'];

/** Reports the requests of a worker or document of the extension, once they have ended, from Resource Timing. */
export function watchRequests(reporter: Reporter): void {
  if (location.protocol !== 'chrome-extension:') return;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (!(entry instanceof PerformanceResourceTiming) || !requestTypes.includes(entry.initiatorType)) continue;
      if (entry.name.startsWith('data:')) continue;
      const request: RequestReport = {
        url: shortenText(entry.name, maxUrlChars),
        status: entry.responseStatus,
        bytes: entry.transferSize,
        ms: Math.round(entry.duration),
        at: performance.timeOrigin + entry.startTime,
      };
      reporter.note('request', entry.initiatorType, { value: print(request) });
    }
  });
  observer.observe({ type: 'resource', buffered: true });
}

/** A function of promises that also takes a callback as its last argument. */
function answeringCallback(work: (args: readonly unknown[]) => Promise<boolean>): AnyFunction {
  return (...args) => {
    const callback = args.at(-1);
    if (!isFunction(callback)) return work(args);
    void work(args).then(callback, () => callback(false));
    return undefined;
  };
}

/** Reports the entries of context menus, which Chrome tells nobody. */
export function watchMenus({ contextMenus }: ChromeApi, reporter: Reporter): void {
  for (const name of ['create', 'update', 'remove', 'removeAll']) {
    replaceMethod(contextMenus, name, (original) => (...args) => {
      const [id, change] = name === 'update' ? args : [undefined, args[0]];
      const value = name === 'update' ? Object.assign({ id }, change) : change;
      reporter.note('menu', `contextMenus.${name}`, { value: print(value) });
      return original.apply(contextMenus, args);
    });
  }
}
