import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { untilAborted } from '../protocol/abort.js';
import { unlessGone } from '../protocol/sessions.js';
import type { ProtocolScope } from '../protocol/protocolScope.js';
import { CallLog, type Trace } from './callLog.js';
import { ContextFollower } from './contextFollower.js';
import { originOf } from './extensions.js';
import { ExtensionLog } from './extensionLog.js';
import { MessageLog } from './messageLog.js';
import { WorkerWatch, type WorkerState } from './serviceWorkers.js';
import { WorkerRegistry } from './workerRegistry.js';
import { StorageWatch } from './storageWatch.js';
import { openBrowserSession } from '../protocol/openSession.js';

/** Popups begin as `other`, and offscreen documents are `background_page`. */
const documents = [{ type: 'page' }, { type: 'other' }, { type: 'background_page' }];

/**
 * What the extensions of a session do, from the first tool about extensions on: their messages, what they log, and when
 * asked for, their `chrome.*` calls and storage. Follows every document of the browser from before its first script.
 * Service workers are followed only while they are asked to be, since that keeps them awake: what passes between a
 * worker and a document is seen at the document. Owned by a seat, which closes it.
 */
export class ExtensionActivity {
  readonly messages = new MessageLog();
  readonly calls = new CallLog();
  readonly logs = new ExtensionLog();
  readonly storage: StorageWatch;
  readonly #browser: Browser;
  readonly #followers = new Map<string, ContextFollower>();
  /** Why each extension's worker is kept awake. */
  readonly #awake = new Map<string, Set<'trace' | 'logs'>>();
  readonly #registry: WorkerRegistry;
  #root: Promise<CDPSession> | undefined;
  #closed = false;

  constructor(browser: Browser) {
    this.#browser = browser;
    this.storage = new StorageWatch(browser);
    this.#registry = new WorkerRegistry(browser);
  }

  /** Follows what is open and what will be. Does nothing when it does so already. */
  async start(signal: AbortSignal): Promise<void> {
    this.#root ??= this.#start().catch((error: unknown) => {
      this.#root = undefined;
      throw error;
    });
    await untilAborted(this.#root, signal);
  }

  /** Takes over what the extension's worker has logged, if it runs and is not followed anyway. Answers its state. */
  async readWorker(scope: ProtocolScope, extensionId: string): Promise<WorkerState> {
    const watch = await WorkerWatch.open(scope);
    const targetId = watch.targetId(extensionId);
    if (targetId !== undefined && !this.isKeptAwake(extensionId)) {
      await this.logs.takeFromWorker(scope, extensionId, targetId);
    }
    return watch.state(extensionId);
  }

  /** Traces the `chrome.*` calls of an extension, also those of its worker, which stays awake meanwhile. */
  async startTrace(scope: ProtocolScope, { extensionId, filter }: Trace): Promise<void> {
    await this.readWorker(scope, extensionId);
    this.calls.start({ extensionId, filter });
    await this.#retrace(extensionId);
    await this.keepAwake(extensionId, 'trace', true);
  }

  /** False when there was no trace. */
  async stopTrace(extensionId: string): Promise<boolean> {
    const stopped = this.calls.stop(extensionId);
    await this.#retrace(extensionId);
    await this.keepAwake(extensionId, 'trace', false);
    return stopped;
  }

  isKeptAwake(extensionId: string): boolean {
    return this.#awake.has(extensionId);
  }

  /** Follows the extension's worker, now and after each start, or lets go of it. */
  async keepAwake(extensionId: string, reason: 'trace' | 'logs', on: boolean): Promise<void> {
    const reasons = this.#awake.get(extensionId) ?? new Set();
    if (on) this.#awake.set(extensionId, reasons.add(reason));
    else if (reasons.delete(reason) && reasons.size === 0) this.#awake.delete(extensionId);
    if (this.#awake.size > 0) await this.#registry.open();
    else await this.#registry.close();
    await this.#attach();
    const idle = [...this.#followers].filter(
      ([, { target }]) => target.type === 'service_worker' && !this.#wants(target),
    );
    await Promise.all(idle.map(([sessionId]) => this.#letGo(sessionId)));
  }

  /** The files of an extension that run in a page, in the extension's world or the page's own. */
  scriptsIn(targetId: string, extensionId: string): string[] {
    const followers = [...this.#followers.values()].filter(({ target }) => target.targetId === targetId);
    return followers.flatMap((follower) => follower.scripts(extensionId));
  }

  /** Ends all protocol sessions. What was collected stays readable. Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.storage.close(), this.#registry.close()]);
    const root = await this.#root?.catch(() => undefined);
    for (const follower of this.#followers.values()) follower.stop();
    this.#followers.clear();
    if (root !== undefined && !root.detached) await unlessGone(root.detach());
  }

  async #start(): Promise<CDPSession> {
    const root = await openBrowserSession(this.#browser);
    if (this.#closed) {
      await unlessGone(root.detach());
      throw new Error('The session has ended.');
    }
    root.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => this.#enter(root, sessionId, targetInfo));
    root.on('Target.detachedFromTarget', ({ sessionId }) => this.#leave(sessionId));
    await root.send('Target.setAutoAttach', this.#settings());
    await Promise.all([...this.#followers.values()].map(({ ready }) => ready));
    return root;
  }

  async #attach(): Promise<void> {
    const root = await this.#root;
    await root?.send('Target.setAutoAttach', this.#settings());
    await Promise.all([...this.#followers.values()].map(({ ready }) => ready));
  }

  #settings(): Protocol.Target.SetAutoAttachRequest {
    const filter = this.#awake.size > 0 ? [...documents, { type: 'service_worker' }] : documents;
    return { autoAttach: true, waitForDebuggerOnStart: true, flatten: true, filter };
  }

  #wants({ type, url }: Protocol.Target.TargetInfo): boolean {
    return type !== 'service_worker' || [...this.#awake.keys()].some((id) => url.startsWith(`${originOf(id)}/`));
  }

  #enter(root: CDPSession, sessionId: string, target: Protocol.Target.TargetInfo): void {
    const session = root.connection()?.session(sessionId);
    if (session === undefined || session === null || this.#followers.has(sessionId)) return;
    const wanted = this.#wants(target);
    if (wanted) this.#followers.set(sessionId, new ContextFollower(target, session, this));
    // A session that outlives its worker would hold the next one at its start.
    if (wanted && target.type === 'service_worker') this.#registry.onEnd(target, () => void this.#letGo(sessionId));
    void unlessGone(session.send('Runtime.runIfWaitingForDebugger'));
    if (!wanted) void unlessGone(root.send('Target.detachFromTarget', { sessionId }));
  }

  #leave(sessionId: string): void {
    this.#followers.get(sessionId)?.stop();
    this.#followers.delete(sessionId);
  }

  async #letGo(sessionId: string): Promise<void> {
    this.#leave(sessionId);
    const root = await this.#root;
    if (root !== undefined) await unlessGone(root.send('Target.detachFromTarget', { sessionId }));
  }

  async #retrace(extensionId: string): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.retrace(extensionId)));
  }
}
