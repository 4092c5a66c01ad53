import type { SettledRequest } from '../../machines/events.js';
import type { ActorObservation } from './actorObservation.js';
import { placeOf, type Place } from './place.js';
import type { Detail, Ending, Entry, Row } from './wire.js';

/** What the inspector asks of a session. */
export interface Facts {
  readonly user: string;
  readonly transport: string;
  readonly client: Row['client'];
  readonly createdAt: Date;
  readonly toolCalls: number;
  readonly browserState: string;
  /** The actor of the browser that it uses now; null while it has none. */
  readonly browserActor: string | null;
  /** What operators call this node, if there are many. */
  readonly node?: string;
}

/** Undefined once the session is gone. */
export type FactsOf = (id: string) => Facts | undefined;

type Known = Pick<Row, 'user' | 'transport' | 'client' | 'createdAt' | 'calls' | 'browser' | 'node'>;

const nowhere: Place = { leaves: [], states: [] };

/** What happened to one session: its last entries, and how long it was in which state. */
export class SessionTrack {
  readonly id: string;
  /** The whole id, for the registry alone. */
  readonly key: string;
  readonly #factsOf: FactsOf;
  /** Set by the journal, which counts its observations: at the last one, and at the last change of the top-level state. */
  version = 0;
  moved = 0;
  state = '';
  #since = 0;
  #place = nowhere;
  #placeSince = 0;
  readonly #dwell = new Map<Place, number>();
  readonly #entries: Entry[] = [];
  #seq = 0;
  #errors = 0;
  #facts: Known | undefined;
  #closedBecause: string | null = null;
  #failure: string | null = null;

  constructor(id: string, key: string, factsOf: FactsOf) {
    this.id = id;
    this.key = key;
    this.#factsOf = factsOf;
  }

  /** `limit` entries are kept, the newest ones. */
  fold(observation: ActorObservation, now: number, limit: number): void {
    switch (observation.kind) {
      case 'event':
        // XState's own events end work that the chart began: the change of state tells of it.
        if (observation.event.type.startsWith('xstate.')) break;
        this.#addEvent(observation.event, observation.state, now, limit);
        break;
      case 'unexpected':
        this.#add(
          { kind: 'unexpected', seq: this.#next(), at: now, type: observation.cause, state: observation.state },
          limit,
        );
        break;
      case 'transition':
        this.state = observation.to;
        this.#since = now;
        this.#enter(placeOf(observation.value), observation.cause, now, limit);
        if (observation.to === 'closed') this.#close(observation.context);
        break;
      case 'step':
        this.#enter(placeOf(observation.value), observation.cause, now, limit);
    }
  }

  /** Undefined if the session is gone without having told of its end. */
  row(): Row | undefined {
    const facts = this.#facts ?? this.#readFacts();
    if (facts === undefined) return undefined;
    const { id, state } = this;
    return { id, state, since: this.#since, errors: this.#errors, closedBecause: this.#closedBecause, ...facts };
  }

  /** With the entries after `seq`. */
  detail(seq: number, now: number): Detail {
    const dwell: Record<string, number> = {};
    const stays = this.state === 'closed' ? [] : [[this.#place, now - this.#placeSince] as const];
    for (const [{ states }, ms] of [...this.#dwell, ...stays])
      for (const state of states) dwell[state] = (dwell[state] ?? 0) + ms;
    return {
      id: this.id,
      leaves: this.#place.leaves,
      dwell,
      asOf: now,
      browser: this.#factsOf(this.key)?.browserActor ?? null,
      failure: this.#failure,
      entries: this.#entries.filter((entry) => entry.seq > seq),
    };
  }

  /** How it ended, once it has. */
  ending(): Ending | undefined {
    if (this.#closedBecause === null) return undefined;
    const user = this.#facts?.user ?? '';
    return { id: this.id, user, at: this.#since, because: this.#closedBecause, failure: this.#failure };
  }

  #enter(place: Place, cause: string, now: number, limit: number): void {
    const before = this.#place;
    if (place === before) return;
    if (before !== nowhere) this.#dwell.set(before, (this.#dwell.get(before) ?? 0) + now - this.#placeSince);
    this.#add({ kind: 'state', seq: this.#next(), at: now, from: before.leaves, to: place.leaves, cause }, limit);
    this.#place = place;
    this.#placeSince = now;
  }

  /** The session is still in the registry while it tells of its end; later nobody could be asked. */
  #close(context: unknown): void {
    this.#facts = this.#readFacts();
    const { closedBecause, failure } = endOf(context);
    this.#closedBecause = closedBecause;
    this.#failure = failure;
  }

  #readFacts(): Known | undefined {
    const facts = this.#factsOf(this.key);
    if (facts === undefined) return undefined;
    const { user, transport, client, createdAt, toolCalls: calls, browserState: browser, node } = facts;
    const known = { user, transport, client, createdAt: createdAt.getTime(), calls, browser };
    return node === undefined ? known : { ...known, node };
  }

  /** Names, outcomes and durations only: what a client sends and gets is never kept. */
  #addEvent(event: { readonly type: string }, state: string, at: number, limit: number): void {
    const seq = this.#next();
    const request = settledOf(event);
    if (request !== undefined) {
      const { method, tool, outcome, durationMs } = request;
      if (outcome === 'failed') this.#errors += 1;
      this.#add({ kind: 'call', seq, at, method, tool, outcome, durationMs }, limit);
    } else if (event.type === 'message.received' && 'kind' in event) {
      this.#add({ kind: 'message', seq, at, what: String(event.kind) }, limit);
    } else this.#add({ kind: 'event', seq, at, type: event.type, state }, limit);
  }

  #next(): number {
    return (this.#seq += 1);
  }

  #add(entry: Entry, limit: number): void {
    this.#entries.push(entry);
    while (this.#entries.length > limit) this.#entries.shift();
  }
}

function settledOf(event: { readonly type: string }): SettledRequest | undefined {
  // The chart's events are a closed union; the stream types them by their `type` alone.
  return event.type === 'request.settled' && 'request' in event ? (event.request as SettledRequest) : undefined;
}

function endOf(context: unknown): { closedBecause: string; failure: string | null } {
  const { closedBecause, failure }: Record<string, unknown> = { ...(context as object) };
  const message = typeof failure === 'object' && failure !== null && 'message' in failure ? failure.message : null;
  return { closedBecause: String(closedBecause), failure: typeof message === 'string' ? message : null };
}
