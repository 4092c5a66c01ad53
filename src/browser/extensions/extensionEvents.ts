import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import type { FirableEvents, FireResult, TabPosition } from '../injected/extensionContract.js';
import { callExpression, fireAlarm, fireEvent, readFirableEvents } from '../cdp/injectedFunctions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import type { SessionBrowser } from '../pool/sessionBrowser.js';
import type { SessionPage } from '../page/sessionPage.js';
import { evaluateInWorker } from './contextEvaluation.js';
import { ExtensionDocument, parseResult } from './evaluateInTarget.js';
import { tabQueryOf } from './extensionMessage.js';
import type { MenuEntry } from './callLog.js';
import { runtimeErrors, type ExtensionLogEntry, type RuntimeError } from './extensionLog.js';
import { ExtensionsPage, type Extension } from './installedExtensions.js';
import { readManifest } from './manifest.js';
import { wakeWorker, WorkerMonitor } from './serviceWorkers.js';

/** The events whose listeners get the tab as their last argument. */
const tabEvents = ['commands.onCommand', 'contextMenus.onClicked', 'action.onClicked'];

const alarmTimeoutMs = 5_000;
const startTimeoutMs = 5_000;

export interface EventToFire {
  /** Without `chrome.`: `commands.onCommand`. */
  readonly name: string;
  /** What it is about: a command, a menu entry, an alarm, a notification, a text, a state or reason. */
  readonly subject: string | undefined;
  /** Instead of the arguments that are made of the subject; of a menu entry, further facts of the click. */
  readonly args: readonly unknown[] | undefined;
  readonly page: SessionPage;
  /** The entries of the extension's context menus, as far as they are known. */
  readonly menus: readonly MenuEntry[];
}

export interface FiredEvent {
  /** `chrome`: Chrome fired it. `listeners`: the listeners in the worker were called. */
  readonly by: 'chrome' | 'listeners';
  readonly args: readonly unknown[];
  /** The tab came after them. */
  readonly hasTab: boolean;
  readonly suggestions?: unknown;
}

const resultSchema = z.object({
  state: z.enum(['fired', 'unheard', 'unfirable', 'unknown']),
  suggestions: z.unknown().optional(),
}) satisfies z.ZodType<FireResult>;

/**
 * Fires an event of an extension: an alarm and a push message through Chrome, others through the listeners in its worker,
 * which is woken, since Chrome has no way that works without a user. Throws a ToolError if nothing listens.
 */
export async function fireExtensionEvent(
  scope: CdpScope,
  extension: Extension,
  event: EventToFire,
): Promise<FiredEvent> {
  const { name, subject } = event;
  if (name === 'push') return push(scope, extension, event);
  if (name === 'alarms.onAlarm' && event.args === undefined) {
    const document = await ExtensionDocument.open(scope, extension);
    const alarm = subject ?? (await onlyAlarm(document));
    const { state } = await document.call(fireAlarm, [alarm, alarmTimeoutMs], resultSchema);
    if (state === 'fired') return { by: 'chrome', args: [{ name: alarm }], hasTab: false };
    throw new ToolError(
      state === 'unheard'
        ? `Chrome did not fire the alarm ${JSON.stringify(alarm)} within ${alarmTimeoutMs / 1000} s.`
        : `${extension.name} has no alarm ${JSON.stringify(alarm)}. Call fire_extension_event without event for those it has.`,
    );
  }
  await requireSubject(scope, extension, event);
  const args = name === 'contextMenus.onClicked' ? [await menuClick(event)] : argumentsOf(event);
  await wakeWorker(scope, extension);
  const tab: TabPosition | null = tabEvents.includes(name) ? await tabQueryOf(scope, event.page) : null;
  const { json } = await evaluateInWorker(scope, extension, callExpression(fireEvent, name, args, tab));
  const { state, suggestions } = resultSchema.parse(parseResult(json));
  if (state === 'fired')
    return { by: 'listeners', args, hasTab: tab !== null, ...(suggestions !== undefined && { suggestions }) };
  if (state === 'unfirable') {
    const instead =
      name === 'webRequest.onAuthRequired'
        ? 'In this browser no request asks it for credentials: give them with set_credentials.'
        : 'Do in a page what causes it, such as a request or a navigation.';
    throw new ToolError(`chrome.${name} has listeners and cannot be fired: Chrome keeps them to itself. ${instead}`);
  }
  throw new ToolError(
    state === 'unheard'
      ? `The service worker of ${extension.name} has no listener of chrome.${name}. Chrome wakes a worker only for listeners that its script registers at once, outside of functions and before any await.`
      : `${extension.name} has no event chrome.${name}: it does not exist, or its manifest lacks the permission.`,
  );
}

async function push(scope: CdpScope, extension: Extension, { subject, args }: EventToFire): Promise<FiredEvent> {
  const [given = ''] = args ?? [];
  const data = subject ?? (typeof given === 'string' ? given : JSON.stringify(given));
  const monitor = await WorkerMonitor.open(scope);
  if (!(await monitor.push(extension.id, data))) throw new ToolError(`${extension.name} has no service worker.`);
  return { by: 'chrome', args: [data], hasTab: false };
}

/** Throws a ToolError for a command, menu entry or notification that the extension does not have. */
async function requireSubject(scope: CdpScope, extension: Extension, event: EventToFire): Promise<void> {
  const { name, subject, args, menus } = event;
  const [what, known] = await subjectsOf(scope, extension, { name, menus });
  if (known.length === 0 || (args !== undefined && subject === undefined) || known.includes(subject ?? '')) return;
  const names = known.map((each) => JSON.stringify(each)).join(', ');
  throw new ToolError(
    subject === undefined
      ? `Pass the ${what} as subject: ${names}.`
      : `${extension.name} has no ${what} ${JSON.stringify(subject)}. It has ${names}.`,
  );
}

/** What an event of this name can be about; empty if that is not known. */
async function subjectsOf(
  scope: CdpScope,
  extension: Extension,
  { name, menus }: Pick<EventToFire, 'name' | 'menus'>,
): Promise<readonly [what: string, known: readonly string[]]> {
  if (name === 'contextMenus.onClicked') return ['menu entry', menus.map(({ id }) => id)];
  if (name === 'commands.onCommand')
    return ['command', Object.keys((await readManifest(extension))?.commands ?? {}).filter(isFirableCommand)];
  if (name.startsWith('notifications.on'))
    return ['notification', (await firableEvents(scope, extension)).notifications];
  return ['subject', []];
}

/** The others click the action. */
const isFirableCommand = (name: string): boolean => !name.startsWith('_execute_');

/** What a click in each kind of place tells: one of these has to be known. */
const menuFields: Readonly<Record<string, string>> = {
  selection: 'selectionText',
  link: 'linkUrl',
  image: 'srcUrl',
  video: 'srcUrl',
  audio: 'srcUrl',
  frame: 'frameUrl',
};

/** The facts of a click on a menu entry, as Chrome makes them: those of its place are the page's, or given. */
async function menuClick({ subject = '', args, page, menus }: EventToFire): Promise<object> {
  const given: object = Object(args?.[0]) as object;
  const { contexts = ['page'], type, checked = false, parentId } = menus.find(({ id }) => id === subject) ?? {};
  const selected = contexts.some((each) => each === 'selection' || each === 'all') ? await selectionIn(page) : '';
  const facts = {
    menuItemId: subject,
    ...(parentId !== undefined && { parentMenuItemId: parentId }),
    editable: contexts.length === 1 && contexts[0] === 'editable',
    pageUrl: page.url(),
    ...(selected !== '' && { selectionText: selected }),
    ...(type === 'checkbox' && { wasChecked: checked, checked: !checked }),
    ...(type === 'radio' && { wasChecked: checked, checked: true }),
    ...given,
  };
  const needed = contexts.map((each) => menuFields[each]);
  if (needed.every((field) => field !== undefined && !(field in facts))) {
    const [field = ''] = needed;
    const how = contexts.includes('selection') ? 'Select text in the page first, or pass' : 'Pass';
    throw new ToolError(
      `The menu entry ${JSON.stringify(subject)} is on ${contexts.join(', ')}. ${how} args [{"${field}": "…"}].`,
    );
  }
  return facts;
}

const selectionSchema = z.string().catch('');

async function selectionIn(page: SessionPage): Promise<string> {
  const expression = 'String(getSelection())';
  const { result } = await page.cdp.send('Runtime.evaluate', { expression, returnByValue: true, silent: true });
  return selectionSchema.parse(result.value);
}

/** The arguments as Chrome makes them, without the tab. */
function argumentsOf({ name, subject = '', args }: EventToFire): readonly unknown[] {
  if (args !== undefined) return args;
  if (name === 'notifications.onButtonClicked') return [subject, 0];
  if (name === 'notifications.onClosed') return [subject, true];
  if (name === 'omnibox.onInputEntered') return [subject, 'currentTab'];
  if (name === 'downloads.onDeterminingFilename') return [downloadItem(subject || 'file.bin')];
  if (name === 'runtime.onInstalled') {
    const isVersion = /^\d/.test(subject);
    return [isVersion ? { reason: 'update', previousVersion: subject } : { reason: subject || 'install' }];
  }
  return subject === '' ? [] : [subject];
}

/** A download that begins, as Chrome describes it (`chrome.downloads.DownloadItem`). */
const downloadItem = (filename: string): object => ({
  id: 1,
  filename,
  ...{ url: 'http://localhost/', finalUrl: 'http://localhost/', referrer: '' },
  ...{ mime: 'application/octet-stream', danger: 'safe', state: 'in_progress', incognito: false },
  ...{ paused: false, canResume: false, exists: true, bytesReceived: 0, totalBytes: -1, fileSize: -1 },
});

const firableSchema = z.object({
  commands: z.array(z.object({ name: z.string().optional(), shortcut: z.string().optional() })),
  alarms: z.array(z.object({ name: z.string(), scheduledTime: z.number(), periodInMinutes: z.number().optional() })),
  notifications: z.array(z.string()),
}) satisfies z.ZodType<FirableEvents>;

/** The name of the alarm where there is one alone; often it has none. */
async function onlyAlarm(document: ExtensionDocument): Promise<string> {
  const { alarms } = await document.call(readFirableEvents, [], firableSchema);
  const [only, ...others] = alarms;
  if (only !== undefined && others.length === 0) return only.name;
  const names = alarms.map(({ name }) => JSON.stringify(name)).join(', ');
  throw new ToolError(names === '' ? 'It has no alarm now.' : `Pass the name of the alarm as subject: ${names}.`);
}

/** What the events of an extension can be about now, without waking its worker. */
export async function firableEvents(scope: CdpScope, extension: Extension): Promise<FirableEvents> {
  const document = await ExtensionDocument.open(scope, extension);
  return document.call(readFirableEvents, [], firableSchema);
}

/** What an extension did meanwhile. */
export interface Effects {
  readonly errors: readonly RuntimeError[];
  readonly logs: readonly ExtensionLogEntry[];
  readonly pages: readonly SessionPage[];
}

/** Observes what one extension does while something is done to it. Ends with its scope. */
export class EffectObserver {
  readonly #scope: CdpScope;
  readonly #browser: SessionBrowser;
  readonly #extensionId: string;
  readonly #page: ExtensionsPage;
  readonly #cursor: string;
  readonly #counts: ReadonlyMap<string, number>;
  readonly #pages: ReadonlySet<SessionPage>;
  readonly #stopWatching: (() => void) | undefined;

  private constructor(
    { scope, browser, extensionId }: { scope: CdpScope; browser: SessionBrowser; extensionId: string },
    page: ExtensionsPage,
    errors: readonly RuntimeError[],
  ) {
    this.#scope = scope;
    this.#browser = browser;
    this.#extensionId = extensionId;
    this.#page = page;
    this.#cursor = browser.activity.logs.read().cursor;
    this.#counts = new Map(errors.map((error) => [errorKey(error), error.count]));
    this.#pages = new Set(browser.pages());
    // No notice tells of the windows that it tells of.
    this.#stopWatching = browser.selected?.watchWindows(() => true);
    if (this.#stopWatching !== undefined) scope.signal.addEventListener('abort', this.#stopWatching, { once: true });
  }

  static async begin(scope: CdpScope, browser: SessionBrowser, extensionId: string): Promise<EffectObserver> {
    const [page] = await Promise.all([ExtensionsPage.open(scope), browser.activity.captureWorker(scope, extensionId)]);
    const errors = runtimeErrors(await page.info(extensionId), browser.activity.logs.errors(extensionId));
    return new EffectObserver({ scope, browser, extensionId }, page, errors);
  }

  /** A worker that is starting gets the event that woke it once it runs, so that is awaited for 5 s. */
  async read(): Promise<Effects> {
    const { activity } = this.#browser;
    const state = await activity.captureWorker(this.#scope, this.#extensionId);
    if (state === 'starting') {
      await this.#whenWorkerStarted();
      await activity.captureWorker(this.#scope, this.#extensionId);
    }
    const info = await this.#page.info(this.#extensionId);
    const errors = runtimeErrors(info, activity.logs.errors(this.#extensionId));
    const { entries } = activity.logs.read(this.#cursor);
    await this.#browser.whenPagesAdopted(this.#scope.signal);
    this.#endWatching();
    return {
      errors: errors.filter((error) => error.count > (this.#counts.get(errorKey(error)) ?? 0)),
      logs: entries
        .map(({ value }) => value)
        .filter(({ extensionId, type }) => extensionId === this.#extensionId && type !== 'exception'),
      pages: this.#browser.pages().filter((page) => !this.#pages.has(page)),
    };
  }

  #endWatching(): void {
    if (this.#stopWatching === undefined) return;
    this.#scope.signal.removeEventListener('abort', this.#stopWatching);
    this.#stopWatching();
  }

  async #whenWorkerStarted(): Promise<void> {
    const { signal } = this.#scope;
    const monitor = await WorkerMonitor.open(this.#scope);
    const isStarted = (): boolean => monitor.state(this.#extensionId) !== 'starting';
    const within = AbortSignal.any([signal, timeLimit(startTimeoutMs)]);
    await monitor.waitUntil(isStarted, within).catch(() => signal.throwIfAborted());
  }
}

const errorKey = ({ message, url = '', line }: RuntimeError): string => JSON.stringify([message, url, line]);
