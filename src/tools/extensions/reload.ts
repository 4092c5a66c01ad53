import { z } from 'zod';
import { findExtension } from '../../browser/extensions/installedExtensions.js';
import { reloadExtension, type ReloadResult } from '../../browser/extensions/reload.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import { shortUrl } from '../answers.js';
import { defineTool } from '../defineTool.js';
import { closedPagesDuring, describeSelectionAfter, extensionId } from '../extensionFields.js';

export const reloadExtensionTool = defineTool({
  name: 'reload_extension',
  group: 'extension',
  needs: 'extension',
  description: 'Load the code of an extension again from its folder; tells what still runs the old code',
  input: z.strictObject({ extensionId }),
  output: z.object({
    extensionId,
    version: z.string(),
    previousVersion: z.string(),
    warnings: z.array(z.string()),
    closedPages: z.array(z.string()),
    stalePages: z.array(z.string()),
    /** Pages whose content scripts are the old ones: reload them. */
    staleContentScripts: z.array(z.object({ pageId: z.int(), url: z.string() })),
  }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { value, closed: closedPages } = await closedPagesDuring(browser, () =>
      withCdpScope(browser.browser, signal, async (scope) => {
        const extension = await findExtension(scope, id);
        return {
          previousVersion: extension.version,
          reloading: await reloadExtension(scope, extension, browser.pages()),
        };
      }),
    );
    const { previousVersion, reloading } = value;
    const { extension, warnings, closed, stale, stalePages } = reloading;
    return {
      text: [describeReload(reloading, previousVersion), ...describeSelectionAfter(browser, closedPages)].join('\n'),
      structured: {
        extensionId: id,
        version: extension.version,
        previousVersion,
        warnings: [...warnings],
        closedPages: closed.map(({ url }) => url),
        stalePages: stale.map(({ url }) => url),
        staleContentScripts: stalePages.map((page) => ({ pageId: page.id, url: page.url() })),
      },
    };
  },
});

function describeReload({ extension, warnings, closed, stale, stalePages }: ReloadResult, previous: string): string {
  const { name, version, enabled } = extension;
  return [
    `Reloaded "${name}" ${version}${version === previous ? '' : ` (before: ${previous})`}.`,
    ...(enabled ? [] : ['It is disabled: set_extension_enabled switches it on.']),
    ...warnings.map((warning) => `Warning: ${warning}`),
    ...closed.map(({ kind, url }) => `Chrome closed its ${kind.replace('_', ' ')}: ${shortUrl(url)}`),
    ...stale.map(({ url }) => `Still open with the old code: ${shortUrl(url)}`),
    ...stalePages.map(
      (page) =>
        `Page ${page.id} (${shortUrl(page.url())}) has the old content script, cut off from the extension: navigate_page with reload.`,
    ),
  ].join('\n');
}
