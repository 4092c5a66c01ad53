import { z } from 'zod';
import { domChanges, describeTrigger, type Breakpoint, type Trigger } from '../browser/debugger/breakpoints.js';
import { checkCondition } from '../browser/debugger/breakpointConditions.js';
import { evaluateInFrame, readScopes } from '../browser/debugger/pausedFrames.js';
import { asyncLines, mappedText, type CodePlace, type Pause } from '../browser/debugger/pause.js';
import type { SessionDebugger } from '../browser/debugger/sessionDebugger.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { ToolError } from '../errors/errors.js';
import { shortenText } from '../text.js';
import { defineTool, type Tool } from './defineTool.js';
import { count } from './extensionFields.js';
import { findFunctions } from './sourceTools.js';

const pauseId = z.int().optional().describe('Which pause. Default: the newest');

const place = z.object({ url: z.string(), line: z.int(), column: z.int() });
const breakpointRow = z.object({
  id: z.int(),
  kind: z.enum(['breakpoint', 'logpoint']),
  at: z.string(),
  condition: z.string().optional(),
  log: z.string().optional(),
  pageId: z.int().optional(),
  pauses: z.int(),
  /** How often its condition or log threw, and what. */
  failure: z.string().optional(),
  /** Where it is in loaded code; none: it waits for its code. */
  places: z.array(z.object({ target: z.string(), place, original: place.optional() })),
});

const breakpointInput = z.strictObject({
  file: z.string().min(1).optional().describe('Original file or script: URL or end of its path, * for any part'),
  line: z.int().min(1).optional().describe('Line in it, from 1'),
  column: z.int().min(1).optional().describe('Only for one of several statements in the line'),
  on: z.enum(['function', 'exception', 'dom', 'event', 'request']).optional().describe('Instead of file and line'),
  match: z
    .string()
    .optional()
    .describe(
      `function, event: its name; exception: uncaught (default) or all; dom: ${domChanges.join(', ')}; request: part of its URL`,
    ),
  uid: z.string().optional().describe('Element for dom, from a snapshot'),
  condition: z.string().min(1).optional().describe('JavaScript: only where it is true'),
  log: z
    .string()
    .min(1)
    .optional()
    .describe('Makes it a logpoint: expressions to print, "sum", sum, or text with {sum}'),
  pageId: z.int().optional().describe('Only in this page. Default: everywhere'),
  timeout: z.int().min(1_000).max(300_000).default(30_000).describe('Longest pause without a call about it, in ms'),
});

const setBreakpointTool = defineTool({
  name: 'set_breakpoint',
  title: 'Set breakpoint',
  group: 'debugger',
  needs: 'browser',
  description:
    'Pause code at a line, function, exception, DOM change, event or request; or, with log, print values there without pausing (list_console_messages, type logpoint). In pages, frames, workers, extensions; survives reloads',
  input: breakpointInput,
  output: z.object({ breakpoint: breakpointRow }),
  annotations: { readOnlyHint: false },
  async handler(args, { browser, signal }) {
    const { on, condition, log, timeout: pauseMs, pageId } = args;
    await browser.ensureFirstPage(signal);
    if (condition !== undefined) checkCondition(condition);
    if (pageId !== undefined) browser.page(pageId);
    const trigger = on === 'function' ? await functionTrigger(args, browser, signal) : triggerOf(on, args, browser);
    const options = { trigger, condition, log, pauseMs, pageId };
    const breakpoint = await browser.debugger.set(options, signal);
    const row = await rowOf(breakpoint, browser.debugger);
    return { text: describeSet(row, breakpoint, browser.debugger), structured: { breakpoint: row } };
  },
});

type TriggerArguments = z.infer<typeof breakpointInput>;

/** The first line of a function's body. Throws a ToolError that names the places where there are several. */
async function functionTrigger(
  { match, file, pageId }: TriggerArguments,
  browser: SessionBrowser,
  signal: AbortSignal,
): Promise<Trigger> {
  const name = match?.split(/[^\w$]/).findLast((part) => part !== '');
  if (name === undefined) throw new ToolError('Pass match with the name of the function, such as "addItem".');
  const all = await findFunctions(browser, { page: browser.page(pageId), name }, signal);
  const found = all.filter((each) => file === undefined || each.file.includes(file));
  const [only] = found;
  if (only !== undefined && found.length === 1) return { on: 'line', ...only };
  const places = found.map(({ file: at, line }) => `${at}:${line}`).join(', ');
  if (only === undefined) throw new ToolError(`No loaded code has a function ${name}. search_sources finds it.`);
  throw new ToolError(`${found.length} functions are called ${name}. Pass file and line of one: ${places}.`);
}

/** Throws a ToolError that says which arguments are missing. */
function triggerOf(
  on: Exclude<TriggerArguments['on'], 'function'>,
  { file, line, column, match, uid, pageId }: TriggerArguments,
  browser: SessionBrowser,
): Trigger {
  switch (on) {
    case undefined:
      if (file === undefined || line === undefined) {
        throw new ToolError('Pass file and line, or on with exception, dom, event or request.');
      }
      return { on: 'line', file, line, column };
    case 'exception': {
      const which = match ?? 'uncaught';
      if (which !== 'uncaught' && which !== 'all') throw new ToolError('match for exception: "uncaught" or "all".');
      return { on, which };
    }
    case 'event':
      if (match === undefined) throw new ToolError('Pass match with the name of the event, such as "click".');
      return { on, name: match };
    case 'request':
      return { on, url: match ?? '' };
    case 'dom': {
      const change = domChanges.find((each) => each === match);
      if (uid === undefined || change === undefined) {
        throw new ToolError(`Pass uid, from a snapshot, and match: ${domChanges.join(', ')}.`);
      }
      const page = browser.page(pageId);
      const { document, backendNodeId } = page.elements.addressOf(uid);
      const targetId = page.frames.targetIdOf(document.cdp);
      return { on, uid, change, targetId, backendNodeId };
    }
  }
}

async function rowOf(breakpoint: Breakpoint, sessionDebugger: SessionDebugger): Promise<BreakpointRow> {
  const places = await sessionDebugger.placesOf(breakpoint);
  const { id, trigger, condition, log, pageId, pauses } = breakpoint;
  const failure = sessionDebugger.failureOf(breakpoint);
  return {
    id,
    kind: log === undefined ? 'breakpoint' : 'logpoint',
    at: describeTrigger(trigger),
    ...(condition !== undefined && { condition }),
    ...(log !== undefined && { log }),
    ...(pageId !== undefined && { pageId }),
    pauses,
    ...(failure !== undefined && { failure }),
    places: places.map(({ target, place: { original, ...generated } }) => ({
      target,
      place: generated,
      ...(original !== undefined && { original: plainPlace(original) }),
    })),
  };
}

const plainPlace = ({ url, line, column }: CodePlace): CodePlace => ({ url, line, column });

type BreakpointRow = z.infer<typeof breakpointRow>;

/** Describes a new breakpoint and its location. */
function describeSet(row: BreakpointRow, breakpoint: Breakpoint, sessionDebugger: SessionDebugger): string {
  const { trigger, log } = breakpoint;
  const name = `${log === undefined ? 'Breakpoint' : 'Logpoint'} ${row.id}`;
  if (trigger.on !== 'line') return `${name} is set: ${row.at}. Act so that it happens.`;
  const then = log === undefined ? 'Act so that this code runs.' : 'list_console_messages shows type "logpoint".';
  if (row.places.length > 0) return `${name} is set at ${placesText(row)}. ${then}`;
  const why = whyPending(trigger, sessionDebugger.isOriginal(breakpoint), sessionDebugger);
  return `${name} waits for its code: ${why} It is set when that loads.`;
}

function placesText({ places }: BreakpointRow): string {
  const texts = places.map(
    ({ target, place: generated, original }) =>
      `${mappedText({ ...generated, original: original && { ...original, name: undefined } })} in ${target}`,
  );
  const shown = [...new Set(texts)];
  return `${shown.slice(0, 5).join('; ')}${shown.length > 5 ? ` and ${shown.length - 5} more` : ''}`;
}

const maxNamed = 12;
const withoutQuery = (url: string): string => url.split(/[?#]/, 1)[0] ?? '';

function whyPending({ file, line }: { file: string; line: number }, isMapped: boolean, all: SessionDebugger): string {
  const scripts = all.scripts();
  const end = withoutQuery(file).replace(/^(?:\.?\/)+/, '');
  const loaded = isMapped ? file : scripts.find((url) => withoutQuery(url).endsWith(end));
  if (loaded !== undefined) return `${loaded} is loaded, and has no code at line ${line}.`;
  if (scripts.length === 0) return 'no script is loaded yet.';
  const shown = scripts.slice(-maxNamed).map((url) => shortenText(url, 120));
  return `no loaded script is called ${file}. Loaded: ${shown.join(', ')}${scripts.length > maxNamed ? ', …' : ''}.`;
}

const listBreakpointsTool = defineTool({
  name: 'list_breakpoints',
  title: 'List breakpoints',
  group: 'debugger',
  needs: 'browser',
  description:
    'Breakpoints and logpoints of this session: where they are, how often they paused, which wait for their code',
  input: z.strictObject({}),
  output: z.object({ breakpoints: z.array(breakpointRow), paused: z.array(z.string()) }),
  annotations: { readOnlyHint: true, idempotentHint: true },
  async handler(_args, { browser }) {
    const rows = await Promise.all(browser.debugger.breakpoints.map((each) => rowOf(each, browser.debugger)));
    const paused = browser.debugger.pauses.list.map((pause) => browser.debugger.pauses.describe(pause));
    const lines = rows.length === 0 ? ['No breakpoint is set. set_breakpoint sets one.'] : rows.map(rowText);
    return { text: [...lines, ...paused].join('\n'), structured: { breakpoints: rows, paused } };
  },
});

function rowText(row: BreakpointRow): string {
  const { id, kind, at, condition, log, pageId, pauses, failure } = row;
  const isLine = /:\d+$/.test(at);
  return [
    `${id} ${kind} at ${at}`,
    ...(condition === undefined ? [] : [`if ${condition}`]),
    ...(log === undefined ? [] : [`logs ${log}`]),
    ...(pageId === undefined ? [] : [`in page ${pageId} only`]),
    ...(isLine ? [row.places.length === 0 ? '[pending: its code is not loaded]' : `[set at ${placesText(row)}]`] : []),
    ...(failure === undefined ? [] : [`[its ${condition === undefined ? 'log' : 'condition'} threw ${failure}]`]),
    ...(pauses > 0 ? [`[paused ${pauses === 1 ? 'once' : `${pauses} times`}]`] : []),
  ].join(' ');
}

const removeBreakpointTool = defineTool({
  name: 'remove_breakpoint',
  title: 'Remove breakpoint',
  group: 'debugger',
  needs: 'browser',
  description: 'Remove a breakpoint or logpoint, or all of them. Paused code stays paused: step_debugger resumes it',
  input: z.strictObject({ id: z.int().optional().describe('From list_breakpoints. Default: all') }),
  output: z.object({ removed: z.array(z.int()) }),
  annotations: { readOnlyHint: false },
  async handler({ id }, { browser, signal }) {
    const ids = id === undefined ? browser.debugger.breakpoints.map((each) => each.id) : [id];
    for (const each of ids) await browser.debugger.remove(each, signal);
    const text = ids.length === 0 ? 'No breakpoint was set.' : `Removed ${ids.join(', ')}.`;
    return { text, structured: { removed: ids } };
  },
});

const scopeRow = z.object({
  kind: z.string(),
  name: z.string().optional(),
  /** `code`: the name in the code, where a source map has the original one. */
  variables: z.array(z.object({ name: z.string(), value: z.string(), code: z.string().optional() })),
  more: z.int(),
  functions: z.int(),
});

const pauseOutput = z.object({
  pauseId: z.int(),
  target: z.string(),
  pageId: z.int().optional(),
  reason: z.string(),
  source: z.string().optional(),
  frames: z.array(z.object({ frame: z.int(), functionName: z.string(), place, original: place.optional() })),
  scopes: z.array(scopeRow),
  secondsLeft: z.int(),
});

const getPauseTool = defineTool({
  name: 'get_pause',
  title: 'Get pause',
  group: 'debugger',
  needs: 'browser',
  description:
    'Where and why code is paused: frames with places, the variables of one. More of a value: evaluate_in_frame',
  input: z.strictObject({
    pauseId,
    frame: z.int().min(0).default(0).describe('Whose variables; 0 is the top'),
  }),
  output: pauseOutput,
  annotations: { readOnlyHint: true },
  async handler({ pauseId: id, frame }, { browser, signal }) {
    await browser.debugger.untilPaused(signal);
    return answerPause(browser.debugger, browser.debugger.pause(id), frame);
  },
});

const maxFrames = 25;

interface PauseAnswer {
  readonly text: string;
  readonly structured: z.infer<typeof pauseOutput>;
}

async function answerPause(sessionDebugger: SessionDebugger, pause: Pause, frame: number): Promise<PauseAnswer> {
  const target = sessionDebugger.pauses.targetOf(pause);
  const [scopes, line, frames] = await Promise.all([
    readScopes(target, pause, { index: frame, namesIn: (...of) => sessionDebugger.namesIn(...of) }),
    sessionDebugger.lineOf(pause),
    sessionDebugger.framesOf(pause, maxFrames),
  ]);
  const source = line === undefined ? undefined : shortenText(line.trim(), 200);
  const structured = {
    pauseId: pause.id,
    target: pause.target,
    ...(pause.pageId !== undefined && { pageId: pause.pageId }),
    reason: pause.reason.text,
    ...(source !== undefined && { source }),
    frames: frames.map(({ functionName, place: { original, ...generated } }, index) => ({
      frame: index,
      functionName,
      place: generated,
      ...(original !== undefined && { original: plainPlace(original) }),
    })),
    scopes: scopes.map(({ kind, name, content, names }) => ({
      kind,
      ...(name !== undefined && { name }),
      ...content,
      variables: content.variables.map((variable) => {
        const original = names.get(variable.name);
        return original === undefined ? variable : { ...variable, name: original, code: variable.name };
      }),
    })),
    secondsLeft: sessionDebugger.pauses.secondsLeft(pause),
  };
  const left = pause.frames.length - frames.length;
  const lines = [
    `Pause ${pause.id}: ${pause.target}, ${pause.reason.text}. Goes on by itself in ${structured.secondsLeft} s without a call.`,
    ...(source === undefined ? [] : [`> ${source}`]),
    ...frames.map(({ functionName, place: at }, index) => `#${index} ${functionName} ${mappedText(at)}`),
    ...(left > 0 ? [`… ${left} more frames`] : []),
    ...asyncLines(pause),
    ...structured.scopes.map((scope) => scopeText(scope)),
  ];
  return { text: lines.join('\n'), structured };
}

function scopeText({ kind, name, variables, more, functions }: z.infer<typeof scopeRow>): string {
  const left = { 'more variable': more, function: functions };
  const rest = Object.entries(left).flatMap(([what, number]) => (number > 0 ? [count(number, what)] : []));
  const title = name === undefined || name === '' ? kind : `${kind} of ${name}`;
  return [
    `${title}:`,
    ...variables.map(({ name, code, value }) => `  ${name}${code === undefined ? '' : ` (${code})`} = ${value}`),
    ...(rest.length > 0 ? [`  … ${rest.join(', ')}`] : []),
  ].join('\n');
}

const evaluateInFrameTool = defineTool({
  name: 'evaluate_in_frame',
  title: 'Evaluate in frame',
  group: 'debugger',
  needs: 'browser',
  description: 'Evaluate an expression in a frame of paused code, with its variables. Running code: evaluate_script',
  input: z.strictObject({
    expression: z.string().min(1).describe('Such as order.items.length; also an assignment'),
    frame: z.int().min(0).default(0).describe('From get_pause; 0 is the top'),
    pauseId,
  }),
  output: z.object({ type: z.string(), value: z.string() }),
  annotations: { readOnlyHint: false },
  async handler({ expression, frame, pauseId: id }, { browser }) {
    const pause = browser.debugger.pause(id);
    const target = browser.debugger.pauses.targetOf(pause);
    const namesIn: SessionDebugger['namesIn'] = (...of) => browser.debugger.namesIn(...of);
    const { type, text } = await evaluateInFrame(target, pause, { index: frame, expression, namesIn });
    return { text, structured: { type, value: text } };
  },
});

const stepDebuggerTool = defineTool({
  name: 'step_debugger',
  title: 'Step debugger',
  group: 'debugger',
  needs: 'browser',
  description:
    'Step in paused code, or resume it. Answers where it pauses next, with variables, or that it keeps running',
  input: z.strictObject({
    action: z.enum(['over', 'into', 'out', 'resume']).describe('resume: run on to the next breakpoint'),
    pauseId,
  }),
  output: z.object({ paused: z.boolean(), pause: pauseOutput.optional() }),
  annotations: { readOnlyHint: false },
  async handler({ action, pauseId: id }, { browser, signal }) {
    const pause = browser.debugger.pause(id);
    const next = await browser.debugger.step(pause, action, signal);
    if (next === undefined) {
      const ran = action === 'resume' ? 'It runs on.' : 'The call has ended, and the code runs on.';
      return { text: `${ran} Breakpoints stay set.`, structured: { paused: false } };
    }
    const { text, structured } = await answerPause(browser.debugger, next, 0);
    return { text, structured: { paused: true, pause: structured } };
  },
});

export const debuggerTools: readonly Tool[] = [
  setBreakpointTool,
  listBreakpointsTool,
  removeBreakpointTool,
  getPauseTool,
  evaluateInFrameTool,
  stepDebuggerTool,
];
