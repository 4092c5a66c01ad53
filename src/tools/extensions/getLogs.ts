import { z } from 'zod';
import type { RingBufferEntry } from '../../browser/collectors/ringBuffer.js';
import { maxLinesPerSecond, type ExtensionLogEntry } from '../../browser/extensions/extensionLog.js';
import { findExtension } from '../../browser/extensions/installedExtensions.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import { locationText } from '../consoleTools.js';
import { defineTool } from '../defineTool.js';
import { listingInput, listingOutput, pageOf, oneLine, timeText } from '../pagination.js';
import { extensionId } from '../extensionFields.js';

const logChars = 500;
const logLevel = z.enum(['error', 'warning', 'info', 'debug']);

const logRow = z.object({
  id: z.int(),
  at: z.string(),
  level: logLevel,
  type: z.string(),
  context: z.string(),
  text: z.string(),
  location: z.string().optional(),
});

export const getExtensionLogsTool = defineTool({
  name: 'get_extension_logs',
  group: 'extension',
  needs: 'extension',
  description: 'What all contexts of an extension logged, in one timeline',
  input: z.strictObject({
    extensionId,
    level: logLevel.optional(),
    context: z.string().optional().describe('service_worker, content_script, /popup.html…'),
    keepAlive: z.boolean().optional().describe('Miss nothing of the worker: it never idles then'),
    ...listingInput,
  }),
  output: z.object({ keepAlive: z.boolean(), droppedAtSource: z.int(), entries: z.array(logRow), ...listingOutput }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, ...args }, { browser, signal }) {
    const { activity } = browser;
    const state = await withCdpScope(browser.browser, signal, async (scope) => {
      await findExtension(scope, id);
      // Before it is followed: then it is told without the values.
      return activity.captureWorkerLogs(scope, id);
    });
    if (args.keepAlive !== undefined) await activity.keepAwake(id, 'logs', args.keepAlive);
    const listing = pageOf(
      activity.logs.read(args.since),
      (entry) =>
        entry.extensionId === id &&
        (args.level === undefined || entry.level === args.level) &&
        entry.context.startsWith(args.context ?? ''),
      args,
    );
    const keepAlive = activity.isKeptAwake(id);
    const droppedAtSource = activity.logs.droppedCount(id);
    const entries = listing.entries.toSorted((a, b) => a.value.at - b.value.at);
    const lines = entries.length === 0 ? ['Nothing was logged.'] : entries.map(logLine);
    return {
      text: [...lines, '', describeDroppedLines(droppedAtSource), describeWorkerCoverage(state, keepAlive), listing.footer]
        .filter((part) => part !== undefined)
        .join('\n'),
      structured: { keepAlive, droppedAtSource, entries: entries.map(structuredLog), ...listing.fields },
    };
  },
});

function describeDroppedLines(dropped: number): string | undefined {
  if (dropped === 0) return undefined;
  return `${dropped} lines were dropped as they came: of each second the first ${maxLinesPerSecond} are kept. Log less, or under a condition.`;
}

function describeWorkerCoverage(state: string, keepAlive: boolean): string | undefined {
  if (state === 'none') return undefined;
  if (keepAlive) return 'The service worker is kept awake to miss nothing; keepAlive false ends that.';
  return state === 'running'
    ? 'The service worker may idle; what it logs between the last reading and its end is lost. keepAlive true prevents both.'
    : `The service worker is ${state}; what it logged since the last reading is lost. keepAlive true prevents that.`;
}

function logLine({ id, value }: RingBufferEntry<ExtensionLogEntry>): string {
  const { at, level: of, type, context, text, location } = value;
  const kind = type === 'exception' ? 'error exception' : of;
  const position = location === undefined ? '' : ` (${locationText(location)})`;
  return `#${id} ${timeText(at)} ${context} ${kind}: ${oneLine(text, logChars)}${position}`;
}

function structuredLog({ id, value }: RingBufferEntry<ExtensionLogEntry>): z.input<typeof logRow> {
  const { at, level: of, type, context, text, location } = value;
  return {
    ...{ id, at: new Date(at).toISOString(), level: of, type, context, text: oneLine(text, logChars) },
    ...(location === undefined ? {} : { location: locationText(location) }),
  };
}
