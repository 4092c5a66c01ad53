import { messageOf, ToolError } from '../../errors/errors.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { contentScriptsIn } from './contentScripts.js';
import { runningContexts, type ExtensionContext } from './contexts.js';
import type { Extension } from './installedExtensions.js';
import { installExtension, type Installation } from './extensionInstall.js';

export interface ReloadResult extends Installation {
  /** Its documents that were open before and that Chrome closed. */
  readonly closed: readonly ExtensionContext[];
  /** Its documents that are still open and run the old code. */
  readonly stale: readonly ExtensionContext[];
  /** Pages in which its old content scripts go on, cut off from the extension. */
  readonly stalePages: readonly SessionPage[];
}

/**
 * Loads an extension again from its folder and tells what still runs its old code. Throws a ToolError when Chrome refuses
 * what is in the folder now: then what was loaded before goes on.
 */
export async function reloadExtension(
  scope: CdpScope,
  extension: Extension,
  pages: readonly SessionPage[],
): Promise<ReloadResult> {
  const [before, contentScripts] = await Promise.all([
    openDocuments(scope, extension),
    contentScriptsIn(scope, extension, pages),
  ]);
  const installation = await installExtension(scope, extension.path).catch((error: unknown) => {
    if (!(error instanceof ToolError)) throw error;
    const consequence = `${extension.name} ${extension.version} goes on as it was loaded before.`;
    throw new ToolError(`${messageOf(error)} ${consequence}`, { cause: error });
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
