import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { untilAborted } from '../../async.js';
import { unlessGone, openBrowserCdpSession } from '../cdp/cdpSessions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { CallLog, type CallTrace } from './callLog.js';
import { ContextFollower } from './contextFollower.js';
import { originOf } from './installedExtensions.js';
import { ExtensionLog } from './extensionLog.js';
import { MessageLog } from './messageLog.js';
import { WorkerMonitor, type WorkerState, WorkerEndObserver } from './serviceWorkers.js';
import { StorageChangeLog } from './storageChangeLog.js';

/** Popups have the type `other` at first, offscreen documents `background_page`. */
const documentTargets = [{ type: 'page' }, { type: 'other' }, { type: 'background_page' }];

/**
 * Records the activity of a session's extensions, from the first tool about extensions on: messages, logs and, on
 * request, `chrome.*` calls and storage changes. Follows every document of the browser from before its first script.
 * Follows service workers only on request, since that keeps them alive: messages between a worker and a document are
 * observed in the document. Owned by a placement, which closes it.
 */
export class ExtensionRecorder {
  readonly messages = new MessageLog();
  readonly calls = new CallLog();
  readonly logs = new ExtensionLog();
  readonly storage: StorageChangeLog;
  readonly #browser: Browser;
  readonly #followers = new Map<string, ContextFollower>();
  /** The reasons to keep each extension's worker alive. */
  readonly #keptAwake = new Map<string, Set<'trace' | 'logs'>>();
  readonly #workerEnds: WorkerEndObserver;
  #root: Promise<CDPSession> | undefined;
  #closed = false;

  constructor(browser: Browser) {
    this.#browser = browser;
    this.storage = new StorageChangeLog(browser);
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

  /** Reads what the extension's worker has logged, if it runs and is not followed. Resolves with its state. */
  async captureWorkerLogs(scope: CdpScope, extensionId: string): Promise<WorkerState> {
    const watch = await WorkerMonitor.open(scope);
    const targetId = watch.targetId(extensionId);
    if (targetId !== undefined && !this.isKeptAwake(extensionId)) {
      await this.logs.captureFromWorker(scope, extensionId, targetId);
    }
    return watch.state(extensionId);
  }

  /** Traces the `chrome.*` calls of an extension, also of its worker, which stays alive meanwhile. */
  async startTrace(scope: CdpScope, { extensionId, filter }: CallTrace): Promise<void> {
    await this.captureWorkerLogs(scope, extensionId);
    this.calls.start({ extensionId, filter });
    await this.#updateTracing(extensionId);
    await this.keepAwake(extensionId, 'trace', true);
  }

  /** False if nothing was traced. */
  async stopTrace(extensionId: string): Promise<boolean> {
    const stopped = this.calls.stop(extensionId);
    await this.#updateTracing(extensionId);
    await this.keepAwake(extensionId, 'trace', false);
    return stopped;
  }

  isKeptAwake(extensionId: string): boolean {
    return this.#keptAwake.has(extensionId);
  }

  /** Attaches to the extension's worker, now and after each start, or detaches from it. */
  async keepAwake(extensionId: string, reason: 'trace' | 'logs', on: boolean): Promise<void> {
    const reasons = this.#keptAwake.get(extensionId) ?? new Set();
    if (on) this.#keptAwake.set(extensionId, reasons.add(reason));
    else if (reasons.delete(reason) && reasons.size === 0) this.#keptAwake.delete(extensionId);
    if (this.#keptAwake.size > 0) await this.#workerEnds.open();
    else await this.#workerEnds.close();
    await this.#updateAutoAttach();
    const idle = [...this.#followers].filter(
      ([, { target }]) => target.type === 'service_worker' && !this.#isFollowed(target),
    );
    await Promise.all(idle.map(([sessionId]) => this.#detach(sessionId)));
  }

  /** The files of an extension that run in a page, in the extension's world or the page's own. */
  scriptsIn(targetId: string, extensionId: string): string[] {
    const followers = [...this.#followers.values()].filter(({ target }) => target.targetId === targetId);
    return followers.flatMap((follower) => follower.scripts(extensionId));
  }

  /** Detaches all CDP sessions. The records stay readable. Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
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
    await root.send('Target.setAutoAttach', this.#autoAttachSettings());
    await Promise.all([...this.#followers.values()].map(({ ready }) => ready));
    return root;
  }

  async #updateAutoAttach(): Promise<void> {
    const root = await this.#root;
    await root?.send('Target.setAutoAttach', this.#autoAttachSettings());
    await Promise.all([...this.#followers.values()].map(({ ready }) => ready));
  }

  #autoAttachSettings(): Protocol.Target.SetAutoAttachRequest {
    const filter = this.#keptAwake.size > 0 ? [...documentTargets, { type: 'service_worker' }] : documentTargets;
    return { autoAttach: true, waitForDebuggerOnStart: true, flatten: true, filter };
  }

  #isFollowed({ type, url }: Protocol.Target.TargetInfo): boolean {
    return type !== 'service_worker' || [...this.#keptAwake.keys()].some((id) => url.startsWith(`${originOf(id)}/`));
  }

  #onAttached(root: CDPSession, sessionId: string, target: Protocol.Target.TargetInfo): void {
    const session = root.connection()?.session(sessionId);
    if (session === undefined || session === null || this.#followers.has(sessionId)) return;
    const isFollowed = this.#isFollowed(target);
    if (isFollowed) this.#followers.set(sessionId, new ContextFollower(target, session, this));
    // A session that outlives its worker would pause the next one at its start.
    if (isFollowed && target.type === 'service_worker')
      this.#workerEnds.onEnd(target, () => void this.#detach(sessionId));
    void unlessGone(session.send('Runtime.runIfWaitingForDebugger'));
    if (!isFollowed) void unlessGone(root.send('Target.detachFromTarget', { sessionId }));
  }

  #onDetached(sessionId: string): void {
    this.#followers.get(sessionId)?.stop();
    this.#followers.delete(sessionId);
  }

  async #detach(sessionId: string): Promise<void> {
    this.#onDetached(sessionId);
    const root = await this.#root;
    if (root !== undefined) await unlessGone(root.send('Target.detachFromTarget', { sessionId }));
  }

  async #updateTracing(extensionId: string): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.updateTracing(extensionId)));
  }
}
