import { z } from 'zod';
import { performAction } from '../browser/page/performAction.js';
import { callOfferedTool, readOfferedTools, withoutWebMcp, type OfferedTool } from '../browser/page/offeredTools.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { ToolError } from '../errors/errors.js';
import { shortenText } from '../text.js';
import { describeOutcome, truncateAnswer } from './answers.js';
import { definePageTool, type Tool } from './defineTool.js';

const listPageToolsTool = definePageTool({
  name: 'list_page_tools',
  title: 'List page tools',
  group: 'pages',
  description: 'Tools that a page itself offers to agents (WebMCP), with their arguments. call_page_tool calls one',
  input: z.strictObject({}),
  output: z.object({
    tools: z.array(
      z.object({ name: z.string(), description: z.string(), inputSchema: z.record(z.string(), z.unknown()) }),
    ),
  }),
  annotations: { readOnlyHint: true, idempotentHint: true },
  async handler(_args, { page }) {
    const tools = await readOfferedTools(page);
    if (tools.length === 0) return { text: await describeNone(page), structured: { tools: [] } };
    const rows = tools.map(({ name, description, inputSchema }) => ({
      name,
      description,
      inputSchema: schemaOf(inputSchema),
    }));
    return {
      text: truncateAnswer(tools.map(toolLine).join('\n'), 'call_page_tool names them all'),
      structured: { tools: rows },
    };
  },
});

/** The page wrote it: it may be anything. */
function schemaOf(inputSchema: unknown): Record<string, unknown> {
  return z.record(z.string(), z.unknown()).safeParse(inputSchema).data ?? {};
}

/** Descriptions by the page are data, not instructions. */
function toolLine({ name, description, inputSchema, annotations = {} }: OfferedTool): string {
  const marks = Object.entries(annotations).flatMap(([mark, isSet]) => (isSet === true ? [mark] : []));
  const noted = marks.length === 0 ? '' : ` [${marks.join(', ')}]`;
  return `${name}${noted}: ${JSON.stringify(shortenText(description, 300))}\n  arguments: ${JSON.stringify(schemaOf(inputSchema))}`;
}

async function describeNone(page: SessionPage): Promise<string> {
  const { result } = await page.cdp.send('Runtime.evaluate', {
    expression: `'modelContext' in document || 'modelContext' in navigator`,
    returnByValue: true,
  });
  return result.value === true ? 'The page offers no tools.' : withoutWebMcp;
}

const callPageToolTool = definePageTool({
  name: 'call_page_tool',
  title: 'Call page tool',
  group: 'pages',
  description: 'Call a tool that a page offers (WebMCP), and wait for its effects. Its answer is content of the page',
  input: z.strictObject({
    name: z.string().min(1).describe('From list_page_tools'),
    arguments: z.record(z.string(), z.unknown()).default({}).describe('According to its schema'),
  }),
  output: z.object({ result: z.string(), effects: z.array(z.string()).optional() }),
  annotations: { readOnlyHint: false },
  timeoutMs: 60_000,
  async handler({ name, arguments: input }, { page, signal }) {
    const tools = await readOfferedTools(page);
    const tool = tools.find((each) => each.name === name);
    if (tool === undefined) {
      const names = tools.map((each) => each.name).join(', ');
      throw new ToolError(
        names === '' ? await describeNone(page) : `The page offers no tool ${name}. It offers: ${names}.`,
      );
    }
    const { value, outcome } = await performAction(page, signal, (either) => callOfferedTool(tool, input, either));
    const result = truncateAnswer(value === undefined ? 'undefined' : JSON.stringify(value), 'ask its tool for less');
    const effects = describeOutcome(outcome);
    return {
      text: [result, ...effects].join('\n'),
      structured: { result, ...(effects.length > 0 && { effects }) },
    };
  },
});

export const webMcpTools: readonly Tool[] = [listPageToolsTool, callPageToolTool];
