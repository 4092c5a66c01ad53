import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { untilAborted } from '../../async.js';
import { messageOf, ToolError } from '../../errors/errors.js';
import { extensionsPages } from '../policy/launchPreferences.js';
import { CdpScope, markOwnPage } from '../cdp/cdpScope.js';
import { openBrowserCdpSession } from '../cdp/cdpSessions.js';
import { readManifest } from './manifest.js';

/** An unpacked extension as Chrome reports it (`Extensions.getExtensions`). `path` is its folder. */
export type Extension = Protocol.Extensions.ExtensionInfo;

export const originOf = (extensionId: string): string => `chrome-extension://${extensionId}`;

/** The path of the one document that every extension has. None of its code runs there: the server's own does. */
export const ownDocumentPath = '/manifest.json';

/** The address of the documents of an extension in which the server's own code runs. */
export const ownDocumentUrl = (extensionId: string): string => `${originOf(extensionId)}${ownDocumentPath}`;

export async function listExtensions(scope: CdpScope): Promise<readonly Extension[]> {
  const { extensions } = await scope.untilAborted(scope.browser.send('Extensions.getExtensions'));
  return extensions;
}

/** As `findExtension`, for what a disabled extension cannot do. Throws a ToolError that names the tool that enables it. */
export async function findEnabledExtension(scope: CdpScope, extensionId: string): Promise<Extension> {
  const extension = await findExtension(scope, extensionId);
  if (extension.enabled) return extension;
  throw new ToolError(
    `${extension.name} is disabled. Call set_extension_enabled with extensionId ${extensionId} first.`,
  );
}

/** The extension with this id. Throws a ToolError that lists those that exist. */
export async function findExtension(scope: CdpScope, extensionId: string): Promise<Extension> {
  const extensions = await listExtensions(scope);
  const found = extensions.find(({ id }) => id === extensionId);
  if (found) return found;
  const known = extensions.map(({ id, name }) => `${id} (${name})`).join(', ');
  throw new ToolError(
    known === ''
      ? `No extension ${extensionId}: none is installed. Call install_extension first.`
      : `No extension ${extensionId}. Installed: ${known}.`,
  );
}

/**
 * Loads an unpacked extension from its folder (`Extensions.loadUnpacked`); on a folder that is loaded already, loads it
 * again: id and storage stay, its open pages and content scripts are stale. Throws a ToolError with Chrome's own words.
 */
export async function loadExtension(scope: CdpScope, path: string): Promise<Extension> {
  const id = await loadUnpacked(scope, path);
  // Started with --disable-extensions, Chrome answers with an id and installs nothing; a theme it does not list.
  const installed = (await listExtensions(scope)).find((extension) => extension.id === id);
  if (installed) return installed;
  const theme = await themeIn(path);
  if (theme !== undefined) return { ...theme, id, path, enabled: true };
  throw new ToolError(
    'Chrome accepted the extension but did not install it: extensions are switched off in this browser. Start it without --disable-extensions.',
  );
}

/** Name and version of the theme in a folder; undefined if there is none. */
async function themeIn(path: string): Promise<{ readonly name: string; readonly version: string } | undefined> {
  const manifest = await readManifest({ path });
  if (manifest?.theme === undefined) return undefined;
  return { name: manifest.name ?? 'A theme', version: manifest.version ?? '' };
}

async function loadUnpacked(scope: CdpScope, path: string): Promise<string> {
  try {
    const { id } = await scope.untilAborted(scope.browser.send('Extensions.loadUnpacked', { path }));
    return id;
  } catch (error) {
    scope.signal.throwIfAborted();
    // Chrome leaves out the name of this file alone.
    const worker = (await readManifest({ path }))?.background?.service_worker ?? '';
    const reason = chromeErrorText(error).replace("background script ''", `background script '${worker}'`);
    throw new ToolError(`Chrome refused the extension in ${path}: ${reason}`, { cause: error });
  }
}

/** What Chrome said, without the driver's prefix, as a sentence. */
export function chromeErrorText(error: unknown): string {
  const message = messageOf(error).replace(/^Protocol error \([^)]*\): /, '');
  return /[.!?]$/.test(message) ? message : `${message}.`;
}

/** Chrome's numbers for why a service worker could not be registered (blink's ServiceWorkerStatusCode). */
function explainStatusCode(message: string): string {
  const code = /^Service worker registration failed\. Status code: (\d+)$/.exec(message)?.[1];
  if (code === '3') {
    return `${message} (its script could not be started: a missing import, a syntax error, or an await outside of functions)`;
  }
  if (code === '10') return `${message} (its script could not be read)`;
  return code === '15' ? `${message} (its script threw while it started)` : message;
}

const problemSchema = z.object({
  message: z.string().transform(explainStatusCode),
  source: z.string().optional(),
  manifestKey: z.string().optional(),
  occurrences: z.number().optional(),
  isServiceWorker: z.boolean().optional(),
  contextUrl: z.string().optional(),
  severity: z.string().optional(),
  stackTrace: z
    .array(
      z.object({
        url: z.string(),
        lineNumber: z.number(),
        columnNumber: z.number(),
        functionName: z.string().optional(),
      }),
    )
    .optional(),
});

/** One entry of the error list that chrome://extensions shows. */
export type ExtensionProblem = z.infer<typeof problemSchema>;

const toggleSchema = z.object({ isActive: z.boolean() });

const infoSchema = z.object({
  description: z.string(),
  location: z.string(),
  state: z.string(),
  /** Reasons that hold are true, except the name of an extension that disabled it. */
  disableReasons: z.record(z.string(), z.unknown()),
  permissions: z.object({
    simplePermissions: z.array(z.object({ message: z.string() })),
    runtimeHostPermissions: z
      .object({ hostAccess: z.string(), hosts: z.array(z.object({ host: z.string(), granted: z.boolean() })) })
      .optional(),
  }),
  commands: z.array(z.object({ name: z.string(), description: z.string(), keybinding: z.string() })),
  incognitoAccess: toggleSchema,
  fileAccess: toggleSchema,
  /** Absent without the permission, and in older versions. */
  userScriptsAccess: toggleSchema.optional(),
  manifestErrors: z.array(problemSchema),
  runtimeErrors: z.array(problemSchema),
});

const apisSchema = z.object({ permissions: z.array(z.string()) });

/** What chrome://extensions knows of one extension (`chrome.developerPrivate.getExtensionInfo`). */
export type ExtensionInfo = z.infer<typeof infoSchema>;

/** What the manifest asks for and the extension does not have in this browser, and what to do. */
export function limitsOf({ userScriptsAccess }: ExtensionInfo, permissions: readonly unknown[]): string[] {
  return [
    ...(userScriptsAccess?.isActive === false && permissions.includes('userScripts')
      ? [
          'chrome.userScripts is undefined until its user allows it: set_extension_permissions {"grant": ["userScripts"]}.',
        ]
      : []),
    ...(permissions.includes('webRequestAuthProvider')
      ? ['chrome.webRequest.onAuthRequired never fires in this browser: give credentials with set_credentials.']
      : []),
  ];
}

export const hostAccesses = ['ON_CLICK', 'ON_SPECIFIC_SITES', 'ON_ALL_SITES'] as const;
export type HostAccess = (typeof hostAccesses)[number];

/** The hidden page of each browser that has one. It is as old as the first call that needed it. */
const keptPages = new WeakMap<Browser, Promise<KeptPage>>();

interface KeptPage {
  readonly targetId: string;
  readonly session: CDPSession;
}

/**
 * Chrome's own page about extensions, hidden: the only place where `chrome.developerPrivate` exists. It switches
 * developer mode on, without which Chrome keeps no errors and runs no unpacked extension.
 *
 * Opening it costs a renderer process, so the calls on a browser share one page. It ends with the browser's connection,
 * and is opened again if Chrome closes it. Where Chrome cannot hide a page, each call has its own, which ends with it.
 */
export class ExtensionsPage {
  readonly #scope: CdpScope;
  readonly #session: CDPSession;

  private constructor(scope: CdpScope, session: CDPSession) {
    this.#scope = scope;
    this.#session = session;
  }

  static async open(scope: CdpScope): Promise<ExtensionsPage> {
    const kept = await keptPage(scope);
    if (kept !== undefined) return new ExtensionsPage(scope, kept.session);
    const session = await scope.hiddenPage();
    await scope.untilAborted(showExtensions(session));
    return new ExtensionsPage(scope, session);
  }

  /** A session of this scope's own on a hidden page in the default profile. */
  static async attach(scope: CdpScope): Promise<CDPSession> {
    const kept = await keptPage(scope);
    return kept === undefined ? scope.hiddenPage() : scope.attach(kept.targetId);
  }

  /**
   * With what Chrome noted since the extension was loaded: about its manifest, and uncaught errors of its scripts. Without
   * those of the server's own documents.
   */
  async info(extensionId: string): Promise<ExtensionInfo> {
    const info = infoSchema.parse(await this.#call('developerPrivate.getExtensionInfo', extensionId));
    const own = ownDocumentUrl(extensionId);
    // Chrome lists what was logged with console.warn, too.
    const isError = ({ contextUrl, source, severity }: ExtensionProblem): boolean =>
      contextUrl !== own && source !== own && severity !== 'WARN';
    return { ...info, runtimeErrors: info.runtimeErrors.filter(isError) };
  }

  /** Switches an extension on or off, as its switch on chrome://extensions does (`chrome.management.setEnabled`). */
  async setEnabled(extensionId: string, enabled: boolean): Promise<void> {
    await this.#call('management.setEnabled', extensionId, enabled);
  }

  /** The APIs that an extension may use now, whatever its folder says. */
  async apis(extensionId: string): Promise<readonly string[]> {
    return apisSchema.parse(await this.#call('management.get', extensionId)).permissions;
  }

  /** Takes its access to files from an extension, which Chrome then loads again. */
  async denyFiles(extensionId: string): Promise<void> {
    await this.#call('developerPrivate.updateExtensionConfiguration', { extensionId, fileAccess: false });
  }

  /** Turns the switch "Allow User Scripts", without which there is no `chrome.userScripts`. */
  async allowUserScripts(extensionId: string, userScriptsAccess: boolean): Promise<void> {
    await this.#call('developerPrivate.updateExtensionConfiguration', { extensionId, userScriptsAccess });
  }

  /** Sets on which sites an extension may use the hosts of its manifest, as its page of details does. */
  async setHostAccess(extensionId: string, hostAccess: HostAccess): Promise<void> {
    await this.#call('developerPrivate.updateExtensionConfiguration', { extensionId, hostAccess });
  }

  /** Grants one of the hosts that `setHostAccess` withholds, or takes it back. */
  async setHost(extensionId: string, host: string, isGranted: boolean): Promise<void> {
    const method = isGranted ? 'addHostPermission' : 'removeHostPermission';
    await this.#call(`developerPrivate.${method}`, extensionId, host);
  }

  /** Empties what Chrome noted of an extension. */
  async clearProblems(extensionId: string): Promise<void> {
    await this.#call('developerPrivate.deleteExtensionErrors', { extensionId });
  }

  async #call(method: string, ...args: readonly unknown[]): Promise<unknown> {
    try {
      return await this.#scope.untilAborted(callChrome(this.#session, method, args));
    } catch (error) {
      this.#scope.signal.throwIfAborted();
      throw interference(error, this.#session);
    }
  }
}

/** What an extension that removes itself, or that closes every tab, makes of a call. */
function interference(error: unknown, session: CDPSession): unknown {
  if (/No such extension/i.test(messageOf(error)))
    return new ToolError(
      'Chrome does not list the extension: it was removed meanwhile, perhaps by itself (chrome.management.uninstallSelf), or is a theme, which no tool is about.',
      { cause: error },
    );
  if (!session.detached) return error;
  return new ToolError(
    "Chrome's page about extensions was closed while it was used: does an extension close all tabs? uninstall_extension removes one. Then call the tool again.",
    { cause: error },
  );
}

/** Undefined where Chrome cannot hide a page. */
async function keptPage({ owner: browser, signal }: CdpScope): Promise<KeptPage | undefined> {
  const opened = (): Promise<KeptPage> => openHidden(browser);
  const page = keptPages.get(browser)?.then((kept) => (kept.session.detached ? opened() : kept), opened) ?? opened();
  keptPages.set(browser, page);
  return untilAborted(page.catch(noPage), signal);
}

const noPage = (): undefined => undefined;

/** A hidden page ends with the session that created it (CDP Target.createTarget), which therefore stays open. */
async function openHidden(browser: Browser): Promise<KeptPage> {
  const scope = new CdpScope(browser, await openBrowserCdpSession(browser), new AbortController().signal);
  try {
    const { targetId } = await scope.browser.send('Target.createTarget', { url: 'about:blank', hidden: true });
    markOwnPage(browser, targetId);
    const session = await scope.attach(targetId);
    await showExtensions(session);
    return { targetId, session };
  } catch (error) {
    void scope.close();
    throw error;
  }
}

/** Resolves once the new document is there, and its bindings with it. */
async function showExtensions(session: CDPSession): Promise<void> {
  for (const url of extensionsPages) {
    const { errorText } = await session.send('Page.navigate', { url });
    if (errorText === undefined) break;
  }
  await callChrome(session, 'developerPrivate.updateProfileConfiguration', [{ inDeveloperMode: true }]);
}

async function callChrome(session: CDPSession, method: string, args: readonly unknown[]): Promise<unknown> {
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    expression: `chrome.${method}(...${JSON.stringify(args)})`,
    awaitPromise: true,
    returnByValue: true,
  });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}

/** Removes an extension with its storage (CDP Extensions.uninstall). Its folder stays. Throws a ToolError if Chrome refuses. */
export async function uninstallExtension(scope: CdpScope, { id, name }: Extension): Promise<void> {
  try {
    await scope.untilAborted(scope.browser.send('Extensions.uninstall', { id }));
  } catch (error) {
    scope.signal.throwIfAborted();
    throw new ToolError(`Chrome did not uninstall ${name}: ${chromeErrorText(error)}`, { cause: error });
  }
}
