import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { ContextEntry, OwnerLookup, ClusterStore } from './clusterStore.js';

/** One of the browsers that run elsewhere, which several nodes use. It answers this node now. */
export interface RemoteBrowser {
  /** The same at every node. */
  readonly id: string;
  /** The contexts in which sessions of this node work. */
  contextsInUse(): ReadonlyMap<string, { readonly sessionId: string; lost(): void }>;
  /** All contexts that are in it, whoever's they are. */
  contextIds(): Promise<ReadonlySet<string>>;
  closeContext(contextId: string): Promise<void>;
}

export interface ContextRegistryDeps {
  readonly store: ClusterStore;
  readonly log: Log;
  /** The name under which this node holds its lease. */
  node(): string;
  browsers(): readonly RemoteBrowser[];
  /** Whether something of a session is at this node, open or not released yet. */
  hasSession(sessionId: string): boolean;
}

interface SessionContext {
  readonly browser: string;
  readonly contextId: string;
  readonly sessionId: string;
}

/**
 * What becomes of a context whose node is gone. `kept`: its session goes on, or may do so at another node. `left`: nobody
 * comes back to it. `ended`: its session cannot go on without its node, and nobody has said so yet.
 */
export type OrphanDecision = 'keep' | 'close' | 'close-session';

/** Whether the owner of a session is there, and whether another node could restore it. */
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
 * The browser contexts of sessions in browsers that run elsewhere, and so outlive the nodes. Each is written down with its
 * session and node. What a node leaves there when it dies is closed by one of the others that use the browser: the one that
 * writes itself down as who closes it. A context that is not written down is somebody else's. Owned by the node.
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

  /** Resolves when it is written down; what cannot be said now is said with a later sweep. Never rejects. */
  async recordOpened({ browser, contextId, sessionId }: SessionContext): Promise<void> {
    const { store, node } = this.#options;
    await store.server.contexts
      .put(browser, { contextId, sessionId, node: node() })
      .catch((error: unknown) => this.#reportFailure(browser, error));
  }

  /** Returns at once. What cannot be said now is found out by a later sweep, of whichever node. */
  recordClosed({ browser, contextId, sessionId }: SessionContext): void {
    const { store, node } = this.#options;
    const removal = store.server.contexts.compareAndSet(browser, contextId, { node: node(), sessionId }, null).then(
      () => undefined,
      (error: unknown) => this.#reportFailure(browser, error),
    );
    this.#pendingRemovals.add(removal);
    void removal.then(() => this.#pendingRemovals.delete(removal));
  }

  /** Closes what is left in each of the browsers, but for those where it is being done already. Never rejects. */
  async sweep(): Promise<void> {
    if (this.#isStopped) return;
    const browsers = this.#options.browsers().filter(({ id }) => !this.#browsersInSweep.has(id));
    await Promise.all(browsers.map((browser) => this.#sweepBrowser(browser)));
  }

  /** Sweeps no more. Resolves when what was closed is told, or cannot be told. Never rejects. */
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
    // Looked at first: each of these was written down before.
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

  /** Those whose node is gone, or has nothing of their session any more. */
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

  /** One that is worked in here and not written down so: the store lost that, or another node took this one for dead. */
  async #restoreEntry(browser: RemoteBrowser, contextId: string, isOpen: boolean): Promise<void> {
    const holder = browser.contextsInUse().get(contextId);
    if (holder === undefined) return;
    const { store, node, log } = this.#options;
    const { sessionId } = holder;
    if (isOpen) {
      await store.server.contexts.compareAndSet(browser.id, contextId, null, { node: node(), sessionId });
      return;
    }
    log.warn('the context of a session was closed by another node', { session: sessionId.slice(0, 8) });
    holder.lost();
  }

  /** Of all nodes that look, one closes it. */
  async #closeOrphan(browser: RemoteBrowser, entry: ContextEntry, isOpen: boolean): Promise<void> {
    const { store, node, log } = this.#options;
    const { contexts } = store.server;
    const { contextId, sessionId } = entry;
    // The browser was started anew, or it was closed and that could not be told.
    if (!isOpen) {
      await contexts.compareAndSet(browser.id, contextId, entry, null);
      return;
    }
    if (sessionId !== null && (await this.#isNeeded(sessionId))) return;
    const closing = { node: node(), sessionId: null };
    if (!(await contexts.compareAndSet(browser.id, contextId, entry, closing))) return;
    await browser.closeContext(contextId);
    await contexts.compareAndSet(browser.id, contextId, closing, null);
    log.info('closed a context that was left', { session: (sessionId ?? '').slice(0, 8), node: entry.node });
  }

  /** Whether the session may still want its context. One that ended with its node is closed: it cannot come back to it. */
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

  /** Told once, until it is well again. */
  #reportFailure(browser: string, error: unknown): void {
    if (this.#isStopped || this.#failingBrowsers.has(browser)) return;
    this.#failingBrowsers.add(browser);
    this.#options.log.warn('contexts cannot be kept track of', { browser, error: messageOf(error) });
  }
}
