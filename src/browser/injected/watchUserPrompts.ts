import type { PromptReport } from './contract.js';
import { findBinding, isFunction, type AnyFunction } from './values.js';

/** Attributes of `navigator`, and their methods that wait for an answer of the user in a window of the browser. */
const askingMethods = {
  credentials: ['get', 'create'],
  usb: ['requestDevice'],
  hid: ['requestDevice'],
  serial: ['requestPort'],
  bluetooth: ['requestDevice'],
  mediaDevices: ['getDisplayMedia'],
} as const;

/** A call that the browser can refuse by itself, since it may not ask, has been refused by then. */
const refusalMs = 1_000;

type Asked = NonNullable<PromptReport['asks']>;
type Report = (report: PromptReport) => void;
type NewException = new (message: string, name: string) => unknown;

/** Taken before a script of the page can replace them: what comes later uses these, and operators, alone. */
interface Natives {
  readonly report: Report;
  readonly apply: typeof Reflect.apply;
  readonly then: AnyFunction;
  readonly functionText: AnyFunction;
  readonly NativePromise: PromiseConstructor;
  readonly setTimeout: typeof globalThis.setTimeout;
  readonly clearTimeout: typeof globalThis.clearTimeout;
  readonly create: typeof Object.create;
  readonly getOwnPropertyDescriptor: typeof Object.getOwnPropertyDescriptor;
  readonly defineProperty: typeof Object.defineProperty;
  readonly getPrototypeOf: typeof Object.getPrototypeOf;
  readonly NativeProxy: ProxyConstructor;
}

/**
 * In a document, before its first script: reports what it asks its user outside of the document, where nobody is to
 * answer. It goes to no address of another scheme than `ownSchemes`, for which the browser would ask whether another
 * program is to open it; and what would wait for an answer is refused as by a user. The page sees functions that look
 * and behave as before. An interface is read when the page itself reads it: objects made here for many have crashed V8's
 * garbage collector (Chrome 156).
 */
export function watchUserPrompts(bindingName: string, ownSchemes: readonly string[]): void {
  const binding = findBinding(bindingName);
  Reflect.deleteProperty(globalThis, bindingName);
  if (binding === undefined) return;
  const { stringify } = JSON;
  const natives: Natives = {
    // Without a prototype: a page may give all objects a `toJSON`.
    report: (values) => void binding(stringify({ __proto__: null, ...values })),
    apply: Reflect.apply,
    then: Reflect.get(Promise.prototype, 'then') as AnyFunction,
    functionText: Reflect.get(Function.prototype, 'toString') as AnyFunction,
    NativePromise: Promise,
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    create: Object.create,
    getOwnPropertyDescriptor: Object.getOwnPropertyDescriptor,
    defineProperty: Object.defineProperty,
    getPrototypeOf: Object.getPrototypeOf,
    NativeProxy: Proxy,
  };
  stayIn(ownSchemes, natives);
  for (const [name, methods] of Object.entries(askingMethods)) watchAttribute(name, methods, natives);
  watchMethod(globalThis, 'print', natives, () => natives.report({ asks: 'print', open: true }));
}

function stayIn(schemes: readonly string[], { report, apply }: Natives): void {
  const navigation: unknown = Reflect.get(globalThis, 'navigation');
  if (!(navigation instanceof EventTarget)) return;
  const { preventDefault } = Event.prototype;
  // Of the Navigation API, which the types do not know yet.
  const readDestination = getterOf('NavigateEvent', 'destination');
  const readUrl = getterOf('NavigationDestination', 'url');
  const own: Record<string, boolean> = Object.create(null) as Record<string, never>;
  for (const scheme of schemes) own[scheme] = true;
  navigation.addEventListener('navigate', (event) => {
    const url = readUrl(readDestination(event));
    if (typeof url !== 'string' || own[schemeOf(url)] === true) return;
    apply(preventDefault, event, []);
    report({ url });
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
  const { apply } = Reflect;
  const { prototype } = (Reflect.get(globalThis, kind) ?? {}) as { readonly prototype?: object };
  const read = prototype && Object.getOwnPropertyDescriptor(prototype, name)?.get;
  return (object) => (read === undefined ? undefined : (apply(read, object, []) as unknown));
}

/** The methods are watched from the first time on that the page reads the attribute. */
function watchAttribute(name: string, methods: readonly string[], natives: Natives): void {
  const { apply, NativeProxy } = natives;
  const described = Object.getOwnPropertyDescriptor(Navigator.prototype, name);
  const read = described?.get;
  if (described?.configurable !== true || read === undefined) return;
  let isWatched = false;
  const get = new NativeProxy(read, {
    apply: (_, self: unknown, args) => {
      const owner: unknown = apply(read as AnyFunction, self, args);
      if (isWatched || typeof owner !== 'object' || owner === null) return owner;
      isWatched = true;
      const prototype = natives.getPrototypeOf(owner) as object;
      for (let at = 0; at < methods.length; at++)
        watchMethod(prototype, methods[at] ?? '', natives, (options) => askedBy(name, options));
      return owner;
    },
  });
  Object.defineProperty(Navigator.prototype, name, { ...described, get });
}

/** `begin` is told the first argument of a call, and returns what the call asks for if it is to be refused. */
function watchMethod(
  owner: object,
  name: string,
  natives: Natives,
  begin: (options: unknown) => Asked | undefined | void,
): void {
  const { apply, functionText, NativeProxy } = natives;
  const described = natives.getOwnPropertyDescriptor(owner, name);
  const method: unknown = described?.value;
  if (described?.configurable !== true || !isFunction(method)) return;
  // One that the page has put there asks nobody.
  if (apply(functionText, method, []) !== `function ${name}() { [native code] }`) return;
  const value = new NativeProxy(method, {
    apply: (_, self: unknown, args: unknown[]) => {
      const asks = begin(args[0]);
      return asks === undefined ? apply(method, self, args) : refuseInTime(method, { self, args, asks }, natives);
    },
  });
  natives.defineProperty(owner, name, { __proto__: null, ...described, value } as PropertyDescriptor);
}

/** Undefined for what waits for nobody, is offered in a field alone, or is answered by the browser's own events. */
function askedBy(attribute: string, options: unknown): Asked | undefined {
  if (attribute === 'mediaDevices') return 'screen';
  if (attribute !== 'credentials') return attribute as Asked;
  if (typeof options !== 'object' || options === null) return undefined;
  const { mediation } = options as { readonly mediation?: unknown };
  if (mediation === 'conditional' || mediation === 'silent') return undefined;
  if ('publicKey' in options) return 'passkey';
  if ('otp' in options) return 'code';
  return 'digital' in options ? 'credential' : undefined;
}

interface AskingCall {
  readonly self: unknown;
  readonly args: unknown[];
  readonly asks: Asked;
}

/** The answer of a call; if there is none after a moment, what it answers when a user refuses. */
function refuseInTime(method: AnyFunction, { self, args, asks }: AskingCall, natives: Natives): unknown {
  const { report, apply, then, NativePromise, setTimeout, clearTimeout } = natives;
  report({ asks, open: true });
  const cancel = withSignal(args, natives);
  // Chrome's window for screens would take the clicks of the page until a person closes it.
  const isShown = asks === 'screen' && navigator.userActivation.isActive;
  const answer: unknown = isShown ? new NativePromise(() => undefined) : apply(method, self, args);
  return new NativePromise((resolve, reject) => {
    let isRefused = false;
    const refuse = (): void => {
      isRefused = true;
      if (asks === 'hid') resolve([]);
      else reject(refusalOf(asks));
      cancel?.();
    };
    const limit: unknown = apply(setTimeout, globalThis, [refuse, refusalMs]);
    const end = (settle: (value: unknown) => void) => (value: unknown) => {
      apply(clearTimeout, globalThis, [limit]);
      if (!isRefused && !isRefusal(value)) report({ asks, open: false });
      settle(value);
    };
    apply(then, answer, [end(resolve), end(reject)]);
  });
}

/** Whether a browser without windows answers so for its user: an error, other than of a wrong call, or an empty choice. */
function isRefusal(answer: unknown): boolean {
  if (typeof answer !== 'object' || answer === null) return false;
  const { name, length } = answer as { readonly name?: unknown; readonly length?: unknown };
  if (typeof name !== 'string') return length === 0;
  return name !== 'SecurityError' && name !== 'TypeError' && name !== 'InvalidStateError' && name !== 'AbortError';
}

/** Lets a call that takes a signal be cancelled, since another one would be refused as long as it waits. */
function withSignal(args: unknown[], { create }: Natives): (() => void) | undefined {
  const [options] = args;
  if (typeof options !== 'object' || options === null) return undefined;
  try {
    const own = new AbortController();
    const { signal: theirs } = options as { readonly signal?: AbortSignal };
    const value = theirs === undefined ? own.signal : AbortSignal.any([theirs, own.signal]);
    args[0] = create(options, { signal: { value } });
    return () => own.abort();
  } catch {
    return undefined;
  }
}

/** What Chrome's own windows answer when their user closes them. */
function refusalOf(asks: Asked): unknown {
  const Exception = Reflect.get(globalThis, 'DOMException') as NewException;
  if (asks === 'usb' || asks === 'bluetooth') return new Exception('No device selected.', 'NotFoundError');
  if (asks === 'serial') return new Exception('No port selected by the user.', 'NotFoundError');
  if (asks === 'screen') return new Exception('Permission denied by user', 'NotAllowedError');
  return new Exception('The operation either timed out or was not allowed.', 'NotAllowedError');
}
