import { z } from 'zod';
import { Lock } from '../../async.js';
import { runAnalysisThread } from './analysisThread.js';

/**
 * Memory limit of the thread, which holds several copies of the events: exceeding it ends the thread, not the server.
 */
const maxMegabytes = 1536;

const phasesSchema = z.array(z.object({ name: z.string(), ms: z.number().optional() }));

const insightSchema = z.object({
  name: z.string(),
  title: z.string(),
  description: z.string(),
  state: z.enum(['pass', 'fail', 'informative']),
  /** The Core Web Vital that it is about. */
  metric: z.string(),
  /** What fixing it would save: milliseconds, or CLS score. */
  savings: z.record(z.string(), z.number().optional()),
  details: z.record(z.string(), z.unknown()),
});

const insightSetSchema = z.object({
  id: z.string(),
  url: z.string(),
  metrics: z.object({
    lcp: z.object({ ms: z.number(), phases: phasesSchema }).optional(),
    inp: z.object({ ms: z.number(), phases: phasesSchema }).optional(),
    cls: z.number().optional(),
  }),
  insights: z.array(insightSchema),
  /** Insights that the engine could not compute, and why. */
  failed: z.array(z.string()),
});

/** What the trace engine of DevTools finds in a trace: one set of insights for each navigation. */
export const analysisSchema = z.object({ events: z.int(), sets: z.array(insightSetSchema) });

export type TraceAnalysis = z.infer<typeof analysisSchema>;
export type InsightSet = z.infer<typeof insightSetSchema>;
export type Insight = z.infer<typeof insightSchema>;

const messageSchema = z.object({ trace: z.instanceof(Uint8Array), analysis: analysisSchema });

export type AnalysedTrace = z.infer<typeof messageSchema>;

/** The input of the thread. */
export interface TraceTask {
  /** The gzipped JSON of `PageTracing.start`. */
  readonly trace: Uint8Array;
}

/** One analysis at a time in this process, since each may need that much memory. */
const analysisLock = new Lock();

/**
 * Analyses a gzipped trace in a worker thread, so that other sessions do not wait for it. Resolves with the analysis
 * and the trace without the events of other pages. Aborting ends the thread. Throws a ToolError when the trace is too
 * large.
 */
export function analyseTrace(trace: Buffer, signal: AbortSignal): Promise<AnalysedTrace> {
  return analysisLock.run(signal, () => analyseInThread(trace, signal));
}

function analyseInThread(trace: Buffer, signal: AbortSignal): Promise<AnalysedTrace> {
  const task: TraceTask = { trace };
  const program = new URL('./traceThread.js', import.meta.url);
  return runAnalysisThread({ program, workerData: task, maxMegabytes, tooLarge }, messageSchema, signal);
}

const tooLarge = 'The trace is too large to be analysed. Record a shorter time.';
