import type { PromptAnswer, PromptReport } from './contract.js';
import { findBinding, isFunction, type AnyFunction } from './values.js';

/** How a call that is open ends: the page is told that the user refused, or the browser is asked again. */
interface OpenCall {
  readonly refuse: (error: string) => void;
  readonly repeat: () => void;
}

type EndCall = (state: 'granted' | 'refused', error?: unknown) => void;
/** `kind` tells calls of one method apart. */
type BeginCall = (kind: string, call: OpenCall) => EndCall;

/** Of the Navigation API, which the types do not know yet. */
interface NavigateEvent extends Event {
  readonly destination: { readonly url: string };
}

/**
 * In a document, before its first script: reports the calls (`Notification.requestPermission`) by which it asks the user
 * for something outside of the document, and how each ends. An event of the binding's name answers one that is open. With
 * `ownSchemes`, the document goes nowhere else: for an address of another scheme the browser would ask the user, too. The
 * page sees functions that look and behave as before.
 */
export function watchUserPrompts(bindingName: string, calls: readonly string[], ownSchemes: readonly string[]): void {
  const binding = findBinding(bindingName);
  Reflect.deleteProperty(globalThis, bindingName);
  if (binding === undefined) return;
  const open = new Map<number, OpenCall>();
  let last = 0;
  const report = (values: Omit<PromptReport, 'origin'>): void =>
    void binding(JSON.stringify({ ...values, origin: location.origin }));
  const onAnswer = (event: Event): void => {
    if (!(event instanceof CustomEvent)) return;
    const { id, error } = JSON.parse(String(event.detail)) as PromptAnswer;
    if (error === null) open.get(id)?.repeat();
    else open.get(id)?.refuse(error);
  };
  const begin = (call: string, opened: OpenCall): EndCall => {
    if (last === 0) addEventListener(bindingName, onAnswer);
    const id = ++last;
    open.set(id, opened);
    report({ id, call, state: 'open' });
    return (state, error) => {
      const name: unknown = error instanceof Object ? Reflect.get(error, 'name') : undefined;
      if (open.delete(id)) report({ id, call, state, ...(typeof name === 'string' && { error: name }) });
    };
  };
  for (const call of calls) {
    const path = call.split('.');
    const name = path.pop() ?? '';
    let owner: unknown = globalThis;
    for (const key of path) owner = owner instanceof Object ? Reflect.get(owner, key) : undefined;
    if (owner instanceof Object) watchCalls(owner, name, (kind, opened) => begin(call + kind, opened));
  }
  if (ownSchemes.length > 0) stayIn(ownSchemes, (url) => report({ id: 0, call: '', state: 'refused', url }));
}

function stayIn(schemes: readonly string[], onLeave: (url: string) => void): void {
  const navigation: unknown = Reflect.get(globalThis, 'navigation');
  if (!(navigation instanceof EventTarget)) return;
  navigation.addEventListener('navigate', (event) => {
    const { url } = (event as NavigateEvent).destination;
    if (schemes.includes(url.split(':', 1)[0]?.toLowerCase() ?? '')) return;
    event.preventDefault();
    onLeave(url);
  });
}

/** A proxy in the place of a method prints, and is named, as the method itself. */
function watchCalls(owner: object, name: string, begin: BeginCall): void {
  const described = Object.getOwnPropertyDescriptor(owner, name);
  const method: unknown = described?.value;
  if (described?.configurable !== true || !isFunction(method)) return;
  const value = new Proxy(method, {
    apply: (_, self: unknown, args: unknown[]) => {
      const kind = kindOf(args[0]);
      if (kind === undefined) return Reflect.apply(method, self, args);
      const call = { self, args, begin: (opened: OpenCall) => begin(kind, opened) };
      return args.some(isFunction) ? calledBack(method, call) : promised(method, call);
    },
  });
  Object.defineProperty(owner, name, { ...described, value });
}

/** The kind of credential that is asked for, if any; undefined for what is not shown to the user, or only in a field. */
function kindOf(options: unknown): string | undefined {
  if (!(options instanceof Object)) return '';
  if (['conditional', 'silent'].includes(String(Reflect.get(options, 'mediation')))) return undefined;
  const kind = ['publicKey', 'identity', 'password', 'otp', 'federated'].find((name) => name in options);
  return kind === undefined ? '' : `.${kind}`;
}

interface Call {
  readonly self: unknown;
  readonly args: readonly unknown[];
  readonly begin: (opened: OpenCall) => EndCall;
}

/** For a method that answers with a promise, or at once. */
function promised(method: AnyFunction, { self, args, begin }: Call): unknown {
  const call = (): unknown => Reflect.apply(method, self, args);
  let settle: { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void } | undefined;
  const end = begin({
    refuse: (error) => settle?.reject(new DOMException('The user refused.', error)),
    repeat: () => void Promise.resolve(call()).then(settle?.resolve, settle?.reject),
  });
  let answer: unknown;
  try {
    answer = call();
  } catch (error) {
    // The browser did not come to ask.
    end('granted');
    throw error;
  }
  if (!(answer instanceof Promise)) {
    end('refused');
    return answer;
  }
  const result = new Promise<unknown>((resolve, reject: (error: unknown) => void) => {
    settle = {
      resolve: (value) => {
        end(value === 'denied' || value === false ? 'refused' : 'granted');
        resolve(value);
      },
      reject: (error) => {
        end('refused', error);
        reject(error);
      },
    };
  });
  void answer.then(settle?.resolve, settle?.reject);
  return result;
}

/** For a method that calls back: with what was asked for, or with an error. */
function calledBack(method: AnyFunction, { self, args, begin }: Call): unknown {
  let end: EndCall = () => undefined;
  const [, onError] = args;
  const watched = args.map((arg, index) => {
    if (!isFunction(arg)) return arg;
    return (...given: unknown[]): unknown => {
      end(index === 0 && given[0] !== 'denied' ? 'granted' : 'refused');
      return Reflect.apply(arg, undefined, given);
    };
  });
  const call = (): unknown => Reflect.apply(method, self, watched);
  const refuse = (error: string): void => {
    end('refused');
    if (isFunction(onError)) onError({ code: 1, message: error, PERMISSION_DENIED: 1 });
  };
  end = begin({ refuse, repeat: () => void call() });
  try {
    return call();
  } catch (error) {
    end('granted');
    throw error;
  }
}
