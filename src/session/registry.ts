import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { CloseReason } from '../../machines/events.js';
import { systemClock, type Clock } from '../clock.js';
import { Refusal } from '../errors/errors.js';
import { shortId } from '../log.js';
import { principalKey, owns, type Caller, type Principal } from '../tenancy/principal.js';
import type { QuotaLimits, QuotaSlot } from '../cluster/clusterStore.js';
import { refusalAfterEnd, type SessionEnd } from './channel.js';
import { tooManySessions, type SessionQuota } from './quota.js';
import type { SessionSnapshot } from './persistence.js';
import { Session, type SessionDeps, type SessionRequest } from './session.js';

/** How long, and of how many sessions, it is known that they existed. */
const tombstoneTtlMs = 600_000;
const maxTombstones = 10_000;

interface Tombstone extends SessionEnd {
  readonly principal: Principal;
}

/**
 * The only map of sessions: the directory of this process. A session is in it before its actor starts (S1) and until
 * everything it owned is released (S5); then, for ten minutes, its owner is told that it is closed and why.
 */
export class SessionRegistry {
  readonly #sessions = new Map<string, Session>();
  /** Those of them that wait for a client. */
  readonly #warm = new Set<Session>();
  readonly #tombstones: LRUCache<string, Tombstone>;
  readonly #caps: QuotaLimits;
  /** Absent: there is one node, this one. */
  readonly #quota: SessionQuota | undefined;
  /** Sessions that are not closed, by owner: counted as they come and go, so that admission costs the same at any size. */
  readonly #openByOwner = new Map<string, number>();
  #open = 0;
  #draining = false;

  constructor(caps: QuotaLimits, clock: Pick<Clock, 'now'> = systemClock, quota?: SessionQuota) {
    this.#caps = caps;
    this.#quota = quota;
    const options = { max: maxTombstones, ttl: tombstoneTtlMs, ttlResolution: 0, perf: clock };
    this.#tombstones = new LRUCache(options);
  }

  /**
   * Opens a session, or hands a warm one over; its channel is announced when the chart says so. With `place` it was counted
   * among those of all nodes. Throws `too_many_sessions` or `draining`, and then nothing was created.
   */
  open(parts: SessionDeps, request: SessionRequest, slot?: QuotaSlot): Session {
    if (this.#draining) throw new Refusal('draining');
    this.#checkQuota(request.principal);
    const session = this.#assignWarm(parts, request) ?? this.#create(parts, request);
    this.#trackOpen(session, slot);
    return session;
  }

  /** The same, where nodes count together: rejects also with `store_unreachable`. */
  async openWithClusterQuota(parts: SessionDeps, request: SessionRequest): Promise<Session> {
    const slot = this.#draining ? undefined : await this.#quota?.reserve(request.principal);
    try {
      return this.open(parts, request, slot);
    } catch (error) {
      if (slot !== undefined) this.#quota?.release(slot);
      throw error;
    }
  }

  /** Goes on with a session of a node that is gone. Its limits were checked where it was opened. Throws `draining`. */
  restore(parts: SessionDeps, id: string, request: SessionRequest, stored: SessionSnapshot): Session {
    if (this.#draining) throw new Refusal('draining');
    const session = this.#add(new Session(parts, id, request, stored));
    this.#trackOpen(session);
    session.start();
    return session;
  }

  /** Opens a session that nobody has asked for yet. Nobody can find it, and it counts for no limit. */
  openWarm(parts: SessionDeps): Session {
    return this.#create(parts, null);
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  /** The warm sessions that can be handed over. */
  warm(): Session[] {
    return [...this.#warm].filter(({ actor }) => actor.getSnapshot().matches({ 'tools-registered': 'waiting' }));
  }

  /** For the chart's implementations, whose sessions are here by construction. */
  get(id: string): Session {
    const session = this.#sessions.get(id);
    if (!session) throw new Error(`No session ${shortId(id)} in the registry.`);
    return session;
  }

  /** A session that is not released yet, for those who only look. */
  peek(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /** The session of a request. Throws `unknown` (never existed, or not the caller's: one answer for both) or `closed`. */
  find(id: string, caller: Caller): Session {
    const known = this.#sessions.get(id);
    const session = known?.isWarm === true ? undefined : known;
    if (session && owns(caller, session.principal)) return session;
    const tombstone = session ? undefined : this.#tombstones.get(id);
    if (tombstone && owns(caller, tombstone.principal)) throw refusalAfterEnd(tombstone);
    throw new Refusal('unknown');
  }

  /** A session of another node has ended: its user is told here, too. */
  addTombstone(id: string, principal: Principal, closedBecause: CloseReason): void {
    this.#tombstones.set(id, { principal, closedBecause, isHandedOff: false });
  }

  /** Sessions that clients opened and that are not closed, oldest first. */
  list(): Session[] {
    return [...this.#sessions.values()].filter((session) => !session.isWarm && session.state !== 'closed');
  }

  /** Closes every session that `isMeant`, in the operator's name. Resolves when all that they owned is released. */
  async closeWhere(predicate: (session: Session) => boolean): Promise<void> {
    const sessions = this.list().filter(predicate);
    for (const session of sessions) session.close('operator-closed');
    await Promise.all(sessions.map((session) => session.ended));
  }

  /** Ends every session, each in its own way, and refuses new ones. Resolves when all are released. */
  async drain(): Promise<void> {
    this.#draining = true;
    const sessions = [...this.#sessions.values()];
    for (const session of sessions) session.actor.send({ type: 'session.drain' });
    await Promise.all(sessions.map((session) => session.ended));
  }

  #create(parts: SessionDeps, request: SessionRequest | null): Session {
    const session = this.#add(new Session(parts, randomBytes(16).toString('base64url'), request));
    if (request === null) this.#warm.add(session);
    session.start();
    return session;
  }

  #add(session: Session): Session {
    this.#sessions.set(session.id, session);
    void session.ended.then(() => this.#remove(session));
    return session;
  }

  /**
   * The client's session is as young as the client. Who would have to wait for a browser gets one that is still being
   * made ready: it would be waited for in vain, since it waits for a client.
   */
  #assignWarm(parts: SessionDeps, request: SessionRequest): Session | undefined {
    if (request.browserUrl !== undefined) return undefined;
    const starting = parts.hasFreeBrowser() ? [] : [...this.#warm].filter(({ state }) => state === 'created');
    const [session] = [...this.warm(), ...starting];
    if (session === undefined) return undefined;
    this.#warm.delete(session);
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
    session.assignClient(request);
    return session;
  }

  #checkQuota(principal: Principal): void {
    const { maxSessions, maxSessionsPerUser } = this.#caps;
    if (this.#open >= maxSessions) throw tooManySessions(`--max-sessions ${maxSessions}`);
    if ((this.#openByOwner.get(principalKey(principal)) ?? 0) >= maxSessionsPerUser)
      throw tooManySessions(`--max-sessions-per-user ${maxSessionsPerUser}`);
  }

  /** It counts until it is closed. */
  #trackOpen({ principal, closed }: Session, slot?: QuotaSlot): void {
    this.#count(principal, 1);
    void closed.then(() => this.#count(principal, -1));
    this.#quota?.occupy(principal, closed, slot);
  }

  #count(principal: Principal, change: 1 | -1): void {
    const key = principalKey(principal);
    const count = (this.#openByOwner.get(key) ?? 0) + change;
    this.#open += change;
    if (count === 0) this.#openByOwner.delete(key);
    else this.#openByOwner.set(key, count);
  }

  #remove(session: Session): void {
    // It may have come back from another node while what is left of it here was released.
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    this.#warm.delete(session);
    if (session.isWarm) return;
    this.#tombstones.set(session.id, { principal: session.principal, ...session.end });
  }
}
