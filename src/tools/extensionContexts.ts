import { z } from 'zod';
import { contextKinds } from '../browser/extensions/contexts.js';
import { findExtension } from '../browser/extensions/installedExtensions.js';
import { findLiveContext, liveContexts, type LiveContext } from '../browser/extensions/liveContexts.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import { shortUrl } from './answers.js';
import { defineTool } from './defineTool.js';
import { oneLine } from './pagination.js';
import { count, extensionId, workerState } from './extensionFields.js';

const contextRow = z.object({
  contextId: z.string(),
  extensionId,
  kind: z.enum(contextKinds),
  url: z.string(),
  title: z.string(),
  state: workerState.optional(),
  pageId: z.int().optional(),
  frames: z.int().optional(),
});

export const listExtensionContextsTool = defineTool({
  name: 'list_extension_contexts',
  group: 'extension',
  needs: 'extension',
  description:
    'List where the code of an extension runs: worker, popup, options, side panel, offscreen, content scripts',
  input: z.strictObject({ extensionId }),
  output: z.object({ contexts: z.array(contextRow), selected: z.string().optional(), silentPages: z.array(z.int()) }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, contexts, unresponsive } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      return { name: extension.name, ...(await liveContexts(scope, extension, browser.pages())) };
    });
    const selected = browser.extensionContext.selected?.contextId;
    const lines = [
      contexts.length === 0 ? `"${name}" runs nowhere.` : `"${name}" has ${count(contexts.length, 'context')}:`,
      ...contexts.map((context) => `${contextLine(context)}${context.contextId === selected ? ' [selected]' : ''}`),
      ...unresponsive.map((page) => `Page ${page.id} is busy or waits for a dialog: its content scripts are unknown.`),
    ];
    return {
      text: lines.join('\n'),
      structured: {
        contexts: [...contexts],
        silentPages: unresponsive.map((page) => page.id),
        ...(selected !== undefined && { selected }),
      },
    };
  },
});

function contextLine({ contextId, kind, url, title, state, pageId, frames }: LiveContext): string {
  const facts = [
    ...(state === undefined ? [] : [state]),
    ...(pageId === undefined ? [] : [`page ${pageId}`]),
    ...(frames === undefined || frames === 1 ? [] : [`${frames} frames`]),
    ...(title === '' ? [] : [`"${oneLine(title, 60)}"`]),
  ];
  return `${contextId} ${kind} ${shortUrl(url)}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`;
}

export const switchExtensionContextTool = defineTool({
  name: 'switch_extension_context',
  group: 'extension',
  needs: 'extension',
  description: 'Select the context for evaluate_in_extension, and its page',
  input: z.strictObject({ contextId: z.string().describe('From list_extension_contexts') }),
  output: contextRow,
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ contextId }, { browser, signal }) {
    const context = await withCdpScope(browser.browser, signal, (scope) =>
      findLiveContext(scope, contextId, browser.pages()),
    );
    browser.extensionContext.select(context);
    if (context.pageId !== undefined) browser.select(context.pageId);
    const asleep = context.state === 'stopped' ? [' It sleeps: activate_extension_service_worker wakes it.'] : [];
    const page = context.pageId === undefined ? [] : [` Page ${context.pageId} is selected.`];
    return {
      text: [`evaluate_in_extension works in: ${contextLine(context)}.`, ...page, ...asleep].join(''),
      structured: { ...context },
    };
  },
});
