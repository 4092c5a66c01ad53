import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors.js';
import type { Caller } from '../tenancy/principal.js';
import type { Found, Offer, Offered, Store, Tenure } from './store.js';
import { AskingTunnel } from './tunnel.js';

export interface AskedOptions {
  readonly store: Store;
  readonly node: string;
  readonly clock: Clock;
  /** Whether a node that the directory names as the owner of a session cannot answer for it. */
  isGone(sessionId: string, owner: string): Promise<boolean>;
  /** The owner of a session is gone. */
  onOrphan(tenure: Tenure, owner: string): Promise<void>;
}

/** What is said to the owner of a session, through the store. */
export interface Asking {
  /** For an HTTP client, the socket. The caller destroys it unless it ends. */
  readonly tunnel: AskingTunnel;
  /**
   * Offers what was written to the tunnel so far. `owned`: the answer comes, or the tunnel breaks. Anything else: nothing
   * was put down.
   */
  send(): Promise<Offered>;
  /** The whole answer was read: what is left of the connection is nothing to anybody. */
  finish(): void;
}

type Owner = Extract<Found, { readonly is: 'owned' | 'not_ready' }>;

interface Open {
  readonly id: string;
  readonly sessionId: string;
  readonly caller: Caller;
  readonly tunnel: AskingTunnel;
  /** Of the owner for whom it was put down. */
  epoch: number;
  /** How often the owner was woken in vain. */
  vain: number;
  timer: unknown;
}

/** The first pause after which one who waits looks for itself; doubled, up to the longest, while nothing comes. */
const pollMs = 250;
const maxPollMs = 2_000;
/** The pause between two tries while a session is being taken over, and how often it is tried. */
const takeoverMs = 50;
const maxRounds = 40;
/** So often an owner is woken that does not take what was offered. */
const maxVain = 8;
/** And so often one that came later: what was offered may have gone with the owner before. */
const maxVainLater = 3;

/**
 * What this node asks of the owners of sessions, for its clients. Who waits looks for itself now and then, and wakes the
 * owner: a hint that is lost costs time, not the message. Owned by the node.
 */
export class Asked {
  readonly #options: AskedOptions;
  readonly #open = new Map<string, Open>();

  constructor(options: AskedOptions) {
    this.#options = options;
  }

  open(sessionId: string, caller: Caller): Asking {
    const { store, node } = this.#options;
    const id = randomBytes(16).toString('base64url');
    const tunnel = new AskingTunnel(() => store.replies.take({ sessionId, offerId: id, node }));
    const open: Open = { id, sessionId, caller, tunnel, epoch: 0, vain: 0, timer: undefined };
    tunnel.once('close', () => this.#closed(open));
    return { tunnel, send: () => this.#send(open), finish: () => void this.#open.delete(id) };
  }

  told(offerId: string, piece: string | null): void {
    this.#open.get(offerId)?.tunnel.told(piece);
  }

  /** What is asked was put down: its owner may carry it out, whoever waits for that. */
  close(): void {
    for (const { tunnel } of this.#open.values()) tunnel.destroy(new Refusal('node_lost'));
  }

  async #send(open: Open): Promise<Offered> {
    const { id, sessionId, caller, tunnel } = open;
    const who = caller === 'anyone' ? caller : { issuer: caller.issuer, user: caller.user };
    const bytes = tunnel.said.toString('base64');
    const data = JSON.stringify({ kind: 'request', id, node: this.#options.node, caller: who, bytes });
    this.#open.set(id, open);
    const offered = await this.#offer({ id, sessionId, caller, data });
    if (offered.is !== 'owned') this.#open.delete(id);
    else {
      open.epoch = offered.epoch;
      this.#lookLater(open, 0);
      this.#findOrphan(open, offered).catch(() => undefined);
    }
    return offered;
  }

  /** A takeover takes a moment: it is waited for. One that died with its node is begun anew. */
  async #offer(offer: Offer): Promise<Offered> {
    const { store, clock } = this.#options;
    for (let round = 1; ; round += 1) {
      const offered = await store.inbox.offer(offer);
      if (offered.is !== 'not_ready' || round === maxRounds) return offered;
      await this.#findOrphan(offer, offered);
      await new Promise<void>((resolve) => clock.setTimeout(() => resolve(), takeoverMs));
    }
  }

  #lookLater(open: Open, round: number): void {
    if (open.tunnel.destroyed) return;
    const pause = Math.min(maxPollMs, pollMs * 2 ** round);
    open.timer = this.#options.clock.setTimeout(() => {
      const before = open.tunnel.received;
      void this.#look(open)
        // The store cannot be reached: it is tried again.
        .catch(() => false)
        .then((hasChanged) => this.#lookLater(open, hasChanged || open.tunnel.received !== before ? 0 : round + 1));
    }, pause);
  }

  /** Whether the session has another owner now, or may have soon. */
  async #look(open: Open): Promise<boolean> {
    const { sessionId, caller, tunnel } = open;
    const { directory, nodes } = this.#options.store;
    await tunnel.fetch();
    const found = await directory.find(sessionId, caller);
    if (tunnel.destroyed) return false;
    const [isTaken, isAnswered] = [tunnel.received > 0, tunnel.received > 1];
    if (found.is === 'not_ready') {
      await this.#findOrphan(open, found);
      return true;
    }
    if (found.is === 'owned') {
      if (isTaken && tunnel.epoch !== found.epoch) tunnel.destroy(new Refusal('node_lost'));
      else if (await this.#findOrphan(open, found)) return true;
      else if (isTaken) return false;
      else if ((open.vain += 1) > (found.epoch === open.epoch ? maxVain : maxVainLater))
        tunnel.destroy(new Refusal('node_lost'));
      else await nodes.wake(found.node, sessionId);
    } else if (!isAnswered) {
      const closed = found.is === 'closed' ? new Refusal('closed', { closedBecause: found.because }) : null;
      tunnel.destroy(closed ?? new Refusal('node_lost'));
    }
    return false;
  }

  /** Has the session taken over if its owner is gone. One that is there and not ready may not know that it is the owner. */
  async #findOrphan({ sessionId }: Pick<Open, 'sessionId'>, { is, node, epoch }: Owner): Promise<boolean> {
    const { isGone, store } = this.#options;
    if (!(await isGone(sessionId, node))) {
      if (is === 'not_ready') await store.nodes.wake(node, sessionId);
      return false;
    }
    await this.#options.onOrphan({ sessionId, epoch }, node);
    return true;
  }

  /** Before its time: its client has left, and the owner is told. */
  #closed({ id, sessionId, caller, tunnel, timer }: Open): void {
    this.#options.clock.clearTimeout(timer);
    if (!this.#open.delete(id) || tunnel.readableEnded) return;
    const data = JSON.stringify({ kind: 'hangUp', id });
    this.#options.store.inbox.offer({ id: `${id}-`, sessionId, caller, data }).catch(() => undefined);
  }
}
