import type { Clock } from '../clock.js';
import { shortId } from '../log.js';
import { configurationOf } from './stateConfiguration.js';
import { isOfSession, type ActorObservation } from '../telemetry/observer.js';
import { SessionTrack, type ReadSession } from './sessionTrack.js';
import type { ActorRow, SessionDetail, SessionRow } from './wire.js';

type MovedActor = ActorObservation & { kind: 'transition' | 'step' };

interface JournalLimits {
  /** Entries kept per session; fewer with very many sessions. */
  readonly entriesPerSession: number;
  readonly totalEntries: number;
  /** Closed sessions that are kept. */
  readonly closedSessions: number;
}

const defaultLimits: JournalLimits = { entriesPerSession: 256, totalEntries: 50_000, closedSessions: 200 };
const minEntries = 16;

/**
 * The history of each session, in bounded memory (S10): a fold over the observations, with queries. Recording costs one
 * small object per observation; everything else is computed when a viewer reads it.
 */
export class Journal {
  readonly #clock: Clock;
  readonly #readSession: ReadSession;
  readonly #limits: JournalLimits;
  /** By short id, oldest first. */
  readonly #tracks = new Map<string, SessionTrack>();
  /** The same by the name of the actor: a lookup without a new string. */
  readonly #tracksByActor = new Map<string, SessionTrack>();
  readonly #closed: string[] = [];
  readonly #actors = new Map<string, ActorRow>();
  #actorList: readonly ActorRow[] = [];
  #version = 0;

  constructor(clock: Clock, readSession: ReadSession, limits: Partial<JournalLimits> = {}) {
    this.#clock = clock;
    this.#readSession = readSession;
    this.#limits = { ...defaultLimits, ...limits };
  }

  readonly record = (observation: ActorObservation): void => {
    if (observation.machine === 'session') this.#recordSession(observation);
    else if (observation.kind !== 'transition' && observation.kind !== 'step') return;
    else if (isOfSession(observation.machine)) this.#recordOfSession(observation);
    else this.#recordActor(observation);
  };

  /** Every kept session, oldest first. */
  rows(): SessionRow[] {
    return [...this.#tracks.values()].map((track) => track.row()).filter((row) => row !== undefined);
  }

  /** The actors other than sessions: a new list after each change. */
  get actors(): readonly ActorRow[] {
    return this.#actorList;
  }

  /** Oldest first. */
  tracks(): Iterable<SessionTrack> {
    return this.#tracks.values();
  }

  /** One session with its entries after `seq`; null if it is not kept. */
  detail(id: string, seq: number): SessionDetail | null {
    return this.#tracks.get(id)?.detail(seq, this.#clock.now()) ?? null;
  }

  track(id: string): SessionTrack | undefined {
    return this.#tracks.get(id);
  }

  #recordSession(observation: ActorObservation): void {
    const track = this.#tracksByActor.get(observation.actor) ?? this.#addTrack(observation.actor);
    const { entriesPerSession, totalEntries } = this.#limits;
    const share = Math.max(minEntries, Math.floor(totalEntries / this.#tracks.size));
    track.record(observation, this.#clock.now(), Math.min(entriesPerSession, share));
    this.#version += 1;
    track.version = this.#version;
    if (observation.kind !== 'transition') return;
    track.stateVersion = this.#version;
    if (observation.to === 'closed') this.#evictClosed(track.id);
  }

  #addTrack(actor: string): SessionTrack {
    const track = new SessionTrack(shortId(actor), actor, this.#readSession);
    this.#tracks.set(track.id, track);
    this.#tracksByActor.set(actor, track);
    return track;
  }

  #evictClosed(id: string): void {
    this.#closed.push(id);
    if (this.#closed.length <= this.#limits.closedSessions) return;
    const oldest = this.#closed.shift();
    if (oldest === undefined) return;
    this.#tracksByActor.delete(this.#tracks.get(oldest)?.sessionId ?? '');
    this.#tracks.delete(oldest);
  }

  /** A chart beside that of a session. */
  #recordOfSession({ machine, actor, value, at }: MovedActor): void {
    const id = shortId(actor);
    const track = this.#tracks.get(id);
    if (track?.recordBeside({ machine, id, leaves: configurationOf(value).leaves, since: at }) !== true) return;
    this.#version += 1;
    track.version = this.#version;
  }

  #recordActor(observation: MovedActor): void {
    const { machine, actor: id, at } = observation;
    const key = `${machine} ${id}`;
    const { leaves } = configurationOf(observation.value);
    const known = this.#actors.get(key);
    if (known?.leaves === leaves) return;
    if (leaves[0] === 'closed') this.#actors.delete(key);
    else this.#actors.set(key, { machine, id, leaves, since: at });
    this.#actorList = [...this.#actors.values()];
  }
}
