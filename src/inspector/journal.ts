import type { Clock } from '../clock.js';
import { shortId } from '../log.js';
import type { ActorObservation } from './actorObservation.js';
import { placeOf } from './place.js';
import { SessionTrack, type FactsOf } from './sessionTrack.js';
import type { Actor, Detail, Row } from './wire.js';

export interface JournalLimits {
  /** Entries that are kept of one session; fewer when there are very many sessions. */
  readonly entriesOfOne: number;
  readonly entriesOfAll: number;
  /** Closed sessions that can still be looked at. */
  readonly closed: number;
}

const defaults: JournalLimits = { entriesOfOne: 256, entriesOfAll: 50_000, closed: 200 };
const fewestEntries = 16;

/**
 * What happened to each session, in bounded memory (S10): a fold over the observations, and questions about it. Folding
 * costs a small object for each observation; everything else waits until somebody looks.
 */
export class Journal {
  readonly #clock: Clock;
  readonly #factsOf: FactsOf;
  readonly #limits: JournalLimits;
  /** By short id, oldest first. */
  readonly #tracks = new Map<string, SessionTrack>();
  /** The same by the actor's name, which costs no new string. */
  readonly #trackOf = new Map<string, SessionTrack>();
  readonly #closed: string[] = [];
  readonly #actors = new Map<string, Actor>();
  #actorList: readonly Actor[] = [];
  #version = 0;

  constructor(clock: Clock, factsOf: FactsOf, limits: Partial<JournalLimits> = {}) {
    this.#clock = clock;
    this.#factsOf = factsOf;
    this.#limits = { ...defaults, ...limits };
  }

  readonly fold = (observation: ActorObservation): void => {
    if (observation.machine === 'session') this.#foldSession(observation);
    else if (observation.kind === 'transition' || observation.kind === 'step') this.#foldActor(observation);
  };

  /** Every session that is known, oldest first. */
  rows(): Row[] {
    return [...this.#tracks.values()].map((track) => track.row()).filter((row) => row !== undefined);
  }

  /** The actors that are no sessions: another list after each change. */
  get actors(): readonly Actor[] {
    return this.#actorList;
  }

  /** Oldest first. */
  tracks(): Iterable<SessionTrack> {
    return this.#tracks.values();
  }

  /** One session with its entries after `seq`; null if it is not known, or not any more. */
  detail(id: string, seq: number): Detail | null {
    return this.#tracks.get(id)?.detail(seq, this.#clock.now()) ?? null;
  }

  track(id: string): SessionTrack | undefined {
    return this.#tracks.get(id);
  }

  #foldSession(observation: ActorObservation): void {
    const track = this.#trackOf.get(observation.actor) ?? this.#begin(observation.actor);
    const { entriesOfOne, entriesOfAll } = this.#limits;
    const share = Math.max(fewestEntries, Math.floor(entriesOfAll / this.#tracks.size));
    track.fold(observation, this.#clock.now(), Math.min(entriesOfOne, share));
    this.#version += 1;
    track.version = this.#version;
    if (observation.kind !== 'transition') return;
    track.moved = this.#version;
    if (observation.to === 'closed') this.#bury(track.id);
  }

  #begin(actor: string): SessionTrack {
    const track = new SessionTrack(shortId(actor), actor, this.#factsOf);
    this.#tracks.set(track.id, track);
    this.#trackOf.set(actor, track);
    return track;
  }

  #bury(id: string): void {
    this.#closed.push(id);
    if (this.#closed.length <= this.#limits.closed) return;
    const oldest = this.#closed.shift();
    if (oldest === undefined) return;
    this.#trackOf.delete(this.#tracks.get(oldest)?.key ?? '');
    this.#tracks.delete(oldest);
  }

  #foldActor(observation: ActorObservation & { kind: 'transition' | 'step' }): void {
    const { machine, actor: id, at } = observation;
    const key = `${machine} ${id}`;
    const { leaves } = placeOf(observation.value);
    const known = this.#actors.get(key);
    if (known?.leaves === leaves) return;
    if (leaves[0] === 'closed') this.#actors.delete(key);
    else this.#actors.set(key, { machine, id, leaves, since: at });
    this.#actorList = [...this.#actors.values()];
  }
}
