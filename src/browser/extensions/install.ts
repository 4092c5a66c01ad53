import { ExtensionsPage, loadExtension, readManifest, type Extension } from './extensions.js';
import type { ProtocolScope } from '../protocol/protocolScope.js';
import { WorkerWatch, type Starts } from './serviceWorkers.js';

export interface Installation {
  readonly extension: Extension;
  /** What Chrome dislikes in the manifest, and what the service worker threw at its first start. */
  readonly warnings: readonly string[];
}

/** A worker that is not up by then is reported, not waited for. */
const firstStartMs = 5_000;

/**
 * Loads an unpacked extension and waits for the first start of its service worker, so that whoever calls next finds it
 * running. Throws a ToolError with Chrome's own words when Chrome refuses the folder.
 */
export async function installExtension(scope: ProtocolScope, path: string): Promise<Installation> {
  const [page, watch] = await Promise.all([ExtensionsPage.open(scope), WorkerWatch.open(scope)]);
  const before = watch.starts();
  const extension = await loadExtension(scope, path);
  const slow = (await hasWorker(extension)) && !(await startsInTime(scope, watch, extension.id, before));
  const { manifestErrors } = await page.problems(extension.id);
  const warnings = [...manifestErrors.map(({ message }) => message), ...watch.errors(extension.id)];
  if (slow) warnings.push(`The service worker is not up after ${firstStartMs / 1000} s.`);
  return { extension, warnings: [...new Set(warnings)] };
}

async function hasWorker(extension: Extension): Promise<boolean> {
  return (await readManifest(extension))?.background?.service_worker !== undefined;
}

/** Whether the first start was over in time, whatever came of it. */
async function startsInTime(scope: ProtocolScope, watch: WorkerWatch, id: string, before: Starts): Promise<boolean> {
  const limit = AbortSignal.timeout(firstStartMs);
  try {
    await watch.cameUp(id, before, AbortSignal.any([scope.signal, limit]));
    return true;
  } catch (error) {
    scope.signal.throwIfAborted();
    if (limit.aborted) return false;
    throw error;
  }
}
