import { z } from 'zod';
import type { EmulationSettings } from '../browser/page/pageEmulation.js';
import { ToolError } from '../errors/errors.js';
import { defineTool, type Browsers, type Tool, type UserBrowser } from './defineTool.js';
import { startSettings } from './emulationTools.js';

/** The argument that names a browser. */
export const browserIdArgument = 'browser_id';
/** `Mcp-Param-Browser` repeats the argument, so that a proxy can route by it (basic/transports, custom headers). */
export const browserIdHeader = 'Browser';

const browserRow = z.object({
  browser_id: z.string(),
  state: z.string(),
  pages: z.array(z.string()),
  openedAt: z.string(),
  calls: z.int(),
  ownSession: z.boolean(),
});

const rowOf = ({ id, state, pages, createdAt, toolCalls, isOwn }: UserBrowser): z.infer<typeof browserRow> => ({
  browser_id: id,
  state,
  pages: [...pages],
  openedAt: createdAt.toISOString(),
  calls: toolCalls,
  ownSession: isOwn,
});

const minutes = (ms: number): string => `${Math.round(ms / 6_000) / 10} min`;

const idleText = ({ idleTimeoutMs }: Browsers): string => `closed after ${minutes(idleTimeoutMs)} without a call`;

const openBrowserTool = defineTool({
  name: 'open_browser',
  title: 'Open a browser',
  group: 'browsers',
  needs: 'nothing',
  description:
    'Open a browser of your own and get its browser_id, which every other tool takes. Once per task; another one only for a second login or profile. Ends with close_browser, or after the idle time in the answer',
  input: z.strictObject({
    isolation: z
      .enum(['auto', 'context', 'process'])
      .optional()
      .describe('process: own process and profile, which extensions need; default auto: a context until then'),
    groups: z
      .string()
      .regex(/^[\w,-]{1,200}$/)
      .optional()
      .describe('More tool groups that may be called with it, such as performance,memory'),
    emulation: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('For each page: arguments of emulate, such as {"viewport":{"width":390,"height":844,"mobile":true}}'),
  }),
  output: z.object({ browser_id: z.string(), idleTimeoutMs: z.int() }),
  annotations: { readOnlyHint: false, destructiveHint: false },
  timeoutMs: 120_000,
  startsBrowser: ({ emulation }) => emulation !== undefined,
  async handler({ isolation, groups, emulation }, { browsers, signal }) {
    const settings = emulation && readSettings(emulation);
    const { id } = await browsers.open({ isolation, groups, emulation: settings }, signal);
    return {
      text: `browser_id: ${id}\nReady; ${idleText(browsers)}. Next: new_page or navigate_page with this browser_id.`,
      structured: { browser_id: id, idleTimeoutMs: browsers.idleTimeoutMs },
    };
  },
});

/** Throws a ToolError that names the wrong setting. */
function readSettings(given: object): EmulationSettings {
  const { data, error } = startSettings.safeParse(given);
  if (data !== undefined) return data;
  const problems = error.issues.map(({ path, message }) => `${['emulation', ...path].join('.')}: ${message}`);
  throw new ToolError(`${problems.join('; ')}. It takes ${Object.keys(startSettings.shape).join(', ')}.`);
}

const closeBrowserTool = defineTool({
  name: 'close_browser',
  title: 'Close a browser',
  group: 'browsers',
  needs: 'nothing',
  description: 'Close a browser of open_browser, with its pages and extensions. Its browser_id is not used again',
  input: z.strictObject({ browser_id: z.string().describe('From open_browser') }),
  output: z.object({ closed: z.string() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
  async handler({ browser_id: id }, { browsers }) {
    await browsers.close(id);
    return { text: 'Closed.', structured: { closed: id } };
  },
});

const listBrowsersTool = defineTool({
  name: 'list_browsers',
  title: 'List browsers',
  group: 'browsers',
  needs: 'nothing',
  description:
    'Your open browsers: browser_id, state, addresses of their pages. To find one again instead of opening another',
  input: z.strictObject({}),
  output: z.object({ browsers: z.array(browserRow) }),
  annotations: { readOnlyHint: true, idempotentHint: true },
  async handler(_args, { browsers }) {
    const rows = (await browsers.list()).map(rowOf);
    const lines = rows.map(({ browser_id, state, pages, openedAt, calls, ownSession }) =>
      [
        browser_id,
        state,
        ...(ownSession ? ['this session'] : []),
        `opened ${openedAt}`,
        `${calls} calls`,
        ...pages,
      ].join(', '),
    );
    return {
      text: lines.length === 0 ? 'No browser is open. Call open_browser.' : lines.join('\n'),
      structured: { browsers: rows },
    };
  },
});

/** Browsers by handle: for clients without a session, and for those that open one for each call. */
export const browserTools: readonly Tool[] = [openBrowserTool, closeBrowserTool, listBrowsersTool];

/** Whether a tool works on the browser or the data of one session, and so takes the argument that names it. */
export const takesBrowserId = (tool: Tool): boolean =>
  !(browserIdArgument in tool.input.shape) && (tool.needs !== 'nothing' || tool.ofSession === true);
