import type { CDPSession, Protocol } from 'puppeteer-core';
import { truncateText, describeObject, isAbridged, joinArguments } from './remoteObject.js';
import { causedBy, oneOfIt } from './valueReader.js';
import { breakpointOfFrame } from '../debugger/breakpointConditions.js';
import type { TargetSessionKind } from '../cdp/cdpSessions.js';

export type ConsoleLevel = 'error' | 'warning' | 'info' | 'debug';

/** Line and column count from 1. */
export interface CodeLocation {
  readonly url: string;
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** The script's key, where it is known. */
  readonly script?: number | undefined;
}

/** The key of a script (`Script.key`) by its id in one session, or in any. */
export type KeyOfScript = (scriptId: string) => number | undefined;
export type ScriptKeyOf = (session: CDPSession, scriptId: string) => number | undefined;

export const noKey = (): undefined => undefined;

export interface StackFrame extends CodeLocation {
  readonly functionName: string;
  readonly line: number;
  readonly column: number;
}

export interface ConsoleMessage {
  /** `log`, `table`, … for console calls, `logpoint` for those of a logpoint, `exception`, or the browser's own: `network`, `violation`, `deprecation`, … */
  readonly type: string;
  readonly level: ConsoleLevel;
  /** One string, capped. */
  readonly text: string;
  /** Each argument on its own, capped higher. */
  readonly args: readonly string[];
  /** Whether the first argument is a text, whose format specifiers (`%s`) are replaced. */
  readonly hasFormat: boolean;
  /** Whether the event contained only a part of some values. */
  readonly abridged: boolean;
  readonly location: CodeLocation | undefined;
  readonly stack: readonly StackFrame[];
  readonly source: TargetSessionKind;
  /** `chrome-extension://id` for messages of a content script. */
  readonly extension: string | undefined;
  /** The page's URL at that time, and its number of navigations. */
  readonly page: string;
  readonly navigation: number;
  /** Milliseconds since 1970, of the first and of the last of `count`. */
  readonly at: number;
  readonly lastAt: number;
  readonly count: number;
  /** An unhandled rejection that was handled later. */
  readonly handledLater: boolean;
}

/** The content of a message, without its context and count. */
export type ConsoleMessageBody = Pick<
  ConsoleMessage,
  'type' | 'level' | 'text' | 'args' | 'hasFormat' | 'abridged' | 'location' | 'stack' | 'at'
>;

const maxTextChars = 2_000;
export const maxArgumentChars = 8_000;
/** Further arguments of a message are dropped. */
export const maxArguments = 20;
const maxFrames = 30;

const levels: Partial<Record<string, ConsoleLevel>> = {
  error: 'error',
  assert: 'error',
  warning: 'warning',
  debug: 'debug',
  verbose: 'debug',
};

export function describeRuntimeCall(
  event: Protocol.Runtime.ConsoleAPICalledEvent,
  keyOf?: KeyOfScript,
): ConsoleMessageBody {
  const args = event.args.slice(0, maxArguments).map((arg) => truncateText(describeObject(arg), maxArgumentChars));
  const frames = stackFramesOf(event.stackTrace, keyOf);
  const breakpoint = breakpointOfFrame(frames[0]?.url ?? '');
  // The statement that a logpoint stands at is below the logpoint's own code.
  const stack = breakpoint === undefined ? frames : frames.slice(1);
  const hasFormat = event.args[0]?.type === 'string';
  const type = event.type === 'warning' ? 'warn' : event.type;
  return {
    type: breakpoint === undefined ? type : 'logpoint',
    level: levels[event.type] ?? 'info',
    text: joinedText(args, hasFormat),
    args,
    hasFormat,
    abridged: event.args.length > maxArguments || event.args.some((arg) => arg.subtype !== 'error' && isAbridged(arg)),
    location: stack[0],
    stack,
    at: event.timestamp,
  };
}

export function describeException(
  { exceptionDetails, timestamp }: Protocol.Runtime.ExceptionThrownEvent,
  keyOf: KeyOfScript = noKey,
): ConsoleMessageBody {
  const { text, exception, url, lineNumber, columnNumber, stackTrace, scriptId = '' } = exceptionDetails;
  const stack = stackFramesOf(stackTrace, keyOf);
  const cause = exception === undefined ? '' : describeObject(exception);
  // Chrome says so of a rejection without a stack, as those of its own functions.
  const isPlaceUnknown = text.includes('(in promise)') && lineNumber === 0 && columnNumber === 0;
  const place = isPlaceUnknown
    ? { line: undefined, column: undefined }
    : { line: lineNumber + 1, column: columnNumber + 1 };
  return {
    type: 'exception',
    level: 'error',
    text: truncateText(`${text} ${withoutStack(cause)}`.trim(), maxTextChars),
    args: cause === '' ? [] : [truncateText(cause, maxArgumentChars)],
    hasFormat: false,
    abridged: false,
    location: stack[0] ?? (url ? { url, ...place, script: keyOf(scriptId) } : undefined),
    stack,
    at: timestamp,
  };
}

export function describeLogEntry(entry: Protocol.Log.LogEntry, keyOf?: KeyOfScript): ConsoleMessageBody {
  const stack = stackFramesOf(entry.stackTrace, keyOf);
  const line = entry.lineNumber === undefined ? undefined : entry.lineNumber + 1;
  return {
    type: entry.source,
    level: levels[entry.level] ?? 'info',
    text: truncateText(withoutSpecifiers(entry), maxTextChars),
    args: (entry.args ?? []).slice(0, maxArguments).map((arg) => truncateText(describeObject(arg), maxArgumentChars)),
    hasFormat: false,
    abridged: false,
    location: stack[0] ?? (entry.url ? { url: entry.url, line, column: undefined } : undefined),
    stack,
    at: entry.timestamp,
  };
}

/** Chrome's own texts end in a specifier for each argument, which is listed after the text. */
const withoutSpecifiers = ({ text, args = [] }: Protocol.Log.LogEntry): string =>
  args.length === 0 ? text : text.replace(/ %[oOdisf](?= |$)/g, '');

/** The message with one argument replaced by its full text. That of an error is longer by what caused it. */
export function withArgument(message: ConsoleMessage, index: number, value: string, isError: boolean): ConsoleMessage {
  const args = message.args.with(index, truncateText(value, maxArgumentChars));
  // Repeated errors are recognized by their text.
  return { ...message, args, ...(!isError && { text: joinedText(args, message.hasFormat) }) };
}

/** The message with a note at an argument whose full text is not known. */
export function withPartialArgument(message: ConsoleMessage, index: number): ConsoleMessage {
  const note = '(a part of it: the page logged faster than values are read)';
  return withArgument(message, index, `${message.args[index] ?? ''} ${note}`, false);
}

/** The text of a message, with what caused its errors instead of their stacks. */
export function textWithCauses({ text, args }: ConsoleMessage): string {
  const causes = args.flatMap((arg) =>
    arg.split('\n').filter((line) => line.startsWith(causedBy) || line.startsWith(oneOfIt)),
  );
  if (causes.length === 0) return text;
  return `${withoutStack(text)} (${causes.map((cause) => cause.charAt(0).toLowerCase() + cause.slice(1)).join('; ')})`;
}

function joinedText(args: readonly string[], hasFormat: boolean): string {
  return truncateText(joinArguments(args, hasFormat), maxTextChars);
}

/** Frames of a stack and of the stacks that scheduled it, innermost first. */
export function stackFramesOf(
  trace: Protocol.Runtime.StackTrace | undefined,
  keyOf: KeyOfScript = noKey,
): StackFrame[] {
  const frames: StackFrame[] = [];
  for (let next = trace; next !== undefined && frames.length < maxFrames; next = next.parent) {
    for (const { functionName, url, scriptId, lineNumber, columnNumber } of next.callFrames) {
      frames.push({
        functionName: functionName || '(anonymous)',
        url: truncateText(url, 500),
        line: lineNumber + 1,
        column: columnNumber + 1,
        script: keyOf(scriptId),
      });
    }
  }
  return frames.slice(0, maxFrames);
}

/** The message of an error, without the stack at the end of its description. */
function withoutStack(description: string): string {
  const start = description.search(/\n[ \t]+at /);
  return start === -1 ? description : description.slice(0, start);
}

/** A line of a stack as text: `    at name (url:line:column)`, or without a name and brackets. */
export function frameInText(text: string): StackFrame | undefined {
  const frame = text.trim();
  const [, line, column] = /:(\d{1,9}):(\d{1,9})\)?$/.exec(frame) ?? [];
  if (!/^\s+at /.test(text) || line === undefined || column === undefined) return undefined;
  const end = frame.endsWith(')') ? frame.length - 1 : frame.length;
  const named = frame.slice('at '.length, end - `:${line}:${column}`.length);
  const bracket = named.lastIndexOf(' (');
  const url = bracket < 1 ? named : named.slice(bracket + 2);
  if (url === '' || /\s/.test(url)) return undefined;
  const functionName = bracket < 1 ? '(anonymous)' : named.slice(0, bracket);
  return { functionName, url, line: Number(line), column: Number(column) };
}
