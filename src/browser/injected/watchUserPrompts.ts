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

/** Taken before a script of the page can replace them. Calls that come later use these, and operators, alone. */
const { apply, deleteProperty } = Reflect;
const { parse, stringify } = JSON;
const { addEventListener } = globalThis;
const { preventDefault } = Event.prototype;
const NativePromise = Promise;
const NativeException = DOMException;
const readDetail = getterOf('CustomEvent', 'detail');
/** Of the Navigation API, which the types do not know yet. */
const readDestination = getterOf('NavigateEvent', 'destination');
const readUrl = getterOf('NavigationDestination', 'url');

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
  const open: Record<string, OpenCall> = Object.create(null) as Record<string, never>;
  let last = 0;
  const report = (values: Omit<PromptReport, 'origin'>): void =>
    // Without a prototype: a page may give all objects a `toJSON`.
    void binding(stringify({ __proto__: null, ...values, origin: location.origin }));
  const onAnswer = (event: Event): void => {
    const detail = readDetail(event);
    if (typeof detail !== 'string') return;
    const { id, error } = parse(detail) as PromptAnswer;
    if (error === null) open[id]?.repeat();
    else open[id]?.refuse(error);
  };
  const begin = (call: string, opened: OpenCall): EndCall => {
    if (last === 0) apply(addEventListener, globalThis, [bindingName, onAnswer]);
    const id = ++last;
    open[id] = opened;
    report({ id, call, state: 'open' });
    return (state, error) => {
      if (open[id] === undefined) return;
      deleteProperty(open, id);
      const name = readValue(error, 'name');
      report({ id, call, state, ...(typeof name === 'string' && { error: name }) });
    };
  };
  for (const call of calls) {
    const path = call.split('.');
    const name = path.pop() ?? '';
    let owner: unknown = globalThis;
    for (const key of path) owner = readValue(owner, key);
    if (isObject(owner)) watchCalls(owner, name, (kind, opened) => begin(call + kind, opened));
  }
  if (ownSchemes.length > 0) stayIn(ownSchemes, (url) => report({ id: 0, call: '', state: 'refused', url }));
}

function stayIn(schemes: readonly string[], onLeave: (url: string) => void): void {
  const navigation: unknown = Reflect.get(globalThis, 'navigation');
  if (!(navigation instanceof EventTarget)) return;
  const own: Record<string, boolean> = Object.create(null) as Record<string, never>;
  for (const scheme of schemes) own[scheme] = true;
  navigation.addEventListener('navigate', (event) => {
    const url = readUrl(readDestination(event));
    if (typeof url !== 'string' || own[schemeOf(url)] === true) return;
    apply(preventDefault, event, []);
    onLeave(url);
  });
}

/** Addresses of events have it in small letters. */
function schemeOf(url: string): string {
  let scheme = '';
  for (let at = 0; at < url.length && url[at] !== ':'; at++) scheme += url[at] ?? '';
  return scheme;
}

/** Reads an attribute of objects of one kind as the browser does; undefined where it has none. */
function getterOf(kind: string, name: string): (object: unknown) => unknown {
  const { prototype } = (Reflect.get(globalThis, kind) ?? {}) as { readonly prototype?: object };
  const read = prototype && Object.getOwnPropertyDescriptor(prototype, name)?.get;
  return (object) => (read === undefined ? undefined : (apply(read, object, []) as unknown));
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  (typeof value === 'object' && value !== null) || isFunction(value);

const readValue = (object: unknown, name: string): unknown => (isObject(object) ? object[name] : undefined);

/** A proxy in the place of a method prints, and is named, as the method itself. */
function watchCalls(owner: object, name: string, begin: BeginCall): void {
  const described = Object.getOwnPropertyDescriptor(owner, name);
  const method: unknown = described?.value;
  if (described?.configurable !== true || !isFunction(method)) return;
  const value = new Proxy(method, {
    apply: (_, self: unknown, args: unknown[]) => {
      const kind = kindOf(args[0]);
      if (kind === undefined) return apply(method, self, args);
      const call = { self, args, begin: (opened: OpenCall) => begin(kind, opened) };
      return isFunction(args[0]) || isFunction(args[1]) ? calledBack(method, call) : promised(method, call);
    },
  });
  Object.defineProperty(owner, name, { ...described, value });
}

/** The kind of credential that is asked for, if any; undefined for what is not shown to the user, or only in a field. */
function kindOf(options: unknown): string | undefined {
  if (!isObject(options)) return '';
  const mediation = options['mediation'];
  if (mediation === 'conditional' || mediation === 'silent') return undefined;
  if ('publicKey' in options) return '.publicKey';
  return 'identity' in options ? '.identity' : '';
}

interface Call {
  readonly self: unknown;
  readonly args: readonly unknown[];
  readonly begin: (opened: OpenCall) => EndCall;
}

/** For a method that answers with a promise, or at once. */
function promised(method: AnyFunction, { self, args, begin }: Call): unknown {
  const call = (): unknown => apply(method, self, args);
  let settle: { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void } | undefined;
  const follow = async (answer: unknown): Promise<void> => {
    try {
      settle?.resolve(await answer);
    } catch (error) {
      settle?.reject(error);
    }
  };
  const end = begin({
    refuse: (error) => settle?.reject(new NativeException('The user refused.', error)),
    repeat: () => void follow(call()),
  });
  let answer: unknown;
  try {
    answer = call();
  } catch (error) {
    // The browser did not come to ask.
    end('granted');
    throw error;
  }
  if (!(answer instanceof NativePromise)) {
    end('refused');
    return answer;
  }
  const result = new NativePromise<unknown>((resolve, reject: (error: unknown) => void) => {
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
  void follow(answer);
  return result;
}

/** For a method that calls back: with what was asked for, or with an error. */
function calledBack(method: AnyFunction, { self, args, begin }: Call): unknown {
  let end: EndCall = () => undefined;
  const watch = (called: unknown, isAnswer: boolean): unknown =>
    isFunction(called)
      ? (...given: unknown[]): unknown => {
          end(isAnswer && given[0] !== 'denied' ? 'granted' : 'refused');
          return apply(called, undefined, given);
        }
      : called;
  const onError = args[1];
  const watched = [watch(args[0], true), watch(onError, false), args[2]];
  // Methods count their arguments.
  watched.length = args.length;
  const call = (): unknown => apply(method, self, watched);
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
