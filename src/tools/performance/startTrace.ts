import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { reload as reloadPage } from '../../browser/page/pageNavigation.js';
import { untilAborted } from '../../async.js';
import { untilDrawn } from '../../browser/cdp/injectedFunctions.js';
import { definePageTool, type PageToolContext } from '../defineTool.js';
import { finishTrace, traceOutput, traceTimeoutMs } from '../performanceTools.js';

const loadTimeoutMs = 60_000;
/** A page that is loaded may not be drawn yet, on a busy machine. */
const paintTimeoutMs = 5_000;
/** Late pictures and shifts come after the page is quiet. */
const afterLoadMs = 2_000;

export const startTraceTool = definePageTool({
  name: 'performance_start_trace',
  group: 'performance',
  description: 'Record a performance trace: Core Web Vitals and insights by name. One at a time in a browser',
  input: z.strictObject({
    reload: z.boolean().default(true).describe('Load the page again once it records'),
    autoStop: z.boolean().default(true).describe('Stop and analyse soon after; else act, then performance_stop_trace'),
  }),
  output: traceOutput,
  annotations: { readOnlyHint: false },
  timeoutMs: traceTimeoutMs,
  async handler(args, context) {
    const { page, signal, progress } = context;
    progress(0, 4, 'starting');
    await page.tracing.start(signal, args.reload);
    try {
      progress(1, 4, 'recording');
      await record(args, context);
      if (args.autoStop) return await finishTrace(context);
    } catch (error) {
      // A trace that nobody stops would keep every other session of the browser from making one.
      await page.tracing.dispose();
      throw error;
    }
    return {
      text: `Page ${page.id} is being traced. Act on it, then call performance_stop_trace.`,
      structured: { recording: true, insightSets: [] },
    };
  },
});

async function record(
  { reload, autoStop }: { reload: boolean; autoStop: boolean },
  { page, signal }: PageToolContext,
): Promise<void> {
  if (reload) await reloadPage(page, false, { signal, timeoutMs: loadTimeoutMs });
  if (reload && autoStop) await untilAborted(page.callInIsolatedWorld(untilDrawn, [paintTimeoutMs]).catch(ignoreNavigation), signal);
  if (autoStop) await delay(afterLoadMs, undefined, { signal });
}

/** A document that was left meanwhile is not drawn any more. */
function ignoreNavigation(): void {
  return undefined;
}
