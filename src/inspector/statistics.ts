import type { Clock } from '../clock.js';
import type { Observation } from '../telemetry/observer.js';
import type { SessionTrack } from './sessionTrack.js';
import type { EndedSession, Overview, Sample } from './wire.js';

type Transition = Extract<Observation, { kind: 'transition' }>;
type Creation = Extract<Observation, { kind: 'creation' }>;

/** At most one sample per 5 s, and only after changes: half an hour of changes. */
const sampleMs = 5_000;
const maxSamples = 360;
const maxAnnouncements = 200;
const maxFailures = 20;
/** Calls of tools, for their rate and duration. */
const maxCalls = 500;
const callWindowMs = 5 * 60_000;

/** Close reasons that are no failure. */
const expectedReasons: ReadonlySet<string> = new Set([
  'client-closed',
  'idle-timeout',
  'operator-closed',
  'server-draining',
]);

/**
 * Figures of the whole server, in bounded memory: a fold over the transitions of sessions and their creations. A warm session
 * is none of them before a client asks for it, as in `/health` and in the metrics.
 */
export class Statistics {
  readonly #clock: Clock;
  readonly #counts = new Map<string, number>();
  readonly #samples: Sample[] = [];
  /** The sessions that are counted in a state. */
  readonly #counted = new Set<string>();
  readonly #announceMs: number[] = [];
  readonly #calls: { readonly at: number; readonly durationMs: number }[] = [];
  readonly #endings = new Map<string, number>();
  readonly #failures: EndedSession[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** For transitions of sessions, after the journal has recorded them in `track`. */
  record({ actor, from, to, at, context }: Transition, track: SessionTrack | undefined): void {
    if (isWarm(context)) return;
    if (this.#counted.delete(actor)) this.#count(from, -1);
    if (to !== 'closed') {
      this.#count(to, 1);
      this.#counted.add(actor);
    }
    this.#sample(at);
    const ending = track?.ending();
    if (to !== 'closed' || ending === undefined) return;
    this.#endings.set(ending.because, (this.#endings.get(ending.because) ?? 0) + 1);
    if (!expectedReasons.has(ending.because)) pushBounded(this.#failures, ending, maxFailures);
  }

  /** From the request of the client, however long the session had been warm. */
  recordCreation({ outcome, durationMs }: Creation): void {
    if (outcome === 'announced') pushBounded(this.#announceMs, durationMs, maxAnnouncements);
  }

  recordCall(at: number, durationMs: number): void {
    pushBounded(this.#calls, { at, durationMs }, maxCalls);
  }

  /** The rate is over the last five minutes, or over the time of the calls that are kept, if they were more. */
  #recentCalls(): Overview['calls'] {
    const now = this.#clock.now();
    const recent = this.#calls.filter(({ at }) => now - at < callWindowMs);
    const [first] = recent;
    const spanMs = recent.length === maxCalls && first !== undefined ? Math.max(1, now - first.at) : callWindowMs;
    return { perMinute: (recent.length / spanMs) * 60_000, durationsMs: recent.map(({ durationMs }) => durationMs) };
  }

  overview(health: unknown): Overview {
    return {
      calls: this.#recentCalls(),
      samples: [...this.#samples, { at: this.#clock.now(), states: Object.fromEntries(this.#counts) }],
      announceMs: this.#announceMs,
      endings: Object.fromEntries(this.#endings),
      failures: this.#failures.toReversed(),
      health,
    };
  }

  #count(state: string, change: 1 | -1): void {
    if (state !== '') this.#counts.set(state, (this.#counts.get(state) ?? 0) + change);
  }

  /** The last sample of an interval replaces the others: it was valid until the next change. */
  #sample(at: number): void {
    const sample = { at, states: Object.fromEntries(this.#counts) };
    const before = this.#samples.at(-2);
    if (before !== undefined && at - before.at < sampleMs) this.#samples[this.#samples.length - 1] = sample;
    else pushBounded(this.#samples, sample, maxSamples);
  }
}

/** Its user is null until a client is assigned. */
function isWarm(context: unknown): boolean {
  return typeof context === 'object' && context !== null && 'user' in context && context.user === null;
}

function pushBounded<Item>(items: Item[], item: Item, limit: number): void {
  items.push(item);
  if (items.length > limit) items.shift();
}
