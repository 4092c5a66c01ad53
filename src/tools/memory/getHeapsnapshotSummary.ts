import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import { defineTool } from '../defineTool.js';
import { findSnapshot, limit, snapshotsOf, summarize, summaryFacts, summaryOutput, summaryText } from '../memoryTools.js';

export const getHeapsnapshotSummaryTool = defineTool({
  name: 'get_heapsnapshot_summary',
  group: 'memory',
  needs: 'nothing',
  description: 'Constructors and detached DOM nodes in a heap snapshot',
  input: z.strictObject({
    uri: z.string().optional().describe('From take_heapsnapshot; default: the newest'),
    filter: z.string().optional().describe('Part of the name'),
    limit,
  }),
  output: summaryOutput,
  annotations: { readOnlyHint: true },
  timeoutMs: 120_000,
  async handler({ uri, filter, limit: rows }, { resources }) {
    const link = uri === undefined ? snapshotsOf(resources).at(-1) : findSnapshot(resources, uri);
    if (link === undefined) throw new ToolError('There is no heap snapshot yet: call take_heapsnapshot.');
    const facts = summaryFacts(await summarize(resources, link), rows, filter);
    return {
      text: `${link.name}\n${summaryText(facts)}`,
      structured: { uri: link.uri, ...facts },
    };
  },
});
