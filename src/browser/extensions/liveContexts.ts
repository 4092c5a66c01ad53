import { ToolError } from '../../errors/errors.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { contentScriptsIn } from './contentScripts.js';
import { runningContexts } from './contexts.js';
import { findExtension, type Extension } from './installedExtensions.js';
import type { SelectedContext } from './selection.js';
import { WorkerMonitor, type WorkerState } from './serviceWorkers.js';

/**
 * A context that can be worked on. The id of a document is its target's; that of a worker outlives its restarts, that of
 * a content script the reloads of its page.
 */
export interface LiveContext extends SelectedContext {
  readonly title: string;
  /** Of a service worker: it is listed asleep, too. */
  readonly state?: WorkerState;
  /** Of a content script: in how many frames of the page it runs. */
  readonly frames?: number;
}

export interface LiveContexts {
  readonly contexts: readonly LiveContext[];
  /** Pages that did not tell in time what runs in them. */
  readonly unresponsive: readonly SessionPage[];
}

/** Every context of one extension: its service worker, its documents, its content scripts in these pages. */
export async function liveContexts(
  scope: CdpScope,
  extension: Extension,
  pages: readonly SessionPage[],
): Promise<LiveContexts> {
  const [worker, documents, { found, silent: unresponsive }] = await Promise.all([
    workerContexts(scope, extension),
    documentContexts(scope, extension, pages),
    contentScriptsIn(scope, extension, pages),
  ]);
  const contentScripts = await Promise.all(
    found.map(async ({ page, worlds }): Promise<LiveContext> => {
      const contextId = `content:${page.id}:${extension.id}`;
      const location = { contextId, extensionId: extension.id, url: page.url(), pageId: page.id };
      return { ...location, kind: 'content_script', title: await page.title(), frames: worlds.length };
    }),
  );
  return { contexts: [...worker, ...documents, ...contentScripts], unresponsive };
}

/** The context with this id. Throws a ToolError that names the tool that lists them. */
export async function findLiveContext(
  scope: CdpScope,
  contextId: string,
  pages: readonly SessionPage[],
): Promise<LiveContext> {
  const extensionId = /^(?:worker|content:\d+):([a-p]{32})$/.exec(contextId)?.[1] ?? (await extensionIdOf(scope, contextId));
  if (extensionId === undefined) throw unknownContext(contextId);
  const { contexts } = await liveContexts(scope, await findExtension(scope, extensionId), pages);
  const found = contexts.find((context) => context.contextId === contextId);
  if (found) return found;
  throw unknownContext(contextId);
}

async function extensionIdOf(scope: CdpScope, targetId: string): Promise<string | undefined> {
  const url = (await scope.targets()).find((target) => target.targetId === targetId)?.url;
  return url?.startsWith('chrome-extension://') === true ? new URL(url).host : undefined;
}

function unknownContext(contextId: string): ToolError {
  return new ToolError(
    `There is no context ${contextId} now. list_extension_contexts shows the ids of those that are.`,
  );
}

async function workerContexts(scope: CdpScope, { id }: Extension): Promise<LiveContext[]> {
  const watch = await WorkerMonitor.open(scope);
  const [state, url] = [watch.state(id), watch.script(id)];
  if (url === undefined || state === 'none') return [];
  return [{ contextId: `worker:${id}`, extensionId: id, kind: 'service_worker', url, title: '', state }];
}

async function documentContexts(
  scope: CdpScope,
  extension: Extension,
  pages: readonly SessionPage[],
): Promise<LiveContext[]> {
  const contexts = await runningContexts(await scope.targets(), extension);
  return contexts
    .filter(({ kind }) => kind !== 'service_worker')
    .map(({ targetId, ...context }) => {
      const pageId = pages.find(({ frames }) => frames.mainId === targetId)?.id;
      const facts = { ...context, contextId: targetId, extensionId: extension.id };
      return pageId === undefined ? facts : { ...facts, pageId };
    });
}
