import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { followSessions, unlessGone, type Following, type Handlers, type Source } from '../protocol/sessions.js';
import type { CallLog } from './callLog.js';
import type { ExtensionLog } from './extensionLog.js';
import { bindingName, flushing, instrumentation } from './instrument.js';
import type { MessageLog, Reporter } from './messageLog.js';
import { parseReport } from './report.js';

export interface Logs {
  readonly messages: MessageLog;
  readonly calls: CallLog;
  readonly logs: ExtensionLog;
}

interface World extends Reporter {
  /** The target of a service worker. */
  readonly worker: string | undefined;
  readonly session: CDPSession;
  readonly contextId: number;
  /** Of a content script's world; others have none. */
  readonly contextName: string;
}

const scheme = 'chrome-extension://';

/** The protocol leaves `auxData` open; Chrome puts frame and kind there. */
const aux = z.object({ type: z.string().optional(), frameId: z.string().optional() });

/**
 * Follows one target, with its frames, and reports what contexts of extensions in it do. A breakpoint that never stops
 * instruments each context before its first statement; those that run already are instrumented as they are found.
 */
export class ContextFollower {
  readonly target: Protocol.Target.TargetInfo;
  /** Resolves when the target's own session reports; never rejects. */
  readonly ready: Promise<void>;
  readonly #to: Logs;
  readonly #following: Following;
  readonly #worlds = new Map<string, World>();
  readonly #frames = new Map<string, string>();
  /** Files of extensions that were run, by context: also in the page's own world. */
  readonly #scripts = new Map<string, Set<string>>();
  readonly #breakpoints = new Map<CDPSession, string>();
  readonly #releasing = new Set<CDPSession>();

  constructor(target: Protocol.Target.TargetInfo, session: CDPSession, to: Logs) {
    this.target = target;
    this.#to = to;
    this.#following = followSessions(session, {
      handlers: (source) => (source.kind === 'worker' ? {} : this.#handlers(source.session)),
      enable: (source) => (source.kind === 'worker' ? [] : this.#enable(source)),
    });
    this.ready = this.#following.ready;
  }

  /** Switches tracing of an extension's contexts here to what it is now. */
  async retrace(extensionId: string): Promise<void> {
    const sessions = this.#following.sources().filter(({ kind }) => kind !== 'worker');
    await Promise.all(sessions.map(({ session }) => this.#breakAtStart(session)));
    const worlds = [...this.#worlds.values()].filter((world) => world.extensionId === extensionId);
    await Promise.all(worlds.map((world) => this.#instrument(world)));
  }

  /** The files of an extension that run in the documents that are open here now. */
  scripts(extensionId: string): string[] {
    const prefix = `${scheme}${extensionId}/`;
    const urls = new Set([...this.#scripts.values()].flatMap((all) => [...all]));
    return [...urls].filter((url) => url.startsWith(prefix)).map((url) => url.slice(prefix.length));
  }

  stop(): void {
    this.#following.stop();
  }

  #enable({ session }: Source): Promise<unknown>[] {
    return [
      unlessGone(session.send('Page.enable')),
      unlessGone(session.send('Debugger.enable')),
      // Neither `debugger` statements nor breakpoints stop the page; conditions are evaluated all the same.
      unlessGone(session.send('Debugger.setSkipAllPauses', { skip: true })),
      this.#breakAtStart(session),
      unlessGone(session.send('Runtime.enable')),
      unlessGone(session.send('Log.enable')),
    ];
  }

  async #breakAtStart(session: CDPSession): Promise<void> {
    const old = this.#breakpoints.get(session);
    const removed = old === undefined ? undefined : session.send('Debugger.removeBreakpoint', { breakpointId: old });
    const made = session.send('Debugger.setBreakpointByUrl', {
      urlRegex: `^${scheme}`,
      lineNumber: 0,
      columnNumber: 0,
      condition: instrumentation(this.#to.calls.isTracing),
    });
    const [breakpoint] = await Promise.all([unlessGone(made), removed && unlessGone(removed)]);
    if (breakpoint !== undefined) this.#breakpoints.set(session, breakpoint.breakpointId);
  }

  #handlers(session: CDPSession): Handlers {
    const worldOf = (id: number | undefined): World | undefined => this.#worlds.get(keyOf(session, id ?? 0));
    return {
      'Page.frameNavigated': ({ frame }) => void this.#frames.set(frame.id, frame.url),
      'Page.frameDetached': ({ frameId }) => void this.#frames.delete(frameId),
      'Runtime.executionContextCreated': ({ context }) => this.#enter(session, context),
      // The unique id is the newer name, but console calls still name their context by this one.
      // eslint-disable-next-line @typescript-eslint/no-deprecated
      'Runtime.executionContextDestroyed': ({ executionContextId }) =>
        this.#forget((key) => key === keyOf(session, executionContextId)),
      'Runtime.executionContextsCleared': () => this.#forget((key) => key.startsWith(keyOf(session, ''))),
      'Debugger.scriptParsed': ({ url, executionContextId }) => {
        if (!url.startsWith(scheme)) return;
        const key = keyOf(session, executionContextId);
        this.#scripts.set(key, (this.#scripts.get(key) ?? new Set()).add(url));
      },
      'Runtime.bindingCalled': ({ name, payload, executionContextId }) => {
        const world = worldOf(executionContextId);
        if (name === bindingName && world !== undefined) this.#report(payload, world);
      },
      'Runtime.consoleAPICalled': (event) => {
        const world = worldOf(event.executionContextId);
        if (world !== undefined) this.#to.logs.noteCall(event, world);
        if (event.args.some(({ objectId }) => objectId !== undefined)) this.#release(session);
      },
      'Runtime.exceptionThrown': (event) => {
        const world = worldOf(event.exceptionDetails.executionContextId);
        if (world !== undefined) this.#to.logs.noteException(event, world);
        if (event.exceptionDetails.exception?.objectId !== undefined) this.#release(session);
      },
      'Log.entryAdded': ({ entry }) => {
        const world = [...this.#worlds.values()].find((candidate) =>
          entry.url?.startsWith(`${scheme}${candidate.extensionId}/`),
        );
        if (world !== undefined) this.#to.logs.noteEntry(entry, world);
      },
    };
  }

  #enter(session: CDPSession, context: Protocol.Runtime.ExecutionContextDescription): void {
    if (!context.origin.startsWith(scheme)) return;
    const extensionId = context.origin.slice(scheme.length, scheme.length + 32);
    const key = keyOf(session, context.id);
    const worker = this.target.type === 'service_worker' ? this.target.targetId : undefined;
    const { id: contextId, name: contextName } = context;
    const world = { extensionId, key, worker, session, contextId, contextName, name: this.#nameOf(context) };
    this.#worlds.set(key, world);
    void this.#instrument(world);
  }

  #forget(isGone: (key: string) => boolean): void {
    for (const map of [this.#worlds, this.#scripts]) for (const key of map.keys()) if (isGone(key)) map.delete(key);
  }

  /** `service_worker`, `content_script ADDRESS`, or a document's path in the extension. */
  #nameOf({ auxData }: Protocol.Runtime.ExecutionContextDescription): string {
    const { type, frameId } = aux.safeParse(auxData).data ?? {};
    if (this.target.type === 'service_worker') return 'service_worker';
    const url = this.#frames.get(frameId ?? '') ?? this.target.url;
    return type === 'isolated' ? `content_script ${url}` : pathOf(url);
  }

  async #instrument({ session, contextId, extensionId, contextName }: World): Promise<void> {
    // By name it is in no other world of the page; documents of the extension, which have none, are its own throughout.
    const world = contextName === '' ? {} : { executionContextName: contextName };
    const run = (expression: string): Promise<unknown> =>
      unlessGone(session.send('Runtime.evaluate', { expression, contextId, silent: true }));
    await Promise.all([
      run(instrumentation(this.#to.calls.trace(extensionId) !== undefined)),
      unlessGone(session.send('Runtime.addBinding', { name: bindingName, ...world })),
      run(flushing),
    ]);
  }

  #report(payload: string, world: World): void {
    const report = parseReport(payload);
    if (report === undefined) return;
    if (report.kind === 'call') this.#to.calls.note(report, world);
    else this.#to.messages.note(report, world);
  }

  /** Console events hold on to values until they are let go; one release at a time, however fast the page logs. */
  #release(session: CDPSession): void {
    if (this.#releasing.has(session)) return;
    this.#releasing.add(session);
    setImmediate(() => {
      this.#releasing.delete(session);
      void unlessGone(session.send('Runtime.releaseObjectGroup', { objectGroup: 'console' }));
    });
  }
}

const keyOf = (session: CDPSession, contextId: number | ''): string => `${session.id()} ${contextId}`;

function pathOf(url: string): string {
  return URL.canParse(url) ? new URL(url).pathname : url;
}
