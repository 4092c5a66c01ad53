import type { CreationWindow } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { EpisodeStore } from '../cluster/serverStore.js';
import { CreationCounter, windowOf } from './creationWindow.js';

export interface SharedCreationsOptions {
  readonly store: EpisodeStore;
  readonly windowMs: number;
  readonly clock: Clock;
  /** Told of each new measurement. */
  changed(): void;
  /** Whether the alarm rings at this node. */
  isRinging(): boolean;
}

/**
 * Counts the creations of all nodes. While they cannot be asked it measures those of this one. Looks by itself too, since
 * the others' creations raise the alarm here as well. Owned by the alarm.
 */
export class SharedCreations {
  readonly #options: SharedCreationsOptions;
  readonly #own: CreationCounter;
  #all: CreationWindow | undefined;
  #timer: unknown;

  constructor(options: SharedCreationsOptions) {
    this.#options = options;
    this.#own = new CreationCounter(options.windowMs);
    this.#lookLater();
  }

  get partMs(): number {
    return this.#own.partMs;
  }

  add(at: number, cause: string | null): void {
    this.#own.add(at, cause);
    void this.#count(cause ?? '');
  }

  measure(at: number): CreationWindow {
    return this.#all ?? this.#own.measure(at);
  }

  close(): void {
    this.#options.clock.clearTimeout(this.#timer);
  }

  #lookLater(): void {
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#lookLater();
      void this.#count();
    }, this.partMs);
  }

  /** Never rejects. */
  async #count(cause?: string): Promise<void> {
    const { store, windowMs, changed, isRinging } = this.#options;
    try {
      if (isRinging()) await store.goOn(windowMs);
      this.#all = windowOf(await store.count(windowMs, cause));
    } catch {
      // What cannot be asked is told of by the node itself.
      this.#all = undefined;
    }
    changed();
  }
}
