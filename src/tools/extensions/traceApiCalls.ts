import { z } from 'zod';
import type { RingBufferEntry } from '../../browser/collectors/ringBuffer.js';
import type { ExtensionRecorder } from '../../browser/extensions/extensionRecorder.js';
import type { ApiCall } from '../../browser/extensions/callLog.js';
import { findExtension } from '../../browser/extensions/installedExtensions.js';
import { withCdpScope, type CdpScope } from '../../browser/cdp/cdpScope.js';
import { ToolError } from '../../errors/errors.js';
import { defineTool } from '../defineTool.js';
import { listingInput, listingOutput, pageOf, oneLine, timeText } from '../pagination.js';
import { extensionId } from '../extensionFields.js';

const apiCallChars = 300;

const apiCallRow = z.object({
  id: z.int(),
  at: z.string(),
  api: z.string(),
  context: z.string(),
  args: z.string(),
  result: z.string().optional(),
  error: z.string().optional(),
  durationMs: z.number().optional(),
});

export const traceApiCallsTool = defineTool({
  name: 'trace_extension_api_calls',
  group: 'extension',
  needs: 'extension',
  description: 'Trace chrome.* calls; keeps the worker awake until stop',
  input: z.strictObject({
    extensionId,
    action: z.enum(['start', 'read', 'stop']).default('read'),
    filter: z.string().default('').describe('As storage.'),
    ...listingInput,
  }),
  output: z.object({ tracing: z.boolean(), calls: z.array(apiCallRow), ...listingOutput }),
  annotations: { readOnlyHint: false },
  async handler({ extensionId: id, action, filter: asked, ...args }, { browser, signal }) {
    const { activity } = browser;
    const filter = asked.replace(/^chrome\./, '');
    const said = await withCdpScope(browser.browser, signal, async (scope) => {
      const { name } = await findExtension(scope, id);
      return applyTraceAction(scope, activity, { action, filter, id, name });
    });
    const listing = pageOf(
      activity.calls.read(args.since),
      ({ extensionId: owner, api }) => owner === id && api.startsWith(filter),
      args,
    );
    return {
      text: [...said, ...listing.entries.map(apiCallLine), '', listing.footer].join('\n'),
      structured: {
        tracing: activity.calls.trace(id) !== undefined,
        calls: listing.entries.map(structuredApiCall),
        ...listing.fields,
      },
    };
  },
});

async function applyTraceAction(
  scope: CdpScope,
  activity: ExtensionRecorder,
  { action, filter, id, name }: { action: string; filter: string; id: string; name: string },
): Promise<string[]> {
  const what = `chrome.${filter}${filter === '' ? '*' : '…'} calls of "${name}"`;
  if (action === 'start') {
    await activity.startTrace(scope, { extensionId: id, filter });
    return [`Tracing ${what} from now on. Its service worker stays awake until you stop.`];
  }
  const tracing = activity.calls.trace(id) !== undefined;
  if (action === 'stop') {
    await activity.stopTrace(id);
    return [tracing ? `Stopped tracing "${name}".` : `"${name}" was not being traced.`];
  }
  const kept = activity.calls.read().entries.some(({ value }) => value.extensionId === id);
  if (tracing || kept) return tracing ? [] : [`"${name}" is not being traced any more.`];
  throw new ToolError(`"${name}" is not being traced. Call trace_extension_api_calls with action start first.`);
}

function apiCallLine({ id, value }: RingBufferEntry<ApiCall>): string {
  const { at, api, context, args, result, error, durationMs } = value;
  const took = durationMs === undefined ? ' (not over)' : ` (${durationMs} ms)`;
  const outcome =
    error === undefined ? (result === undefined ? '' : ` = ${oneLine(result, apiCallChars)}`) : ` failed: ${error}`;
  return `#${id} ${timeText(at)} ${context}: chrome.${api}(${oneLine(args, apiCallChars)})${outcome}${took}`;
}

function structuredApiCall({ id, value }: RingBufferEntry<ApiCall>): z.input<typeof apiCallRow> {
  const { at, api, context, args, result, error, durationMs } = value;
  return {
    ...{ id, at: new Date(at).toISOString(), api, context, args: oneLine(args, apiCallChars) },
    ...(result === undefined ? {} : { result: oneLine(result, apiCallChars) }),
    ...(error === undefined ? {} : { error }),
    ...(durationMs === undefined ? {} : { durationMs }),
  };
}
