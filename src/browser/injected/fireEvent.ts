import type { ChromeEvent } from './chromeApi.js';
import type { FirableEvents, FireResult, TabPosition } from './contract.js';
import { isFunction } from './values.js';

/** How long a listener of `omnibox.onInputChanged` has for its suggestions. */
const suggestionMs = 500;

/**
 * In a context of an extension: calls the listeners of a `chrome.*` event that are registered there. A tab becomes the
 * last argument. Not through Chrome, which offers no way.
 */
export async function fireEvent(name: string, args: readonly unknown[], tab: TabPosition | null): Promise<FireResult> {
  const event = eventNamed(name);
  if (event === undefined) return { state: 'unknown' };
  if (!event.hasListeners()) return { state: 'unheard' };
  if (!isFirable(event)) return { state: 'unfirable' };
  const [found] = tab === null ? [] : ((await globalThis.chrome?.tabs?.query(tab)) ?? []);
  if (name !== 'omnibox.onInputChanged') {
    event.dispatch(...args, ...(found === undefined ? [] : [found]));
    return { state: 'fired' };
  }
  const suggestions = await new Promise<unknown>((resolve) => {
    setTimeout(resolve, suggestionMs);
    event.dispatch(...args, resolve);
  });
  return suggestions === undefined ? { state: 'fired' } : { state: 'fired', suggestions };
}

function eventNamed(name: string): Pick<ChromeEvent, 'hasListeners'> | undefined {
  let owner: unknown = globalThis.chrome;
  for (const part of name.split('.'))
    owner = owner === undefined || owner === null ? undefined : Reflect.get(Object(owner), part);
  return isEvent(owner) ? owner : undefined;
}

const isEvent = (value: unknown): value is Pick<ChromeEvent, 'hasListeners'> =>
  typeof value === 'object' && value !== null && isFunction(Reflect.get(value, 'hasListeners'));

/** Not those with filters, such as of `webRequest`. */
const isFirable = (event: Pick<ChromeEvent, 'hasListeners'>): event is ChromeEvent =>
  isFunction(Reflect.get(event, 'dispatch'));

/** In a document of the extension: makes Chrome fire an alarm now, which keeps its period, and waits for it. */
export async function fireAlarm(name: string, timeoutMs: number): Promise<FireResult> {
  const alarms = globalThis.chrome?.alarms;
  const alarm = await alarms?.get(name);
  if (alarms === undefined || alarm === undefined) return { state: 'unknown' };
  const fired = new Promise<FireResult>((resolve) => {
    setTimeout(() => resolve({ state: 'unheard' }), timeoutMs);
    alarms.onAlarm.addListener((now) => {
      if (now.name === name) resolve({ state: 'fired' });
    });
  });
  const { periodInMinutes } = alarm;
  await alarms.create(name, { when: Date.now(), ...(periodInMinutes === undefined ? {} : { periodInMinutes }) });
  return fired;
}

/** In a document of the extension: its commands, alarms and notifications, for which events can be fired. */
export async function readFirableEvents(): Promise<FirableEvents> {
  const { commands, alarms, notifications } = globalThis.chrome ?? {};
  return {
    commands: (await commands?.getAll()) ?? [],
    alarms: (await alarms?.getAll()) ?? [],
    notifications: Object.keys((await notifications?.getAll()) ?? {}),
  };
}
