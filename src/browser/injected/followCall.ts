import { isFunction, type AnyFunction } from './values.js';
import { print, printAll, type ReportEnd } from './reporter.js';

/** Calls a function as its caller did, and reports its outcome: by return value, promise or callback. */
export function followCall(original: AnyFunction, self: object, args: readonly unknown[], end: ReportEnd): unknown {
  const callback = args.at(-1);
  const hasCallback = isFunction(callback);
  try {
    const result = original.apply(
      self,
      hasCallback ? [...args.slice(0, -1), followCallback(callback, end)] : [...args],
    );
    if (result instanceof Promise) return followPromise(result, end);
    if (!hasCallback) end({ value: print(result) });
    return result;
  } catch (error) {
    end({ error: messageOf(error) });
    throw error;
  }
}

/** Does not read `chrome.runtime.lastError`: that would silence Chrome's report of an unchecked one. */
function followCallback(callback: AnyFunction, end: ReportEnd): AnyFunction {
  return function (...reply) {
    end({ value: printAll(reply) });
    return callback.apply(this, reply);
  };
}

function followPromise(promise: Promise<unknown>, end: ReportEnd): Promise<unknown> {
  return promise.then(
    (value) => {
      end({ value: print(value) });
      return value;
    },
    (error: unknown) => {
      end({ error: messageOf(error) });
      throw error;
    },
  );
}

function messageOf(error: unknown): string {
  const message: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'message') : undefined;
  return String(message ?? error);
}
