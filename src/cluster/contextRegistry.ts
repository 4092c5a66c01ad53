import { messageOf } from '../errors/errors.js';
import { shortId, type Log } from '../log.js';
import type { ContextEntry, OwnerLookup, ClusterStore } from './clusterStore.js';

/** A remote browser that several nodes use, and to which this node is connected. */
export interface RemoteBrowser {
  /** The same id at every node. */
  readonly id: string;
  /** The contexts in which sessions of this node work. */
  contextsInUse(): ReadonlyMap<string, { readonly sessionId: string; lost(): void }>;
  /** All contexts of the browser, those of other nodes and other programs included. */
  contextIds(): Promise<ReadonlySet<string>>;
  closeContext(contextId: string): Promise<void>;
}

export interface ContextRegistryDeps {
  readonly store: ClusterStore;
  readonly log: Log;
  /** The name under which this node holds its lease. */
  node(): string;
  browsers(): readonly RemoteBrowser[];
  /** Whether this node runs the session, or has yet to release some of its resources. */
  hasSession(sessionId: string): boolean;
}

interface SessionContext {
  readonly browser: string;
  readonly contextId: string;
  readonly sessionId: string;
}

/**
 * What to do with a context whose node is dead. `keep`: its session is alive, or can be restored. `close`: the session no
 * longer exists. `close-session`: the session cannot be restored, and its end is not recorded yet.
 */
export type OrphanDecision = 'keep' | 'close' | 'close-session';

export interface OwnerStatus {
  readonly isOwnerAlive: boolean;
  readonly hasSnapshot: boolean;
}

export function decideOrphan(
  { kind }: Pick<OwnerLookup, 'kind'>,
  { isOwnerAlive, hasSnapshot }: OwnerStatus,
): OrphanDecision {
  if (kind === 'unknown' || kind === 'closed') return 'close';
  return kind === 'owned' && !isOwnerAlive && !hasSnapshot ? 'close-session' : 'keep';
}

/**
 * Browser contexts of sessions in remote browsers, which outlive the nodes. Each is registered in the store with its
 * session and node. The contexts of a dead node are closed by one of the other nodes that use the browser: the one whose
 * compare-and-set registers it as the closing node. A context without an entry belongs to another program and is never
 * touched. Owned by the node, whose hooks sweep and stop it.
 *
 * ```
 *  node A                    store                         node B, with each heartbeat
 *    recordOpened ──────────▶ ctx → A, session
 *    (dies)                                                sweep: A has no lease
 *                             ctx → A, session ◀────────── does the session need it? (decideOrphan)
 *                             ctx → B, no session ◀─────── compareAndSet
 *                                                          close the context in the browser
 *                             (no entry) ◀──────────────── compareAndSet
 * ```
 */
export class ContextRegistry {
  readonly #options: ContextRegistryDeps;
  readonly #browsersInSweep = new Set<string>();
  readonly #failingBrowsers = new Set<string>();
  readonly #pendingRemovals = new Set<Promise<void>>();
  #isStopped = false;

  constructor(options: ContextRegistryDeps) {
    this.#options = options;
  }

  /** Resolves when the context is registered; a later sweep repairs a failure. Never rejects. */
  async recordOpened({ browser, contextId, sessionId }: SessionContext): Promise<void> {
    const { store, node } = this.#options;
    await store.server.contexts
      .put(browser, { contextId, sessionId, node: node() })
      .catch((error: unknown) => this.#reportFailure(browser, error));
  }

  /** Returns at once. A later sweep of any node repairs a failure. */
  recordClosed({ browser, contextId, sessionId }: SessionContext): void {
    const { store, node } = this.#options;
    const removal = store.server.contexts.compareAndSet(browser, contextId, { node: node(), sessionId }, null).then(
      () => undefined,
      (error: unknown) => this.#reportFailure(browser, error),
    );
    this.#pendingRemovals.add(removal);
    void removal.then(() => this.#pendingRemovals.delete(removal));
  }

  /** Closes the orphaned contexts of each browser that has no sweep running. Never rejects. */
  async sweep(): Promise<void> {
    if (this.#isStopped) return;
    const browsers = this.#options.browsers().filter(({ id }) => !this.#browsersInSweep.has(id));
    await Promise.all(browsers.map((browser) => this.#sweepBrowser(browser)));
  }

  /** Stops sweeping. Resolves when pending removals have succeeded or failed. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#pendingRemovals);
  }

  async #sweepBrowser(browser: RemoteBrowser): Promise<void> {
    const { id } = browser;
    this.#browsersInSweep.add(id);
    try {
      await this.#reconcile(browser);
      this.#failingBrowsers.delete(id);
    } catch (error) {
      this.#reportFailure(id, error);
    } finally {
      this.#browsersInSweep.delete(id);
    }
  }

  async #reconcile(browser: RemoteBrowser): Promise<void> {
    // Read before the entries: each of these contexts was registered before it was in use.
    const inUse = browser.contextsInUse();
    const entries = await this.#options.store.server.contexts.list(browser.id);
    const owners = new Map(entries.map(({ contextId, sessionId }) => [contextId, sessionId]));
    const unregistered = [...inUse.keys()].filter((contextId) => typeof owners.get(contextId) !== 'string');
    const orphans = await this.#findOrphans(entries.filter(({ contextId }) => !inUse.has(contextId)));
    if (unregistered.length + orphans.length === 0) return;
    const openContextIds = await browser.contextIds();
    const results = await Promise.allSettled([
      ...unregistered.map((contextId) =>
        this.#restoreEntry(browser, contextId, openContextIds.has(contextId) && !owners.has(contextId)),
      ),
      ...orphans.map((entry) => this.#closeOrphan(browser, entry, openContextIds.has(entry.contextId))),
    ]);
    const failure = results.find(({ status }) => status === 'rejected');
    if (failure?.status === 'rejected') throw failure.reason;
  }

  /** The entries whose node is dead, or is this node without the session. */
  async #findOrphans(entries: readonly ContextEntry[]): Promise<ContextEntry[]> {
    const { node: own, hasSession } = this.#options;
    const nodes = [...new Set(entries.map(({ node }) => node))];
    const areAlive = await Promise.all(nodes.map((node) => this.#isNodeAlive(node)));
    const deadNodes = new Set(nodes.filter((_node, index) => areAlive[index] === false));
    const isAbandonedHere = (sessionId: string | null): boolean => sessionId === null || !hasSession(sessionId);
    return entries.filter(
      ({ node, sessionId }) => deadNodes.has(node) || (node === own() && isAbandonedHere(sessionId)),
    );
  }

  /** A context in use here without a matching entry: the store lost the entry, or another node considered this one dead. */
  async #restoreEntry(browser: RemoteBrowser, contextId: string, isOpen: boolean): Promise<void> {
    const holder = browser.contextsInUse().get(contextId);
    if (holder === undefined) return;
    const { store, node, log } = this.#options;
    const { sessionId } = holder;
    if (isOpen) {
      await store.server.contexts.compareAndSet(browser.id, contextId, null, { node: node(), sessionId });
      return;
    }
    log.warn('browser context was closed by another node', { session: shortId(sessionId) });
    holder.lost();
  }

  /** The compare-and-set lets exactly one of the sweeping nodes close the context. */
  async #closeOrphan(browser: RemoteBrowser, entry: ContextEntry, isOpen: boolean): Promise<void> {
    const { store, node, log } = this.#options;
    const { contexts } = store.server;
    const { contextId, sessionId } = entry;
    // The browser was restarted, or the removal of the entry failed.
    if (!isOpen) {
      await contexts.compareAndSet(browser.id, contextId, entry, null);
      return;
    }
    if (sessionId !== null && (await this.#isNeeded(sessionId))) return;
    const closing = { node: node(), sessionId: null };
    if (!(await contexts.compareAndSet(browser.id, contextId, entry, closing))) return;
    await browser.closeContext(contextId);
    await contexts.compareAndSet(browser.id, contextId, closing, null);
    log.info('closed orphaned browser context', { session: shortId(sessionId ?? ''), node: entry.node });
  }

  /** Whether the session may still use its context. Closes a session that ended with its node and cannot be restored. */
  async #isNeeded(sessionId: string): Promise<boolean> {
    const { directory, snapshots } = this.#options.store;
    const found = await directory.find(sessionId, 'anyone');
    const isOwnerAlive = found.kind === 'owned' && (await this.#isNodeAlive(found.node));
    const decision = decideOrphan(found, { isOwnerAlive, hasSnapshot: await snapshots.has(sessionId) });
    if (decision !== 'close-session' || found.kind !== 'owned') return decision === 'keep';
    return (await directory.close({ sessionId, epoch: found.epoch }, 'node-lost')) === 'fenced';
  }

  async #isNodeAlive(node: string): Promise<boolean> {
    return node === this.#options.node() || this.#options.store.nodes.isAlive(node);
  }

  /** Logged once per outage of a browser or the store. */
  #reportFailure(browser: string, error: unknown): void {
    if (this.#isStopped || this.#failingBrowsers.has(browser)) return;
    this.#failingBrowsers.add(browser);
    this.#options.log.warn('context registry update failed', { browser, error: messageOf(error) });
  }
}
