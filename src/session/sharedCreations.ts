import type { CreationWindow } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { AlertEpisodeStore } from '../cluster/serverStore.js';
import { CreationCounter, windowFromCounts } from '../telemetry/creationWindow.js';

export interface SharedCreationCounterOptions {
  readonly store: AlertEpisodeStore;
  readonly windowMs: number;
  readonly clock: Clock;
  /** Told of each new measurement. */
  onMeasured(): void;
  /** Whether the alarm rings at this node. */
  isFiring(): boolean;
}

/**
 * Counts the creations of all nodes. While they cannot be asked it measures those of this one. Looks by itself too, since
 * the others' creations raise the alarm here as well. Owned by the alarm.
 */
export class SharedCreationCounter {
  readonly #options: SharedCreationCounterOptions;
  readonly #localCounter: CreationCounter;
  #sharedWindow: CreationWindow | undefined;
  #timer: unknown;

  constructor(options: SharedCreationCounterOptions) {
    this.#options = options;
    this.#localCounter = new CreationCounter(options.windowMs);
    this.#scheduleRefresh();
  }

  get bucketMs(): number {
    return this.#localCounter.bucketMs;
  }

  add(at: number, cause: string | null): void {
    this.#localCounter.add(at, cause);
    void this.#refresh(cause ?? '');
  }

  measure(at: number): CreationWindow {
    return this.#sharedWindow ?? this.#localCounter.measure(at);
  }

  close(): void {
    this.#options.clock.clearTimeout(this.#timer);
  }

  #scheduleRefresh(): void {
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#scheduleRefresh();
      void this.#refresh();
    }, this.bucketMs);
  }

  /** Never rejects. */
  async #refresh(cause?: string): Promise<void> {
    const { store, windowMs, onMeasured, isFiring } = this.#options;
    try {
      if (isFiring()) await store.extend(windowMs);
      this.#sharedWindow = windowFromCounts(await store.countCreations(windowMs, cause));
    } catch {
      // What cannot be asked is told of by the node itself.
      this.#sharedWindow = undefined;
    }
    onMeasured();
  }
}
