import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { RingBufferEntry } from '../browser/collectors/ringBuffer.js';
import { findExtension, findEnabledExtension } from '../browser/extensions/installedExtensions.js';
import { answerProblem, type ExtensionMessage } from '../browser/extensions/messageLog.js';
import { withCdpScope, type CdpScope } from '../browser/cdp/cdpScope.js';
import { defineTool } from './defineTool.js';
import { listingInput, listingOutput, pageOf, oneLine, timeText } from './pagination.js';
import { extensionIdInput } from './extensionFields.js';
import { contextKinds } from '../browser/extensions/liveContexts.js';
import { sendMessage } from '../browser/extensions/extensionMessage.js';
import { ToolError } from '../errors/errors.js';
import { truncateAnswer } from './answers.js';
import type { ExtensionRecorder } from '../browser/extensions/extensionRecorder.js';
import type { ApiCall } from '../browser/extensions/callLog.js';
import { maxLinesPerSecond, type ExtensionLogEntry } from '../browser/extensions/extensionLog.js';
import { locationText } from './consoleTools.js';
import { originalOutput, OriginalPlaces } from './originalPlaces.js';
import type { WorkerState } from '../browser/extensions/serviceWorkers.js';

const messageChars = 500;

const messageRow = z.object({
  id: z.int(),
  at: z.string(),
  api: z.string(),
  from: z.string(),
  to: z.array(z.string()),
  payload: z.string(),
  reply: z.string().optional(),
  error: z.string().optional(),
  replyMs: z.number().optional(),
  /** Why it has no answer. */
  problem: z.string().optional(),
});

export const monitorMessagesTool = defineTool({
  name: 'monitor_extension_messages',
  title: 'Extension messages',
  group: 'extension',
  needs: 'extension',
  description:
    'Messages and ports of an extension so far, with replies, or why one got none. To send one: send_extension_message',
  input: z.strictObject({
    extensionId: extensionIdInput,
    text: z.string().optional().describe('Text in API, message or reply'),
    ...listingInput,
  }),
  output: z.object({ messages: z.array(messageRow), ...listingOutput }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, text: wanted, ...args }, { browser, signal }) {
    const { name } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      await browser.activity.captureWorker(scope, id);
      return extension;
    });
    const listing = pageOf(
      browser.activity.messages.read(args.since),
      (message) =>
        message.extensionId === id &&
        (wanted === undefined || `${message.api} ${message.payload} ${message.reply ?? ''}`.includes(wanted)),
      args,
    );
    const lines = listing.entries.map(messageLine);
    if (lines.length === 0) {
      lines.push(
        `No messages of "${name}" ${args.since === undefined ? 'yet' : 'since then'}. What a service worker alone took part in is lost when it stops.`,
      );
    }
    return {
      text: [...lines, '', listing.footer].join('\n'),
      structured: { messages: listing.entries.map(structuredMessage), ...listing.fields },
    };
  },
});

function messageLine({ id, value }: RingBufferEntry<ExtensionMessage>): string {
  const { at, api, from, to, payload, reply, error, replyMs } = value;
  const took = replyMs === undefined ? '' : ` (${replyMs} ms)`;
  const problem = answerProblem(value);
  return [
    `#${id} ${timeText(at)} ${api} ${from}${to.length === 0 ? '' : ` -> ${to.join(', ')}`}: ${oneLine(payload, messageChars)}`,
    ...(reply === undefined ? [] : [`  reply${took}: ${oneLine(reply, messageChars)}`]),
    ...(error === undefined ? [] : [`  failed${took}: ${error}`]),
    ...(problem === undefined ? [] : [`  ${problem}`]),
  ].join('\n');
}

function structuredMessage({ id, value }: RingBufferEntry<ExtensionMessage>): z.input<typeof messageRow> {
  const { at, api, from, to, payload, reply, error, replyMs } = value;
  const problem = answerProblem(value);
  return {
    ...{ id, at: new Date(at).toISOString(), api, from, to: [...to], payload: oneLine(payload, messageChars) },
    ...(reply === undefined ? {} : { reply: oneLine(reply, messageChars) }),
    ...(error === undefined ? {} : { error }),
    ...(replyMs === undefined ? {} : { replyMs }),
    ...(problem === undefined ? {} : { problem }),
  };
}

/** How long an answer that comes too late is waited for, in ms. */
const lateAnswerMs = 250;

const optionalPageId = z.int().min(1).optional();

export const sendMessageTool = defineTool({
  name: 'send_extension_message',
  title: 'Send extension message',
  group: 'extension',
  needs: 'extension',
  description: 'Send a message as the extension would and await the reply',
  input: z.strictObject({
    extensionId: extensionIdInput,
    message: z.unknown().describe('Any JSON'),
    from: z.enum(contextKinds).exclude(['page']).optional().describe('Sender; default: a hidden page'),
    pageId: optionalPageId.describe('Page of a content_script that sends'),
    toPageId: optionalPageId.describe('Send to the content scripts of this page'),
    timeoutMs: z.int().min(1).max(25_000).default(5_000).describe('Longest wait, in ms'),
  }),
  output: z.object({ reply: z.string(), ms: z.number(), problem: z.string().optional() }),
  annotations: { readOnlyHint: false },
  async handler({ extensionId: id, message, from, pageId: fromId, toPageId, timeoutMs }, { browser, signal }) {
    const page = () => browser.page(fromId);
    const toPage = toPageId === undefined ? undefined : browser.page(toPageId);
    const { messages } = browser.activity;
    const { cursor } = messages.read();
    const { name, ...delivery } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findEnabledExtension(scope, id);
      const sent = await sendMessage(scope, { extension, message, from, page, toPage, timeoutMs });
      if (!('error' in sent) && sent.reply === undefined) await delay(lateAnswerMs, undefined, { signal });
      await browser.activity.captureWorker(scope, id);
      return { name: extension.name, ...sent };
    });
    const api = toPage === undefined ? 'runtime.sendMessage' : 'tabs.sendMessage';
    const problem = problemOf(messages.read(cursor).entries, id, { message, api, ...delivery });
    const reply = 'error' in delivery ? undefined : delivery.reply;
    if ('error' in delivery) {
      throw new ToolError(
        `The message to ${toPage === undefined ? `"${name}"` : `page ${toPage.id}`} got no reply: ${delivery.error} ` +
          `${problem === undefined ? '' : `${problem} `}get_extension_logs shows what its contexts logged, list_extension_contexts which contexts run.`,
      );
    }
    const { ms, length } = delivery;
    const text = truncateAnswer(reply ?? 'undefined', 'evaluate_in_extension can return a part');
    const answer =
      reply === undefined
        ? `No answer after ${ms} ms, but undefined.`
        : `Reply${length === undefined ? '' : ` of ${length} characters`} after ${ms} ms: ${text}`;
    return {
      text: problem === undefined ? answer : `${answer}\n${problem}`,
      structured: { reply: text, ms, ...(problem !== undefined && { problem }) },
    };
  },
});

/** What went wrong with the answer to a message of the server, which only its receivers reported. */
function problemOf(
  entries: readonly RingBufferEntry<ExtensionMessage>[],
  extensionId: string,
  { message, api, reply, error }: { message: unknown; api: string; reply?: string | undefined; error?: string },
): string | undefined {
  const payload = JSON.stringify(message);
  const received = entries.findLast(
    ({ value }) => value.extensionId === extensionId && payload.startsWith(value.payload.replace(/…$/, '')),
  )?.value;
  const { to = [], outcomes = {} } = received ?? {};
  return answerProblem({ api, to, outcomes, error, reply, isOver: reply === undefined });
}

const apiCallChars = 300;

const apiCallRow = z.object({
  id: z.int(),
  at: z.string(),
  api: z.string(),
  context: z.string(),
  args: z.string(),
  result: z.string().optional(),
  error: z.string().optional(),
  durationMs: z.number().optional(),
});

export const traceApiCallsTool = defineTool({
  name: 'trace_extension_api_calls',
  title: 'Trace API calls',
  group: 'extension',
  needs: 'extension',
  description:
    'Record calls of chrome.* with results: start, act, read, stop. Keeps the service worker running until stop',
  input: z.strictObject({
    extensionId: extensionIdInput,
    action: z.enum(['start', 'read', 'stop']).default('read').describe('Each answers the calls so far'),
    filter: z.string().default('').describe('How the API begins, such as storage.'),
    ...listingInput,
  }),
  output: z.object({ tracing: z.boolean(), calls: z.array(apiCallRow), ...listingOutput }),
  annotations: { readOnlyHint: false },
  async handler({ extensionId: id, action, filter: prefix, ...args }, { browser, signal }) {
    const { activity } = browser;
    const filter = prefix.replace(/^chrome\./, '');
    const actionLines = await withCdpScope(browser.browser, signal, async (scope) => {
      const { name } = await findExtension(scope, id);
      return applyTraceAction(scope, activity, { action, filter, id, name });
    });
    const listing = pageOf(
      activity.calls.read(args.since),
      ({ extensionId: owner, api }) => owner === id && api.startsWith(filter),
      args,
    );
    return {
      text: [...actionLines, ...listing.entries.map(apiCallLine), '', listing.footer].join('\n'),
      structured: {
        tracing: activity.calls.trace(id) !== undefined,
        calls: listing.entries.map(structuredApiCall),
        ...listing.fields,
      },
    };
  },
});

async function applyTraceAction(
  scope: CdpScope,
  activity: ExtensionRecorder,
  { action, filter, id, name }: { action: string; filter: string; id: string; name: string },
): Promise<string[]> {
  const what = `chrome.${filter}${filter === '' ? '*' : '…'} calls of "${name}"`;
  if (action === 'start') {
    const state = await activity.startTrace(scope, { extensionId: id, filter });
    const worker = describeTracedWorker(state);
    return [`Tracing ${what} from now on.${worker}`];
  }
  const tracing = activity.calls.trace(id) !== undefined;
  if (action === 'stop') {
    await activity.stopTrace(id);
    return [tracing ? `Stopped tracing "${name}".` : `"${name}" was not being traced.`];
  }
  const kept = activity.calls.read().entries.some(({ value }) => value.extensionId === id);
  if (tracing || kept) return tracing ? [] : [`"${name}" is no longer being traced.`];
  throw new ToolError(`"${name}" is not being traced. Call trace_extension_api_calls with action start first.`);
}

function describeTracedWorker(state: WorkerState): string {
  if (state === 'none') return ' It has no service worker.';
  return state === 'running'
    ? ' Its service worker stays awake until you stop.'
    : ` Its service worker is ${state}; once it starts (activate_extension_service_worker) it stays awake until you stop.`;
}

function apiCallLine({ id, value }: RingBufferEntry<ApiCall>): string {
  const { at, api, context, args, result, error, durationMs } = value;
  const took = durationMs === undefined ? ' (pending)' : ` (${durationMs} ms)`;
  const outcome =
    error === undefined ? (result === undefined ? '' : ` = ${oneLine(result, apiCallChars)}`) : ` failed: ${error}`;
  return `#${id} ${timeText(at)} ${context}: chrome.${api}(${oneLine(args, apiCallChars)})${outcome}${took}`;
}

function structuredApiCall({ id, value }: RingBufferEntry<ApiCall>): z.input<typeof apiCallRow> {
  const { at, api, context, args, result, error, durationMs } = value;
  return {
    ...{ id, at: new Date(at).toISOString(), api, context, args: oneLine(args, apiCallChars) },
    ...(result === undefined ? {} : { result: oneLine(result, apiCallChars) }),
    ...(error === undefined ? {} : { error }),
    ...(durationMs === undefined ? {} : { durationMs }),
  };
}

const logChars = 500;
const logLevel = z.enum(['error', 'warning', 'info', 'debug']);

const logRow = z.object({
  id: z.int(),
  at: z.string(),
  level: logLevel,
  type: z.string(),
  context: z.string(),
  text: z.string(),
  location: z.string().optional(),
  original: originalOutput.optional(),
});

export const getExtensionLogsTool = defineTool({
  name: 'get_extension_logs',
  title: 'Extension logs',
  group: 'extension',
  needs: 'extension',
  description:
    'What all contexts of an extension logged, in one timeline. Uncaught errors with stacks: get_extension_runtime_errors',
  input: z.strictObject({
    extensionId: extensionIdInput,
    level: logLevel.optional().describe('Only this level'),
    context: z.string().optional().describe('How it begins: service_worker, content_script, /popup.html'),
    keepAlive: z.boolean().optional().describe('Keep the service worker running, to lose nothing'),
    ...listingInput,
  }),
  output: z.object({
    ...{ keepAlive: z.boolean(), droppedAtSource: z.int(), entries: z.array(logRow) },
    sourceMaps: z.array(z.string()).optional(),
    ...listingOutput,
  }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, ...args }, { browser, signal }) {
    const { activity } = browser;
    const state = await withCdpScope(browser.browser, signal, async (scope) => {
      await findExtension(scope, id);
      // Before keepAwake: an attached worker reports its logs without the values.
      return activity.captureWorker(scope, id);
    });
    if (args.keepAlive !== undefined) await activity.keepAwake(id, 'logs', args.keepAlive);
    const listing = pageOf(
      activity.logs.read(args.since),
      (entry) =>
        entry.extensionId === id &&
        (args.level === undefined || entry.level === args.level) &&
        entry.context.startsWith(args.context ?? ''),
      args,
    );
    const keepAlive = activity.isKeptAwake(id);
    const droppedAtSource = activity.logs.droppedCount(id);
    const entries = listing.entries.toSorted((a, b) => a.value.at - b.value.at);
    const places = await OriginalPlaces.find(
      { browser },
      { locations: entries.map(({ value }) => value.location), texts: entries.map(({ value }) => value.text) },
      signal,
    );
    const lines = entries.length === 0 ? ['Nothing was logged.'] : entries.map((entry) => logLine(entry, places));
    return {
      text: [
        ...lines,
        '',
        describeDroppedLines(droppedAtSource, activity.logs.isIncomplete(id)),
        describeWorkerCoverage(state, keepAlive),
        ...places.problems,
        listing.footer,
      ]
        .filter((part) => part !== undefined)
        .join('\n'),
      structured: {
        ...{ keepAlive, droppedAtSource, entries: entries.map((entry) => structuredLog(entry, places)) },
        ...(places.problems.length > 0 && { sourceMaps: places.problems }),
        ...listing.fields,
      },
    };
  },
});

function describeDroppedLines(dropped: number, isIncomplete: boolean): string | undefined {
  if (dropped === 0 && !isIncomplete) return undefined;
  const lines = isIncomplete ? `More than ${dropped}` : `${dropped}`;
  return `${lines} lines were dropped: the first ${maxLinesPerSecond} of each second are kept. Log less, or under a condition.`;
}

function describeWorkerCoverage(state: string, keepAlive: boolean): string | undefined {
  if (state === 'none') return undefined;
  if (keepAlive) return 'The service worker is kept running, so that nothing is lost; keepAlive: false ends that.';
  return state === 'running'
    ? 'The service worker may stop when idle; what it logs between the last reading and its stop is lost. keepAlive: true prevents both.'
    : `The service worker is ${state}; what it logged since the last reading is lost. keepAlive: true prevents that.`;
}

function logLine({ id, value }: RingBufferEntry<ExtensionLogEntry>, places: OriginalPlaces): string {
  const { at, level: of, type, context, text, location } = value;
  const kind = type === 'exception' ? 'error exception' : of;
  const position = location === undefined ? '' : ` (${places.text(location, locationText(location))})`;
  return `#${id} ${timeText(at)} ${context} ${kind}: ${oneLine(places.inText(text), logChars)}${position}`;
}

function structuredLog(
  { id, value }: RingBufferEntry<ExtensionLogEntry>,
  places: OriginalPlaces,
): z.input<typeof logRow> {
  const { at, level: of, type, context, text, location } = value;
  return {
    ...{ id, at: new Date(at).toISOString(), level: of, type, context, text: oneLine(text, logChars) },
    ...(location === undefined ? {} : { location: locationText(location), ...places.field(location) }),
  };
}
