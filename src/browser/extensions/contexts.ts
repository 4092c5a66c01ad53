import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors.js';
import { originOf, readManifest, type Extension, type Manifest } from './extensions.js';
import type { SessionPage } from '../page/page.js';
import type { ProtocolScope } from '../protocol/protocolScope.js';

type Target = Protocol.Target.TargetInfo;

/** The places where an extension's code runs. `page`: any other document of its own, in a tab or a frame. */
export const contextKinds = ['service_worker', 'popup', 'options', 'side_panel', 'offscreen', 'page'] as const;
export type ContextKind = (typeof contextKinds)[number];

/** One context that runs now. `targetId` names it until it ends. */
export interface ExtensionContext {
  readonly kind: ContextKind;
  readonly targetId: string;
  readonly url: string;
  readonly title: string;
}

/**
 * What runs of this extension among the browser's targets; content scripts are no targets. A document is what its manifest says about its address:
 * the popup's page opened in a tab counts as the popup.
 */
export async function contextsAmong(targets: readonly Target[], extension: Extension): Promise<ExtensionContext[]> {
  const manifest = (await readManifest(extension)) ?? {};
  const prefix = `${originOf(extension.id)}/`;
  return targets
    .filter(({ url }) => url.startsWith(prefix))
    .map((target) => ({
      kind: kindOf(target, prefix, manifest),
      targetId: target.targetId,
      url: target.url,
      title: target.title,
    }));
}

function kindOf({ type, url }: Target, prefix: string, manifest: Manifest): ContextKind {
  if (type === 'service_worker') return 'service_worker';
  // Manifest V3 has no background pages; Chrome gives this type to offscreen documents.
  if (type === 'background_page') return 'offscreen';
  return pagesOf(manifest).find(({ path }) => pathOf(prefix, path) === pathOf(prefix, url))?.kind ?? 'page';
}

function pagesOf(manifest: Manifest): { kind: ContextKind; path: string }[] {
  const pages: { kind: ContextKind; path: string | undefined }[] = [
    { kind: 'popup', path: manifest.action?.default_popup },
    { kind: 'options', path: manifest.options_ui?.page ?? manifest.options_page },
    { kind: 'side_panel', path: manifest.side_panel?.default_path },
  ];
  return pages.flatMap(({ kind, path }) => (path === undefined ? [] : [{ kind, path }]));
}

const pathOf = (prefix: string, path: string): string => new URL(path, prefix).pathname;

/** The address that opens a context of this kind in a tab; undefined if the manifest names none. */
export async function addressOf(extension: Extension, kind: ContextKind): Promise<string | undefined> {
  const page = pagesOf((await readManifest(extension)) ?? {}).find((candidate) => candidate.kind === kind);
  return page && new URL(page.path, `${originOf(extension.id)}/`).href;
}

/** A content script's world in a page: the session to talk to the page, and the world's id on it. */
export interface ContentWorld {
  readonly session: CDPSession;
  readonly uniqueContextId: string;
}

/** The protocol leaves `auxData` open; Chrome puts the frame there. */
const frameOf = (auxData: unknown): string | undefined =>
  z.object({ frameId: z.string() }).safeParse(auxData).data?.frameId;

/** Finds the world of the extension's content scripts in the page's main frame, or else in its first frame with one. */
export async function contentWorld(
  scope: ProtocolScope,
  extension: Extension,
  page: SessionPage,
): Promise<ContentWorld> {
  const { targetInfo } = await scope.until(page.cdp.send('Target.getTargetInfo'));
  const session = await scope.attach(targetInfo.targetId);
  const worlds: Protocol.Runtime.ExecutionContextDescription[] = [];
  session.on('Runtime.executionContextCreated', ({ context }) => {
    if (context.origin === originOf(extension.id)) worlds.push(context);
  });
  // Announces every context that exists before it answers.
  await scope.until(session.send('Runtime.enable'));
  // The main frame has its target's id.
  const world = worlds.find(({ auxData }) => frameOf(auxData) === targetInfo.targetId) ?? worlds[0];
  if (world) return { session, uniqueContextId: world.uniqueId };
  throw new ToolError(
    `${extension.name} has no content script in page ${page.id} (${page.url()}). Check content_scripts.matches in its manifest, then reload the page: content scripts are injected when a page loads.`,
  );
}
