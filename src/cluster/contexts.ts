import { messageOf } from '../errors.js';
import type { Log } from '../log.js';
import type { ContextEntry } from './serverStore.js';
import type { Found, Store } from './store.js';

/** One of the browsers that run elsewhere, which several nodes use. It answers this node now. */
export interface SharedBrowser {
  /** The same at every node. */
  readonly id: string;
  /** The contexts in which sessions of this node work. */
  held(): ReadonlyMap<string, { readonly sessionId: string; lost(): void }>;
  /** All contexts that are in it, whoever's they are. */
  contextIds(): Promise<ReadonlySet<string>>;
  close(contextId: string): Promise<void>;
}

export interface ContextsOptions {
  readonly store: Store;
  readonly log: Log;
  /** The name under which this node holds its lease. */
  node(): string;
  browsers(): readonly SharedBrowser[];
  /** Whether something of a session is at this node, open or not released yet. */
  isHere(sessionId: string): boolean;
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
export type Fate = 'kept' | 'left' | 'ended';

/** Whether the owner of a session is there, and whether another node could restore it. */
export interface Prospects {
  readonly isOwnerThere: boolean;
  readonly isStored: boolean;
}

export function fateOf({ is }: Pick<Found, 'is'>, { isOwnerThere, isStored }: Prospects): Fate {
  if (is === 'unknown' || is === 'closed') return 'left';
  return is === 'owned' && !isOwnerThere && !isStored ? 'ended' : 'kept';
}

/**
 * The browser contexts of sessions in browsers that run elsewhere, and so outlive the nodes. Each is written down with its
 * session and node. What a node leaves there when it dies is closed by one of the others that use the browser: the one that
 * writes itself down as who closes it. A context that is not written down is somebody else's. Owned by the node.
 */
export class Contexts {
  readonly #options: ContextsOptions;
  readonly #sweeping = new Set<string>();
  readonly #failing = new Set<string>();
  readonly #telling = new Set<Promise<void>>();
  #hasLeft = false;

  constructor(options: ContextsOptions) {
    this.#options = options;
  }

  /** Resolves when it is written down; what cannot be said now is said with a later sweep. Never rejects. */
  async opened({ browser, contextId, sessionId }: SessionContext): Promise<void> {
    const { store, node } = this.#options;
    await store.server.contexts
      .put(browser, { contextId, sessionId, node: node() })
      .catch((error: unknown) => this.#failed(browser, error));
  }

  /** Returns at once. What cannot be said now is found out by a later sweep, of whichever node. */
  closed({ browser, contextId, sessionId }: SessionContext): void {
    const { store, node } = this.#options;
    const telling = store.server.contexts.change(browser, contextId, { node: node(), sessionId }, null).then(
      () => undefined,
      (error: unknown) => this.#failed(browser, error),
    );
    this.#telling.add(telling);
    void telling.then(() => this.#telling.delete(telling));
  }

  /** Closes what is left in each of the browsers, but for those where it is being done already. Never rejects. */
  async sweep(): Promise<void> {
    if (this.#hasLeft) return;
    const browsers = this.#options.browsers().filter(({ id }) => !this.#sweeping.has(id));
    await Promise.all(browsers.map((browser) => this.#sweepOne(browser)));
  }

  /** Sweeps no more. Resolves when what was closed is told, or cannot be told. Never rejects. */
  async leave(): Promise<void> {
    this.#hasLeft = true;
    await Promise.all(this.#telling);
  }

  async #sweepOne(browser: SharedBrowser): Promise<void> {
    const { id } = browser;
    this.#sweeping.add(id);
    try {
      await this.#settleAll(browser);
      this.#failing.delete(id);
    } catch (error) {
      this.#failed(id, error);
    } finally {
      this.#sweeping.delete(id);
    }
  }

  async #settleAll(browser: SharedBrowser): Promise<void> {
    // Looked at first: each of these was written down before.
    const held = browser.held();
    const entries = await this.#options.store.server.contexts.all(browser.id);
    const owners = new Map(entries.map(({ contextId, sessionId }) => [contextId, sessionId]));
    const missed = [...held.keys()].filter((contextId) => typeof owners.get(contextId) !== 'string');
    const orphans = await this.#orphans(entries.filter(({ contextId }) => !held.has(contextId)));
    if (missed.length + orphans.length === 0) return;
    const living = await browser.contextIds();
    const settled = await Promise.allSettled([
      ...missed.map((contextId) => this.#mend(browser, contextId, living.has(contextId) && !owners.has(contextId))),
      ...orphans.map((entry) => this.#settle(browser, entry, living.has(entry.contextId))),
    ]);
    const failure = settled.find(({ status }) => status === 'rejected');
    if (failure?.status === 'rejected') throw failure.reason;
  }

  /** Those whose node is gone, or has nothing of their session any more. */
  async #orphans(entries: readonly ContextEntry[]): Promise<ContextEntry[]> {
    const { node: own, isHere } = this.#options;
    const nodes = [...new Set(entries.map(({ node }) => node))];
    const areThere = await Promise.all(nodes.map((node) => this.#isThere(node)));
    const gone = new Set(nodes.filter((_node, index) => areThere[index] === false));
    const isLeftHere = (sessionId: string | null): boolean => sessionId === null || !isHere(sessionId);
    return entries.filter(({ node, sessionId }) => gone.has(node) || (node === own() && isLeftHere(sessionId)));
  }

  /** One that is worked in here and not written down so: the store lost that, or another node took this one for dead. */
  async #mend(browser: SharedBrowser, contextId: string, isLiving: boolean): Promise<void> {
    const holder = browser.held().get(contextId);
    if (holder === undefined) return;
    const { store, node, log } = this.#options;
    const { sessionId } = holder;
    if (isLiving) {
      await store.server.contexts.change(browser.id, contextId, null, { node: node(), sessionId });
      return;
    }
    log.warn('the context of a session was closed by another node', { session: sessionId.slice(0, 8) });
    holder.lost();
  }

  /** Of all nodes that look, one closes it. */
  async #settle(browser: SharedBrowser, entry: ContextEntry, isLiving: boolean): Promise<void> {
    const { store, node, log } = this.#options;
    const { contexts } = store.server;
    const { contextId, sessionId } = entry;
    // The browser was started anew, or it was closed and that could not be told.
    if (!isLiving) {
      await contexts.change(browser.id, contextId, entry, null);
      return;
    }
    if (sessionId !== null && (await this.#goesOn(sessionId))) return;
    const closing = { node: node(), sessionId: null };
    if (!(await contexts.change(browser.id, contextId, entry, closing))) return;
    await browser.close(contextId);
    await contexts.change(browser.id, contextId, closing, null);
    log.info('closed a context that was left', { session: (sessionId ?? '').slice(0, 8), node: entry.node });
  }

  /** Whether the session may still want its context. One that ended with its node is closed: it cannot come back to it. */
  async #goesOn(sessionId: string): Promise<boolean> {
    const { directory, snapshots } = this.#options.store;
    const found = await directory.find(sessionId, 'anyone');
    const isOwnerThere = found.is === 'owned' && (await this.#isThere(found.node));
    const fate = fateOf(found, { isOwnerThere, isStored: await snapshots.has(sessionId) });
    if (fate !== 'ended' || found.is !== 'owned') return fate === 'kept';
    return (await directory.close({ sessionId, epoch: found.epoch }, 'node-lost')) === 'fenced';
  }

  async #isThere(node: string): Promise<boolean> {
    return node === this.#options.node() || this.#options.store.nodes.isAlive(node);
  }

  /** Told once, until it is well again. */
  #failed(browser: string, error: unknown): void {
    if (this.#hasLeft || this.#failing.has(browser)) return;
    this.#failing.add(browser);
    this.#options.log.warn('contexts cannot be kept track of', { browser, error: messageOf(error) });
  }
}
