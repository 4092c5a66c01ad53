import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import {
  followSessions,
  unlessGone,
  type FollowedSessions,
  type CdpHandlers,
  type TargetSession,
} from '../cdp/cdpSessions.js';
import type { CallLog, MenuEntries, PermissionPrompts, RequestLog } from './callLog.js';
import { lastErrorPrefix, type ExtensionLog, type LogSource } from './extensionLog.js';
import { bindingName, flushExpression, instrumentExpression } from './instrument.js';
import { ownDocumentPath } from './installedExtensions.js';
import { droppedEvents } from '../process/messageQueue.js';
import { type MessageLog, type ReportingContext, parseReport } from './messageLog.js';

export interface ActivityLogs {
  readonly messages: MessageLog;
  readonly calls: CallLog;
  readonly requests: RequestLog;
  readonly menus: MenuEntries;
  readonly prompts: PermissionPrompts;
  readonly logs: ExtensionLog;
}

interface FollowedContext extends ReportingContext {
  /** The target of a service worker. */
  readonly worker: string | undefined;
  readonly session: CDPSession;
  readonly contextId: number;
  /** The name of a content script's isolated world; others have none. */
  readonly contextName: string;
  /** It has no `chrome`. */
  readonly isSandboxed: boolean;
}

const scheme = 'chrome-extension://';
const maxParsed = 500;

/** CDP leaves `auxData` untyped; Chrome's content has frame and kind. */
const auxDataSchema = z.object({ type: z.string().optional(), frameId: z.string().optional() });

/**
 * Follows one target with its frames, and reports the activity of extension contexts in it. A breakpoint whose
 * condition is never true instruments each context before its first statement; running contexts are instrumented when
 * they are found.
 */
export class ContextFollower {
  readonly target: Protocol.Target.TargetInfo;
  readonly session: CDPSession;
  /** Resolves when the target's own session reports; never rejects. */
  readonly ready: Promise<void>;
  readonly #logs: ActivityLogs;
  readonly #followed: FollowedSessions;
  readonly #contexts = new Map<string, FollowedContext>();
  readonly #frameUrls = new Map<string, string>();
  /** Files of extensions that ran, by context, also in the page's main world. */
  readonly #scripts = new Map<string, Set<string>>();
  /** The newest scripts of a target that is no tab. */
  parsed: readonly Protocol.Debugger.ScriptParsedEvent[] = [];
  readonly #breakpoints = new Map<CDPSession, string>();
  readonly #releasing = new Set<CDPSession>();

  constructor(target: Protocol.Target.TargetInfo, session: CDPSession, to: ActivityLogs) {
    this.target = target;
    this.session = session;
    this.#logs = to;
    this.#followed = followSessions(session, {
      handlers: (source) => (source.kind === 'worker' ? {} : this.#handlers(source.session)),
      enable: (source) => (source.kind === 'worker' ? [] : this.#enable(source)),
    });
    this.ready = this.#followed.ready;
  }

  /** Applies what is traced and refused now to the contexts of an extension here. */
  async update(extensionId: string): Promise<void> {
    const sessions = this.#followed.sessions().filter(({ kind }) => kind !== 'worker');
    await Promise.all(sessions.map(({ session }) => this.#setBreakpoint(session)));
    const worlds = [...this.#contexts.values()].filter(
      (world) => world.extensionId === extensionId && !world.isSandboxed,
    );
    await Promise.all(worlds.map((world) => this.#instrument(world)));
  }

  /** The files of an extension that run in the documents that are open here now. */
  scripts(extensionId: string): string[] {
    const prefix = `${scheme}${extensionId}/`;
    const urls = new Set([...this.#scripts.values()].flatMap((all) => [...all]));
    return [...urls].filter((url) => url.startsWith(prefix)).map((url) => url.slice(prefix.length));
  }

  stop(): void {
    this.#followed.stop();
  }

  #enable({ session }: TargetSession): Promise<unknown>[] {
    return [
      unlessGone(session.send('Page.enable')),
      unlessGone(session.send('Page.getFrameTree')).then((tree) => tree && this.#addFrames(tree.frameTree)),
      unlessGone(session.send('Debugger.enable')),
      // `debugger` statements and breakpoints do not pause the page; conditions are still evaluated.
      unlessGone(session.send('Debugger.setSkipAllPauses', { skip: true })),
      this.#setBreakpoint(session),
      unlessGone(session.send('Runtime.enable')),
      unlessGone(session.send('Log.enable')),
    ];
  }

  /** The frames that were there before; their contexts are reported after this answer. */
  #addFrames({ frame, childFrames = [] }: Protocol.Page.FrameTree): void {
    this.#frameUrls.set(frame.id, frame.url);
    for (const child of childFrames) this.#addFrames(child);
  }

  async #setBreakpoint(session: CDPSession): Promise<void> {
    const old = this.#breakpoints.get(session);
    const removed = old === undefined ? undefined : session.send('Debugger.removeBreakpoint', { breakpointId: old });
    const made = session.send('Debugger.setBreakpointByUrl', {
      urlRegex: `^${scheme}`,
      lineNumber: 0,
      columnNumber: 0,
      condition: instrumentExpression(this.#logs.calls.isTracing, this.#logs.prompts.refusing),
    });
    const [breakpoint] = await Promise.all([unlessGone(made), removed && unlessGone(removed)]);
    if (breakpoint !== undefined) this.#breakpoints.set(session, breakpoint.breakpointId);
  }

  #handlers(session: CDPSession): CdpHandlers {
    const worldOf = (id: number | undefined): FollowedContext | undefined =>
      this.#contexts.get(keyOf(session, id ?? 0));
    return {
      'Page.frameNavigated': ({ frame }) => void this.#frameUrls.set(frame.id, frame.url),
      'Page.frameDetached': ({ frameId }) => void this.#frameUrls.delete(frameId),
      'Runtime.executionContextCreated': ({ context }) => this.#addContext(session, context),
      // The unique id is the newer name, but console calls still name their context by this one.
      // oxlint-disable-next-line typescript/no-deprecated
      'Runtime.executionContextDestroyed': ({ executionContextId }) =>
        this.#removeContexts((key) => key === keyOf(session, executionContextId)),
      'Runtime.executionContextsCleared': () => this.#removeContexts((key) => key.startsWith(keyOf(session, ''))),
      'Debugger.scriptParsed': (event) => {
        const { url, executionContextId } = event;
        if (!url.startsWith(scheme)) return;
        this.parsed = [...this.parsed, event].slice(-maxParsed);
        const key = keyOf(session, executionContextId);
        this.#scripts.set(key, (this.#scripts.get(key) ?? new Set()).add(url));
      },
      'Runtime.bindingCalled': ({ name, payload, executionContextId }) => {
        const world = worldOf(executionContextId);
        if (name === bindingName && world !== undefined) recordReport(this.#logs, payload, world);
      },
      'Runtime.consoleAPICalled': (event) => {
        const world = worldOf(event.executionContextId) ?? this.#mainWorldSource(event.stackTrace);
        if (world !== undefined) this.#logs.logs.recordCall(event, world);
        if (event.args.some(({ objectId }) => objectId !== undefined)) this.#release(session);
      },
      'Runtime.exceptionThrown': (event) => {
        const { executionContextId, stackTrace } = event.exceptionDetails;
        const world = worldOf(executionContextId) ?? this.#mainWorldSource(stackTrace);
        if (world !== undefined) this.#logs.logs.recordException(event, world);
        if (event.exceptionDetails.exception?.objectId !== undefined) this.#release(session);
      },
      [droppedEvents]: ({ count, isIncomplete, executionContextId }) => {
        const world = worldOf(executionContextId);
        if (world !== undefined) this.#logs.logs.addDropped(world.extensionId, count, isIncomplete);
        this.#release(session);
      },
      'Log.entryAdded': ({ entry }) => {
        const world = [...this.#contexts.values()].find((candidate) =>
          entry.url?.startsWith(`${scheme}${candidate.extensionId}/`),
        );
        if (world !== undefined) this.#logs.logs.recordEntry(entry, world);
        else if (entry.text.startsWith(lastErrorPrefix)) this.#recordLastError(entry);
      },
    };
  }

  #addContext(session: CDPSession, context: Protocol.Runtime.ExecutionContextDescription): void {
    if (!context.origin.startsWith(scheme)) {
      this.#addSandboxed(session, context);
      return;
    }
    const extensionId = context.origin.slice(scheme.length, scheme.length + 32);
    const name = this.#nameOf(context);
    // What the server's own documents do is nothing that the extension does.
    if (name === ownDocumentPath) return;
    const key = keyOf(session, context.id);
    const worker = this.target.type === 'service_worker' ? this.target.targetId : undefined;
    const { id: contextId, name: contextName } = context;
    const world = { extensionId, key, worker, session, contextId, contextName, name, isSandboxed: false };
    this.#contexts.set(key, world);
    void this.#instrument(world);
  }

  /** A sandboxed page of an extension, which has no origin and no `chrome` to instrument. */
  #addSandboxed(session: CDPSession, context: Protocol.Runtime.ExecutionContextDescription): void {
    const { type, frameId } = auxDataSchema.safeParse(context.auxData).data ?? {};
    const url = this.#frameUrls.get(frameId ?? '') ?? this.target.url;
    if (type !== 'default' || !url.startsWith(scheme)) return;
    const key = keyOf(session, context.id);
    const extensionId = url.slice(scheme.length, scheme.length + 32);
    const { id: contextId, name: contextName } = context;
    const name = `sandboxed page ${pathOf(url)}`;
    this.#contexts.set(key, {
      extensionId,
      key,
      worker: undefined,
      session,
      contextId,
      contextName,
      name,
      isSandboxed: true,
    });
  }

  /** The extension whose script of the page's own world logged or threw, by the script at the top of the stack. */
  #mainWorldSource(stack: Protocol.Runtime.StackTrace | undefined): LogSource | undefined {
    const url = stack?.callFrames[0]?.url ?? '';
    if (!url.startsWith(scheme) || this.target.url.startsWith(scheme)) return undefined;
    const extensionId = url.slice(scheme.length, scheme.length + 32);
    const address = this.#frameUrls.get(this.target.targetId) ?? this.target.url;
    return { extensionId, name: `content_script (MAIN world) ${address}`, worker: undefined };
  }

  /** A content script's `runtime.lastError`, which names the page and no extension: recorded if only one is here. */
  #recordLastError({ url: _page, ...entry }: Protocol.Log.LogEntry): void {
    const worlds = [...this.#contexts.values()];
    const newest = worlds.at(-1);
    if (newest === undefined || worlds.some(({ extensionId }) => extensionId !== newest.extensionId)) return;
    this.#logs.logs.recordEntry(entry, newest);
  }

  #removeContexts(isGone: (key: string) => boolean): void {
    for (const map of [this.#contexts, this.#scripts]) for (const key of map.keys()) if (isGone(key)) map.delete(key);
  }

  /** `service_worker`, `content_script ADDRESS`, or a document's path in the extension. */
  #nameOf({ auxData }: Protocol.Runtime.ExecutionContextDescription): string {
    const { type, frameId } = auxDataSchema.safeParse(auxData).data ?? {};
    if (this.target.type === 'service_worker') return 'service_worker';
    const url = this.#frameUrls.get(frameId ?? '') ?? this.target.url;
    return type === 'isolated' ? `content_script ${url}` : pathOf(url);
  }

  async #instrument({ session, contextId, extensionId, contextName }: FollowedContext): Promise<void> {
    // Adds the binding by world name, so that no other world of the page has it; documents of the extension have only
    // one world.
    const world = contextName === '' ? {} : { executionContextName: contextName };
    const run = (expression: string): Promise<unknown> =>
      unlessGone(session.send('Runtime.evaluate', { expression, contextId, silent: true }));
    await Promise.all([
      run(instrumentExpression(this.#logs.calls.trace(extensionId) !== undefined, this.#logs.prompts.refusing)),
      unlessGone(session.send('Runtime.addBinding', { name: bindingName, ...world })),
      run(flushExpression),
    ]);
  }

  /** Releases the values of console events; one command at a time, however fast the page logs. */
  #release(session: CDPSession): void {
    if (this.#releasing.has(session)) return;
    this.#releasing.add(session);
    setImmediate(() => {
      this.#releasing.delete(session);
      void unlessGone(session.send('Runtime.releaseObjectGroup', { objectGroup: 'console' }));
    });
  }
}

/** Sorts what a context reported into the logs. Any code of the context can report, so nonsense is passed over. */
export function recordReport(logs: ActivityLogs, payload: string, reporter: ReportingContext): void {
  const report = parseReport(payload);
  if (report === undefined) return;
  if (report.kind === 'menu') logs.menus.record(report, reporter);
  else if (report.kind === 'prompt') logs.prompts.record(report, reporter);
  else if (report.kind === 'call') logs.calls.record(report, reporter);
  else if (report.kind === 'request') logs.requests.record(report, reporter);
  else logs.messages.record(report, reporter);
}

const keyOf = (session: CDPSession, contextId: number | ''): string => `${session.id()} ${contextId}`;

function pathOf(url: string): string {
  return URL.canParse(url) ? new URL(url).pathname : url;
}
