import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import type { z } from 'zod';
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { OnQueued } from '../browser/pool/waitQueue.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { messageOf, Refusal, ToolError } from '../errors/errors.js';
import { shortId } from '../log.js';
import type { Client } from '../tools/client.js';
import type { Answer, BrowserToolContext, ResourceLink, Tool, ToolContext } from '../tools/defineTool.js';
import { withAllowedDocuments } from '../tools/documentAccess.js';
import { adaptContent, isObject } from './protocol.js';
import { DeadlineError, withinDeadline } from '../async.js';
import type { McpSession } from './methodContext.js';

const defaultTimeoutMs = 30_000;

export interface Call {
  readonly tool: Tool;
  readonly args: unknown;
  /** Aborted when the client cancels the request or the session ends. */
  readonly cancelled: AbortSignal;
  /** Aborted when nobody waits for the answer, and another call wants the page: the answer is its reason. */
  readonly displaced?: AbortSignal;
  /** Called when another call waits for the page that this one holds. */
  onWanted?(): void;
  progress(progress: number, total?: number, message?: string): void;
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
  const { tool, cancelled } = call;
  const checked = tool.input.safeParse(call.args ?? {});
  if (!checked.success) return failure(describeArguments(tool, checked.error, call.args ?? {}));

  const ms = tool.timeoutMs ?? defaultTimeoutMs;
  const { clock } = session;
  const { protocolVersion: revision } = session.facts();
  try {
    const stopped = call.displaced === undefined ? cancelled : AbortSignal.any([cancelled, call.displaced]);
    const answer = await withinDeadline({ clock, ms, cancelled: stopped }, (signal) =>
      run(checked.data, call, session, signal),
    );
    const structured = tool.output?.parse(answer.structured);
    return success(answer, structured, { notices: noticesOf(session), revision });
  } catch (error) {
    cancelled.throwIfAborted();
    return failure(describeError(tool, error, ms, session), noticesOf(session));
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
  };
  const { tool } = call;
  if (tool.needs === 'nothing') return tool.handler(args, context);
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
  if (tool.needs === 'process' || tool.needs === 'extension') await browser.ensureProcess(signal, onQueued);
  if (tool.needs !== 'page') return withAllowedDocuments(context, undefined, () => tool.handler(args, context));
  await browser.ensureFirstPage(signal);
  const { pageId, ...rest } = args;
  const page = pageOf(browser, pageId);
  if (!tool.annotations.readOnlyHint) page.isTouched = true;
  const runHandler = () => withAllowedDocuments(context, page, () => tool.handler(rest, { ...context, page }));
  return tool.lock === false
    ? runHandler()
    : page.runExclusive(signal, runHandler, { navigates: tool.navigates, onWanted });
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

/** Reports the position in the wait queue. Progress must grow: it stays below the tool's first step. */
function queueProgress({ progress }: Call): OnQueued {
  let value = 0;
  return (position) => {
    value += 0.001;
    progress(value, undefined, `${position}${suffixes[ordinals.select(position)]} in the queue for a browser process`);
  };
}

function pageOf(browser: SessionBrowser, pageId: unknown) {
  return browser.page(typeof pageId === 'number' ? pageId : undefined);
}

/** Notices to prepend to the answer. */
function noticesOf(session: McpSession): readonly string[] {
  const { current } = session.requireBrowserLease();
  return [...(current?.takeNotices() ?? []), ...session.resources.takeNotices()];
}

interface AnswerContext {
  readonly notices: readonly string[];
  /** The protocol revision of the client. */
  readonly revision: string | null;
}

function success(
  answer: Answer,
  structured: Record<string, unknown> | undefined,
  context: AnswerContext,
): CallToolResult {
  const text = [...context.notices.map((notice) => `Note: ${notice}`), ...(answer.text === '' ? [] : [answer.text])];
  const content: CallToolResult['content'] = [
    ...(text.length === 0 ? [] : [{ type: 'text' as const, text: text.join('\n') }]),
    ...(answer.content ?? []),
    ...(answer.resources ?? []).map(linkOf),
  ];
  return { content: adaptContent(context.revision, content), ...(structured && { structuredContent: structured }) };
}

function linkOf({ uri, name, mimeType, bytes }: ResourceLink): CallToolResult['content'][number] {
  return { type: 'resource_link', uri, name, mimeType, size: bytes };
}

function failure(message: string, notices: readonly string[] = []): CallToolResult {
  const text = [...notices.map((notice) => `Note: ${notice}`), message].join('\n');
  return { content: [{ type: 'text', text }], isError: true };
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
  return `${tool.name} failed: ${messageOf(error)}`;
}

/** Names each wrong or missing argument, and the arguments that exist. */
function describeArguments(tool: Tool, error: z.ZodError, args: unknown): string {
  const known = Object.keys(tool.input.shape);
  const problems = error.issues.map((issue) => {
    if (issue.code === 'unrecognized_keys') return `unknown argument ${issue.keys.map((key) => `"${key}"`).join(', ')}`;
    const name = issue.path.length === 0 ? 'arguments' : `"${issue.path.join('.')}"`;
    return valueAt(args, issue.path) === undefined ? `${name} is missing` : `${name}: ${issue.message}`;
  });
  const expected = known.length === 0 ? 'It takes no arguments.' : `Its arguments: ${known.join(', ')}.`;
  return `Wrong arguments for ${tool.name}: ${problems.join('; ')}. ${expected}`;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (part, key) => (typeof part === 'object' && part !== null ? Reflect.get(part, key) : undefined),
    value,
  );
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
