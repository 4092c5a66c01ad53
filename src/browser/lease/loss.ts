import type { PageRecord } from './pageSet.js';

/** What the end of a browser took from a session. */
export interface Loss {
  /** To be opened again in the browser that replaces the lost one. */
  readonly restore: readonly PageRecord[];
  readonly lost: readonly PageRecord[];
}

export const reopened =
  'Its pages were opened again with the same ids; cookies, storage and what was typed into them are gone.';

/** What the client is told with its next answer. */
export function describeLoss(browser: { readonly mode: string; readonly isolation: string }, loss: Loss): string {
  const { mode, isolation } = browser;
  const { restore, lost } = loss;
  const what =
    mode === 'attach' ? 'The connection to the browser was lost.' : 'The browser of this session ended unexpectedly.';
  return [
    `${what} It has been replaced.`,
    ...(restore.length === 0 ? [] : [reopened]),
    ...(lost.length === 0 ? [] : [describeLostPages(lost)]),
    ...(isolation === 'process' ? ['Installed extensions are gone too: install_extension again.'] : []),
  ].join(' ');
}

export function describeLostPages(pages: readonly PageRecord[]): string {
  const named = pages.map(({ id, url }) => `${id} ${url}`).join(', ');
  return `Lost pages, whose ids are not valid any more: ${named}. Open them again with new_page.`;
}
