import { z } from 'zod';
import { analysisSchema, type Insight, type InsightSet, type TraceAnalysis } from '../../browser/profiling/traceAnalysis.js';
import { ToolError } from '../../errors/errors.js';
import { truncateAnswer } from '../answers.js';
import { defineTool, type Resources } from '../defineTool.js';
import { analysisSuffix, describeMetrics } from '../performanceTools.js';

export const analyzeInsightTool = defineTool({
  name: 'performance_analyze_insight',
  group: 'performance',
  needs: 'nothing',
  description: 'Details of one insight of the last trace',
  input: z.strictObject({
    insightName: z.string().describe('Like LCPBreakdown'),
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
  if (link === undefined) throw new ToolError('There is no trace yet: call performance_start_trace.');
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
  return saved.length === 0 ? [] : [`Mending it could save: ${saved.join(', ')}`];
}

/** Nested data as indented lines, a fact each: shorter than JSON and read as easily. */
function outlineOf(value: unknown, indent = ''): string[] {
  if (typeof value !== 'object' || value === null) return [`${indent}${String(value)}`];
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    const label = Array.isArray(value) ? '-' : `${key}:`;
    if (typeof inner !== 'object' || inner === null) return [`${indent}${label} ${String(inner)}`];
    const lines = outlineOf(inner, `${indent}  `);
    return lines.length === 0 ? [`${indent}${label} none`] : [`${indent}${label}`, ...lines];
  });
}
