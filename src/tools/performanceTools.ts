import { z } from 'zod';
import { analyseTrace, type InsightSet, type TraceAnalysis } from '../browser/profiling/traceAnalysis.js';
import type { PageToolContext, ResourceLink, ToolAnswer } from './defineTool.js';
import { shortUrl } from './answers.js';
import { bytesText } from './pagination.js';

/** How the names of analyses end: what tells them from other resources. */
export const analysisSuffix = '.insights.json';

/** What the engine calls the time before the first navigation of a trace. */
const noNavigation = 'NO_NAVIGATION';

export const traceTimeoutMs = 180_000;

const insightSetRow = z.object({
  id: z.string(),
  url: z.string(),
  lcpMs: z.number().optional(),
  inpMs: z.number().optional(),
  cls: z.number().optional(),
  insights: z.array(z.object({ name: z.string(), state: z.string() })),
});

export const traceOutput = z.object({
  recording: z.boolean(),
  /** The trace, to be opened in DevTools. */
  uri: z.string().optional(),
  insightSets: z.array(insightSetRow),
});

type TraceAnswer = ToolAnswer<z.input<typeof traceOutput>>;

/** Ends the recording of a page, keeps the trace and its analysis, and answers what was found. */
export async function finishTrace({ page, signal, progress, resources }: PageToolContext): Promise<TraceAnswer> {
  progress(2, 4, 'reading the trace');
  const { data, isTruncated, isOfLoad } = await page.tracing.stop(signal);
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
    text: [...describeTrace(links[0], analysis, isTruncated), ...analysis.sets.flatMap(describeSet)].join('\n'),
    structured: { recording: false, uri: links[0].uri, insightSets: analysis.sets.map(insightSetRowOf) },
    resources: links,
  };
}

/** Without the time before the first navigation, in which the page that is loaded again was still at work. */
function withoutPreNavigation(analysis: TraceAnalysis): TraceAnalysis {
  return { ...analysis, sets: analysis.sets.filter(({ id }) => id !== noNavigation) };
}

function describeTrace(link: ResourceLink, { events, sets }: TraceAnalysis, isCut: boolean): string[] {
  return [
    `Trace ${link.uri} (${events} events, ${bytesText(link.bytes)}; DevTools opens it).`,
    ...(isCut ? ['The buffer was full before the end: the last part is missing. Record a shorter time.'] : []),
    ...(sets.length === 0
      ? ['Nothing to analyse: the page did nothing. Call performance_start_trace with reload.']
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

export function describeMetrics({ metrics: { lcp, inp, cls } }: InsightSet): string[] {
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
