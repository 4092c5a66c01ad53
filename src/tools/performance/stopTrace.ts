import { z } from 'zod';
import { definePageTool } from '../defineTool.js';
import { finishTrace, traceOutput, traceTimeoutMs } from '../performanceTools.js';

export const stopTraceTool = definePageTool({
  name: 'performance_stop_trace',
  group: 'performance',
  description: 'Stop the trace of a page and analyse it',
  input: z.strictObject({}),
  output: traceOutput,
  annotations: { readOnlyHint: true },
  timeoutMs: traceTimeoutMs,
  handler: (_args, context) => finishTrace(context),
});
