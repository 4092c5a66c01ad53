import { messageOf } from '../../errors/errors.js';
import { allowGeolocation, type EmulationSettings } from '../page/pageEmulation.js';
import type { SessionPage } from '../page/sessionPage.js';

/** What a session had in a browser that it lost. In JSON: another server can go on from it. */
export interface PlacementRecord {
  readonly mode: 'launch' | 'attach';
  readonly isolation: 'context' | 'process' | 'profile';
  /** Of the session's own context, which outlives the connection to a browser that is not ours. */
  readonly contextId?: string;
  /** Others have closed that context, and all that was in it. */
  readonly isClosed?: boolean;
  readonly pages: readonly PageRecord[];
  /** Ids are never used again. */
  readonly lastPageId: number;
}

/** The same, when its context was closed by others. */
export function withContextClosed({ contextId: _closed, ...lost }: PlacementRecord): PlacementRecord {
  return { ...lost, isClosed: true };
}

/** What became of the pages. */
export interface PageRecovery {
  /** Found as they were. */
  readonly kept: readonly PageRecord[];
  /** Opened again by their addresses. */
  readonly reopened: readonly PageRecord[];
  readonly lost: readonly PageRecord[];
}

export const pagesReopenedNotice =
  'Its pages were opened again with the same ids; cookies, storage and what was typed into them are gone.';

const pagesKeptNotice = 'The pages are as they were; take_snapshot again, and what was recorded of them starts anew.';

/** What the client is told with its next answer. */
export function describeRecovery(lost: PlacementRecord, recovery: PageRecovery): string {
  const { isolation } = lost;
  const isBack = recovery.kept.length > 0;
  const what = describeLoss(lost);
  return [
    `${what} ${isBack ? 'It is back.' : 'It has been replaced.'}`,
    ...(isBack ? [pagesKeptNotice] : []),
    ...(recovery.reopened.length === 0 ? [] : [isBack ? describeReopened(recovery.reopened) : pagesReopenedNotice]),
    ...(recovery.lost.length === 0 ? [] : [describeLostPages(recovery.lost)]),
    ...(isolation === 'process' ? ['Installed extensions are gone too: install_extension again.'] : []),
  ].join(' ');
}

function describeLoss({ mode, isClosed = false }: PlacementRecord): string {
  if (isClosed)
    return 'This server had stood still for so long that another one closed what this session had in the browser.';
  return mode === 'attach'
    ? 'The connection to the browser was lost.'
    : 'The browser of this session ended unexpectedly.';
}

function describeReopened(pages: readonly PageRecord[]): string {
  return `Opened again, without what was in them: ${listPages(pages)}.`;
}

function describeLostPages(pages: readonly PageRecord[]): string {
  return `Lost pages, whose ids are not valid any more: ${listPages(pages)}. Open them again with new_page.`;
}

const listPages = (pages: readonly PageRecord[]): string => pages.map(({ id, url }) => `${id} ${url}`).join(', ');

/** A page to be found or opened again: what a session that moves takes along. In JSON. */
export interface PageRecord {
  readonly id: number;
  /** By which it is found as it is, where it outlived the connection. */
  readonly targetId: string;
  readonly url: string;
  readonly selected: boolean;
  readonly emulated: EmulationSettings;
}

export function pageRecordOf(page: SessionPage, selected: boolean): PageRecord {
  const { id, frames, emulation } = page;
  return { id, targetId: frames.mainId, url: page.url(), selected, emulated: emulation.applied };
}

/** Emulates again on the page what was on record. Resolves with what the client has to be told, if it cannot be done. */
export async function restoreEmulation(page: SessionPage, { id, url, emulated }: PageRecord): Promise<string[]> {
  try {
    await page.emulation.apply(emulated);
    if (emulated.geolocation !== undefined && /^https?:/.test(url))
      await allowGeolocation(page.page, new URL(url).origin);
    return [];
  } catch (error) {
    return [`What page ${id} emulated could not be set again: ${messageOf(error)}`];
  }
}
