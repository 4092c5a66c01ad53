import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import type { Clock } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Log } from '../log.js';
import type { Caller } from '../tenancy/principal.js';
import { Asked, type Asking } from './asked.js';
import { Lease } from './lease.js';
import type { Hint, Store, Tenure } from './store.js';
import { Tenures } from './tenures.js';
import { ServedTunnel } from './tunnel.js';

export interface NodeOptions {
  readonly store: Store;
  /** What operators call this node. */
  readonly id: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** A request for a session of this node came through another one: `socket` is the connection. */
  serve(socket: Duplex, caller: Caller): void;
  /** The session is another node's now. */
  onLost(sessionId: string): void;
  /**
   * Goes on with a session whose node is gone, from what was kept of it; false if that cannot be. It is this node's.
   * Rejects if it cannot be now.
   */
  restore(sessionId: string, stored: string): Promise<boolean>;
  readonly beside: Beside;
}

/** What a node keeps up beside its sessions. */
export interface Beside {
  /** The others know that this node is there. Returns at once: the next beat does not wait for it. */
  beat(): void;
  /** Its sessions have ended, and the store can still be told. Must not reject. */
  leave(): Promise<void>;
}

/** How many offers an owner takes at once. */
const atOnce = 32;
/** Well within the time for which an entry is kept. */
const renewEveryMs = 120_000;
/** The pause before a subscription that failed is tried again. */
const listenAgainMs = 250;

const offers = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('request'),
    id: z.string(),
    node: z.string(),
    caller: z.union([z.literal('anyone'), z.object({ issuer: z.string(), user: z.string() })]),
    /** In base64. */
    bytes: z.string(),
  }),
  z.object({ kind: z.literal('hangUp'), id: z.string() }),
]);

/**
 * One of the nodes that share a store: a process, for as long as it runs. It owns the sessions that it claims, serves what
 * comes for them through other nodes, and asks the others for theirs. Owned by the orchestrator: `join` once, `leave` once.
 */
export class ClusterNode {
  readonly name: string;
  /** The directory and the event log of the sessions of this node. */
  readonly tenures: Tenures;
  readonly #options: NodeOptions;
  readonly #lease: Lease;
  readonly #asked: Asked;
  /** What comes through other nodes, by the id of its offer. */
  readonly #served = new Map<string, { readonly tunnel: ServedTunnel; readonly node: string }>();
  /** Sessions whose inbox is being read; true: it is to be read once more. */
  readonly #reading = new Map<string, boolean>();
  /** Sessions that are being taken over. */
  readonly #restoring = new Set<string>();
  #isListening = false;
  #hasLeft = false;
  #renewedAt = 0;

  constructor(options: NodeOptions) {
    const { store, id, clock, leaseMs, log } = options;
    this.#options = options;
    // A process that comes again under its name is another owner: what was the first one's it does not have.
    this.name = `${id}.${randomBytes(6).toString('base64url')}`;
    const isReady = (): boolean => this.isReady;
    this.tenures = new Tenures({ store, node: this.name, log, isReady, onLost: options.onLost });
    const [onNew, onBeat] = [() => this.#renew(), () => this.#beaten()];
    this.#lease = new Lease({ store, node: this.name, leaseMs, clock, log, onNew, onBeat });
    const isGone = (sessionId: string, owner: string): Promise<boolean> => this.#isGone(sessionId, owner);
    this.#asked = new Asked({
      store,
      node: this.name,
      clock,
      isGone,
      onOrphan: (tenure, owner) => this.#takeOver(tenure, owner),
    });
  }

  /** Whether others find this node, and it hears of what waits for it. */
  get isReady(): boolean {
    return this.#isListening && this.#lease.isHeld;
  }

  /** Resolves when it is ready, however long the store takes, or has left. */
  async join(): Promise<void> {
    try {
      await this.#options.store.open();
      await this.#listen();
      if (!this.#hasLeft) await this.#lease.start();
    } catch (error) {
      // Closed while it was being opened.
      if (!this.#hasLeft) throw error;
    }
  }

  /** Resolves when the ends of its sessions are written down, and nothing is open any more. Comes after their ends. */
  async leave(): Promise<void> {
    await this.tenures.released();
    this.#hasLeft = true;
    await this.#options.beside.leave();
    this.#isListening = false;
    await this.#lease.stop();
    for (const { tunnel } of this.#served.values()) tunnel.destroy();
    this.#asked.close();
    await this.#options.store.close();
  }

  /** A connection to the owner of a session; see `Asked`. */
  ask(sessionId: string, caller: Caller): Asking {
    return this.#asked.open(sessionId, caller);
  }

  /** A store that was there a moment ago may be gone again: it is tried until it is told. */
  async #listen(): Promise<void> {
    const { store, clock, log } = this.#options;
    while (!this.#isListening && !this.#hasLeft) {
      try {
        await store.nodes.listen(this.name, (hint) => this.#told(hint));
        this.#isListening = !this.#hasLeft;
      } catch (error) {
        log.warn('store failed', { node: this.name, error: messageOf(error) });
        await new Promise<void>((resolve) => clock.setTimeout(() => resolve(), listenAgainMs));
      }
    }
  }

  #told(hint: Hint): void {
    if (hint.kind === 'reply') this.#asked.told(hint.offerId, hint.piece);
    else void this.#read(hint.sessionId);
  }

  /** One after the other, so that what was offered is served in its order (S4). Never rejects. */
  async #read(sessionId: string): Promise<void> {
    const isReading = this.#reading.has(sessionId);
    this.#reading.set(sessionId, isReading);
    if (isReading) return;
    try {
      do {
        this.#reading.set(sessionId, false);
        if (this.tenures.get(sessionId) === undefined) await this.#takeBack(sessionId);
        if (await this.#takeSome(sessionId)) this.#reading.set(sessionId, true);
      } while (this.#reading.get(sessionId) === true);
    } catch (error) {
      // Whoever waits for the answer wakes this node once more.
      this.#options.log.warn('store failed', { session: sessionId.slice(0, 8), error: messageOf(error) });
    } finally {
      this.#reading.delete(sessionId);
    }
  }

  /** Whether there may be more. */
  async #takeSome(sessionId: string): Promise<boolean> {
    const tenure = this.tenures.get(sessionId);
    // Until a takeover has come to its end nobody is here who could answer.
    if (tenure === undefined || this.#restoring.has(sessionId)) return false;
    const taken = await this.#options.store.inbox.take(tenure, atOnce);
    if (taken === 'fenced') {
      this.tenures.fenced(tenure);
      return false;
    }
    for (const data of taken) this.#serve(tenure, data);
    return taken.length === atOnce;
  }

  #serve(tenure: Tenure, data: string): void {
    const { sessionId, epoch } = tenure;
    const offer = offers.parse(JSON.parse(data));
    if (offer.kind === 'hangUp') {
      this.#served.get(offer.id)?.tunnel.destroy();
      return;
    }
    const address = { sessionId, offerId: offer.id, node: offer.node };
    const tunnel = new ServedTunnel(Buffer.from(offer.bytes, 'base64'), epoch, async (piece, isLast) => {
      const put = await this.#options.store.replies.put(tenure, address, piece, isLast);
      if (put !== 'put') throw new Error(put === 'full' ? 'The client does not read.' : 'The session is not here.');
    });
    this.#served.set(offer.id, { tunnel, node: offer.node });
    tunnel.once('close', () => this.#served.delete(offer.id));
    tunnel.on('error', (error) => this.#options.log.debug('connection lost', { error: error.message }));
    this.#options.serve(tunnel, offer.caller);
  }

  /** Whether the owner of a session is not there, or is this node, which has begun to take it over and did not get there. */
  async #isGone(sessionId: string, owner: string): Promise<boolean> {
    if (owner === this.name) return !this.#restoring.has(sessionId) && !this.tenures.has(sessionId);
    return !(await this.#options.store.nodes.isAlive(owner));
  }

  /**
   * It is asked for a session that it does not have. If it is the owner all the same, a command whose answer it did not get
   * was carried out later: it goes on with the session as it would with that of another node.
   */
  async #takeBack(sessionId: string): Promise<void> {
    const found = await this.#options.store.directory.find(sessionId, 'anyone');
    const isOwner = (found.is === 'owned' || found.is === 'not_ready') && found.node === this.name;
    if (isOwner && (await this.#isGone(sessionId, found.node))) {
      await this.#takeOver({ sessionId, epoch: found.epoch }, found.node);
    }
  }

  /** The owner is gone. Of those who notice one goes on with the session, or says that it is over. */
  async #takeOver(before: Tenure, owner: string): Promise<void> {
    const { directory, nodes } = this.#options.store;
    const { sessionId } = before;
    // Who is about to leave leaves it to the others, and what cannot be claimed cannot be taken over either.
    if (this.tenures.isLeaving || !this.isReady || this.#restoring.has(sessionId)) return;
    this.#restoring.add(sessionId);
    try {
      const epoch = await directory.takeOver(before, this.name);
      if (epoch === null) return;
      // It may have come back just after it was found gone, and look for its sessions just before this one was taken.
      nodes.wake(owner, sessionId).catch(() => undefined);
      await this.#goOn({ sessionId, epoch });
    } finally {
      this.#restoring.delete(sessionId);
    }
    await this.#read(sessionId);
  }

  /** Rejects when the store cannot be reached: then nobody has the session, and whoever asks for it next begins anew. */
  async #goOn(tenure: Tenure): Promise<void> {
    const { store, restore, log } = this.#options;
    const { sessionId, epoch } = tenure;
    this.tenures.hold(tenure);
    try {
      const stored = await store.snapshots.get(sessionId);
      const isRestored = stored !== null && (await restore(sessionId, stored));
      log.info('took over', { session: sessionId.slice(0, 8), epoch, restored: isRestored });
      if (!isRestored) await this.tenures.release(tenure, 'node-lost');
      else if ((await store.directory.settle(tenure)) === 'fenced') this.tenures.fenced(tenure);
    } catch (error) {
      this.tenures.drop(sessionId);
      throw error;
    }
  }

  async #renew(): Promise<void> {
    this.#renewedAt = this.#options.clock.now();
    await this.tenures.renew();
  }

  async #beaten(): Promise<void> {
    const { clock, store } = this.#options;
    if (clock.now() - this.#renewedAt >= renewEveryMs) await this.#renew();
    await this.tenures.settleEnds();
    this.#options.beside.beat();
    const origins = new Set([...this.#served.values()].map(({ node }) => node));
    for (const origin of origins) {
      if (await store.nodes.isAlive(origin)) continue;
      for (const { tunnel, node } of this.#served.values()) if (node === origin) tunnel.destroy();
    }
  }
}
