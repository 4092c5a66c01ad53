import type { Protocol } from 'puppeteer-core';
import { originOf, readManifest, type Extension, type Manifest } from './installedExtensions.js';

type Target = Protocol.Target.TargetInfo;

/** The places where an extension's code runs. `page`: any other document of its own, in a tab or a frame. */
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

/** One context that runs now. `targetId` names it until it ends. */
export interface ExtensionContext {
  readonly kind: ContextKind;
  readonly targetId: string;
  readonly url: string;
  readonly title: string;
}

/**
 * What runs of this extension among the browser's targets; content scripts are no targets. A document is what the
 * manifest says about its address: the popup's page opened in a tab counts as the popup.
 */
export async function runningContexts(targets: readonly Target[], extension: Extension): Promise<ExtensionContext[]> {
  const manifest = (await readManifest(extension)) ?? {};
  const prefix = `${originOf(extension.id)}/`;
  return (
    targets
      // Its manifest is where our own hidden pages stand (see `extensionDocument`).
      .filter(({ url }) => url.startsWith(prefix) && url !== `${prefix}manifest.json`)
      .map((target) => ({
        kind: kindOf(target, prefix, manifest),
        targetId: target.targetId,
        url: target.url,
        title: target.title,
      }))
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

/** The contexts that the manifest names a page for. */
export async function declaredContexts(extension: Extension): Promise<ContextKind[]> {
  return declaredPages((await readManifest(extension)) ?? {}).map(({ kind }) => kind);
}
