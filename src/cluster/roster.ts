import type { Clock } from '../clock.js';
import type { RosterStore } from './clusterStore.js';

export interface RosterDeps {
  readonly store: RosterStore;
  /** The node's whole name. */
  readonly node: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  /** What the others are told of this node: another text only when something is new. */
  describe(): string;
  /** The others could not be told. */
  onPublishFailed(error: unknown): void;
}

/** How often something new is told at most, and how many characters a second if there is very much. */
const publishIntervalMs = 1_000;
const maxCharactersPerMs = 500;
/** What a node told is known for so many of its leases. */
const ttlInLeases = 2;

/**
 * Tells the other nodes what is open at this one, within a second or two, and knows what they tell. Owned by the node,
 * which stops it.
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

  /** What the other nodes that are there told last. While the store cannot be reached that holds for as long as there. */
  async readOthers(): Promise<readonly string[]> {
    const { store, node, leaseMs, clock } = this.#options;
    try {
      const all = await store.list();
      const texts = all.filter(({ node: name }) => name !== node).map(({ text }) => text);
      this.#lastRead = { at: clock.now(), texts };
      return texts;
    } catch {
      // Told where it matters: this node cannot tell the others either.
      const { at, texts } = this.#lastRead;
      return clock.now() - at < leaseMs * ttlInLeases ? texts : [];
    }
  }

  /** Resolves when the others do not count it any more, or cannot be told. */
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
