import { timeLimit } from '../../clock.js';
import { ExtensionsPage, findExtension, readManifest, type Extension } from './installedExtensions.js';
import { loadWithoutFiles } from './fileAccess.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { WorkerMonitor, type WorkerStarts } from './serviceWorkers.js';

export interface Installation {
  readonly extension: Extension;
  /** What Chrome dislikes in the manifest, and what the service worker threw at its first start. */
  readonly warnings: readonly string[];
}

/** A worker that is not up by then is reported, not waited for. */
const firstStartTimeoutMs = 5_000;

/**
 * Loads an unpacked extension and waits for the first start of its service worker, so that whoever calls next finds it
 * running. Throws a ToolError with Chrome's own words when Chrome refuses the folder.
 */
export function installExtension(scope: CdpScope, path: string): Promise<Installation> {
  return installAndWait(scope, (page) => loadWithoutFiles(scope, path, page));
}

/**
 * Switches an extension on or off, as its switch on chrome://extensions does; switched on, waits for its service worker.
 * Switched off, Chrome closes its documents and stops its worker; its storage stays.
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
  const slow = (await hasWorker(extension)) && !(await waitForFirstStart(scope, watch, extension.id, before));
  const { manifestErrors } = await page.info(extension.id);
  const warnings = [...manifestErrors.map(({ message }) => message), ...watch.errors(extension.id)];
  if (slow) warnings.push(`The service worker is not up after ${firstStartTimeoutMs / 1000} s.`);
  return { extension, warnings: [...new Set(warnings)] };
}

async function hasWorker(extension: Extension): Promise<boolean> {
  return extension.enabled && (await readManifest(extension))?.background?.service_worker !== undefined;
}

/** Whether the first start was over in time, whatever came of it. */
async function waitForFirstStart(scope: CdpScope, watch: WorkerMonitor, id: string, before: WorkerStarts): Promise<boolean> {
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
