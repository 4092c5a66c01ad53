import type { Clock } from '../clock.js';
import type { Session, SessionDeps } from './session.js';
import type { SessionRegistry } from './registry.js';

/** An older browser context is thrown away unused: what is fresh is never far from what a client would get. */
const maxAgeMs = 600_000;
/** A client that has just come works undisturbed for a moment before its successor is prepared. */
const refillPauseMs = 250;
const maxBackoffMs = 60_000;
/** When every browser process is a client's: how soon one is looked for again. */
const poolFullPauseMs = 1_000;

export interface WarmPoolOptions {
  readonly registry: SessionRegistry;
  readonly parts: SessionDeps;
  /** How many are kept, those included that are still being set up. */
  readonly count: number;
  readonly clock: Clock;
}

/**
 * Keeps so many sessions ready in `tools-registered`. It only opens and drops them: the registry hands them over, and
 * their chart says what they are. None is opened that would have to wait for its browser; those that cannot be set up are
 * tried again with growing pauses. Owned by the orchestrator, which starts it once the port is open and drains it.
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

  /** Opens no more, and ends every session of the registry, those that wait included. Idempotent. */
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
      // One may have failed as it was started: then this is called before there is a subscription.
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
