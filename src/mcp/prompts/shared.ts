import { listExtensions } from '../../browser/extensions/installedExtensions.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import type { Completer } from '../definitions.js';

/** The extensions of the session's browser; none while it has no process of its own, which extensions need. */
export const installedExtensions: Completer = async ({ browser, signal }) => {
  if (browser === undefined || browser.isolation === 'context') return [];
  const extensions = await withCdpScope(browser.browser, signal, listExtensions);
  return extensions.map(({ id }) => id);
};

/** The addresses that the session's pages show. */
export const openPages: Completer = ({ browser }) => {
  const addresses = (browser?.pages() ?? []).map((page) => page.url());
  return [...new Set(addresses)].filter((url) => url.startsWith('http'));
};

/** Steps as a numbered list. */
export function numberedList(steps: readonly string[]): string {
  return steps.map((step, index) => `${index + 1}. ${step}`).join('\n');
}
