import type { Clock } from '../clock.js';
import type { RosterStore } from './serverStore.js';

export interface RosterOptions {
  readonly store: RosterStore;
  /** The node's whole name. */
  readonly node: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  /** What the others are told of this node: another text only when something is new. */
  read(): string;
  /** The others could not be told. */
  failed(error: unknown): void;
}

/** How often something new is told at most, and how many characters a second if there is very much. */
const tickMs = 1_000;
const charactersPerMs = 500;
/** What a node told is known for so many of its leases. */
const leases = 2;

/**
 * Tells the other nodes what is open at this one, within a second or two, and knows what they tell. Owned by the node,
 * which stops it.
 */
export class Roster {
  readonly #options: RosterOptions;
  #told: string | null = null;
  #pauseMs = tickMs;
  #telling: Promise<void> = Promise.resolve();
  #timer: unknown;
  #state: 'idle' | 'telling' | 'stopped' = 'idle';
  #known: { readonly at: number; readonly texts: readonly string[] } = { at: -Infinity, texts: [] };

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  /** Idempotent; does nothing after `stop`. */
  start(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'telling';
    this.#tellOn();
  }

  /** What the other nodes that are there told last. While the store cannot be reached that holds for as long as there. */
  async others(): Promise<readonly string[]> {
    const { store, node, leaseMs, clock } = this.#options;
    try {
      const all = await store.all();
      const texts = all.filter(({ node: name }) => name !== node).map(({ text }) => text);
      this.#known = { at: clock.now(), texts };
      return texts;
    } catch {
      // Told where it matters: this node cannot tell the others either.
      const { at, texts } = this.#known;
      return clock.now() - at < leaseMs * leases ? texts : [];
    }
  }

  /** Resolves when the others do not count it any more, or cannot be told. */
  async stop(): Promise<void> {
    const { store, node, clock, failed } = this.#options;
    this.#state = 'stopped';
    clock.clearTimeout(this.#timer);
    await this.#telling;
    await store.drop(node).catch(failed);
  }

  #tellOn(): void {
    this.#telling = this.#tell();
    void this.#telling.then(() => {
      if (this.#state === 'telling') this.#timer = this.#options.clock.setTimeout(() => this.#tellOn(), this.#pauseMs);
    });
  }

  /** Never rejects. */
  async #tell(): Promise<void> {
    const { store, node, leaseMs, read, failed } = this.#options;
    const text = read();
    const isNew = text !== this.#told;
    this.#pauseMs = Math.max(tickMs, isNew ? text.length / charactersPerMs : 0);
    try {
      const isKept = await store.put(node, isNew ? text : null, leaseMs * leases + this.#pauseMs);
      this.#told = isKept ? text : null;
    } catch (error) {
      this.#told = null;
      failed(error);
    }
  }
}
