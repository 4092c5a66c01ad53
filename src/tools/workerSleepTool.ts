import { z } from 'zod';
import { auditExtension } from '../browser/extensions/audit/auditExtension.js';
import { findEnabledExtension, type Extension } from '../browser/extensions/installedExtensions.js';
import type { MessageLog } from '../browser/extensions/messageLog.js';
import {
  compareSleep,
  declarationsOf,
  type SleepDifference,
  type SleepStep,
} from '../browser/extensions/workerSleep.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import { ToolError } from '../errors/errors.js';
import { truncateAnswer } from './answers.js';
import { defineTool } from './defineTool.js';
import { count, extensionIdInput } from './extensionFields.js';
import { oneLine } from './pagination.js';

const maxSteps = 20;

const differenceRow = z.object({
  step: z.int(),
  what: z.enum(['answer', 'storage', 'error', 'log', 'variable']),
  name: z.string(),
  awake: z.string(),
  asleep: z.string(),
  /** Of a variable: where it is declared. */
  at: z.string().optional(),
});

export const checkWorkerSleepTool = defineTool({
  name: 'check_worker_sleep',
  title: 'Check worker sleep',
  group: 'extension',
  needs: 'extension',
  description:
    'Run steps with the worker awake, and asleep before each: what differs in answers, storage, errors, logs, variables',
  input: z.strictObject({
    extensionId: extensionIdInput,
    steps: z
      .array(z.string())
      .optional()
      .describe('Messages in JSON, or events: commands.onCommand go. Default: recorded messages'),
  }),
  output: z.object({
    steps: z.array(z.string()),
    differences: z.array(differenceRow),
    /** Variables that the code audit reports as lost, with their positions. */
    suspected: z.array(z.object({ at: z.string(), problem: z.string(), fix: z.string() })),
  }),
  annotations: { readOnlyHint: false },
  timeoutMs: 90_000,
  async handler({ extensionId: id, steps: named }, { browser, signal }) {
    const { activity } = browser;
    if (activity.isKeptAwake(id))
      throw new ToolError(
        'Its service worker is kept awake. Stop trace_extension_api_calls, or get_extension_logs with keepAlive: false, then again.',
      );
    // Its session must not outlive the worker.
    await withCdpScope(browser.browser, signal, (scope) => activity.captureWorker(scope, id));
    const { extension, steps, differences } = await withCdpScope(browser.browser, signal, async (scope) => {
      const found = await findEnabledExtension(scope, id);
      const all = named?.map(stepOf) ?? recordedSteps(activity.messages, id);
      if (all.length > maxSteps) throw new ToolError(`At most ${maxSteps} steps are done in one call.`);
      if (all.length === 0)
        throw new ToolError(
          `No message to the service worker of ${found.name} was recorded. Pass steps, such as ["{\\"type\\":\\"count\\"}", "commands.onCommand go"].`,
        );
      await browser.ensureFirstPage(signal);
      const compared = await compareSleep(scope, found, { browser, steps: all, page: () => browser.page() });
      return { extension: found, steps: all, differences: compared };
    });
    const suspected = await suspectedVariables(extension, signal);
    const lost = differences.filter(({ what }) => what === 'variable').map(({ name }) => name);
    const places = await declarationsOf(extension, lost);
    const names = steps.map(stepName);
    const shown = differences.map((difference) => {
      const at = difference.what === 'variable' ? places.get(difference.name) : undefined;
      const [awake, asleep] = [oneLine(difference.awake, 300), oneLine(difference.asleep, 300)];
      return { ...difference, awake, asleep, ...(at !== undefined && { at }) };
    });
    return {
      text: truncateAnswer(
        [
          heading(extension, steps, differences),
          ...names.flatMap((name, index) => stepLines(index + 1, name, shown)),
          ...suspected.map(({ at, problem, fix }) => `${at}: ${problem} Fix: ${fix}`),
        ].join('\n'),
        'pass fewer steps',
      ),
      structured: { steps: names, differences: shown, suspected },
    };
  },
});

/** An event has a name as `alarms.onAlarm`; all else is a message, in JSON or as a text. */
function stepOf(text: string): SleepStep {
  const [, event, subject] = /^(?:chrome\.)?([a-z]\w*(?:\.\w+)?\.on[A-Z]\w*)(?: (.+))?$/.exec(text) ?? [];
  if (event !== undefined) return { event, subject };
  return parsed(text)[0] ?? { message: text };
}

/** The messages that the worker got, oldest first. */
function recordedSteps(messages: MessageLog, extensionId: string): SleepStep[] {
  const received = messages
    .read()
    .entries.filter(
      ({ value }) =>
        value.extensionId === extensionId &&
        value.to.includes('service_worker') &&
        /sendMessage|onMessage$/.test(value.api),
    );
  return received.slice(-maxSteps).flatMap(({ value }) => parsed(value.payload));
}

/** Without those that were cut. */
function parsed(payload: string): SleepStep[] {
  try {
    return [{ message: JSON.parse(payload) as unknown }];
  } catch {
    return [];
  }
}

const stepName = ({ event, subject, message }: SleepStep): string =>
  event === undefined ? `message ${oneLine(JSON.stringify(message), 150)}` : `${event} ${subject ?? ''}`.trim();

function heading({ name }: Extension, steps: readonly SleepStep[], differences: readonly SleepDifference[]): string {
  const done = `${count(steps.length, 'step')}, with the worker of "${name}" awake and asleep before each`;
  if (differences.length === 0) return `${done}: no difference.`;
  const visible = differences.filter(({ what }) => what !== 'variable').length;
  return visible > 0
    ? `${done}: ${count(visible, 'difference')}.`
    : `${done}: variables were lost, without another difference.`;
}

type Difference = SleepDifference & { readonly at?: string };

function stepLines(step: number, name: string, differences: readonly Difference[]): string[] {
  const own = differences.filter((difference) => difference.step === step);
  if (own.length === 0) return [];
  return [`Step ${step}, ${name}:`, ...own.map(differenceLine)];
}

function differenceLine({ what, name, awake, asleep, at }: Difference): string {
  if (what === 'error')
    return asleep === 'nothing' ? `  only awake it threw ${name}` : `  only after sleep it threw ${name}`;
  const label =
    what === 'variable'
      ? `the variable ${name}${at === undefined ? '' : ` (${at})`} was lost`
      : `${what} ${name}`.trim();
  return `  ${label}: awake ${awake}, after sleep ${asleep}`;
}

const losesVariable = /is lost when the worker goes to sleep/;

/** None where the folder cannot be read here. */
async function suspectedVariables(
  extension: Extension,
  signal: AbortSignal,
): Promise<{ at: string; problem: string; fix: string }[]> {
  try {
    const { findings } = await auditExtension(extension, signal);
    return findings
      .filter(({ problem }) => losesVariable.test(problem))
      .map(({ at, problem, fix }) => ({ at, problem, fix }));
  } catch (error) {
    if (error instanceof ToolError) return [];
    throw error;
  }
}
