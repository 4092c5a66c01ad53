import { dirname, sep } from 'node:path';
import type { Browser } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import {
  ExtensionsPage,
  findExtension,
  type Extension,
  limitsOf,
  listExtensions,
  uninstallExtension,
} from './installedExtensions.js';
import { listFolder } from './extensionFiles.js';
import { readManifest, readManifestFile } from './manifest.js';
import { loadWithoutFiles } from './fileAccess.js';
import { type CdpScope, withCdpScope } from '../cdp/cdpScope.js';
import { errorsInFolder, WorkerMonitor, type WorkerStarts } from './serviceWorkers.js';
import { ToolError, messageOf } from '../../errors/errors.js';
import type { SessionPage } from '../page/sessionPage.js';
import { contentScriptsIn } from './contentScripts.js';
import { runningContexts, type ExtensionContext } from './liveContexts.js';

export interface Installation {
  readonly extension: Extension;
  /** Chrome's warnings about the manifest, and what the service worker threw at its first start. */
  readonly warnings: readonly string[];
  /** What the browser withholds from it. */
  readonly limits: readonly string[];
  /** Chrome applies a theme, and does not list it. */
  readonly isTheme: boolean;
}

/** Limit on the wait for the first start of a worker; a later one is reported as not started. */
const firstStartTimeoutMs = 10_000;

/**
 * Loads an unpacked extension and waits for the first start of its service worker, so that the next tool finds it
 * running. Throws a ToolError with Chrome's message when Chrome refuses the folder.
 */
export async function installExtension(scope: CdpScope, path: string): Promise<Installation> {
  try {
    return await installAndWait(scope, () => loadWithoutFiles(scope, path));
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const refused = messageOf(error);
    const more = [...(await whereManifestIs(path)), ...(await versionNeeded(path, refused))];
    const findings = more.length > 0 ? more : await errorsInFolder(path, scope.signal);
    throw new ToolError([refused, ...findings].join('\n'), { cause: error });
  }
}

/** Throws a ToolError for a folder that Chrome refuses whatever else is in it: without a manifest, or with one that is no JSON. */
export async function requireManifest(path: string): Promise<void> {
  const { problem, lineOf } = await readManifestFile(path).catch((error: unknown) => {
    if (error instanceof ToolError) throw error;
    return { problem: 'there is none', lineOf: () => 0 };
  });
  if (problem === undefined) return;
  const line = lineOf('');
  const refused = `Chrome takes no extension in ${path}: manifest.json${line > 0 ? `:${line}` : ''}: ${problem}.`;
  throw new ToolError([refused, ...(await whereManifestIs(path))].join('\n'));
}

const maxListed = 2_000;

/** The folders within that could be meant; empty if the folder has a manifest. */
async function whereManifestIs(path: string): Promise<string[]> {
  const { paths } = await listFolder(path, maxListed).catch(() => ({ paths: new Set<string>() }));
  if (paths.has('manifest.json') || paths.size === 0) return [];
  const inner = [...paths].filter((each) => /^(?:[^/]+\/){1,3}manifest\.json$/.test(each));
  const folders = inner.map((each) => dirname(each)).filter((each) => !each.includes('node_modules'));
  return folders.length > 0
    ? [`A manifest.json is in ${folders.slice(0, 5).join(', ')}: pass that folder.`]
    : ['There is no manifest.json in it. Is the extension to be built first? Pass the folder that the build writes.'];
}

/** Chrome names no line. */
async function versionNeeded(path: string, refused: string): Promise<string[]> {
  if (!/requires Chrom\w* version/.test(refused)) return [];
  const line = await readManifestFile(path).then(({ lineOf }) => lineOf('minimum_chrome_version'));
  return [
    `manifest.json:${line} minimum_chrome_version: This browser is older. Fix: Lower it, or start the server with a newer one (--executable-path).`,
  ];
}

/**
 * Enables or disables an extension, as the switch on chrome://extensions does. When enabling, waits for its service
 * worker. When disabling, Chrome closes its documents and stops its worker; its storage stays.
 */
export function setExtensionEnabled(scope: CdpScope, id: string, enabled: boolean): Promise<Installation> {
  return installAndWait(scope, async (page) => {
    await page.setEnabled(id, enabled);
    return findExtension(scope, id);
  });
}

async function installAndWait(
  scope: CdpScope,
  begin: (page: ExtensionsPage) => Promise<Extension>,
): Promise<Installation> {
  const [page, watch] = await Promise.all([ExtensionsPage.open(scope), WorkerMonitor.open(scope)]);
  const before = watch.starts();
  const extension = await begin(page);
  const manifest = await readManifest(extension);
  // Chrome tells nothing about a theme.
  if (manifest?.theme !== undefined) return { extension, warnings: [], limits: [], isTheme: true };
  const named = await hasWorker(extension);
  const slow = named && !(await waitForFirstStart(scope, watch, extension.id, before));
  const info = await page.info(extension.id);
  const warnings = [...info.manifestErrors.map(({ message }) => message), ...watch.errors(extension.id)];
  // Chrome names the line of few, and the fix of none; of a script that is missing neither the file nor the import.
  if (warnings.length > 0 || (named && watch.state(extension.id) === 'none'))
    warnings.push(...(await errorsInFolder(extension.path, scope.signal)));
  if (slow)
    warnings.push(
      `The service worker is not up after ${firstStartTimeoutMs / 1000} s: its script, or a listener of its install event, does not end. stop_extension_service_worker ends it.`,
    );
  const limits = limitsOf(info, manifest?.permissions ?? []);
  return { extension, warnings: [...new Set(warnings)], limits, isTheme: false };
}

/** Whether Chrome should run a service worker for it. */
export async function hasWorker(extension: Extension): Promise<boolean> {
  return extension.enabled && (await readManifest(extension))?.background?.service_worker !== undefined;
}

/** Whether the first start ended in time, successfully or not. */
async function waitForFirstStart(
  scope: CdpScope,
  watch: WorkerMonitor,
  id: string,
  before: WorkerStarts,
): Promise<boolean> {
  const limit = timeLimit(firstStartTimeoutMs);
  try {
    await watch.waitForStart(id, before, AbortSignal.any([scope.signal, limit]));
    return true;
  } catch (error) {
    scope.signal.throwIfAborted();
    if (limit.aborted) return false;
    throw error;
  }
}

const uninstallTimeoutMs = 5_000;

/** Uninstalls the extensions whose folder is about to be removed. Never rejects, also when the browser is gone. */
export async function uninstallFromFolder(browser: Browser, folder: string): Promise<void> {
  const removing = withCdpScope(browser, timeLimit(uninstallTimeoutMs), async (scope) => {
    const extensions = await listExtensions(scope);
    const own = extensions.filter(({ path }) => path.startsWith(`${folder}${sep}`));
    await Promise.allSettled(own.map((extension) => uninstallExtension(scope, extension)));
  });
  await removing.catch(() => undefined);
}

export interface ReloadResult extends Installation {
  /** Its documents that were open before and that Chrome closed. */
  readonly closed: readonly ExtensionContext[];
  /** Its documents that are still open and run the old code. */
  readonly stale: readonly ExtensionContext[];
  /** Pages in which its old content scripts still run, disconnected from the extension. */
  readonly stalePages: readonly SessionPage[];
}

/**
 * Reloads an extension from its folder and reports what still runs its old code. Throws a ToolError when Chrome refuses
 * the folder; the version loaded before then stays in effect. `beforeLoading` may change what Chrome keeps of it.
 */
export async function reloadExtension(
  scope: CdpScope,
  extension: Extension,
  pages: readonly SessionPage[],
  beforeLoading: () => Promise<void> = () => Promise.resolve(),
): Promise<ReloadResult> {
  const [before, contentScripts] = await Promise.all([
    openDocuments(scope, extension),
    contentScriptsIn(scope, extension, pages),
  ]);
  await beforeLoading();
  const installation = await installExtension(scope, extension.path).catch((error: unknown) => {
    if (!(error instanceof ToolError)) throw error;
    const consequence = `${extension.name} ${extension.version} stays loaded as it was before.`;
    throw new ToolError(`${messageOf(error)}\n${consequence}`, { cause: error });
  });
  const open = new Set((await openDocuments(scope, extension)).map(({ targetId }) => targetId));
  return {
    ...installation,
    closed: before.filter(({ targetId }) => !open.has(targetId)),
    stale: before.filter(({ targetId }) => open.has(targetId)),
    stalePages: contentScripts.found.map(({ page }) => page),
  };
}

async function openDocuments(scope: CdpScope, extension: Extension): Promise<ExtensionContext[]> {
  const contexts = await runningContexts(await scope.targets(), extension);
  return contexts.filter(({ kind }) => kind !== 'service_worker');
}

const pageLoadMs = 10_000;

/** Loads pages again that have an old content script. Resolves with those that loaded in time. */
export async function loadAgain(pages: readonly SessionPage[], signal: AbortSignal): Promise<SessionPage[]> {
  const loads = pages.map(async (page) => {
    await page.page.reload({ waitUntil: 'domcontentloaded', timeout: pageLoadMs, signal });
    return page;
  });
  const results = await Promise.allSettled(loads);
  signal.throwIfAborted();
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}
