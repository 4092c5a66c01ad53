import type { CDPSession } from 'puppeteer-core';
import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import { untilAborted } from '../../async.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import { ToolError } from '../../errors/errors.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { originOf, type Extension } from './installedExtensions.js';

/** Limit for a page to respond: one that is busy or has an open dialog is reported instead. */
const responseTimeoutMs = 2_000;

/** The isolated world of content scripts in a frame: its CDP session and context id. */
export interface ContentWorld {
  readonly session: CDPSession;
  readonly uniqueContextId: string;
  readonly frameId: string;
}

export interface ContentScripts {
  readonly page: SessionPage;
  /** In at least one frame; the outermost frame's first. */
  readonly worlds: readonly ContentWorld[];
}

/** CDP leaves `auxData` untyped; this is Chrome's content. */
const auxDataSchema = z.object({ frameId: z.string(), isDefault: z.boolean() });

/**
 * The pages in which content scripts of the extension run in an isolated world (those in the main world cannot be
 * distinguished from the page), and the pages that did not respond in time.
 */
export async function contentScriptsIn(
  scope: CdpScope,
  extension: Extension,
  pages: readonly SessionPage[],
): Promise<{ found: ContentScripts[]; silent: SessionPage[] }> {
  const all = await Promise.all(pages.map(async (page) => ({ page, worlds: await worldsIn(scope, extension, page) })));
  return {
    found: all.flatMap(({ page, worlds }) => (worlds === undefined || worlds.length === 0 ? [] : [{ page, worlds }])),
    silent: all.flatMap(({ page, worlds }) => (worlds === undefined ? [page] : [])),
  };
}

/** The world of the extension's content scripts in the page's outermost frame, or else in its first frame with one. */
export async function findContentWorld(
  scope: CdpScope,
  extension: Extension,
  page: SessionPage,
): Promise<ContentWorld> {
  const [world] = (await worldsIn(scope, extension, page)) ?? [];
  if (world) return world;
  throw new ToolError(
    `${extension.name} has no content script in page ${page.id} (${page.url()}). Check content_scripts.matches in its manifest, then reload the page: content scripts are injected when a page loads.`,
  );
}

/** Undefined when the page does not answer. */
async function worldsIn(scope: CdpScope, extension: Extension, page: SessionPage): Promise<ContentWorld[] | undefined> {
  if (page.interruptions.current) return undefined;
  const limit = timeLimit(responseTimeoutMs);
  const late = new Promise<undefined>((resolve) => limit.addEventListener('abort', () => resolve(undefined)));
  const { targetInfo } = await scope.untilAborted(page.cdp.send('Target.getTargetInfo'));
  const inFrames = page.frames.remoteTargetIds().map((targetId) =>
    // A frame that is removed meanwhile runs nothing any more.
    worldsOfTarget(scope, extension, targetId).catch(() => []),
  );
  const worlds = Promise.all([worldsOfTarget(scope, extension, targetInfo.targetId), ...inFrames]);
  const answer = await Promise.race([worlds, late]);
  const isMain = ({ frameId }: ContentWorld): boolean => frameId === targetInfo.targetId;
  return answer?.flat().sort((a, b) => Number(isMain(b)) - Number(isMain(a)));
}

async function worldsOfTarget(scope: CdpScope, extension: Extension, targetId: string): Promise<ContentWorld[]> {
  const session = await scope.attach(targetId);
  const worlds: (z.infer<typeof auxDataSchema> & ContentWorld)[] = [];
  session.on('Runtime.executionContextCreated', ({ context }) => {
    const { data } = auxDataSchema.safeParse(context.auxData);
    if (data && context.origin === originOf(extension.id)) {
      worlds.push({ ...data, session, uniqueContextId: context.uniqueId });
    }
  });
  // Runtime.enable reports every existing context before its response.
  await scope.untilAborted(session.send('Runtime.enable'));
  // A document of the extension itself has its origin in every world.
  const documentFrames = new Set(worlds.flatMap(({ isDefault, frameId }) => (isDefault ? [frameId] : [])));
  return worlds.filter(({ frameId }) => !documentFrames.has(frameId));
}

/**
 * Whether the code in a frame of these worlds is cut off from its extension, which was reloaded, updated or disabled. After
 * that Chrome keeps an empty world beside the one in use.
 */
export async function isCutOff(scope: CdpScope, worlds: readonly ContentWorld[]): Promise<boolean> {
  const expression = 'globalThis.chrome?.runtime?.id !== undefined';
  const answers = worlds.map(async ({ session, uniqueContextId, frameId }) => {
    const answer = await unlessGone(
      session.send('Runtime.evaluate', { expression, uniqueContextId, returnByValue: true }),
    );
    return { frameId, isConnected: answer?.result.value !== false };
  });
  const limit = AbortSignal.any([scope.signal, timeLimit(responseTimeoutMs)]);
  const states = (await unlessGone(untilAborted(Promise.all(answers), limit))) ?? [];
  const connected = new Set(states.flatMap(({ frameId, isConnected }) => (isConnected ? [frameId] : [])));
  return states.some(({ frameId }) => !connected.has(frameId));
}
