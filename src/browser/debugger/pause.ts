import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { describeObject } from '../collectors/remoteObject.js';
import type { TargetSession } from '../cdp/cdpSessions.js';
import { scriptName } from '../page/runScript.js';
import type { SessionPage } from '../page/sessionPage.js';
import { cutText, shortenText } from '../../text.js';
import type { ScopeText } from '../injected/contract.js';
import type { Breakpoint } from './breakpoints.js';

/** A place in code. Line and column count from 1. */
export interface CodePlace {
  readonly url: string;
  readonly line: number;
  readonly column: number;
}

/** A place in generated code, and the one in its original file where a source map has it. */
export interface MappedPlace extends CodePlace {
  readonly original: SourcePlace | undefined;
}

export interface SourcePlace extends CodePlace {
  /** The name that the map has for what stands there. */
  readonly name: string | undefined;
}

export interface PausedFrame {
  readonly functionName: string;
  readonly place: MappedPlace;
}

/** Why the code stopped. */
export interface PauseReason {
  /** For a model: `breakpoint 1`, `TypeError: …`, `event click`. */
  readonly text: string;
  readonly breakpoints: readonly number[];
}

/** Code that has stopped in one target of a session. Ends by a tool, at its deadline, or with its target. */
export interface Pause {
  /** Never reused in a session. */
  readonly id: number;
  /** `Page 1`, `Worker https://…` */
  readonly target: string;
  /** The page that it blocks or belongs to. */
  readonly pageId: number | undefined;
  readonly reason: PauseReason;
  /** Of the top frame. */
  readonly place: MappedPlace;
  readonly functionName: string;
  readonly frames: readonly Protocol.Debugger.CallFrame[];
  /** The stacks that scheduled this one, outermost last. */
  readonly asyncStack: Protocol.Runtime.StackTrace | undefined;
}

/** Without the frames by which a tool runs the script of a caller. */
export function framesOfCaller(
  event: Protocol.Debugger.PausedEvent,
  urlOf: (location: Protocol.Debugger.Location) => string,
): Protocol.Debugger.PausedEvent {
  const { callFrames } = event;
  const own = callFrames.findIndex(
    ({ functionName, location }) => functionName === 'runAndPrint' && urlOf(location) === scriptName,
  );
  return own < 1 ? event : { ...event, callFrames: callFrames.slice(0, own) };
}

/** Of a frame or worker of a page. */
function labelOf({ type, url }: Protocol.Target.TargetInfo, pageId: number): string {
  if (type === 'service_worker') return `Service worker ${url}`;
  return `${type === 'iframe' ? 'Frame' : 'Worker'} ${url} of page ${pageId}`;
}

export const codePlaceText = ({ url, line, column }: CodePlace): string => `${shortAddress(url)}:${line}:${column}`;

/** The original place, with the generated one behind it. */
export function mappedText(place: MappedPlace): string {
  const generated = codePlaceText(place);
  return place.original === undefined ? generated : `${codePlaceText(place.original)} (${generated})`;
}

/** What scheduled the code, a line for each stack. */
export function asyncLines({ asyncStack }: Pause): string[] {
  const lines: string[] = [];
  for (let stack = asyncStack; stack !== undefined && lines.length < 5; stack = stack.parent) {
    const [top] = stack.callFrames;
    if (top === undefined) continue;
    const at = codePlaceText({ url: top.url, line: top.lineNumber + 1, column: top.columnNumber + 1 });
    lines.push(`async ${stack.description ?? ''}: ${top.functionName || '(anonymous)'} ${at}`);
  }
  return lines;
}

/** `data:` addresses are long. */
const shortAddress = (url: string): string => shortenText(url === '' ? '(code without a name)' : url, 200);

/** Where it is and the way out, in one sentence each. */
export function describePause(pause: Pause, secondsLeft: number): string {
  const { target, reason, place, functionName } = pause;
  const where = codePlaceText(place.original ?? place);
  return (
    `${target} is paused at ${where} in ${functionName} (${reason.text}). get_pause shows frames and values, ` +
    `step_debugger steps or resumes; it goes on by itself in ${secondsLeft} s.`
  );
}

const anyData = z.looseObject({
  type: z.string().optional(),
  eventName: z.string().optional(),
  url: z.string().optional(),
  breakpointURL: z.string().optional(),
  description: z.string().optional(),
  uncaught: z.boolean().optional(),
  reasons: z.array(z.object({ reason: z.string(), auxData: z.record(z.string(), z.unknown()).optional() })).optional(),
});

export interface PauseCause {
  readonly reason: string;
  readonly data: z.output<typeof anyData>;
}

/** Why Chrome says that it paused; several causes may meet at one statement. */
export function causesOf({ reason, data }: Protocol.Debugger.PausedEvent): PauseCause[] {
  const known = anyData.safeParse(data ?? {}).data ?? {};
  if (reason !== 'ambiguous') return [{ reason, data: known }];
  return (known.reasons ?? []).map((each) => ({
    reason: each.reason,
    data: anyData.safeParse(each.auxData ?? {}).data ?? {},
  }));
}

/** A cause as a model reads it. */
function causeText({ reason, data }: PauseCause): string {
  switch (reason) {
    case 'exception':
    case 'promiseRejection':
      return `${data.uncaught === false ? 'caught ' : ''}exception ${firstLines(data.description ?? 'without a description')}`;
    case 'DOM':
      return `DOM change ${data.type ?? ''}`.trim();
    case 'EventListener':
      return `event ${(data.eventName ?? '').replace(/^listener:/, '')}`;
    case 'XHR':
      return `request ${shortenText(data.url ?? '', 200)}`;
    default:
      return reason;
  }
}

/** The message of an error, without its stack. */
function firstLines(description: string): string {
  const stack = description.indexOf('\n    at ');
  return cutText(stack === -1 ? description : description.slice(0, stack), 300);
}

/** The pause of code that has stopped. */
export function pauseOf(
  { event, causes, breakpoints }: Stop,
  where: Pick<Pause, 'id' | 'target' | 'pageId' | 'place'>,
): Pause {
  const ids = breakpoints.map(({ id }) => id);
  const others = causes.map(causeText).filter((text) => text !== 'other');
  const texts = [...ids.map((id) => `breakpoint ${id}`), ...others];
  return {
    ...where,
    reason: { text: texts.length === 0 ? 'step' : texts.join(', '), breakpoints: ids },
    functionName: event.callFrames[0]?.functionName || '(anonymous)',
    frames: event.callFrames,
    asyncStack: event.asyncStackTrace,
  };
}

/** A scope of a frame, for reading. */
export interface ScopeReading {
  readonly kind: string;
  readonly name: string | undefined;
  readonly content: ScopeText;
  /** The original names of its variables, by those that they have in the code. */
  readonly names: ReadonlyMap<string, string>;
}

/** Where a breakpoint is in one target. */
export interface BreakpointPlace {
  readonly target: string;
  readonly place: MappedPlace;
}

/** What can be debugged, and how it is reached. */
export interface TargetSource {
  readonly session: CDPSession;
  readonly targetId: string;
  /** `Page 1`, `Worker https://…`. */
  readonly label: string;
  readonly pageId: number | undefined;
  /** Whether a pause here blocks its page. */
  readonly blocksPage: boolean;
}

export function targetSource(
  { session, kind, target }: TargetSession,
  page: SessionPage,
  rootId: string,
): TargetSource {
  const pageId = page.id;
  if (target === undefined) return { session, targetId: rootId, label: `Page ${pageId}`, pageId, blocksPage: true };
  return { session, targetId: target.targetId, label: labelOf(target, pageId), pageId, blocksPage: kind === 'iframe' };
}

export const placeKey = ({ url, line, column }: CodePlace): string => `${url} ${line} ${column}`;

/** Code of a target that has stopped, and why. */
export interface Stop {
  readonly event: Protocol.Debugger.PausedEvent;
  readonly causes: readonly PauseCause[];
  readonly breakpoints: readonly Breakpoint[];
}

/**
 * Whether the code of a target runs.
 *
 *     running ──(stopped by a breakpoint)──> deciding ──(its condition holds)──> paused
 *        ^                                      │                                 │
 *        ├──────────────(it does not)───────────┘            step ──> stepping ──┐│
 *        └────────(resume, deadline, end of the call that was stepped in)────────┴┘
 */
export type RunState =
  | { readonly kind: 'running' }
  | { readonly kind: 'deciding' }
  | { readonly kind: 'paused'; readonly stop: Stop }
  /** One step was asked for; it ends at the next statement, or when the call has ended. */
  | { readonly kind: 'stepping' };

export type StepAction = 'over' | 'into' | 'out' | 'resume';

/** From the previews alone, where the page's values refuse to be read without side effects (proxies). */
export function scopeFromProperties(
  properties: readonly Protocol.Runtime.PropertyDescriptor[],
  max: number,
): ScopeText {
  const values = properties.filter(({ value }) => value !== undefined && value.type !== 'function');
  const variables = values.slice(0, max).map(({ name, value }) => ({
    name,
    value: value === undefined ? 'undefined' : valueText(value),
  }));
  return { variables, more: values.length - variables.length, functions: properties.length - values.length };
}

/** A value as an answer shows it: a text in quotes. */
export function valueText(value: Protocol.Runtime.RemoteObject): string {
  const text = value.type === 'string' ? JSON.stringify(value.value) : describeObject(value);
  return shortenText(text, 300);
}

/** As Chrome names them. */
export const domTypes = {
  subtree: 'subtree-modified',
  attribute: 'attribute-modified',
  removal: 'node-removed',
} as const;

/** Whether it is what a breakpoint waits for. Lines have no cause: Chrome names their breakpoints. */
export function isCausedBy({ reason, data }: PauseCause, { trigger }: Breakpoint): boolean {
  switch (trigger.on) {
    case 'exception':
      if (reason !== 'exception' && reason !== 'promiseRejection') return false;
      return trigger.which === 'all' || data.uncaught !== false;
    case 'dom':
      return reason === 'DOM' && data.type === domTypes[trigger.change];
    case 'event':
      return reason === 'EventListener' && data.eventName === `listener:${trigger.name}`;
    case 'request':
      return reason === 'XHR' && data.breakpointURL === trigger.url;
    case 'line':
      return false;
  }
}

/** Stops at changes of a node (CDP DOMDebugger), until its document is left. */
export async function watchNode(
  session: CDPSession,
  backendNodeId: number,
  type: Protocol.DOMDebugger.DOMBreakpointType,
): Promise<void> {
  await session.send('DOM.enable');
  await session.send('DOM.getDocument', { depth: 0 });
  const { nodeIds } = await session.send('DOM.pushNodesByBackendIdsToFrontend', { backendNodeIds: [backendNodeId] });
  const [nodeId = 0] = nodeIds;
  await session.send('DOMDebugger.setDOMBreakpoint', { nodeId, type });
}
