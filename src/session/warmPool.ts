import type { Clock } from '../clock.js';
import type { Session } from './session.js';
import type { SessionDeps } from './sessionDeps.js';
import type { SessionRegistry } from './registry.js';

/** Maximum age of a warm session: an older one is closed unused. */
const maxAgeMs = 600_000;
/** Delay before an assigned warm session is replaced, so that its client's first calls do not compete with a setup. */
const refillPauseMs = 250;
const maxBackoffMs = 60_000;
/** Retry interval while every browser process is in use. */
const poolFullPauseMs = 1_000;

export interface WarmPoolOptions {
  readonly registry: SessionRegistry;
  readonly parts: SessionDeps;
  /** Number of warm sessions, including those that are still being set up. */
  readonly count: number;
  readonly clock: Clock;
}

/**
 * Keeps a number of sessions ready in `tools-registered`. It opens them and closes the stale ones; the registry assigns
 * their clients. No warm session queues for a browser; failed setups are retried with exponential backoff. Owned by the
 * orchestrator, which starts it once the port is open and drains it.
 */
export class WarmPool {
  readonly #options: WarmPoolOptions;
  readonly #sessions = new Set<Session>();
  #state: 'idle' | 'running' | 'stopped' = 'idle';
  #failures = 0;
  #refillTimer: unknown;

  constructor(options: WarmPoolOptions) {
    this.#options = options;
  }

  /** Idempotent; does nothing after `drain`. */
  start(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'running';
    this.#fill();
  }

  /** Opens no more sessions and drains the registry, including the warm sessions. Idempotent. */
  drain(): Promise<void> {
    this.#state = 'stopped';
    this.#options.clock.clearTimeout(this.#refillTimer);
    return this.#options.registry.drain();
  }

  #fill(): void {
    const { registry, parts, count } = this.#options;
    this.#refillTimer = undefined;
    if (registry.isDraining) return;
    while (this.#sessions.size < count && parts.hasFreeBrowser()) this.#add(registry.openWarm(parts));
    if (this.#sessions.size < count) this.#refillLater(poolFullPauseMs);
  }

  #add(session: Session): void {
    const { clock } = this.#options;
    const ageTimer = clock.setTimeout(() => session.close('stale'), maxAgeMs);
    const remove = (): void => {
      subscription.unsubscribe();
      clock.clearTimeout(ageTimer);
      this.#sessions.delete(session);
      this.#refillLater();
    };
    this.#sessions.add(session);
    const subscription = session.actor.subscribe({
      next: (snapshot) => {
        if (snapshot.context.attached) remove();
        else if (snapshot.matches({ 'tools-registered': 'waiting' })) this.#failures = 0;
        else if (snapshot.context.closedBecause !== null && snapshot.context.closedBecause !== 'stale')
          this.#failures += 1;
      },
      // An actor that failed on start calls this before `subscription` is assigned.
      error: () => {
        this.#failures += 1;
        void session.closed.then(remove);
      },
      complete: remove,
    });
  }

  #refillLater(pause = Math.min(maxBackoffMs, refillPauseMs * 4 ** this.#failures)): void {
    if (this.#state !== 'running' || this.#refillTimer !== undefined) return;
    this.#refillTimer = this.#options.clock.setTimeout(() => this.#fill(), pause);
  }
}
