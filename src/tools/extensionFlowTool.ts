import { z } from 'zod';
import { flowOf, mermaidOf, type FlowEvent } from '../browser/extensions/extensionFlow.js';
import { findExtension } from '../browser/extensions/installedExtensions.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import { ToolError } from '../errors/errors.js';
import { truncateAnswer } from './answers.js';
import { defineTool } from './defineTool.js';
import { extensionIdInput } from './extensionFields.js';
import { oneLine, timeText } from './pagination.js';

const labelChars = 160;

const eventRow = z.object({
  at: z.string(),
  kind: z.enum(['message', 'reply', 'storage', 'call', 'request']),
  from: z.string(),
  to: z.array(z.string()),
  label: z.string(),
  problem: z.string().optional(),
});

export const getExtensionFlowTool = defineTool({
  name: 'get_extension_flow',
  title: 'Extension flow',
  group: 'extension',
  needs: 'extension',
  description:
    'Messages, ports, requests, storage changes and traced calls of an extension in order; unanswered ones named',
  input: z.strictObject({
    extensionId: extensionIdInput,
    format: z.enum(['text', 'mermaid']).default('text').describe('Or a diagram'),
    limit: z.int().min(1).default(100).describe('Newest events'),
  }),
  output: z.object({ events: z.array(eventRow), mermaid: z.string().optional() }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, format, limit }, { browser, signal }) {
    const { activity } = browser;
    const { name, watched } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      await activity.captureWorker(scope, id);
      return { name: extension.name, watched: extension.enabled && (await watchStorage()) };
    });
    const events = flowOf(activity, id, Math.min(limit, 500));
    const mermaid = format === 'mermaid' ? mermaidOf(events, (text) => oneLine(text, labelChars)) : undefined;
    const hints = [
      ...(watched ? [] : ['Changes of its storage are recorded from this call on.']),
      ...(activity.calls.trace(id) === undefined ? ['Calls of chrome.* need trace_extension_api_calls start.'] : []),
    ];
    const lines = events.length === 0 ? [`Nothing of "${name}" was recorded yet.`] : events.map(eventLine);
    return {
      text: truncateAnswer([mermaid ?? lines.join('\n'), ...hints].join('\n'), 'pass a smaller limit'),
      structured: { events: events.map(structuredEvent), ...(mermaid !== undefined && { mermaid }) },
    };

    /** Whether changes were recorded before. An extension without storage has none. */
    async function watchStorage(): Promise<boolean> {
      return activity.storage.watch(id, signal).catch((error: unknown) => {
        if (error instanceof ToolError) return true;
        throw error;
      });
    }
  },
});

function eventLine({ at, kind, from, to, label, problem }: FlowEvent): string {
  const target = to.length === 0 ? 'nobody' : to.join(', ');
  const text = `${timeText(at)} ${from} ${kind === 'reply' ? '-->' : '->'} ${target}: ${oneLine(label, labelChars)}`;
  return problem === undefined ? text : `${text}\n  ${problem}`;
}

function structuredEvent({ at, kind, from, to, label, problem }: FlowEvent): z.input<typeof eventRow> {
  return {
    ...{ at: new Date(at).toISOString(), kind, from, to: [...to], label: oneLine(label, labelChars) },
    ...(problem !== undefined && { problem }),
  };
}
