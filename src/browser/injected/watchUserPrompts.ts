import type { PromptReport } from './contract.js';
import { findBinding } from './values.js';

/**
 * In a document, before its first script: blocks addresses with other schemes than `ownSchemes`, for which the browser
 * would ask the user whether to open another program. Each such address is reported instead, and each attempt to print.
 * Reads little of the page: objects made here for many interfaces have crashed V8's garbage collector (Chrome 156).
 */
export function watchUserPrompts(bindingName: string, ownSchemes: readonly string[]): void {
  // Taken before a script of the page can replace them: what comes later uses these, and operators, alone.
  const { apply } = Reflect;
  const { stringify } = JSON;
  const { preventDefault } = Event.prototype;
  // Of the Navigation API, which the types do not know yet.
  const readDestination = getterOf('NavigateEvent', 'destination');
  const readUrl = getterOf('NavigationDestination', 'url');
  const binding = findBinding(bindingName);
  Reflect.deleteProperty(globalThis, bindingName);
  const navigation: unknown = Reflect.get(globalThis, 'navigation');
  if (binding === undefined) return;
  // Without a prototype: a page may give all objects a `toJSON`.
  const report = (values: PromptReport): void => void binding(stringify({ __proto__: null, ...values }));
  refuseColours(() => report({ isColour: true }));
  addEventListener('beforeprint', ({ isTrusted }) => {
    if (isTrusted) report({ isPrinted: true });
  });
  if (!(navigation instanceof EventTarget)) return;
  const own: Record<string, boolean> = Object.create(null) as Record<string, never>;
  for (const scheme of ownSchemes) own[scheme] = true;
  navigation.addEventListener('navigate', (event) => {
    const url = readUrl(readDestination(event));
    if (typeof url !== 'string' || own[schemeOf(url)] === true) return;
    apply(preventDefault, event, []);
    report({ url });
  });
}

/** A headless browser shows no screen to pick from: the promise would stay open. */
function refuseColours(tell: () => void): void {
  const picker = Reflect.get(globalThis, 'EyeDropper') as { readonly prototype: object } | undefined;
  if (picker === undefined) return;
  const open = (): Promise<never> => {
    tell();
    return Promise.reject(new DOMException('The user canceled the selection.', 'AbortError'));
  };
  Object.defineProperty(picker.prototype, 'open', {
    value: open,
    configurable: true,
    enumerable: true,
    writable: true,
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
