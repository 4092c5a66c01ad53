import { z } from 'zod';
import { contextUrl, declaredContexts, type ContextKind } from '../../browser/extensions/contexts.js';
import { findEnabledExtension, originOf, type Extension } from '../../browser/extensions/installedExtensions.js';
import { navigate } from '../../browser/page/pageNavigation.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import { ToolError } from '../../errors/errors.js';
import { actionOutput, answerOutcome, includeSnapshot } from '../answers.js';
import { defineTool } from '../defineTool.js';
import { extensionId } from '../extensionFields.js';

/** Its files are on this machine. */
const loadTimeoutMs = 15_000;

const namedPages: readonly ContextKind[] = ['options', 'side_panel', 'popup'];

export const openExtensionPageTool = defineTool({
  name: 'open_extension_page',
  group: 'extension',
  needs: 'extension',
  description: 'Open a page of an extension in a tab and select it',
  input: z.strictObject({
    extensionId,
    page: z.string().min(1).default('options').describe('options, side_panel, popup, or a path'),
    includeSnapshot,
  }),
  output: actionOutput.extend({ pageId: z.int() }),
  annotations: { readOnlyHint: false },
  async handler({ extensionId: id, page: wanted, includeSnapshot: snapshot }, { browser, signal }) {
    const extension = await withCdpScope(browser.browser, signal, (scope) => findEnabledExtension(scope, id));
    const url = await pageUrlOf(extension, wanted);
    const page = await browser.newPage({ signal });
    try {
      const { text, structured } = await page.runExclusive(signal, async () => {
        const outcome = await navigate(page, url, { signal, timeoutMs: loadTimeoutMs });
        return answerOutcome(page, [`Opened ${url} as page ${page.id}.`], outcome, snapshot);
      });
      return { text, structured: { ...structured, pageId: page.id } };
    } catch (error) {
      // A page that never showed what was asked for would only be in the way.
      await browser.closePage(page.id);
      throw error;
    }
  },
});

async function pageUrlOf(extension: Extension, wanted: string): Promise<string> {
  const kind = namedPages.find((candidate) => candidate === wanted);
  if (kind !== undefined) return (await contextUrl(extension, kind)) ?? (await refusePage(extension, kind));
  const origin = `${originOf(extension.id)}/`;
  const url = URL.canParse(wanted, origin) ? new URL(wanted, origin).href : '';
  if (url.startsWith(origin)) return url;
  throw new ToolError(`${JSON.stringify(wanted)} is no page of ${extension.name}. Pass a path below ${origin}`);
}

async function refusePage(extension: Extension, kind: ContextKind): Promise<never> {
  const pages = (await declaredContexts(extension)).join(', ');
  const others = pages === '' ? 'It names no pages' : `It names: ${pages}`;
  throw new ToolError(`The manifest of ${extension.name} names no ${kind} page. ${others}; a path opens any other.`);
}
