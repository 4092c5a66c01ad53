import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
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
import { Session } from './session.js';
import type { SessionDeps, SessionRequest } from './sessionDeps.js';

/** Retention of tombstones: time and count. */
const tombstoneTtlMs = 600_000;
const defaultTombstones = 10_000;

const randomId = (): string => randomBytes(17).toString('base64url').slice(0, 22);

/** Whether a text can be the id of a session: no other one becomes a part of a key in a store. */
export const isSessionId = (text: string): boolean => /^[\w-]{22}$/.test(text);

/**
 * Makes the ids of sessions, of at least 128 random bits. At a `place` among the servers of a proxy, such as `1/3`, they are
 * those that lead the proxy back to this one: `hash` of nginx takes 15 bits of the CRC-32 of a text.
 */
export function sessionIds(place: string | undefined): () => string {
  if (place === undefined) return randomId;
  const [own = 1, servers = 1] = place.split('/').map(Number);
  return () => {
    let id = randomId();
    while (((crc32(id) >>> 16) & 0x7fff) % servers !== own - 1) id = randomId();
    return id;
  };
}

interface Tombstone extends SessionEnd {
  readonly principal: Principal;
}

/**
 * The only map of sessions: the directory of this process. A session is in it before its actor starts (S1) and until
 * everything it owned is released (S5); a tombstone then answers its owner with `closed` and the reason for ten minutes.
 * Owned by the orchestrator, which drains it.
 */
export class SessionRegistry {
  readonly #sessions = new Map<string, Session>();
  /** The sessions of the map that have no client. */
  readonly #warm = new Set<Session>();
  readonly #tombstones: LRUCache<string, Tombstone>;
  readonly #caps: QuotaLimits;
  /** Absent with one node. */
  readonly #quota: SessionQuota | undefined;
  readonly #newId: () => string;
  /** Number of open sessions by owner: kept up to date, so that the quota check is constant time. */
  readonly #openByOwner = new Map<string, number>();
  #open = 0;
  #draining = false;

  constructor(
    caps: QuotaLimits & { readonly maxTombstones?: number },
    clock: Pick<Clock, 'now'> = systemClock,
    quota?: SessionQuota,
    newId: () => string = randomId,
  ) {
    this.#caps = caps;
    this.#quota = quota;
    this.#newId = newId;
    const { maxTombstones: max = defaultTombstones } = caps;
    const options = { max, ttl: tombstoneTtlMs, ttlResolution: 0, perf: clock };
    this.#tombstones = new LRUCache(options);
  }

  /**
   * Opens a session or assigns the client to a warm one; the chart announces it. `slot` is its reserved slot in the
   * cluster-wide quota. Throws `too_many_sessions` or `draining`; then nothing was created.
   */
  open(deps: SessionDeps, request: SessionRequest, slot?: QuotaSlot): Session {
    if (this.#draining) throw new Refusal('draining');
    this.#checkQuota(request.principal);
    const session = this.#assignWarm(deps, request) ?? this.#create(deps, request);
    this.#trackOpen(session, deps.quotas, slot);
    return session;
  }

  /** The same with the cluster-wide quota: rejects also with `store_unreachable`. */
  async openWithClusterQuota(deps: SessionDeps, request: SessionRequest): Promise<Session> {
    const slot = this.#draining ? undefined : await this.#quota?.reserve(request.principal);
    try {
      const urlLists = await deps.urlListsOf?.(request.principal);
      const open = (): Session => this.open(deps, urlLists === undefined ? request : { ...request, urlLists }, slot);
      if (deps.quotas === undefined) return open();
      const isolation = request.isolation ?? deps.isolation;
      const isProcess = isolation === 'process' && deps.lease === 'eager' && request.browserUrl === undefined;
      return await deps.quotas.admit(request.principal, isProcess ? 'process' : 'grow', open);
    } catch (error) {
      if (slot !== undefined) this.#quota?.release(slot);
      throw error;
    }
  }

  /** Restores a session of a dead node. Its quota was checked at creation. Throws `draining`. */
  restore(deps: SessionDeps, id: string, request: SessionRequest, snapshot: SessionSnapshot): Session {
    if (this.#draining) throw new Refusal('draining');
    const session = this.#add(new Session(deps, id, request, snapshot));
    this.#trackOpen(session, deps.quotas);
    session.start();
    return session;
  }

  /** Opens a warm session: not findable, not counted. */
  openWarm(deps: SessionDeps): Session {
    return this.#create(deps, null);
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  /** The warm sessions that are ready for a client. */
  warm(): Session[] {
    return [...this.#warm].filter(({ actor }) => actor.getSnapshot().matches({ 'tools-registered': 'waiting' }));
  }

  /** For the chart's implementations, whose sessions are always in the map. */
  get(id: string): Session {
    const session = this.#sessions.get(id);
    if (!session) throw new Error(`No session ${shortId(id)} in the registry.`);
    return session;
  }

  /** For readers: a session that is not released yet. */
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

  /** Records the end of a session of another node, so that its owner gets `closed` here too. */
  addTombstone(id: string, principal: Principal, closedBecause: CloseReason): void {
    this.#tombstones.set(id, { principal, closedBecause, isHandedOff: false });
  }

  /** Sessions that clients opened and that are not closed, oldest first. */
  list(): Session[] {
    return [...this.#sessions.values()].filter((session) => !session.isWarm && session.state !== 'closed');
  }

  /** Closes the matching sessions as `operator-closed`. Resolves when everything that they owned is released. */
  async closeWhere(predicate: (session: Session) => boolean): Promise<void> {
    const sessions = this.list().filter(predicate);
    for (const session of sessions) session.close('operator-closed');
    await Promise.all(sessions.map((session) => session.ended));
  }

  /** Drains every session and refuses new ones. Resolves when all are released. */
  async drain(): Promise<void> {
    this.#draining = true;
    const sessions = [...this.#sessions.values()];
    for (const session of sessions) session.actor.send({ type: 'session.drain' });
    await Promise.all(sessions.map((session) => session.ended));
  }

  #create(deps: SessionDeps, request: SessionRequest | null): Session {
    const session = this.#add(new Session(deps, this.#newId(), request));
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
   * Moves the assigned session to the end of the map, which is ordered by age. While no browser is free, a warm session
   * that is still starting is assigned too: queueing behind it would be futile, since it holds its browser for a client.
   */
  #assignWarm(deps: SessionDeps, request: SessionRequest): Session | undefined {
    if (request.browserUrl !== undefined || request.isolation !== undefined) return undefined;
    // Its browser was started for everybody's URL patterns.
    if (request.urlLists !== undefined) return undefined;
    const starting = deps.hasFreeBrowser() ? [] : [...this.#warm].filter(({ state }) => state === 'created');
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

  /** Counts a session until it is closed. */
  #trackOpen(session: Session, quotas: SessionDeps['quotas'], slot?: QuotaSlot): void {
    const { principal, closed } = session;
    this.#count(principal, 1);
    void closed.then(() => this.#count(principal, -1));
    quotas?.follow(session);
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
    // The session may have been restored here while its old instance was being released.
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    this.#warm.delete(session);
    if (session.isWarm) return;
    this.#tombstones.set(session.id, { principal: session.principal, ...session.end });
  }
}
