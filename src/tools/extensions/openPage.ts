import { z } from 'zod';
import { addressOf, namedContexts, type ContextKind } from '../../browser/extensions/contexts.js';
import { findEnabledExtension, originOf, type Extension } from '../../browser/extensions/extensions.js';
import { navigate } from '../../browser/page/navigation.js';
import { withProtocol } from '../../browser/protocol/protocolScope.js';
import { ToolError } from '../../errors.js';
import { actionOutput, answerOutcome, includeSnapshot } from '../answers.js';
import { defineTool } from '../defineTool.js';
import { extensionId } from './shared.js';

/** Its files are on this machine. */
const loadMs = 15_000;

const named: readonly ContextKind[] = ['options', 'side_panel', 'popup'];

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
    const extension = await withProtocol(browser.browser, signal, (scope) => findEnabledExtension(scope, id));
    const url = await urlOf(extension, wanted);
    const page = await browser.newPage({ signal });
    try {
      const { text, structured } = await page.locked(signal, async () => {
        const outcome = await navigate(page, url, { signal, timeoutMs: loadMs });
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

async function urlOf(extension: Extension, wanted: string): Promise<string> {
  const kind = named.find((candidate) => candidate === wanted);
  if (kind !== undefined) return (await addressOf(extension, kind)) ?? (await refuse(extension, kind));
  const origin = `${originOf(extension.id)}/`;
  const url = URL.canParse(wanted, origin) ? new URL(wanted, origin).href : '';
  if (url.startsWith(origin)) return url;
  throw new ToolError(`${JSON.stringify(wanted)} is no page of ${extension.name}. Pass a path below ${origin}`);
}

async function refuse(extension: Extension, kind: ContextKind): Promise<never> {
  const pages = (await namedContexts(extension)).join(', ');
  const others = pages === '' ? 'It names no pages' : `It names: ${pages}`;
  throw new ToolError(`The manifest of ${extension.name} names no ${kind} page. ${others}; a path opens any other.`);
}
