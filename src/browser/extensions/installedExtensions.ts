import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { messageOf, ToolError } from '../../errors/errors.js';
import { extensionsPage } from '../policy/launchPreferences.js';
import type { CdpScope } from '../cdp/cdpScope.js';

/** An unpacked extension as Chrome reports it (`Extensions.getExtensions`). `path` is its folder. */
export type Extension = Protocol.Extensions.ExtensionInfo;

export const originOf = (extensionId: string): string => `chrome-extension://${extensionId}`;

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
  // Started with --disable-extensions, Chrome answers with an id and installs nothing.
  const installed = (await listExtensions(scope)).find((extension) => extension.id === id);
  if (installed) return installed;
  throw new ToolError(
    'Chrome accepted the extension but did not install it: extensions are switched off in this browser. Start it without --disable-extensions.',
  );
}

async function loadUnpacked(scope: CdpScope, path: string): Promise<string> {
  try {
    const { id } = await scope.untilAborted(scope.browser.send('Extensions.loadUnpacked', { path }));
    return id;
  } catch (error) {
    scope.signal.throwIfAborted();
    throw new ToolError(`Chrome refused the extension in ${path}: ${chromeErrorText(error)}`, { cause: error });
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
  disableReasons: z.record(z.string(), z.boolean()),
  permissions: z.object({
    simplePermissions: z.array(z.object({ message: z.string() })),
    runtimeHostPermissions: z
      .object({ hostAccess: z.string(), hosts: z.array(z.object({ host: z.string(), granted: z.boolean() })) })
      .optional(),
  }),
  commands: z.array(z.object({ name: z.string(), description: z.string(), keybinding: z.string() })),
  incognitoAccess: toggleSchema,
  fileAccess: toggleSchema,
  manifestErrors: z.array(problemSchema),
  runtimeErrors: z.array(problemSchema),
});

/** What chrome://extensions knows of one extension (`chrome.developerPrivate.getExtensionInfo`). */
export type ExtensionInfo = z.infer<typeof infoSchema>;

/**
 * Chrome's own page about extensions, hidden: the only place where `chrome.developerPrivate` exists. It switches
 * developer mode on, without which Chrome keeps no errors and runs no unpacked extension. Ends with its scope.
 */
export class ExtensionsPage {
  readonly #scope: CdpScope;
  readonly #session: CDPSession;

  private constructor(scope: CdpScope, session: CDPSession) {
    this.#scope = scope;
    this.#session = session;
  }

  static async open(scope: CdpScope): Promise<ExtensionsPage> {
    const session = await scope.hiddenPage();
    // Answers once the new document is there, and its bindings with it.
    await scope.untilAborted(session.send('Page.navigate', { url: extensionsPage }));
    const page = new ExtensionsPage(scope, session);
    await page.#call('developerPrivate.updateProfileConfiguration', { inDeveloperMode: true });
    return page;
  }

  /** With what Chrome noted since the extension was loaded: about its manifest, and uncaught errors of its scripts. */
  async info(extensionId: string): Promise<ExtensionInfo> {
    return infoSchema.parse(await this.#call('developerPrivate.getExtensionInfo', extensionId));
  }

  /** Switches an extension on or off, as its switch on chrome://extensions does (`chrome.management.setEnabled`). */
  async setEnabled(extensionId: string, enabled: boolean): Promise<void> {
    await this.#call('management.setEnabled', extensionId, enabled);
  }

  /** Takes its access to files from an extension, which Chrome then loads again. */
  async denyFiles(extensionId: string): Promise<void> {
    await this.#call('developerPrivate.updateExtensionConfiguration', { extensionId, fileAccess: false });
  }

  /** Empties what Chrome noted of an extension. */
  async clearProblems(extensionId: string): Promise<void> {
    await this.#call('developerPrivate.deleteExtensionErrors', { extensionId });
  }

  async #call(method: string, ...args: readonly unknown[]): Promise<unknown> {
    const { result, exceptionDetails } = await this.#scope.untilAborted(
      this.#session.send('Runtime.evaluate', {
        expression: `chrome.${method}(...${JSON.stringify(args)})`,
        awaitPromise: true,
        returnByValue: true,
      }),
    );
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }
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
