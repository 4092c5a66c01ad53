import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { OnQueued } from '../browser/pool/waitQueue.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { codeOf, messageOf, Refusal, ToolError } from '../errors/errors.js';
import { shortId } from '../log.js';
import { cleanText, shortenText, wellFormedData } from '../text.js';
import { recordAction } from '../tools/actionScript.js';
import type { Client } from '../tools/client.js';
import type { Answer, BrowserToolContext, ResourceLink, Tool, ToolContext } from '../tools/defineTool.js';
import { withAllowedDocuments } from '../tools/documentAccess.js';
import { adaptContent, isObject } from './protocol.js';
import { DeadlineError, untilAborted, withinDeadline } from '../async.js';
import type { ClientProfile } from './clientProfiles.js';
import { InputRequired } from './inputRounds.js';
import type { McpSession } from './methodContext.js';
import { describeArguments, readArguments, type ToleranceKind } from './tolerantArguments.js';

/** Longest time of one call. */
export const deadlineOf = ({ timeoutMs = 30_000 }: Tool): number => timeoutMs;

export interface Call {
  readonly tool: Tool;
  readonly args: unknown;
  readonly profile: ClientProfile;
  /** The protocol revision of the client. */
  readonly revision: string | null;
  /** Aborted when the client cancels the request or the session ends. */
  readonly cancelled: AbortSignal;
  /**
   * Aborted when the client no longer waits for the answer, and another call needs the page: the answer is its reason.
   */
  readonly displaced?: AbortSignal;
  /** Called when another call waits for the page that this one holds. */
  onWanted?(): void;
  progress(progress: number, total?: number, message?: string): void;
  /** Called with what was accepted although it is not as the schema says. */
  tolerated(kinds: Iterable<ToleranceKind>): void;
  /** The client of the call; its requests end with `signal`. */
  client(signal: AbortSignal): Client;
}

/** A browser context has no extensions: nothing to inspect, and no reason to move to a process. */
const noExtension = 'No extension is installed in this session. Call install_extension first.';

/**
 * Runs one tool: checks the arguments, acquires the browser and the page that it needs, holds the page's lock, and stops the
 * tool at its deadline. Every failure of a tool is a result with `isError` that says what to do next; this rejects only
 * with the reason of `cancelled`, since a cancelled request gets no response.
 *
 *     arguments -> browser (may queue) -> process -> page, lock -> handler -> notices + answer
 *                  browser died in the handler: once more from its replacement
 */
export async function callTool(call: Call, session: McpSession): Promise<CallToolResult> {
  const { tool, cancelled, profile, revision } = call;
  const reading = readArguments(tool, call.args, profile.tolerant);
  if ('error' in reading) return failureOf(describeArguments(tool, reading.error, reading.args));
  call.tolerated(reading.tolerated);

  const args = session.secrets.resolve(tool.name, reading.args);
  const ms = deadlineOf(tool);
  const { clock } = session;
  const notices = (): readonly string[] => [...noticesOf(session), ...reading.remarks];
  try {
    const startsBrowser = tool.needs === 'nothing' ? tool.startsBrowser?.(args) === true : true;
    if (startsBrowser && session.prepareBrowser !== undefined)
      await untilAborted(session.prepareBrowser(growing(call)), cancelled);
    const stopped = call.displaced === undefined ? cancelled : AbortSignal.any([cancelled, call.displaced]);
    const answer = await withinDeadline({ clock, ms, cancelled: stopped }, (signal) =>
      run(args, call, session, signal),
    );
    return resultOf(tool, answer, { notices: notices(), revision, structured: profile.structured });
  } catch (error) {
    cancelled.throwIfAborted();
    // What it asked is the result; see `InputRounds`.
    if (error instanceof InputRequired) return { content: [] };
    // A protocol error of the client's revision, and no failure of the tool.
    if (error instanceof Refusal && error.reason === 'missing_capability') throw error;
    return failureOf(describeError(tool, error, ms, session), notices());
  }
}

type Result = Promise<Answer>;

/**
 * A browser that dies during a call loses the partial effects of the call: the tool runs once more in the replacement, and
 * the answer begins with a notice.
 */
async function run(args: Record<string, unknown>, call: Call, session: McpSession, signal: AbortSignal): Result {
  const { workspace, resources } = session;
  const lease = session.requireBrowserLease();
  const context: ToolContext = {
    session: session.facts(),
    signal,
    workspace,
    resources,
    progress: call.progress,
    client: call.client(signal),
    browsers: session.browsers,
    pictures: { bytes: call.profile.pictureBytes, pixels: call.profile.picturePixels },
  };
  const { tool } = call;
  if (tool.needs === 'nothing') return tool.handler(args, context);
  await session.checkQuotas?.(tool);
  const waits = { onQueued: queueProgress(call), onWanted: () => call.onWanted?.() };
  const { onQueued } = waits;
  const browser = await lease.browser(signal, onQueued);
  try {
    const answer = await runInBrowser(tool, args, { ...context, browser }, waits);
    // The answer of a dying browser is not used: it may be a closed page or a script without a result.
    if (signal.aborted || browser.isAlive) return answer;
  } catch (error) {
    if (signal.aborted || browser.isAlive) throw error;
  }
  const replacement = await lease.browser(signal, onQueued);
  return runInBrowser(tool, args, { ...context, browser: replacement }, waits);
}

async function runInBrowser(
  tool: Exclude<Tool, { needs: 'nothing' }>,
  args: Record<string, unknown>,
  context: BrowserToolContext,
  { onQueued, onWanted }: { readonly onQueued: OnQueued; readonly onWanted: () => void },
): Result {
  const { browser, signal } = context;
  if (tool.needs === 'extension' && browser.isolation === 'context') throw new ToolError(noExtension);
  if (tool.needs === 'process' && browser.isolation === 'context') await tool.check?.(args, context);
  if (tool.needs === 'process' || tool.needs === 'extension') await browser.ensureProcess(signal, onQueued);
  // Code that a breakpoint has stopped may be what a tool waits for; those about pauses are the way out.
  const unlessStalled: SessionBrowser['debugger']['unlessStalled'] = (until, work) =>
    tool.group === 'debugger' ? work(until) : browser.debugger.unlessStalled(until, work);
  if (tool.needs !== 'page') {
    const run = () =>
      unlessStalled(signal, (until) =>
        withAllowedDocuments(context, undefined, () => tool.handler(args, { ...context, signal: until })),
      );
    return recordAction(tool, args, { browser, page: undefined }, run);
  }
  await browser.ensureFirstPage(signal);
  const { pageId, ...rest } = args;
  const page = pageOf(browser, pageId);
  if (!tool.annotations.readOnlyHint) page.isTouched = true;
  if (tool.enters === true || tool.navigates === true) page.isEdited = tool.enters === true;
  const runHandler = () =>
    recordAction(tool, rest, { browser, page }, () =>
      unlessStalled(signal, (until) =>
        withAllowedDocuments(context, page, () => tool.handler(rest, { ...context, page, signal: until })),
      ),
    );
  return tool.lock === false
    ? runHandler()
    : page.runExclusive(signal, runHandler, {
        navigates: tool.navigates,
        isRepeatable: tool.annotations.readOnlyHint,
        onWanted,
      });
}

const ordinals = new Intl.PluralRules('en', { type: 'ordinal' });
const suffixes: Readonly<Record<Intl.LDMLPluralRule, string>> = {
  zero: 'th',
  one: 'st',
  two: 'nd',
  few: 'rd',
  many: 'th',
  other: 'th',
};

/** Reports what happens before the tool runs. Progress must grow: it stays below the tool's first step. */
function growing({ progress }: Call): (message: string) => void {
  let value = 0;
  return (message) => {
    value += 0.001;
    progress(value, undefined, message);
  };
}

/** Reports the position in the wait queue. */
function queueProgress(call: Call): OnQueued {
  const report = growing(call);
  return (position) => report(`${position}${suffixes[ordinals.select(position)]} in the queue for a browser process`);
}

function pageOf(browser: SessionBrowser, pageId: unknown) {
  return browser.page(typeof pageId === 'number' ? pageId : undefined);
}

/** Notices to prepend to the answer. */
function noticesOf(session: McpSession): readonly string[] {
  const { current } = session.requireBrowserLease();
  return [...(current?.takeNotices() ?? []), ...session.resources.takeNotices()];
}

interface ResultOptions {
  /** Events beside the call; they come before the answer. */
  readonly notices: readonly string[];
  /** The protocol revision of the client. */
  readonly revision: string | null;
  /** Also `structuredContent`. */
  readonly structured: boolean;
}

/**
 * The result of a call: text, pictures and links are the answer. With `structured` the same is in `structuredContent` too,
 * so that nothing stands in the content alone. Every string is well-formed, and no line of a text can reorder others.
 */
function resultOf(tool: Tool, answer: Answer, options: ResultOptions): CallToolResult {
  const { notices, revision, structured } = options;
  const text = [...notices.map((notice) => `Note: ${notice}`), ...(answer.text === '' ? [] : [answer.text])];
  const content: CallToolResult['content'] = [
    ...(text.length === 0 ? [] : [{ type: 'text' as const, text: cleanText(text.join('\n')) }]),
    ...(answer.content ?? []).map(cleanBlock),
    ...(answer.resources ?? []).map(linkOf),
  ];
  const data = structured ? structuredOf(tool, answer, notices) : undefined;
  return { content: adaptContent(revision, content), ...(data && { structuredContent: wellFormedData(data) }) };
}

/** A failure may quote an argument. */
const maxFailureChars = 50_000;

/** The result of a call that failed. */
export function failureOf(message: string, notices: readonly string[] = []): CallToolResult {
  const text = [...notices.map((notice) => `Note: ${notice}`), shortenText(message, maxFailureChars)].join('\n');
  return { content: [{ type: 'text', text: cleanText(text) }], isError: true };
}

/** The fields of the tool, then those of every answer (see `structuredFields` of the catalogue). */
function structuredOf(tool: Tool, answer: Answer, notices: readonly string[]): Record<string, unknown> | undefined {
  const fields = tool.output?.parse(answer.structured);
  if (fields === undefined) return undefined;
  const pictures = (answer.content ?? []).flatMap((block) =>
    block.type === 'image' || block.type === 'audio'
      ? [{ mimeType: block.mimeType, bytes: Buffer.byteLength(block.data, 'base64') }]
      : [],
  );
  const resources = (answer.resources ?? []).map(({ uri, name, mimeType, bytes }) => ({ uri, name, mimeType, bytes }));
  return {
    ...fields,
    ...(notices.length > 0 && { notices: [...notices] }),
    ...(pictures.length > 0 && { pictures }),
    ...(resources.length > 0 && { resources }),
  };
}

type Block = CallToolResult['content'][number];

function cleanBlock(block: NonNullable<Answer['content']>[number]): Block {
  if (block.type === 'text') return { ...block, text: cleanText(block.text) };
  return block.type === 'resource' ? wellFormedData(block) : block;
}

function linkOf({ uri, name, mimeType, bytes }: ResourceLink): Block {
  return wellFormedData({ type: 'resource_link', uri, name, mimeType, size: bytes });
}

const pageAdvice =
  ' If a dialog is open, answer it with handle_dialog; if the page hangs, open another one with new_page.';
const extensionAdvice =
  ' If a context of the extension hangs, stop it with stop_extension_service_worker or reload_extension; ' +
  'get_extension_runtime_errors lists its errors.';
const adviceAfterDeadline: Readonly<Record<Tool['needs'], string>> = {
  nothing: '',
  browser: pageAdvice,
  page: pageAdvice,
  process: extensionAdvice,
  extension: extensionAdvice,
};

function describeError(tool: Tool, error: unknown, ms: number, session: McpSession): string {
  if (error instanceof ToolError || error instanceof Refusal) return error.message;
  if (error instanceof DeadlineError) {
    return `${tool.name} did not finish within ${ms / 1000} s and was stopped.${adviceAfterDeadline[tool.needs]}`;
  }
  session.log.warn('tool failed', { tool: tool.name, session: shortId(session.facts().id), error: messageOf(error) });
  const cause = `${tool.name} failed: ${messageOf(error)}`;
  const isFull = /^(ENOSPC|EDQUOT)$/.test(codeOf(error) ?? '');
  return isFull
    ? `${cause}. The disk of the server is full, and nothing was stored: its operator has to free space.`
    : cause;
}

export interface TracedCall {
  readonly tool: string;
  readonly sessionId: string;
  /** `_meta` of the request: its `traceparent` takes precedence over that of the HTTP request. */
  readonly meta: unknown;
}

/**
 * Runs a tool call in its own span (OpenTelemetry's conventions for MCP). Not an observation handler, since the span has to
 * be active while the tool runs: spans of the tool become its children. Without a registered SDK no span is recorded.
 */
export async function traceCall(call: TracedCall, run: () => Promise<CallToolResult>): Promise<CallToolResult> {
  const { tool, sessionId, meta } = call;
  const active = context.active();
  const parent = isObject(meta) && 'traceparent' in meta ? propagation.extract(active, meta) : active;
  const attributes = {
    'mcp.method.name': 'tools/call',
    'mcp.session.id': shortId(sessionId),
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': tool,
  };
  const span = trace
    .getTracer('greenroom')
    .startSpan(`tools/call ${tool}`, { kind: SpanKind.SERVER, attributes }, parent);
  try {
    const result = await context.with(trace.setSpan(parent, span), run);
    if (result.isError === true) span.setStatus({ code: SpanStatusCode.ERROR, message: 'tool_error' });
    return result;
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: 'cancelled' });
    throw error;
  } finally {
    span.end();
  }
}
