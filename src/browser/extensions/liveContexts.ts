import type { Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { readSidePanels } from '../cdp/injectedFunctions.js';
import type { SidePanels, TabPosition } from '../injected/extensionContract.js';
import { contentScriptsIn } from './contentScripts.js';
import { ExtensionDocument } from './evaluateInTarget.js';
import { findExtension, type Extension, originOf, ownDocumentUrl } from './installedExtensions.js';
import { readManifest, stringsIn, type Manifest } from './manifest.js';
import { WorkerMonitor, type WorkerState } from './serviceWorkers.js';

/**
 * A context that tools can select. The id of a document is its target id; the id of a worker survives restarts, that of
 * a content script reloads of its page.
 */
export interface LiveContext extends SelectedContext {
  readonly title: string;
  /** The state of a service worker, which is listed while stopped, too. */
  readonly state?: WorkerState;
  /** Of a content script: in how many frames of the page it runs. */
  readonly frames?: number;
}

export interface LiveContexts {
  readonly contexts: readonly LiveContext[];
  /** Pages that did not respond in time. */
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
  const extensionId =
    /^(?:worker|content:\d+):([a-p]{32})$/.exec(contextId)?.[1] ?? (await extensionIdOf(scope, contextId));
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
  const contexts = await withPanels(scope, extension, await runningContexts(await scope.targets(), extension));
  return contexts
    .filter(({ kind }) => kind !== 'service_worker')
    .map(({ targetId, ...context }) => {
      const pageId = pages.find(({ frames }) => frames.mainId === targetId)?.id;
      const facts = { ...context, contextId: targetId, extensionId: extension.id };
      return pageId === undefined ? facts : { ...facts, pageId };
    });
}

type Target = Protocol.Target.TargetInfo;

/** The kinds of contexts of an extension. `page`: any other document of its own, in a tab or a frame. */
export const contextKinds = [
  'service_worker',
  'popup',
  'options',
  'side_panel',
  'offscreen',
  'page',
  'content_script',
] as const;
export type ContextKind = (typeof contextKinds)[number];

/** A running context; `targetId` identifies it until it ends. */
export interface ExtensionContext {
  readonly kind: ContextKind;
  readonly targetId: string;
  readonly url: string;
  readonly title: string;
}

/**
 * The running contexts of this extension among the browser's targets, which content scripts are not. The manifest
 * determines the kind of a document by URL: the popup's page in a tab counts as the popup.
 */
export async function runningContexts(targets: readonly Target[], extension: Extension): Promise<ExtensionContext[]> {
  const manifest = (await readManifest(extension)) ?? {};
  const prefix = `${originOf(extension.id)}/`;
  return targets
    .filter(({ url }) => url.startsWith(prefix) && url !== ownDocumentUrl(extension.id))
    .map((target) => ({
      kind: kindOf(target, prefix, manifest),
      targetId: target.targetId,
      url: target.url,
      title: target.title,
    }));
}

const panelsSchema = z.object({ path: z.string(), open: z.array(z.string()) }) satisfies z.ZodType<SidePanels>;

/**
 * The side panels of an extension now, which scripts may set for each tab (`chrome.sidePanel.setOptions`): that of a tab,
 * by default of the one in front, and those that are open.
 */
export async function sidePanels(
  scope: CdpScope,
  extension: Extension,
  tab: TabPosition | null = null,
): Promise<SidePanels> {
  const document = await ExtensionDocument.open(scope, extension);
  return document.call(readSidePanels, [tab], panelsSchema);
}

/** The contexts, of which those that are open side panels are known as such although no manifest names them. */
export async function withPanels(
  scope: CdpScope,
  extension: Extension,
  contexts: readonly ExtensionContext[],
): Promise<ExtensionContext[]> {
  const mayBePanel = contexts.some(({ kind }) => kind === 'page') && extension.enabled;
  const { permissions } = (mayBePanel ? await readManifest(extension) : undefined) ?? {};
  if (!stringsIn(permissions).includes('sidePanel')) return [...contexts];
  const { open } = await sidePanels(scope, extension);
  return contexts.map((context) =>
    context.kind === 'page' && open.includes(context.url) ? { ...context, kind: 'side_panel' as const } : context,
  );
}

function kindOf({ type, url }: Target, prefix: string, manifest: Manifest): ContextKind {
  if (type === 'service_worker') return 'service_worker';
  // Manifest V3 has no background pages; Chrome gives this type to offscreen documents.
  if (type === 'background_page') return 'offscreen';
  return declaredPages(manifest).find(({ path }) => pathOf(prefix, path) === pathOf(prefix, url))?.kind ?? 'page';
}

function declaredPages(manifest: Manifest): { kind: ContextKind; path: string }[] {
  const pages: { kind: ContextKind; path: string | undefined }[] = [
    { kind: 'popup', path: manifest.action?.default_popup },
    { kind: 'options', path: manifest.options_ui?.page ?? manifest.options_page },
    { kind: 'side_panel', path: manifest.side_panel?.default_path },
  ];
  return pages.flatMap(({ kind, path }) => (path === undefined ? [] : [{ kind, path }]));
}

const pathOf = (prefix: string, path: string): string => new URL(path, prefix).pathname;

/** The address that opens a context of this kind in a tab; undefined if the manifest names none. */
export async function contextUrl(extension: Extension, kind: ContextKind): Promise<string | undefined> {
  const page = declaredPages((await readManifest(extension)) ?? {}).find((candidate) => candidate.kind === kind);
  return page && new URL(page.path, `${originOf(extension.id)}/`).href;
}

/** A page of the manifest that is opened by its name. */
export interface NamedPage {
  readonly name: string;
  readonly url: string;
}

/** The pages that the manifest names: of contexts, then `newtab`, `history`, `bookmarks`, `devtools` and `sandbox`. */
export async function namedPages(extension: Extension): Promise<NamedPage[]> {
  const manifest = (await readManifest(extension)) ?? {};
  const [sandboxed] = manifest.sandbox?.pages ?? [];
  const others = Object.entries({
    ...manifest.chrome_url_overrides,
    devtools: manifest.devtools_page,
    sandbox: sandboxed,
  });
  const pages = [...declaredPages(manifest).map(({ kind, path }): [string, string] => [kind, path]), ...others];
  return pages.flatMap(([name, path]) =>
    path === undefined ? [] : [{ name, url: new URL(path, `${originOf(extension.id)}/`).href }],
  );
}

/** A context as it was when it was selected. It may have ended since. */
export interface SelectedContext {
  readonly contextId: string;
  readonly extensionId: string;
  readonly kind: ContextKind;
  readonly url: string;
  /** The session's page that shows it, or that its content script runs in. */
  readonly pageId?: number;
}

/** The selected context of a session, for tools that name none. Owned by its browser, and lost with it. */
export class ContextSelection {
  #selected: SelectedContext | undefined;

  get selected(): SelectedContext | undefined {
    return this.#selected;
  }

  select(context: SelectedContext): void {
    this.#selected = context;
  }
}
