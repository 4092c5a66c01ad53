import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import {
  analyseTrace,
  type InsightSet,
  type TraceAnalysis,
  analysisSchema,
  type Insight,
} from '../browser/profiling/traceAnalysis.js';
import {
  type PageToolContext,
  type ResourceLink,
  type ToolAnswer,
  definePageTool,
  defineTool,
  type Resources,
  type Tool,
} from './defineTool.js';
import { shortUrl, truncateAnswer } from './answers.js';
import { bytesText } from './pagination.js';
import type { RecordedTrace } from '../browser/profiling/pageTracing.js';
import { reload as reloadPage } from '../browser/page/pageNavigation.js';
import { untilAborted } from '../async.js';
import { untilDrawn } from '../browser/cdp/injectedFunctions.js';
import { ToolError } from '../errors/errors.js';

/** The suffix of the names of analyses among the resources. */
const analysisSuffix = '.insights.json';

/** The id in the trace engine of the insight set before the first navigation. */
const noNavigation = 'NO_NAVIGATION';

const traceTimeoutMs = 180_000;

const insightSetRow = z.object({
  id: z.string(),
  url: z.string(),
  lcpMs: z.number().optional(),
  inpMs: z.number().optional(),
  cls: z.number().optional(),
  insights: z.array(z.object({ name: z.string(), state: z.string() })),
});

const traceOutput = z.object({
  recording: z.boolean(),
  /** The trace; DevTools opens it. */
  uri: z.string().optional(),
  insightSets: z.array(insightSetRow),
});

type TraceAnswer = ToolAnswer<z.input<typeof traceOutput>>;

/** Stops the recording of a page, stores trace and analysis as resources, and answers the insights. */
async function finishTrace({ page, signal, progress, resources }: PageToolContext): Promise<TraceAnswer> {
  progress(2, 4, 'reading the trace');
  const recorded = await page.tracing.stop(signal);
  const { data, isOfLoad } = recorded;
  progress(3, 4, 'analysing the trace');
  const { trace, analysis: whole } = await analyseTrace(data, signal);
  const analysis = isOfLoad ? withoutPreNavigation(whole) : whole;
  const name = traceNameOf(page.id);
  const links = [
    await resources.add({ name: `${name}.json.gz`, mimeType: 'application/gzip', data: trace }),
    await resources.add({
      name: `${name}${analysisSuffix}`,
      mimeType: 'application/json',
      data: JSON.stringify(analysis),
    }),
  ] as const;
  progress(4, 4, 'done');
  return {
    text: [...describeTrace(links[0], analysis, recorded), ...analysis.sets.flatMap(describeSet)].join('\n'),
    structured: { recording: false, uri: links[0].uri, insightSets: analysis.sets.map(insightSetRowOf) },
    resources: links,
  };
}

/** Without the insight set before the first navigation: it is about the document before the reload. */
function withoutPreNavigation(analysis: TraceAnalysis): TraceAnalysis {
  return { ...analysis, sets: analysis.sets.filter(({ id }) => id !== noNavigation) };
}

function describeTrace(
  link: ResourceLink,
  { events, sets }: TraceAnalysis,
  { isTruncated, isLoadStopped }: RecordedTrace,
): string[] {
  return [
    `Trace ${link.uri} (${events} events, ${bytesText(link.bytes)}; DevTools opens it).`,
    ...(isLoadStopped
      ? ['Loading of the page was stopped at the end: a style sheet or script has no answer (list_network_requests).']
      : []),
    ...(isTruncated ? ['The trace buffer was full: the last part is missing. Record a shorter time.'] : []),
    ...(sets.length === 0
      ? ['Nothing to analyse: the page was idle. Call performance_start_trace with reload: true.']
      : []),
  ];
}

function describeSet(set: InsightSet): string[] {
  return [
    `insightSetId ${set.id}: ${shortUrl(set.url)}`,
    ...describeMetrics(set).map((line) => `  ${line}`),
    ...set.insights
      .filter(({ state }) => state !== 'pass')
      .map((insight) => `  ${insight.state} ${insightLine(insight)}`),
    `  pass: ${namesOf(set, 'pass')}`,
    ...set.failed.map((failure) => `  not computed: ${failure}`),
  ];
}

function describeMetrics({ metrics: { lcp, inp, cls } }: InsightSet): string[] {
  const phases = (of: { phases: readonly { name: string; ms?: number | undefined }[] }): string =>
    of.phases.map(({ name, ms }) => `${name} ${ms ?? '?'} ms`).join(', ');
  return [
    ...(lcp ? [`LCP ${lcp.ms} ms: ${phases(lcp)}`] : []),
    ...(inp ? [`INP ${inp.ms} ms: ${phases(inp)}`] : []),
    ...(cls === undefined ? [] : [`CLS ${cls}`]),
  ];
}

function insightLine({ name, title, savings }: InsightSet['insights'][number]): string {
  const saved = Object.entries(savings).map(([metric, value]) => `${metric} -${value ?? 0}`);
  return `${name}: ${title}${saved.length === 0 ? '' : ` (could save ${saved.join(', ')})`}`;
}

function namesOf({ insights }: InsightSet, state: string): string {
  return insights.flatMap((insight) => (insight.state === state ? [insight.name] : [])).join(', ') || 'none';
}

function insightSetRowOf({ id, url, metrics: { lcp, inp, cls }, insights }: InsightSet): z.input<typeof insightSetRow> {
  return {
    id,
    url,
    ...(lcp && { lcpMs: lcp.ms }),
    ...(inp && { inpMs: inp.ms }),
    ...(cls !== undefined && { cls }),
    insights: insights.map(({ name, state }) => ({ name, state })),
  };
}

function traceNameOf(pageId: number): string {
  return `trace-page-${pageId}-${new Date().toISOString().replaceAll(':', '').slice(0, 17)}`;
}

const loadTimeoutMs = 60_000;
/** On a busy machine a loaded page may not be painted yet. */
const paintTimeoutMs = 5_000;
/** Time after loading for late images and layout shifts. */
const afterLoadMs = 2_000;

const startTraceTool = definePageTool({
  name: 'performance_start_trace',
  title: 'Start trace',
  group: 'performance',
  description:
    'Record a performance trace of a page: Core Web Vitals, and insights for performance_analyze_insight. One at a time in a browser',
  input: z.strictObject({
    reload: z.boolean().default(true).describe('Reload the page once the recording runs'),
    autoStop: z
      .boolean()
      .default(true)
      .describe('Stop and analyse soon after; false: act, then performance_stop_trace'),
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
      // An open trace would block tracing for every other session of the browser.
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
  if (reload && autoStop)
    await untilAborted(page.callInIsolatedWorld(untilDrawn, [paintTimeoutMs]).catch(ignoreNavigation), signal);
  if (autoStop) await delay(afterLoadMs, undefined, { signal });
}

/** After a navigation there is nothing to wait for. */
function ignoreNavigation(): void {
  return undefined;
}

const stopTraceTool = definePageTool({
  name: 'performance_stop_trace',
  title: 'Stop trace',
  group: 'performance',
  description: 'Stop the trace of a page that was started without autoStop, and analyse it',
  input: z.strictObject({}),
  output: traceOutput,
  annotations: { readOnlyHint: true },
  timeoutMs: traceTimeoutMs,
  handler: (_args, context) => finishTrace(context),
});

const analyzeInsightTool = defineTool({
  name: 'performance_analyze_insight',
  title: 'Analyse insight',
  group: 'performance',
  needs: 'nothing',
  ofSession: true,
  description: 'Details of one insight of the last trace',
  input: z.strictObject({
    insightName: z.string().describe('From the trace, such as LCPBreakdown'),
    insightSetId: z.string().optional().describe('From the trace; default: its last'),
  }),
  output: z.object({ insightSetId: z.string(), name: z.string(), state: z.string(), details: z.string() }),
  annotations: { readOnlyHint: true },
  async handler({ insightName, insightSetId }, { resources }) {
    const set = findSet(await lastAnalysis(resources), insightSetId);
    const insight = findInsight(set, insightName);
    const { name, title, state, metric, description } = insight;
    const details = truncateAnswer(outlineOf(insight.details).join('\n'), 'the trace itself is a resource');
    const text = [
      `${name} (${title}), ${state}, about ${metric === 'All' ? 'all metrics' : metric}, ${set.url}`,
      description,
      ...describeMetrics(set),
      ...savingsOf(insight),
      details,
    ];
    return { text: text.join('\n'), structured: { insightSetId: set.id, name, state, details } };
  },
});

async function lastAnalysis(resources: Resources): Promise<TraceAnalysis> {
  const link = resources.list().findLast(({ name }) => name.endsWith(analysisSuffix));
  if (link === undefined) throw new ToolError('There is no trace yet. Call performance_start_trace.');
  return analysisSchema.parse(JSON.parse((await resources.read(link.uri)).toString('utf8')));
}

function findSet({ sets }: TraceAnalysis, id: string | undefined): InsightSet {
  const found = id === undefined ? sets.at(-1) : sets.find((set) => set.id === id);
  if (found) return found;
  const known = sets.map((set) => `${set.id} (${set.url})`).join(', ') || 'none';
  throw new ToolError(`The last trace has no insight set ${id ?? ''}. It has: ${known}.`);
}

function findInsight({ insights }: InsightSet, wanted: string): Insight {
  const found = insights.find(({ name }) => name.toLowerCase() === wanted.toLowerCase());
  if (found) return found;
  const known = insights.map(({ name }) => name).join(', ');
  throw new ToolError(`There is no insight ${JSON.stringify(wanted)}. This trace has: ${known}.`);
}

function savingsOf({ savings }: Insight): string[] {
  const saved = Object.entries(savings).map(
    ([metric, value]) => `${metric} ${value ?? 0}${metric === 'CLS' ? '' : ' ms'}`,
  );
  return saved.length === 0 ? [] : [`Fixing it could save: ${saved.join(', ')}`];
}

/** Nested data as indented lines: shorter than JSON. */
function outlineOf(value: unknown, indent = ''): string[] {
  if (typeof value !== 'object' || value === null) return [`${indent}${String(value)}`];
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    const label = Array.isArray(value) ? '-' : `${key}:`;
    if (typeof inner !== 'object' || inner === null) return [`${indent}${label} ${String(inner)}`];
    const lines = outlineOf(inner, `${indent}  `);
    return lines.length === 0 ? [`${indent}${label} none`] : [`${indent}${label}`, ...lines];
  });
}

export const performanceTools: readonly Tool[] = [startTraceTool, stopTraceTool, analyzeInsightTool];
