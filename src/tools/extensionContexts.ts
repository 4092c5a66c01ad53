import { z } from 'zod';
import type { WorkerActivity } from '../browser/injected/extensionContract.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import {
  contextKinds,
  findLiveContext,
  liveContexts,
  type LiveContext,
  type ContextKind,
  type SelectedContext,
} from '../browser/extensions/liveContexts.js';
import { findExtension } from '../browser/extensions/installedExtensions.js';
import { withCdpScope, type CdpScope } from '../browser/cdp/cdpScope.js';
import { shortUrl, truncateAnswer } from './answers.js';
import { defineTool, type BrowserToolContext } from './defineTool.js';
import { oneLine, timeText } from './pagination.js';
import { count, extensionId, extensionIdInput, workerState } from './extensionFields.js';
import { EvaluationError, type EvaluationResult } from '../browser/extensions/evaluateInTarget.js';
import {
  evaluateInContentScript,
  evaluateInDefault,
  evaluateInDocument,
  evaluateInSelected,
  evaluateInWorker,
} from '../browser/extensions/contextEvaluation.js';
import { ToolError } from '../errors/errors.js';
import {
  WorkerMonitor,
  wakeWorker,
  workerStatus,
  workerVariables,
  type WorkerStatus,
} from '../browser/extensions/serviceWorkers.js';

const contextRow = z.object({
  contextId: z.string(),
  extensionId,
  kind: z.enum(contextKinds),
  url: z.string(),
  title: z.string(),
  state: workerState.optional(),
  pageId: z.int().optional(),
  frames: z.int().optional(),
});

export const listExtensionContextsTool = defineTool({
  name: 'list_extension_contexts',
  title: 'List extension contexts',
  group: 'extension',
  needs: 'extension',
  description:
    'List where the code of an extension runs now: service worker, popup, options, side panel, offscreen document, content scripts',
  input: z.strictObject({ extensionId: extensionIdInput }),
  output: z.object({ contexts: z.array(contextRow), selected: z.string().optional(), silentPages: z.array(z.int()) }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, contexts, unresponsive } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      return { name: extension.name, ...(await liveContexts(scope, extension, browser.pages())) };
    });
    const selected = browser.extensionContext.selected?.contextId;
    const lines = [
      contexts.length === 0
        ? `"${name}" has no running context.`
        : `"${name}" has ${count(contexts.length, 'context')}:`,
      ...contexts.map((context) => `${contextLine(context)}${context.contextId === selected ? ' [selected]' : ''}`),
      ...unresponsive.map((page) => `Page ${page.id} is busy or waits for a dialog: its content scripts are unknown.`),
    ];
    return {
      text: lines.join('\n'),
      structured: {
        contexts: [...contexts],
        silentPages: unresponsive.map((page) => page.id),
        ...(selected !== undefined && { selected }),
      },
    };
  },
});

function contextLine({ contextId, kind, url, title, state, pageId, frames }: LiveContext): string {
  const facts = [
    ...(state === undefined ? [] : [state]),
    ...(pageId === undefined ? [] : [`page ${pageId}`]),
    ...(frames === undefined || frames === 1 ? [] : [`${frames} frames`]),
    ...(title === '' ? [] : [`"${oneLine(title, 60)}"`]),
  ];
  return `${contextId} ${kind} ${shortUrl(url)}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`;
}

export const switchExtensionContextTool = defineTool({
  name: 'switch_extension_context',
  title: 'Select extension context',
  group: 'extension',
  needs: 'extension',
  description: 'Select the context for evaluate_in_extension, and its page',
  input: z.strictObject({ contextId: z.string().describe('From list_extension_contexts') }),
  output: contextRow,
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ contextId }, { browser, signal }) {
    const context = await withCdpScope(browser.browser, signal, (scope) =>
      findLiveContext(scope, contextId, browser.pages()),
    );
    browser.extensionContext.select(context);
    if (context.pageId !== undefined) browser.select(context.pageId);
    const asleep = context.state === 'stopped' ? [' It sleeps: activate_extension_service_worker wakes it.'] : [];
    const page = context.pageId === undefined ? [] : [` Page ${context.pageId} is selected.`];
    return {
      text: [`evaluate_in_extension works in: ${contextLine(context)}.`, ...page, ...asleep].join(''),
      structured: { ...context },
    };
  },
});

const evaluationTarget = z.enum(['service_worker', 'popup', 'options', 'side_panel', 'offscreen', 'content_script']);

const evaluationInput = z.strictObject({
  extensionId: extensionId.optional().describe('Default: of the selected context'),
  expression: z.string().min(1).describe('JavaScript, may await; a function is called'),
  target: evaluationTarget.optional().describe('Default: the selected context, or service_worker'),
  pageId: z.number().int().min(1).optional().describe('Page of a content_script; default: the selected one'),
});

type EvaluationArgs = z.output<typeof evaluationInput>;

/** The context to evaluate in: the selected one, or the first of a kind. */
interface EvaluationTarget {
  readonly extensionId: string;
  readonly kind: ContextKind;
  readonly selected?: SelectedContext;
}

export const evaluateInExtensionTool = defineTool({
  name: 'evaluate_in_extension',
  title: 'Evaluate in extension',
  group: 'extension',
  needs: 'extension',
  description: 'Run JavaScript in an open context of an extension, with its chrome.* APIs. In a page: evaluate_script',
  input: evaluationInput,
  output: z.object({ extensionId, target: z.enum(contextKinds), type: z.string(), result: z.string() }),
  annotations: { readOnlyHint: false },
  async handler(args, context) {
    const { browser, signal } = context;
    const target = resolveTarget(args, browser.extensionContext.selected);
    const { json, type, kind, isHidden } = await withCdpScope(browser.browser, signal, (scope) =>
      evaluateIn(scope, target, args, context),
    );
    const result = truncateAnswer(json ?? type, 'return a part in the expression');
    const where = isHidden ? 'a hidden page' : `its ${kind.replace('_', ' ')}`;
    const instead =
      kind === target.kind ? '' : `\n(It has no service worker: this ran in ${where}. See list_extension_contexts.)`;
    const structured = { extensionId: target.extensionId, target: kind, type, result };
    return { text: `${result}${instead}`, structured };
  },
});

/** Arguments take precedence over the selected context. */
function resolveTarget(args: EvaluationArgs, selected: SelectedContext | undefined): EvaluationTarget {
  const id = args.extensionId ?? selected?.extensionId;
  if (id === undefined) {
    throw new ToolError('Pass extensionId (see list_extensions), or select a context with switch_extension_context.');
  }
  const isSelected = args.target === undefined && selected?.extensionId === id;
  if (isSelected) return { extensionId: id, kind: selected.kind, selected };
  return { extensionId: id, kind: args.target ?? 'service_worker' };
}

async function evaluateIn(
  scope: CdpScope,
  destination: EvaluationTarget,
  { expression, target, pageId }: EvaluationArgs,
  { browser }: BrowserToolContext,
): Promise<EvaluationResult & { readonly kind: ContextKind; readonly isHidden?: boolean }> {
  const extension = await findExtension(scope, destination.extensionId);
  const { kind, selected } = destination;
  try {
    if (selected !== undefined)
      return { kind, ...(await evaluateInSelected(scope, selected, browser.pages(), expression)) };
    if (target === undefined) return await evaluateInDefault(scope, extension, expression);
    if (kind === 'service_worker') return { kind, ...(await evaluateInWorker(scope, extension, expression)) };
    if (kind !== 'content_script') return { kind, ...(await evaluateInDocument(scope, extension, kind, expression)) };
    return { kind, ...(await evaluateInContentScript(scope, extension, browser.page(pageId), expression)) };
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    const where = `${kind.replace('_', ' ')} of ${extension.name}`;
    throw new ToolError(`The code threw in the ${where}: ${error.message}`, { cause: error });
  }
}

export const stopServiceWorkerTool = defineTool({
  name: 'stop_extension_service_worker',
  title: 'Stop service worker',
  group: 'extension',
  needs: 'extension',
  description: "Stop an extension's service worker as idling does, to test what is lost: its variables",
  input: z.strictObject({ extensionId: extensionIdInput }),
  output: z.object({ extensionId, before: workerState, state: workerState, lost: z.array(z.string()) }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, before, state, lost } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      const watch = await WorkerMonitor.open(scope);
      const was = watch.state(id);
      // What only the worker knows is lost with it.
      await browser.activity.captureWorker(scope, id);
      const lost = was === 'running' ? await workerVariables(scope, watch.targetId(id)) : [];
      await watch.stop(id);
      return { name: extension.name, before: was, state: watch.state(id), lost };
    });
    const text =
      before === 'none'
        ? `"${name}" has no service worker.`
        : `The service worker of "${name}" ${before === 'stopped' ? 'was stopped already' : 'is stopped'}. The next event, or activate_extension_service_worker, starts it.`;
    const variables =
      lost.length === 0 ? '' : `\nVariables that were lost, unless the script sets them again: ${lost.join(', ')}`;
    return { text: `${text}${variables}`, structured: { extensionId: id, before, state, lost } };
  },
});

const workerProblem = z.object({ message: z.string(), source: z.string().optional(), occurrences: z.int().optional() });

export const serviceWorkerStatusTool = defineTool({
  name: 'get_service_worker_status',
  aliases: ['get_extension_service_worker_status'],
  title: 'Service worker status',
  group: 'extension',
  needs: 'extension',
  description: 'State of a service worker, start time and errors; neither starts it nor keeps it running',
  input: z.strictObject({ extensionId: extensionIdInput }),
  output: z.object({
    extensionId,
    version: z.string(),
    state: workerState,
    script: z.string().optional(),
    phase: z.string().optional(),
    startedAt: z.string().optional(),
    /** The first `chrome.*` event that it received since its start. */
    wokenBy: z.string().optional(),
    events: z.array(z.object({ name: z.string(), count: z.int(), last: z.string() })),
    keptAwakeBy: z.array(z.string()),
    errors: z.array(workerProblem),
  }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { extension, status } = await withCdpScope(browser.browser, signal, async (scope) => {
      const found = await findExtension(scope, id);
      return { extension: found, status: await workerStatus(scope, found) };
    });
    const { state, script, phase, activity, errors } = status;
    const keptAwakeBy = reasonsAwake(browser, id);
    return {
      text: [
        describeWorker(`"${extension.name}" ${extension.version}`, status),
        ...(state === 'running' ? awakeLines(activity, keptAwakeBy) : []),
      ].join('\n'),
      structured: {
        ...{ extensionId: id, version: extension.version, state },
        ...(script !== undefined && { script }),
        ...(phase !== undefined && { phase }),
        ...(activity && { startedAt: isoTime(activity.startedAt) }),
        ...(activity?.first && { wokenBy: activity.first.name }),
        events: (activity?.events ?? []).map((event) => ({ ...event, last: isoTime(event.last) })),
        keptAwakeBy,
        errors: errors.map(({ message, source, occurrences }) => ({
          message,
          ...(source !== undefined && source !== '' && { source }),
          ...(occurrences !== undefined && { occurrences }),
        })),
      },
    };
  },
});

const isoTime = (at: number): string => new Date(at).toISOString();

/** What of this session keeps a worker from going to sleep. */
function reasonsAwake({ activity, debugger: { breakpoints } }: SessionBrowser, extensionId: string): string[] {
  const calls = { trace: 'trace_extension_api_calls', logs: 'get_extension_logs with keepAlive' };
  const own = activity.keptAwakeBy(extensionId).map((reason) => calls[reason]);
  return breakpoints.length > 0 ? [...own, 'breakpoints'] : own;
}

const maxEventsShown = 10;

function awakeLines(activity: WorkerActivity | undefined, reasons: readonly string[]): string[] {
  const kept = reasons.length === 0 ? [] : [`This session keeps it awake: ${reasons.join(', ')}.`];
  if (activity === undefined)
    return [...kept, 'It does not answer: its code is busy. stop_extension_service_worker ends it.'];
  const { first, events, ports, startedAt } = activity;
  const woken =
    first === undefined
      ? 'It heard no chrome.* event since its start: a tool, the installation or a page of the extension started it.'
      : `Its first event was ${first.name}, ${Math.max(0, Math.round(first.at - startedAt))} ms after its start.`;
  const newest = [...events].sort((a, b) => b.last - a.last).slice(0, maxEventsShown);
  const heard = newest.map(({ name, count: times, last }) => `${name} ${count(times, 'time')}, last ${timeText(last)}`);
  return [
    woken,
    ...(heard.length === 0 ? [] : [`Events so far: ${heard.join('; ')}.`]),
    ...(ports.length === 0 ? [] : [`Open ports: ${ports.slice(0, maxEventsShown).map(quoted).join(', ')}.`]),
    ...kept,
    'Each event, message and call of chrome.* lets it run for 30 s more; trace_extension_api_calls shows the calls.',
  ];
}

const quoted = (text: string): string => JSON.stringify(oneLine(text, 60));

function describeWorker(extension: string, { state, script, phase, activity, errors }: WorkerStatus): string {
  const since = activity === undefined ? '' : ` since ${isoTime(activity.startedAt)}`;
  const worker =
    script === undefined ? 'no service worker is registered' : `${state}${since}, ${phase ?? ''}, ${script}`;
  const noted = errors.map(
    ({ message, occurrences = 1 }) =>
      `Error${occurrences > 1 ? ` (${occurrences} times)` : ''}: ${oneLine(message, 500)}`,
  );
  return [`${extension}: ${worker}`, ...noted].join('\n');
}

export const activateServiceWorkerTool = defineTool({
  name: 'activate_extension_service_worker',
  title: 'Start service worker',
  group: 'extension',
  needs: 'extension',
  description: "Start an extension's service worker; answers the errors of its start",
  input: z.strictObject({ extensionId: extensionIdInput }),
  output: z.object({ extensionId, before: workerState, errors: z.array(z.string()) }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, before, errors } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      return { name: extension.name, ...(await wakeWorker(scope, extension)) };
    });
    const state =
      before === 'running'
        ? `The service worker of "${name}" was running already.`
        : `The service worker of "${name}" runs now; before it was ${before === 'none' ? 'not registered' : before}.`;
    const text = [state, ...errors.map((error) => `While it started it threw: ${error}`)].join('\n');
    return { text, structured: { extensionId: id, before, errors: [...errors] } };
  },
});
