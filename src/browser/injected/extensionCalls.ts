import type { ChromeEvent } from './chromeApi.js';
import type {
  ActionState,
  FirableEvents,
  FireResult,
  GrantedPermissions,
  RuleMatch,
  RuleState,
  SendResult,
  TabPosition,
  SidePanels,
} from './extensionContract.js';
import type { DeclaredVariables } from './contract.js';
import { print } from './reporter.js';
import { isFunction, toJson } from './values.js';

/** In a document of the extension. */
export async function readActionState(): Promise<ActionState> {
  const { action, tabs, sidePanel } = globalThis.chrome ?? {};
  if (action === undefined || tabs === undefined) return null;
  const [tab] = await tabs.query({ active: true, lastFocusedWindow: true });
  const popup = await action.getPopup(tab === undefined ? {} : { tabId: tab.id });
  const { openPanelOnActionClick: opensPanel = false } = (await sidePanel?.getPanelBehavior()) ?? {};
  return { popup, enabled: await action.isEnabled(tab?.id), opensPanel };
}

/** In a document of the extension. */
export async function readSidePanels(position: TabPosition | null): Promise<SidePanels> {
  const { runtime, sidePanel, tabs } = globalThis.chrome ?? {};
  const [tab] = (await tabs?.query(position ?? { active: true, lastFocusedWindow: true })) ?? [];
  const { path = '', enabled = true } = (await sidePanel?.getOptions(tab === undefined ? {} : { tabId: tab.id })) ?? {};
  const contexts = (await runtime?.getContexts?.({ contextTypes: ['SIDE_PANEL'] })) ?? [];
  return { path: enabled ? path : '', open: contexts.map(({ documentUrl }) => documentUrl ?? '') };
}

/** In a document of the extension: those of `chrome.scripting` and of `chrome.userScripts`, with their files. */
export async function readRegisteredScripts(): Promise<readonly object[]> {
  const { scripting, userScripts } = globalThis.chrome ?? {};
  const [scripts = [], ofUsers = []] = await Promise.all([
    scripting?.getRegisteredContentScripts(),
    userScripts?.getScripts(),
  ]);
  const withFiles = ofUsers.map(({ js = [], ...script }) => ({
    world: 'USER_SCRIPT',
    ...script,
    js: js.flatMap(({ file }) => file ?? []),
  }));
  return [...scripts, ...withFiles];
}

/** In a document of the extension. */
export async function readPermissions(): Promise<GrantedPermissions> {
  const { permissions = [], origins = [] } = (await globalThis.chrome?.permissions?.getAll()) ?? {};
  return { apis: permissions, hosts: origins };
}

/** In a document of the extension. Chrome refuses required ones. */
export async function removePermissions(permissions: object): Promise<boolean> {
  return (await globalThis.chrome?.permissions?.remove(permissions)) ?? false;
}

/** In a document of the extension; null without the permission for rules. */
export async function readRuleState(): Promise<RuleState | null> {
  const rules = globalThis.chrome?.declarativeNetRequest;
  if (rules === undefined) return null;
  const enabled = await rules.getEnabledRulesets();
  const ids = enabled.map(async (rulesetId) => [rulesetId, await rules.getDisabledRuleIds({ rulesetId })] as const);
  const disabled = Object.fromEntries(await Promise.all(ids));
  return { enabled, disabled, dynamic: await rules.getDynamicRules(), session: await rules.getSessionRules() };
}

/** In a document of the extension: its rules that match each request. No rules if Chrome refuses the request. */
export async function testRequestRules(requests: readonly object[]): Promise<readonly (readonly RuleMatch[])[]> {
  const rules = globalThis.chrome?.declarativeNetRequest;
  const matchesOf = async (request: object): Promise<readonly RuleMatch[]> => {
    const outcome = await rules?.testMatchOutcome?.(request).catch(() => undefined);
    return (outcome?.matchedRules ?? []).map(({ ruleId, rulesetId }) => ({ ruleId, rulesetId }));
  };
  return Promise.all(requests.map(matchesOf));
}

/** In any context of an extension: sends a message to a tab, or to the extension itself, and waits for the reply. */
export async function sendFromExtension(
  message: unknown,
  tab: TabPosition | null,
  timeoutMs: number,
): Promise<SendResult> {
  if (globalThis.chrome?.runtime?.id === undefined) {
    return { error: 'Its sender is cut off: the extension was reloaded or disabled since. Reload the page.' };
  }
  const start = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<SendResult>((resolve) => {
    timer = setTimeout(() => resolve({ error: `No reply within ${timeoutMs} ms.` }), timeoutMs);
  });
  const reply = deliver(message, tab).then(
    (value) => ({ ...headOf(toJson(value)), ms: Math.round(performance.now() - start) }),
    (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
  );
  try {
    return await Promise.race([reply, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** More than an answer shows. As a text in the text of a result it is at most four times as long. */
const maxReplyChars = 200_000;

function headOf(reply: string | undefined): { readonly reply: string | undefined; readonly length?: number } {
  if (reply === undefined || reply.length <= maxReplyChars) return { reply };
  return { reply: reply.slice(0, maxReplyChars), length: reply.length };
}

async function deliver(message: unknown, tab: TabPosition | null): Promise<unknown> {
  const { runtime, tabs } = globalThis.chrome ?? {};
  if (tab === null) return runtime?.sendMessage(message);
  const [found] = (await tabs?.query(tab)) ?? [];
  if (found === undefined) throw new Error('The tab is closed.');
  return tabs?.sendMessage(found.id, message);
}

/** The events whose listeners answer through a last argument, `suggest`. */
const suggesting: readonly string[] = ['omnibox.onInputChanged', 'downloads.onDeterminingFilename'];

/** How long a listener has for its suggestion. */
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
  if (!suggesting.includes(name)) {
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

const maxVariables = 200;

/** In a worker: its own global variables and those that the functions return, printed. Functions are left out. */
export function readVariables(declared: DeclaredVariables): Record<string, string> {
  const globals = Object.keys(globalThis).map(
    (name) => [name, () => Reflect.get(globalThis, name) as unknown] as const,
  );
  const found: Record<string, string> = {};
  for (const [name, read] of [...globals, ...Object.entries(declared)].slice(0, maxVariables)) {
    const text = printed(read);
    if (text !== undefined) found[name] = text;
  }
  return found;
}

/** Undefined for a function, and before the declaration ran. */
function printed(read: () => unknown): string | undefined {
  try {
    const value = read();
    if (typeof value === 'function') return undefined;
    if (value instanceof Map || value instanceof Set) return print([...value]);
    return print(value);
  } catch {
    return undefined;
  }
}

const maxListed = 20;
const maxListedChars = 80;

/** The variables that hold data, shortly: `count = 3`, `seen = Set(2)`. */
export function listVariables(declared: DeclaredVariables): string[] {
  const listed = Object.entries(declared).flatMap(([name, read]) => {
    try {
      const value = read();
      if (typeof value === 'function' || value === undefined) return [];
      return [`${name} = ${shortForm(value).slice(0, maxListedChars)}`];
    } catch {
      return [];
    }
  });
  return listed.slice(0, maxListed);
}

function shortForm(value: unknown): string {
  if (value instanceof Map || value instanceof Set) return `${value.constructor.name}(${value.size})`;
  return String(toJson(value));
}
