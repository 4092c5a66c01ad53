import type { Clock } from '../clock.js';
import type { RosterStore } from './clusterStore.js';

export interface RosterDeps {
  readonly store: RosterStore;
  /** The name of the node. */
  readonly node: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  /** The roster of this node as text. The text changes only when the roster does. */
  describe(): string;
  onPublishFailed(error: unknown): void;
}

const publishIntervalMs = 1_000;
/** A longer roster is published less often. */
const maxCharactersPerMs = 500;
/** How long a published roster is kept, in leases of the node. */
const ttlInLeases = 2;

/**
 * Publishes the open sessions of this node within a second or two, and reads those of the others. Owned by the
 * node, whose hooks start and stop it.
 */
export class Roster {
  readonly #options: RosterDeps;
  #published: string | null = null;
  #pauseMs = publishIntervalMs;
  #publishing: Promise<void> = Promise.resolve();
  #timer: unknown;
  #state: 'idle' | 'publishing' | 'stopped' = 'idle';
  #lastRead: { readonly at: number; readonly texts: readonly string[] } = { at: -Infinity, texts: [] };

  constructor(options: RosterDeps) {
    this.#options = options;
  }

  /** Idempotent; does nothing after `stop`. */
  start(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'publishing';
    this.#publishRepeatedly();
  }

  /** The rosters of the other nodes. While the store is unreachable, the last result is used for as long as the store would. */
  async readOthers(): Promise<readonly string[]> {
    const { store, node, leaseMs, clock } = this.#options;
    try {
      const all = await store.list();
      const texts = all.filter(({ node: name }) => name !== node).map(({ text }) => text);
      this.#lastRead = { at: clock.now(), texts };
      return texts;
    } catch {
      // Not logged here: publishing fails too, and logs it.
      const { at, texts } = this.#lastRead;
      return clock.now() - at < leaseMs * ttlInLeases ? texts : [];
    }
  }

  /** Resolves when the roster is removed from the store, or the removal has failed. Never rejects. */
  async stop(): Promise<void> {
    const { store, node, clock, onPublishFailed } = this.#options;
    this.#state = 'stopped';
    clock.clearTimeout(this.#timer);
    await this.#publishing;
    await store.remove(node).catch(onPublishFailed);
  }

  #publishRepeatedly(): void {
    this.#publishing = this.#publish();
    void this.#publishing.then(() => {
      if (this.#state === 'publishing')
        this.#timer = this.#options.clock.setTimeout(() => this.#publishRepeatedly(), this.#pauseMs);
    });
  }

  /** Never rejects. */
  async #publish(): Promise<void> {
    const { store, node, leaseMs, describe, onPublishFailed } = this.#options;
    const text = describe();
    const isNew = text !== this.#published;
    this.#pauseMs = Math.max(publishIntervalMs, isNew ? text.length / maxCharactersPerMs : 0);
    try {
      const isKept = await store.put(node, isNew ? text : null, leaseMs * ttlInLeases + this.#pauseMs);
      this.#published = isKept ? text : null;
    } catch (error) {
      this.#published = null;
      onPublishFailed(error);
    }
  }
}
