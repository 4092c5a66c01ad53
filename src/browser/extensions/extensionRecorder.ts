import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { unlessGone, openBrowserCdpSession } from '../cdp/cdpSessions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { CallLog, MenuEntries, PermissionPrompts, RequestLog, type CallTrace } from './callLog.js';
import { ContextFollower, recordReport } from './contextFollower.js';
import { instrumentExpression, instrumentWorker, removeBinding, takeWorkerReports } from './instrument.js';
import { originOf } from './installedExtensions.js';
import { ExtensionLog } from './extensionLog.js';
import { MessageLog } from './messageLog.js';
import type { KeptPart } from '../collectors/ringBuffer.js';
import { WorkerMonitor, type WorkerState, WorkerEndObserver } from './serviceWorkers.js';
import { StorageChangeLog } from './storageChangeLog.js';

/** `parsed` are the scripts so far. Returns what is called when the target is gone, or no longer followed. */
type OnTarget = (
  target: Protocol.Target.TargetInfo,
  session: CDPSession,
  parsed: readonly Protocol.Debugger.ScriptParsedEvent[],
) => () => void;

/** Popups have the type `other` at first, offscreen documents `background_page`. */
const autoAttachSettings: Protocol.Target.SetAutoAttachRequest = {
  autoAttach: true,
  waitForDebuggerOnStart: true,
  flatten: true,
  filter: [{ type: 'page' }, { type: 'other' }, { type: 'background_page' }, { type: 'service_worker' }],
};

/**
 * Puppeteer attaches to each service worker for a moment and lets it run: too early for a breakpoint of ours at its first
 * statement. It has no use for them, so the settings of its connection (CDP Target.setAutoAttach) leave them out.
 */
const puppeteerSettings: Protocol.Target.SetAutoAttachRequest = {
  autoAttach: true,
  waitForDebuggerOnStart: true,
  flatten: true,
  filter: [{ type: 'page', exclude: true }, { type: 'service_worker', exclude: true }, {}],
};

/** Longest reading of a worker. After it the worker is reported as busy. */
const captureMs = 2_000;

/**
 * Records the activity of a session's extensions, from the first tool about extensions on: messages, logs and, on
 * request, `chrome.*` calls and storage changes. Follows every document of the browser from before its first script.
 * Follows service workers only on request, since that keeps them alive. Otherwise it instruments a worker when it starts
 * and detaches; the worker keeps its reports until they are taken. Owned by a placement, which closes it.
 */
export class ExtensionRecorder {
  readonly messages: MessageLog;
  readonly calls: CallLog;
  readonly requests: RequestLog;
  readonly logs: ExtensionLog;
  readonly menus = new MenuEntries();
  readonly prompts = new PermissionPrompts();
  readonly storage: StorageChangeLog;
  readonly #browser: Browser;
  readonly #followers = new Map<string, ContextFollower>();
  /** The reasons to keep each extension's worker alive. */
  readonly #keptAwake = new Map<string, Set<'trace' | 'logs'>>();
  readonly #workerEnds: WorkerEndObserver;
  /** Sees each target of an extension that is no tab, before its first statement. */
  #watcher: OnTarget | undefined;
  readonly #watched = new Map<CDPSession, () => void>();
  readonly #busy = new Set<string>();
  #root: Promise<CDPSession> | undefined;
  #closed = false;

  readonly #kept: KeptPart | undefined;

  constructor(browser: Browser, kept?: KeptPart) {
    this.#browser = browser;
    this.#kept = kept;
    this.messages = new MessageLog(kept);
    this.calls = new CallLog(kept);
    this.requests = new RequestLog(kept);
    this.logs = new ExtensionLog(kept);
    this.storage = new StorageChangeLog(browser, kept);
    this.#workerEnds = new WorkerEndObserver(browser);
  }

  /** Follows all targets, present and future. Idempotent. */
  async start(signal: AbortSignal): Promise<void> {
    this.#root ??= this.#start().catch((error: unknown) => {
      this.#root = undefined;
      throw error;
    });
    await untilAborted(this.#root, signal);
  }

  /**
   * Reads what the extension's worker has logged and which messages it got, if it runs and is not followed. Resolves with
   * its state.
   */
  async captureWorker(scope: CdpScope, extensionId: string): Promise<WorkerState> {
    const watch = await WorkerMonitor.open(scope);
    const targetId = watch.targetId(extensionId);
    if (targetId !== undefined && !this.isKeptAwake(extensionId)) {
      const limit = timeLimit(captureMs);
      const within = AbortSignal.any([scope.signal, limit]);
      await untilAborted(this.#capture(scope, extensionId, targetId), within).catch((error: unknown) => {
        if (scope.signal.aborted || !limit.aborted) throw error;
        this.#busy.add(extensionId);
      });
    }
    return watch.state(extensionId);
  }

  async #capture(scope: CdpScope, extensionId: string, targetId: string): Promise<void> {
    const session = await scope.attach(targetId);
    const reports = await takeWorkerReports(session);
    for (const report of reports) recordReport(this, report, { extensionId, key: targetId, name: 'service_worker' });
    await this.logs.captureFromWorker(scope, extensionId, targetId, session);
  }

  /** The workers that could not be read because their code did not let them answer. */
  takeNotices(): string[] {
    const busy = [...this.#busy];
    this.#busy.clear();
    return busy.map(
      (id) =>
        `The service worker of ${id} does not answer, so nothing new of it is known: its code is busy. stop_extension_service_worker ends it.`,
    );
  }

  /** Traces the `chrome.*` calls of an extension, also of its worker, which stays alive meanwhile. Resolves with its state. */
  async startTrace(scope: CdpScope, { extensionId, filter }: CallTrace): Promise<WorkerState> {
    const state = await this.captureWorker(scope, extensionId);
    this.calls.start({ extensionId, filter });
    await this.#updateFollowers(extensionId);
    await this.keepAwake(extensionId, 'trace', true);
    return state;
  }

  /** False if nothing was traced. */
  async stopTrace(extensionId: string): Promise<boolean> {
    const stopped = this.calls.stop(extensionId);
    await this.#updateFollowers(extensionId);
    await this.keepAwake(extensionId, 'trace', false);
    return stopped;
  }

  /** From now on refuses an extension what it asks its user to permit, or lets Chrome ask again. */
  async refusePrompts(scope: CdpScope, extensionId: string, isRefusing: boolean): Promise<void> {
    this.prompts.refuse(extensionId, isRefusing);
    await this.#updateFollowers(extensionId);
    const targetId = (await WorkerMonitor.open(scope)).targetId(extensionId);
    if (targetId === undefined || this.isKeptAwake(extensionId)) return;
    const expression = instrumentExpression(false, this.prompts.refusing);
    await unlessGone((await scope.attach(targetId)).send('Runtime.evaluate', { expression, silent: true }));
  }

  isKeptAwake(extensionId: string): boolean {
    return this.#keptAwake.has(extensionId);
  }

  /** What keeps the extension's worker alive. */
  keptAwakeBy(extensionId: string): ('trace' | 'logs')[] {
    return [...(this.#keptAwake.get(extensionId) ?? [])];
  }

  /** Attaches to the extension's worker, now and after each start, or detaches from it. */
  async keepAwake(extensionId: string, reason: 'trace' | 'logs', on: boolean): Promise<void> {
    const reasons = this.#keptAwake.get(extensionId) ?? new Set();
    if (on) this.#keptAwake.set(extensionId, reasons.add(reason));
    else if (reasons.delete(reason) && reasons.size === 0) this.#keptAwake.delete(extensionId);
    await this.#updateFollowing();
  }

  /**
   * Calls `onTarget` for the workers and documents of extensions that are no tabs, present and future, with a session on
   * each from before its first statement. Their workers stay alive until the returned function is called.
   */
  async watchTargets(onTarget: OnTarget): Promise<() => Promise<void>> {
    this.#watcher = onTarget;
    for (const follower of this.#followers.values()) this.#showTarget(follower);
    if (this.#root !== undefined) await this.#updateFollowing();
    return async () => {
      this.#watcher = undefined;
      this.#watched.clear();
      if (this.#root !== undefined && !this.#closed) await this.#updateFollowing();
    };
  }

  #showTarget({ target, session, parsed }: ContextFollower): void {
    // A popup may have the type of a tab.
    const isTab = target.type === 'page' && target.url !== '' && !target.url.startsWith('chrome-extension://');
    if (isTab || this.#watcher === undefined) return;
    this.#watched.set(session, this.#watcher(target, session, parsed));
  }

  /** Follows the workers that are to stay alive, and detaches from the others. */
  async #updateFollowing(): Promise<void> {
    const isKeepingAlive = this.#keptAwake.size > 0 || this.#watcher !== undefined;
    if (isKeepingAlive) await this.#workerEnds.open();
    else await this.#workerEnds.close();
    if (isKeepingAlive) await this.#followRunningWorkers();
    const idle = [...this.#followers].filter(
      ([, { target }]) => target.type === 'service_worker' && !this.#isFollowed(target),
    );
    const root = await this.#root;
    await Promise.all(
      idle.map(async ([sessionId]) => {
        const session = root?.connection()?.session(sessionId);
        if (session) await removeBinding(session);
        await this.#detach(sessionId);
      }),
    );
  }

  /** The files of an extension that run in a page, in the extension's world or the page's own. */
  scriptsIn(targetId: string, extensionId: string): string[] {
    const followers = [...this.#followers.values()].filter(({ target }) => target.targetId === targetId);
    return followers.flatMap((follower) => follower.scripts(extensionId));
  }

  /** Detaches all CDP sessions. The records stay readable. Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#kept?.close();
    await Promise.all([this.storage.close(), this.#workerEnds.close()]);
    const root = await this.#root?.catch(() => undefined);
    for (const follower of this.#followers.values()) follower.stop();
    this.#followers.clear();
    if (root !== undefined && !root.detached) await unlessGone(root.detach());
  }

  async #start(): Promise<CDPSession> {
    const root = await openBrowserCdpSession(this.#browser);
    if (this.#closed) {
      await unlessGone(root.detach());
      throw new Error('The session has ended.');
    }
    root.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => this.#onAttached(root, sessionId, targetInfo));
    root.on('Target.detachedFromTarget', ({ sessionId }) => this.#onDetached(sessionId));
    await root.connection()?.send('Target.setAutoAttach', puppeteerSettings);
    await root.send('Target.setAutoAttach', autoAttachSettings);
    await Promise.all([...this.#followers.values()].map(({ ready }) => ready));
    return root;
  }

  async #followRunningWorkers(): Promise<void> {
    const root = await this.#root;
    const filter = [{ type: 'service_worker' }];
    const { targetInfos = [] } = (await root?.send('Target.getTargets', { filter })) ?? {};
    const known = new Set([...this.#followers.values()].map(({ target }) => target.targetId));
    const missing = targetInfos.filter((target) => this.#isFollowed(target) && !known.has(target.targetId));
    // The answer comes after the event that attaches.
    for (const { targetId } of missing)
      if (root !== undefined) await unlessGone(root.send('Target.attachToTarget', { targetId, flatten: true }));
    await Promise.all([...this.#followers.values()].map(({ ready }) => ready));
  }

  #isFollowed({ type, url }: Protocol.Target.TargetInfo): boolean {
    if (type !== 'service_worker') return true;
    if (this.#watcher !== undefined && url.startsWith('chrome-extension://')) return true;
    return [...this.#keptAwake.keys()].some((id) => url.startsWith(`${originOf(id)}/`));
  }

  #onAttached(root: CDPSession, sessionId: string, target: Protocol.Target.TargetInfo): void {
    const session = root.connection()?.session(sessionId);
    if (session === undefined || session === null || this.#followers.has(sessionId)) return;
    if (!this.#isFollowed(target)) {
      const isOurs = target.url.startsWith('chrome-extension://');
      const done = isOurs
        ? instrumentWorker(session, this.prompts.refusing)
        : unlessGone(session.send('Runtime.runIfWaitingForDebugger'));
      void done.then(() => unlessGone(root.send('Target.detachFromTarget', { sessionId })));
      return;
    }
    const follower = new ContextFollower(target, session, this);
    this.#followers.set(sessionId, follower);
    this.#showTarget(follower);
    // A session that outlives its worker would pause the next one at its start.
    if (target.type === 'service_worker') this.#workerEnds.onEnd(target, () => void this.#detach(sessionId));
    void unlessGone(session.send('Runtime.runIfWaitingForDebugger'));
  }

  #onDetached(sessionId: string): void {
    const follower = this.#followers.get(sessionId);
    if (follower === undefined) return;
    follower.stop();
    this.#followers.delete(sessionId);
    this.#watched.get(follower.session)?.();
    this.#watched.delete(follower.session);
  }

  async #detach(sessionId: string): Promise<void> {
    this.#onDetached(sessionId);
    const root = await this.#root;
    if (root !== undefined) await unlessGone(root.send('Target.detachFromTarget', { sessionId }));
  }

  async #updateFollowers(extensionId: string): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.update(extensionId)));
  }
}
