import { ToolError } from '../../errors.js';
import type { SessionPage } from '../page/page.js';
import type { ProtocolScope } from '../protocol/protocolScope.js';
import { contentScriptsIn } from './contentScripts.js';
import { contextsAmong } from './contexts.js';
import { findExtension, type Extension } from './extensions.js';
import type { SelectedContext } from './selection.js';
import { WorkerWatch, type WorkerState } from './serviceWorkers.js';

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
  readonly silent: readonly SessionPage[];
}

/** Every context of one extension: its service worker, its documents, its content scripts in these pages. */
export async function liveContexts(
  scope: ProtocolScope,
  extension: Extension,
  pages: readonly SessionPage[],
): Promise<LiveContexts> {
  const [worker, documents, { found, silent }] = await Promise.all([
    workerOf(scope, extension),
    documentsOf(scope, extension, pages),
    contentScriptsIn(scope, extension, pages),
  ]);
  const contentScripts = await Promise.all(
    found.map(async ({ page, worlds }): Promise<LiveContext> => {
      const contextId = `content:${page.id}:${extension.id}`;
      const place = { contextId, extensionId: extension.id, url: page.url(), pageId: page.id };
      return { ...place, kind: 'content_script', title: await page.title(), frames: worlds.length };
    }),
  );
  return { contexts: [...worker, ...documents, ...contentScripts], silent };
}

/** The context with this id. Throws a ToolError that names the tool that lists them. */
export async function findLiveContext(
  scope: ProtocolScope,
  contextId: string,
  pages: readonly SessionPage[],
): Promise<LiveContext> {
  const extensionId = /^(?:worker|content:\d+):([a-p]{32})$/.exec(contextId)?.[1] ?? (await hostOf(scope, contextId));
  if (extensionId === undefined) throw unknownContext(contextId);
  const { contexts } = await liveContexts(scope, await findExtension(scope, extensionId), pages);
  const found = contexts.find((context) => context.contextId === contextId);
  if (found) return found;
  throw unknownContext(contextId);
}

async function hostOf(scope: ProtocolScope, targetId: string): Promise<string | undefined> {
  const url = (await scope.targets()).find((target) => target.targetId === targetId)?.url;
  return url?.startsWith('chrome-extension://') === true ? new URL(url).host : undefined;
}

function unknownContext(contextId: string): ToolError {
  return new ToolError(
    `There is no context ${contextId} now. list_extension_contexts shows the ids of those that are.`,
  );
}

async function workerOf(scope: ProtocolScope, { id }: Extension): Promise<LiveContext[]> {
  const watch = await WorkerWatch.open(scope);
  const [state, url] = [watch.state(id), watch.script(id)];
  if (url === undefined || state === 'none') return [];
  return [{ contextId: `worker:${id}`, extensionId: id, kind: 'service_worker', url, title: '', state }];
}

async function documentsOf(
  scope: ProtocolScope,
  extension: Extension,
  pages: readonly SessionPage[],
): Promise<LiveContext[]> {
  const contexts = await contextsAmong(await scope.targets(), extension);
  return contexts
    .filter(({ kind }) => kind !== 'service_worker')
    .map(({ targetId, ...context }) => {
      const pageId = pages.find(({ frames }) => frames.mainId === targetId)?.id;
      const facts = { ...context, contextId: targetId, extensionId: extension.id };
      return pageId === undefined ? facts : { ...facts, pageId };
    });
}
