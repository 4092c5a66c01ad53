import {
  createActor,
  fromPromise,
  type ActorRefFrom,
  type AnyActorRef,
  type InspectionEvent,
  type SnapshotFrom,
} from 'xstate';
import type { CloseReason, OwnershipEvent } from '../../machines/events.js';
import { ownershipMachine, type OwnershipInput, type SessionEndRecord } from '../../machines/index.js';
import { messageOf, Refusal } from '../errors/errors.js';
import { shortId, type Log } from '../log.js';
import type { EventLog, Replay, StreamAddress } from './eventLog.js';
import type { ClusterStore, Fenced, OwnershipTerm } from './clusterStore.js';
import type { Principal } from '../tenancy/principal.js';

export interface SessionOwnershipDeps {
  readonly store: ClusterStore;
  readonly node: string;
  readonly log: Log;
  /** Whether the node holds its lease and receives hints. */
  isReady(): boolean;
  /** Another node owns the session now: its resources here must be released. */
  onSessionLost(sessionId: string): void;
  /** Receives the inspection events of the terms' actors. */
  readonly inspect?: (event: InspectionEvent) => void;
}

/** Entries that are renewed in parallel. */
const renewalBatchSize = 64;

const nothingRecorded = Promise.resolve();

/** One term of this node, from its request on: the actor of its chart, and the actions that the chart requests. */
class HeldTerm {
  readonly sessionId: string;
  readonly #actor: ActorRefFrom<typeof ownershipMachine>;
  readonly #options: SessionOwnershipDeps;
  #isDropped = false;
  /** The last request to record its end. */
  #recording: Promise<unknown> = nothingRecorded;

  constructor(options: SessionOwnershipDeps, input: OwnershipInput, onOver: (held: HeldTerm) => void) {
    const { inspect } = options;
    this.#options = options;
    this.sessionId = input.sessionId;
    this.#actor = createActor(ownershipLogic, { id: shortId(input.sessionId), input, ...(inspect && { inspect }) });
    heldTerms.set(this.#actor.system, this);
    this.#actor.subscribe({ next: () => this.#dropSession(), complete: () => onOver(this) });
    this.#actor.start();
  }

  get state(): SnapshotFrom<typeof ownershipMachine> {
    return this.#actor.getSnapshot();
  }

  get term(): OwnershipTerm | undefined {
    return this.state.context.term ?? undefined;
  }

  /** What happens after the term is over is of no interest. */
  send(event: OwnershipEvent): void {
    if (this.state.status === 'active') this.#actor.send(event);
  }

  /** Rejects when the store is unreachable. */
  async whenRecorded(): Promise<void> {
    await this.#recording;
  }

  /** The action `dropSession` of the chart. Runs after the step: the end of a session reads the state of its term. */
  drop(): void {
    this.#isDropped = true;
  }

  /** The actor `recordEnd` of the chart. */
  recordEnd({ term, because }: SessionEndRecord): Promise<'closed' | Fenced> {
    if (term === null) throw new Error('A term that was never granted has no end.');
    const recording = this.#options.store.directory.close(term, because);
    this.#recording = recording;
    return recording;
  }

  #dropSession(): void {
    if (!this.#isDropped) return;
    this.#isDropped = false;
    this.#options.onSessionLost(this.sessionId);
  }
}

/** Each term has a system of actors of its own. */
const heldTerms = new WeakMap<AnyActorRef['system'], HeldTerm>();

function heldIn(system: AnyActorRef['system']): HeldTerm {
  const held = heldTerms.get(system);
  if (held === undefined) throw new Error('The actor of a term runs without its owner.');
  return held;
}

/** The ownership chart with its implementations: made once, shared by the actors of all terms. */
const ownershipLogic = ownershipMachine.provide({
  actions: { dropSession: ({ system }) => heldIn(system).drop() },
  actors: {
    recordEnd: fromPromise<'closed' | Fenced, SessionEndRecord>(({ input, system }) => heldIn(system).recordEnd(input)),
  },
});

/**
 * The sessions that this node owns, each with its ownership term: the epoch that its writes to the store carry. The
 * directory and the event log of these sessions go through this class. What a term allows is decided by its chart
 * (`machines/ownershipMachine.ts`): a write that is fenced off ends it (S11). Owned by the node.
 *
 * ```
 *   claim ─────▶ owned ──── the session ends ──▶ closing: the end is recorded, retried with each heartbeat
 *   takeOver ──▶ │ │ └───── it ends in a handoff, with a snapshot ──▶ left in the directory for a takeover
 *                │ └─────── fenced, by any write or renewal ──▶ onSessionLost, then the session ends here only
 *                └ completeTakeover, once it is restored
 * ```
 */
export class SessionOwnership implements Directory, EventLog {
  readonly #options: SessionOwnershipDeps;
  /** The terms of each session that have not ended here, the newest last. At most one of them is the owner's. */
  readonly #terms = new Map<string, readonly HeldTerm[]>();
  readonly #pendingReleases = new Set<Promise<void>>();
  #isHandingOff = false;

  constructor(options: SessionOwnershipDeps) {
    this.#options = options;
  }

  termOf(sessionId: string): OwnershipTerm | undefined {
    return this.#ownerOf(sessionId)?.term;
  }

  /** The same, once the session is here: messages for it can be served. */
  servingTermOf(sessionId: string): OwnershipTerm | undefined {
    const owner = this.#ownerOf(sessionId);
    return owner?.state.hasTag('acquiring') === true ? undefined : owner?.term;
  }

  /** Without its lease a node cannot know whether it still owns its sessions. */
  get isWritable(): boolean {
    return this.#options.isReady();
  }

  /** Whether `beginHandoff` was called: this node takes over no session any more. */
  get isHandingOff(): boolean {
    return this.#isHandingOff;
  }

  /** Whether this node owns the session, is about to, or has yet to record its end. */
  has(sessionId: string): boolean {
    return this.#some(
      sessionId,
      (state) => state.hasTag('owner') || state.hasTag('acquiring') || state.matches('closing'),
    );
  }

  /** The session was taken over. Any earlier term of this node ends. */
  acquire(term: OwnershipTerm): void {
    const { sessionId } = term;
    const held = this.#find(sessionId, (state) => state.matches('requested')) ?? this.#request(sessionId, 'takeover');
    this.#ownerOf(sessionId)?.send({ type: 'write.fenced' });
    held.send({ type: 'term.granted', term });
  }

  async claim(claim: Claim, signal: AbortSignal): Promise<void> {
    const { store, node, isReady } = this.#options;
    if (!isReady()) throw new Refusal('store_unreachable');
    const held = this.#request(claim.sessionId, 'claim');
    const term = await this.#ask(held, () => store.directory.claim({ ...claim, node }));
    if (term === null) throw new Refusal('store_unreachable', { detail: 'This session is already claimed.' });
    held.send({ type: 'term.granted', term });
    // The client left during the claim, and no other event will release the session.
    if (signal.aborted) await this.#end(held, 'client-closed');
  }

  /** Resolves with the new term, to complete once the session is restored; with null if another takeover was first. */
  async takeOver(previous: OwnershipTerm): Promise<OwnershipTerm | null> {
    const { sessionId } = previous;
    const { store, node } = this.#options;
    if (this.#some(sessionId, (state) => state.hasTag('acquiring'))) return null;
    const held = this.#request(sessionId, 'takeover');
    const term = await this.#ask(held, () => store.directory.takeOver(previous, node));
    if (term !== null) this.acquire(term);
    return term;
  }

  /** The session is restored. Rejects when the store is unreachable. */
  async completeTakeover(term: OwnershipTerm): Promise<void> {
    const held = this.#heldBy(term);
    held?.send({ type: 'session.restored' });
    this.#leave(held);
    const outcome = await this.#options.store.directory.completeTakeover(term);
    held?.send({ type: outcome === 'fenced' ? 'write.fenced' : 'takeover.completed' });
  }

  saveSnapshot(sessionId: string, stored: string): void {
    const owner = this.#ownerOf(sessionId);
    const term = owner?.term;
    if (term === undefined) return;
    if (owner?.state.matches({ owned: 'claimed' }) === true) owner.send({ type: 'snapshot.saved' });
    this.#leave(owner);
    this.#options.store.snapshots
      .put(term, stored)
      .then((outcome) => outcome === 'fenced' && this.onFenced(term))
      .catch((error: unknown) => this.#warn('snapshot write failed', sessionId, error));
  }

  isHandedOff(sessionId: string): boolean {
    const owner = this.#ownerOf(sessionId);
    if (owner !== undefined) return owner.state.matches({ owned: 'handed-off' });
    return this.#some(sessionId, (state) => state.matches('fenced') || state.matches('released'));
  }

  releaseWhenEnded(sessionId: string, ended: Promise<CloseReason>): void {
    const held = this.#terms.get(sessionId)?.at(-1);
    if (held === undefined) return;
    const release = ended
      .then((closedBecause) => this.#end(held, closedBecause))
      .catch((error: unknown) => this.#warn('session end not recorded', sessionId, error));
    this.#pendingReleases.add(release);
    void release.finally(() => this.#pendingReleases.delete(release));
  }

  /** Resolves when the end of every session is recorded, or could not be. Never rejects. */
  async whenReleased(): Promise<void> {
    await Promise.all(this.#pendingReleases);
  }

  /** A write was fenced off: another node owns the session, unless this node has taken it back since. */
  onFenced(term: OwnershipTerm): void {
    this.#heldBy(term)?.send({ type: 'write.fenced' });
  }

  /** Drops a session that could not be restored: another node may take it over. */
  relinquish(sessionId: string): void {
    this.#find(sessionId, (state) => state.hasTag('acquiring'))?.send({ type: 'takeover.failed' });
  }

  /** Renews the directory entries, and drops sessions that another node owns. Rejects when the store is unreachable. */
  async renewAll(): Promise<void> {
    const all = this.#all()
      .map(({ state, term }) => (state.hasTag('owner') ? term : undefined))
      .filter((term) => term !== undefined);
    while (all.length > 0) await Promise.all(all.splice(0, renewalBatchSize).map((term) => this.#renewTerm(term)));
  }

  async append(stream: StreamAddress, data: string): Promise<string> {
    const { sessionId } = stream;
    const term = this.termOf(sessionId);
    const id = await this.#options.store.events.append(term?.epoch ?? 0, stream, data);
    if (id !== null) return id;
    if (term !== undefined) this.onFenced(term);
    throw new Error('Another node owns this session now.');
  }

  replayAfter(stream: StreamAddress, eventId: string | null): Promise<Replay> {
    return this.#options.store.events.after(stream, eventId);
  }

  async discard(sessionId: string, streamId?: string): Promise<void> {
    const term = this.termOf(sessionId);
    if (term === undefined || this.isHandedOff(sessionId)) return;
    await this.#options.store.events.forget(term, streamId);
  }

  /** From now on restorable sessions that end here are left for other nodes to take over. */
  beginHandoff(): void {
    this.#isHandingOff = true;
    for (const held of this.#all()) this.#leave(held);
  }

  /** Records the end of a session. Rejects when the store is unreachable: `recordPendingEnds` retries. */
  async release(term: OwnershipTerm, closedBecause: CloseReason): Promise<void> {
    const held = this.#heldBy(term);
    if (held !== undefined) await this.#end(held, closedBecause);
  }

  /** Records the ends that failed before. Rejects when the store is unreachable. */
  async recordPendingEnds(): Promise<void> {
    const closing = this.#all().filter(({ state }) => state.matches('closing'));
    for (const held of closing) held.send({ type: 'lease.renewed' });
    await Promise.all(closing.map((held) => held.whenRecorded()));
  }

  #all(): HeldTerm[] {
    return [...this.#terms.values()].flat();
  }

  #find(sessionId: string, isWanted: (state: HeldTerm['state']) => boolean): HeldTerm | undefined {
    return this.#terms.get(sessionId)?.find(({ state }) => isWanted(state));
  }

  #some(sessionId: string, isWanted: (state: HeldTerm['state']) => boolean): boolean {
    return this.#find(sessionId, isWanted) !== undefined;
  }

  #ownerOf(sessionId: string): HeldTerm | undefined {
    return this.#find(sessionId, (state) => state.hasTag('owner'));
  }

  #heldBy({ sessionId, epoch }: OwnershipTerm): HeldTerm | undefined {
    return this.#find(sessionId, ({ context }) => context.term?.epoch === epoch);
  }

  #request(sessionId: string, by: OwnershipInput['by']): HeldTerm {
    const held = new HeldTerm(this.#options, { sessionId, by }, (over) => this.#remove(over));
    this.#terms.set(sessionId, [...(this.#terms.get(sessionId) ?? []), held]);
    return held;
  }

  #remove(over: HeldTerm): void {
    const { sessionId } = over;
    const others = this.#terms.get(sessionId)?.filter((held) => held !== over) ?? [];
    if (others.length === 0) this.#terms.delete(sessionId);
    else this.#terms.set(sessionId, others);
  }

  /** When the node stops: leaves a granted term to the others, if its session can be restored. */
  #leave(held: HeldTerm | undefined): void {
    if (this.#isHandingOff && held?.term !== undefined) held.send({ type: 'handoff.begun' });
  }

  /** Requests a term from the store. Null, or a rejection: it is not granted. */
  async #ask(held: HeldTerm, ask: () => Promise<number | null>): Promise<OwnershipTerm | null> {
    try {
      const epoch = await ask();
      if (epoch !== null) return { sessionId: held.sessionId, epoch };
      held.send({ type: 'term.refused' });
      return null;
    } catch (error) {
      held.send({ type: 'term.refused' });
      throw error;
    }
  }

  async #end(held: HeldTerm, because: CloseReason): Promise<void> {
    held.send({ type: 'session.ended', because });
    await held.whenRecorded();
  }

  async #renewTerm(term: OwnershipTerm): Promise<void> {
    const renewed = await this.#options.store.directory.renew(term);
    if (renewed === 'fenced') this.onFenced(term);
  }

  #warn(message: string, sessionId: string, error: unknown): void {
    this.#options.log.warn(message, { session: shortId(sessionId), error: messageOf(error) });
  }
}

/** The session to claim: it is ready, and not announced yet. */
export interface Claim {
  readonly sessionId: string;
  readonly principal: Principal;
  /** The transport of the client. */
  readonly transport: string;
}

/** Records which node and user each session belongs to. The set-up, changes and end of every session call it. */
export interface Directory {
  /**
   * Claims the session, before it is announced (S1). A rejection, preferably with a `Refusal`, closes the session
   * unannounced (S12). `signal` aborts when the session ends first.
   */
  claim(claim: Claim, signal: AbortSignal): Promise<void>;
  /** Stores the snapshot from which another node can restore the session; replaces the last one. Never throws. */
  saveSnapshot?(sessionId: string, stored: string): void;
  /** Whether another node owns the session or may restore it: then it ends on this node only. */
  isHandedOff?(sessionId: string): boolean;
  /** Called for each claimed session: `ended` resolves with the close reason after its last write. */
  releaseWhenEnded?(sessionId: string, ended: Promise<CloseReason>): void;
}

/** For a single process, whose session registry is the directory: a session is in it before its actor starts. */
export const memoryDirectory: Directory = { claim: () => Promise.resolve() };
