import { messageOf, ToolError } from '../../errors.js';
import type { SessionPage } from '../page/page.js';
import type { ProtocolScope } from '../protocol/protocolScope.js';
import { contentScriptsIn } from './contentScripts.js';
import { contextsAmong, type ExtensionContext } from './contexts.js';
import type { Extension } from './extensions.js';
import { installExtension, type Installation } from './install.js';

export interface Reloading extends Installation {
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
  scope: ProtocolScope,
  extension: Extension,
  pages: readonly SessionPage[],
): Promise<Reloading> {
  const [before, contentScripts] = await Promise.all([
    documentsOf(scope, extension),
    contentScriptsIn(scope, extension, pages),
  ]);
  const installation = await installExtension(scope, extension.path).catch((error: unknown) => {
    if (!(error instanceof ToolError)) throw error;
    const still = `${extension.name} ${extension.version} goes on as it was loaded before.`;
    throw new ToolError(`${messageOf(error)} ${still}`, { cause: error });
  });
  const open = new Set((await documentsOf(scope, extension)).map(({ targetId }) => targetId));
  return {
    ...installation,
    closed: before.filter(({ targetId }) => !open.has(targetId)),
    stale: before.filter(({ targetId }) => open.has(targetId)),
    stalePages: contentScripts.found.map(({ page }) => page),
  };
}

async function documentsOf(scope: ProtocolScope, extension: Extension): Promise<ExtensionContext[]> {
  const contexts = await contextsAmong(await scope.targets(), extension);
  return contexts.filter(({ kind }) => kind !== 'service_worker');
}
