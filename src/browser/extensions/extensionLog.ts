import type { CDPSession, Protocol } from 'puppeteer-core';
import {
  describeException,
  describeLogEntry,
  describeRuntimeCall,
  frameInText,
  type ConsoleMessageBody,
  type StackFrame,
} from '../collectors/consoleMessage.js';
import { withoutNumbers } from '../../text.js';
import { RingBuffer, type KeptPart, type RingBufferReading } from '../collectors/ringBuffer.js';
import { fullTextOf } from '../collectors/valueReader.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { isInstrument, withoutInstrument } from './instrument.js';
import type { ExtensionInfo, ExtensionProblem } from './installedExtensions.js';

/** What a context of an extension logged or threw. */
export interface ExtensionLogEntry extends ConsoleMessageBody {
  readonly extensionId: string;
  readonly context: string;
}

/** The context that logged. `worker`: the target of a service worker, whose entries may be reported repeatedly. */
export interface LogSource {
  readonly extensionId: string;
  readonly name: string;
  readonly worker: string | undefined;
}

interface LogRate {
  second: number;
  /** In this second. */
  lines: number;
  dropped: number;
  isIncomplete: boolean;
}

type ConsoleCall = Protocol.Runtime.ConsoleAPICalledEvent;

const limits = { maxEntries: 2_000, maxBytes: 2 * 1024 ** 2 };
/** Entries per extension and second that are kept; further ones are only counted. */
export const maxLinesPerSecond = 1_000;
/** Workers whose repeated entries are recognized. */
const maxWorkers = 100;
/** Values that one call reads in full; others keep their class name. */
const maxValueReads = 50;
const maxValueChars = 2_000;
/** Limit on a stack that is parsed from text. */
const maxStackChars = 20_000;
const maxStackLines = 100;

/**
 * Records what the extensions of a session log, in all contexts, in one timeline: the newest 2,000 entries within 2
 * MiB.
 */
export class ExtensionLog {
  readonly #ring: RingBuffer<ExtensionLogEntry>;
  /** The time of the newest entry of each worker, by target. */
  readonly #newestTimes = new Map<string, number>();
  /** Entries of each extension in the current second, and its total of dropped ones. */
  readonly #rates = new Map<string, LogRate>();
  /** The newest entry at the time the errors of an extension were cleared. */
  readonly #clearedIds = new Map<string, number>();

  constructor(kept?: KeptPart) {
    this.#ring = new RingBuffer<ExtensionLogEntry>({ ...limits, sizeOf, kept });
  }

  read(since?: string): RingBufferReading<ExtensionLogEntry> {
    return this.#ring.read(since);
  }

  /** The number of entries of an extension that were dropped by the rate limit. */
  droppedCount(extensionId: string): number {
    return this.#rates.get(extensionId)?.dropped ?? 0;
  }

  /** Whether an unknown number of entries was lost besides. */
  isIncomplete(extensionId: string): boolean {
    return this.#rates.get(extensionId)?.isIncomplete ?? false;
  }

  /** The uncaught errors of one extension that are kept, without those from before `forgetErrors`. */
  errors(extensionId: string): ExtensionLogEntry[] {
    const clearedId = this.#clearedIds.get(extensionId) ?? 0;
    return this.#ring
      .read()
      .entries.filter(({ id, value }) => id > clearedId && value.extensionId === extensionId && isUncaught(value))
      .map(({ value }) => value);
  }

  /** Removes the errors so far from the list of errors. They stay in the timeline. */
  clearErrors(extensionId: string): void {
    this.#clearedIds.set(extensionId, this.#ring.last()?.id ?? 0);
  }

  recordCall(event: ConsoleCall, from: LogSource): void {
    if (event.type !== 'endGroup') this.#record(event.timestamp, from, () => describeRuntimeCall(event));
  }

  recordException(event: Protocol.Runtime.ExceptionThrownEvent, from: LogSource): void {
    this.#record(event.timestamp, from, () => {
      const body = describeException(event);
      const { description } = event.exceptionDetails.exception ?? {};
      const noted = body.stack.filter(({ url }) => !isInstrument(url));
      const stack = noted.length > 0 ? noted : parseStackFrames(description ?? '');
      return { ...body, stack, location: stack[0] ?? body.location };
    });
  }

  /** Entries arrived faster than they could be recorded; `isIncomplete`: an unknown number besides. */
  addDropped(extensionId: string, count: number, isIncomplete = false): void {
    const rate = this.#rateOf(extensionId);
    rate.dropped += count;
    rate.isIncomplete ||= isIncomplete;
  }

  recordEntry(entry: Protocol.Log.LogEntry, from: LogSource): void {
    this.#record(entry.timestamp, from, () => describeLogEntry(entry));
  }

  /**
   * Reads what a running worker has logged since it started, and what Chrome logged about it, such as requests that
   * failed: Chrome keeps the entries and reports them again on CDP Runtime.enable and Log.enable. The session is closed after the call, so it does not keep the worker alive.
   */
  async captureFromWorker(scope: CdpScope, extensionId: string, targetId: string, session: CDPSession): Promise<void> {
    const from = { extensionId, name: 'service_worker', worker: targetId };
    const entries: { readonly at: number; readonly recordPending: () => void }[] = [];
    const calls: ConsoleCall[] = [];
    session.on('Runtime.consoleAPICalled', (event) => {
      calls.push(event);
      entries.push({ at: event.timestamp, recordPending: () => this.recordCall(event, from) });
    });
    session.on('Runtime.exceptionThrown', (event) =>
      entries.push({ at: event.timestamp, recordPending: () => this.recordException(event, from) }),
    );
    session.on('Log.entryAdded', ({ entry }) =>
      entries.push({ at: entry.timestamp, recordPending: () => this.recordEntry(entry, from) }),
    );
    // All at once: what is logged after them is for the next reading, and a flood of it holds up no answer.
    const commands = ['Runtime.enable', 'Runtime.disable', 'Log.enable', 'Log.disable'] as const;
    await scope.untilAborted(Promise.all(commands.map((command) => session.send(command))));
    const known = this.#newestTimes.get(targetId) ?? 0;
    await scope.untilAborted(
      readValues(
        session,
        calls.filter(({ timestamp }) => timestamp > known),
      ),
    );
    entries.sort((a, b) => a.at - b.at);
    for (const { recordPending } of entries) recordPending();
  }

  #record(at: number, { extensionId, name, worker }: LogSource, describe: () => ConsoleMessageBody): void {
    if (worker !== undefined && !this.#isNew(worker, at)) return;
    if (this.#isTooFast(extensionId, at)) return;
    this.#ring.push({ ...describe(), extensionId, context: name });
  }

  #isTooFast(extensionId: string, at: number): boolean {
    const second = Math.floor(at / 1000);
    const rate = this.#rateOf(extensionId);
    rate.lines = rate.second === second ? rate.lines + 1 : 1;
    rate.second = second;
    const isTooFast = rate.lines > maxLinesPerSecond;
    rate.dropped += Number(isTooFast);
    return isTooFast;
  }

  #rateOf(extensionId: string): LogRate {
    const rate = this.#rates.get(extensionId) ?? { second: 0, lines: 0, dropped: 0, isIncomplete: false };
    this.#rates.set(extensionId, rate);
    return rate;
  }

  /** Entries of a worker are reported in order of time, also when they are repeated. */
  #isNew(worker: string, at: number): boolean {
    if (at <= (this.#newestTimes.get(worker) ?? 0)) return false;
    this.#newestTimes.set(worker, at);
    const [oldest] = this.#newestTimes.keys();
    if (this.#newestTimes.size > maxWorkers && oldest !== undefined) this.#newestTimes.delete(oldest);
    return true;
  }
}

/** Replaces the objects among the newest arguments, which have no preview, by their full text. */
async function readValues(session: CDPSession, calls: readonly ConsoleCall[]): Promise<void> {
  const objects = calls.flatMap(({ args }) => args).filter(({ objectId }) => objectId);
  await Promise.all(objects.slice(-maxValueReads).map((object) => readValue(session, object)));
}

async function readValue(session: CDPSession, object: Protocol.Runtime.RemoteObject): Promise<void> {
  const text = await fullTextOf(session, object, maxValueChars);
  if (text === undefined) return;
  delete object.preview;
  object.description = text;
}

/** An exception thrown before `Runtime.enable` has its stack only as text. */
function parseStackFrames(description: string): StackFrame[] {
  const lines = description.slice(0, maxStackChars).split('\n', maxStackLines);
  return lines.flatMap((line) => {
    const frame = frameInText(line);
    return frame === undefined || isInstrument(frame.url) ? [] : [frame];
  });
}

/** How Chrome words an error of `chrome.*` whose callback did not read `runtime.lastError`. */
export const lastErrorPrefix = 'Unchecked runtime.lastError';

/** An exception, or an error of `chrome.*` in a content script: Chrome's own list lacks the latter. */
const isUncaught = ({ type, text, context }: ExtensionLogEntry): boolean =>
  type === 'exception' || (text.startsWith(lastErrorPrefix) && context.startsWith('content_script'));

function sizeOf({ text, args, stack, context }: ExtensionLogEntry): number {
  const chars = text.length + context.length + args.reduce((sum, arg) => sum + arg.length, 0);
  return 2 * chars + 400 + stack.reduce((sum, frame) => sum + 100 + 2 * frame.url.length, 0);
}

/** One error of an extension: uncaught, or of its manifest, equal ones counted. */
export interface RuntimeError {
  readonly message: string;
  /** `manifest`, or where it happened: `service_worker`, `content_script ADDRESS`, a document's path. */
  readonly context: string;
  readonly url: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly stack: readonly StackFrame[];
  readonly count: number;
  /** Messages of this place that differ only in numbers; this is the newest. Default: one. */
  readonly variants?: number;
}

/** One for errors of one place whose messages differ only in numbers, as of a loop that counts. */
export function foldNumbers(errors: readonly RuntimeError[]): RuntimeError[] {
  const folded = new Map<string, RuntimeError>();
  for (const error of errors) {
    const { message, context, url, line } = error;
    const key = JSON.stringify([withoutNumbers(message), context, url, line]);
    const { count = 0, variants = 0 } = folded.get(key) ?? {};
    folded.set(key, { ...error, count: count + error.count, variants: variants + 1 });
  }
  return [...folded.values()];
}

/**
 * Merges the errors that Chrome recorded and those observed here, each once: Chrome has the exact counts and earlier
 * errors; those observed here have the full stack.
 */
export function runtimeErrors(info: ExtensionInfo, seen: readonly ExtensionLogEntry[]): RuntimeError[] {
  const noted = [...info.manifestErrors.map(fromManifestProblem), ...info.runtimeErrors.map(fromChromeProblem)];
  const errors = new Map<string, RuntimeError>();
  for (const error of noted) add(errors, error);
  const own = new Map<string, RuntimeError>();
  for (const error of seen.map(fromLogEntry)) add(own, error);
  for (const [key, error] of own)
    errors.set(key, { ...error, count: Math.max(errors.get(key)?.count ?? 0, error.count) });
  return [...errors.values()];
}

function add(errors: Map<string, RuntimeError>, error: RuntimeError): void {
  const key = keyOf(error);
  const known = errors.get(key);
  errors.set(key, known === undefined ? error : { ...known, count: known.count + error.count });
}

/** The two sources word the same error slightly differently, and a document has many addresses. */
const keyOf = ({ message, url = '', line }: RuntimeError): string =>
  `${withoutPrefix(message)} ${url.split(/[?#]/, 1)[0] ?? ''} ${line ?? ''}`;

const withoutPrefix = (message: string): string => message.replace(/^Uncaught (\(in promise\) )?/, '');

function fromManifestProblem({ message, manifestKey }: ExtensionProblem): RuntimeError {
  const where = manifestKey === undefined || manifestKey === '' ? 'manifest.json' : `manifest.json, ${manifestKey}`;
  return { message, context: 'manifest', url: where, line: undefined, column: undefined, stack: [], count: 1 };
}

function withoutStack(text: string): string {
  const lines = text.split('\n');
  const first = lines.findIndex((line) => line.startsWith('    at '));
  return first === -1 ? text : lines.slice(0, first).join('\n');
}

function fromChromeProblem(problem: ExtensionProblem): RuntimeError {
  const noted = (problem.stackTrace ?? [])
    // Of a rejection without a stack Chrome says line 0: its place is not known.
    .filter(({ url, lineNumber }) => url !== '' && lineNumber > 0 && !isInstrument(url))
    .map(({ url, lineNumber: line, columnNumber, functionName }) => ({
      url,
      line,
      column: columnNumber,
      functionName: functionName || '(anonymous)',
    }));
  // Of an error in an event's listener Chrome has the stack only as a part of the message.
  const text = withoutInstrument(problem.message);
  // Code without a name was evaluated by a tool, as that which calls listeners.
  const stack = (noted.length > 0 ? noted : parseStackFrames(text)).filter(({ url }) => url !== '<anonymous>');
  const [top] = stack;
  return {
    message: noted.length > 0 ? text : withoutStack(text),
    context: problem.isServiceWorker === true ? 'service_worker' : (problem.contextUrl ?? problem.source ?? ''),
    url: top?.url ?? (problem.source || undefined),
    line: top?.line,
    column: top?.column,
    stack,
    count: problem.occurrences ?? 1,
  };
}

function fromLogEntry({ text, context, location, stack }: ExtensionLogEntry): RuntimeError {
  const { url, line, column } = location ?? { url: undefined, line: undefined, column: undefined };
  return { message: text, context, url, line, column, stack, count: 1 };
}
