import { z } from 'zod';
import { ExtensionsPage, findExtension, type ExtensionInfo } from '../browser/extensions/installedExtensions.js';
import type { ExtensionLogEntry } from '../browser/extensions/extensionLog.js';
import { runtimeErrors, type RuntimeError } from '../browser/extensions/runtimeErrors.js';
import { withCdpScope, type CdpScope } from '../browser/cdp/cdpScope.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { truncateAnswer } from './answers.js';
import { locationText } from './consoleTools.js';
import { defineTool } from './defineTool.js';
import { count, extensionId } from './extensionFields.js';

const runtimeErrorRow = z.object({
  message: z.string(),
  context: z.string(),
  url: z.string().optional(),
  line: z.int().optional(),
  column: z.int().optional(),
  stack: z.array(z.string()),
  count: z.int(),
});

const maxRuntimeErrors = 100;

export const getRuntimeErrorsTool = defineTool({
  name: 'get_extension_runtime_errors',
  group: 'extension',
  needs: 'extension',
  description: 'Uncaught errors and manifest problems, with place, stack and count',
  input: z.strictObject({ extensionId }),
  output: z.object({ errors: z.array(runtimeErrorRow), total: z.int() }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, info, seen } = await withCdpScope(browser.browser, signal, (scope) => readErrors(scope, id, browser));
    const errors = runtimeErrors(info, seen);
    const shown = errors.slice(-maxRuntimeErrors);
    const lines = errors.length === 0 ? [`"${name}" has no errors.`] : shown.map(describeRuntimeError);
    if (shown.length < errors.length) lines.unshift(`The newest ${maxRuntimeErrors} of ${errors.length}:`);
    return {
      text: truncateAnswer(lines.join('\n'), 'clear_extension_errors, then provoke the one you look for'),
      structured: { errors: shown.map(structuredRuntimeError), total: errors.length },
    };
  },
});

export const clearErrorsTool = defineTool({
  name: 'clear_extension_errors',
  group: 'extension',
  needs: 'extension',
  description: "Empty an extension's error list",
  input: z.strictObject({ extensionId }),
  output: z.object({ cleared: z.int() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, cleared } = await withCdpScope(browser.browser, signal, async (scope) => {
      const { name, page, info, seen } = await readErrors(scope, id, browser);
      await page.clearProblems(id);
      browser.activity.logs.clearErrors(id);
      return { name, cleared: runtimeErrors({ ...info, manifestErrors: [] }, seen).length };
    });
    return { text: `Cleared ${count(cleared, 'error')} of "${name}".`, structured: { cleared } };
  },
});

interface ErrorReading {
  readonly name: string;
  readonly page: ExtensionsPage;
  readonly info: ExtensionInfo;
  readonly seen: readonly ExtensionLogEntry[];
}

async function readErrors(scope: CdpScope, id: string, { activity }: SessionBrowser): Promise<ErrorReading> {
  const { name } = await findExtension(scope, id);
  const [page] = await Promise.all([ExtensionsPage.open(scope), activity.captureWorkerLogs(scope, id)]);
  return { name, page, info: await page.info(id), seen: activity.logs.errors(id) };
}

function describeRuntimeError({ message, context, url, line, column, stack, count: times }: RuntimeError): string {
  const position = url === undefined ? '' : ` at ${locationText({ url, line, column })}`;
  const frames = stack.map((frame) => `\n    ${frame.functionName} (${locationText(frame)})`);
  return `${times > 1 ? `${times}x ` : ''}[${context}] ${message}${position}${frames.join('')}`;
}

function structuredRuntimeError({
  message,
  context,
  url,
  line,
  column,
  stack,
  count: times,
}: RuntimeError): z.input<typeof runtimeErrorRow> {
  return {
    ...{ message, context, count: times },
    stack: stack.map((frame) => `${frame.functionName} (${locationText(frame)})`),
    ...(url === undefined ? {} : { url }),
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
  };
}
