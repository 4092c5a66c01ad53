import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors/errors.js';
import type { Caller } from '../tenancy/principal.js';
import type { OwnerLookup, InboxMessage, EnqueueResult, ClusterStore, OwnershipTerm } from './clusterStore.js';
import { RequesterTunnel } from './forwardingTunnel.js';

export interface RemoteRequestsDeps {
  readonly store: ClusterStore;
  readonly node: string;
  readonly clock: Clock;
  /** Whether a node that the directory names as the owner of a session cannot answer for it. */
  isOwnerGone(sessionId: string, owner: string): Promise<boolean>;
  /** The owner of a session is gone. */
  takeOver(term: OwnershipTerm, owner: string): Promise<void>;
}

/** What is said to the owner of a session, through the store. */
export interface RemoteRequest {
  /** For an HTTP client, the socket. The caller destroys it unless it ends. */
  readonly tunnel: RequesterTunnel;
  /**
   * Offers what was written to the tunnel so far. `owned`: the answer comes, or the tunnel breaks. Anything else: nothing
   * was put down.
   */
  send(): Promise<EnqueueResult>;
  /** The whole answer was read: what is left of the connection is nothing to anybody. */
  finish(): void;
}

type CurrentOwner = Extract<OwnerLookup, { readonly kind: 'owned' | 'not_ready' }>;

interface PendingRemoteRequest {
  readonly id: string;
  readonly sessionId: string;
  readonly caller: Caller;
  readonly tunnel: RequesterTunnel;
  /** Of the owner for whom it was put down. */
  epoch: number;
  /** How often the owner was woken in vain. */
  unansweredWakeups: number;
  timer: unknown;
}

/** The first pause after which one who waits looks for itself; doubled, up to the longest, while nothing comes. */
const initialPollMs = 250;
const maxPollMs = 2_000;
/** The pause between two tries while a session is being taken over, and how often it is tried. */
const takeoverRetryMs = 50;
const maxTakeoverRetries = 40;
/** So often an owner is woken that does not take what was offered. */
const maxUnansweredWakeups = 8;
/** And so often one that came later: what was offered may have gone with the owner before. */
const maxWakeupsAfterTakeover = 3;

/**
 * What this node asks of the owners of sessions, for its clients. Who waits looks for itself now and then, and wakes the
 * owner: a hint that is lost costs time, not the message. Owned by the node.
 */
export class RemoteRequests {
  readonly #options: RemoteRequestsDeps;
  readonly #pending = new Map<string, PendingRemoteRequest>();

  constructor(options: RemoteRequestsDeps) {
    this.#options = options;
  }

  open(sessionId: string, caller: Caller): RemoteRequest {
    const { store, node } = this.#options;
    const id = randomBytes(16).toString('base64url');
    const tunnel = new RequesterTunnel(() => store.replies.take({ sessionId, messageId: id, node }));
    const pending: PendingRemoteRequest = {
      id,
      sessionId,
      caller,
      tunnel,
      epoch: 0,
      unansweredWakeups: 0,
      timer: undefined,
    };
    tunnel.once('close', () => this.#onTunnelClosed(pending));
    return { tunnel, send: () => this.#send(pending), finish: () => void this.#pending.delete(id) };
  }

  onReplyPiece(offerId: string, piece: string | null): void {
    this.#pending.get(offerId)?.tunnel.onPiece(piece);
  }

  /** What is asked was put down: its owner may carry it out, whoever waits for that. */
  close(): void {
    for (const { tunnel } of this.#pending.values()) tunnel.destroy(new Refusal('node_lost'));
  }

  async #send(pending: PendingRemoteRequest): Promise<EnqueueResult> {
    const { id, sessionId, caller, tunnel } = pending;
    const forwardedCaller = caller === 'anyone' ? caller : { issuer: caller.issuer, user: caller.user };
    const requestBase64 = tunnel.requestBytes.toString('base64');
    const data = JSON.stringify({
      kind: 'request',
      id,
      node: this.#options.node,
      caller: forwardedCaller,
      bytes: requestBase64,
    });
    this.#pending.set(id, pending);
    const outcome = await this.#enqueue({ id, sessionId, caller, data });
    if (outcome.kind !== 'owned') this.#pending.delete(id);
    else {
      pending.epoch = outcome.epoch;
      this.#schedulePoll(pending, 0);
      this.#takeOverIfOrphaned(pending, outcome).catch(() => undefined);
    }
    return outcome;
  }

  /** A takeover takes a moment: it is waited for. One that died with its node is begun anew. */
  async #enqueue(message: InboxMessage): Promise<EnqueueResult> {
    const { store, clock } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await store.inbox.enqueue(message);
      if (outcome.kind !== 'not_ready' || attempt === maxTakeoverRetries) return outcome;
      await this.#takeOverIfOrphaned(message, outcome);
      await new Promise<void>((resolve) => clock.setTimeout(() => resolve(), takeoverRetryMs));
    }
  }

  #schedulePoll(pending: PendingRemoteRequest, round: number): void {
    if (pending.tunnel.destroyed) return;
    const pause = Math.min(maxPollMs, initialPollMs * 2 ** round);
    pending.timer = this.#options.clock.setTimeout(() => {
      const receivedBefore = pending.tunnel.receivedPieces;
      void this.#poll(pending)
        // The store cannot be reached: it is tried again.
        .catch(() => false)
        .then((hasChanged) =>
          this.#schedulePoll(pending, hasChanged || pending.tunnel.receivedPieces !== receivedBefore ? 0 : round + 1),
        );
    }, pause);
  }

  /** Whether the session has another owner now, or may have soon. */
  async #poll(pending: PendingRemoteRequest): Promise<boolean> {
    const { sessionId, caller, tunnel } = pending;
    const { directory, nodes } = this.#options.store;
    await tunnel.fetchPieces();
    const found = await directory.find(sessionId, caller);
    if (tunnel.destroyed) return false;
    const [isTaken, isAnswered] = [tunnel.receivedPieces > 0, tunnel.receivedPieces > 1];
    if (found.kind === 'not_ready') {
      await this.#takeOverIfOrphaned(pending, found);
      return true;
    }
    if (found.kind === 'owned') {
      if (isTaken && tunnel.epoch !== found.epoch) tunnel.destroy(new Refusal('node_lost'));
      else if (await this.#takeOverIfOrphaned(pending, found)) return true;
      else if (isTaken) return false;
      else if (
        (pending.unansweredWakeups += 1) >
        (found.epoch === pending.epoch ? maxUnansweredWakeups : maxWakeupsAfterTakeover)
      )
        tunnel.destroy(new Refusal('node_lost'));
      else await nodes.wake(found.node, sessionId);
    } else if (!isAnswered) {
      const closed = found.kind === 'closed' ? new Refusal('closed', { closedBecause: found.closedBecause }) : null;
      tunnel.destroy(closed ?? new Refusal('node_lost'));
    }
    return false;
  }

  /** Has the session taken over if its owner is gone. One that is there and not ready may not know that it is the owner. */
  async #takeOverIfOrphaned(
    { sessionId }: Pick<PendingRemoteRequest, 'sessionId'>,
    { kind, node, epoch }: CurrentOwner,
  ): Promise<boolean> {
    const { isOwnerGone, store } = this.#options;
    if (!(await isOwnerGone(sessionId, node))) {
      if (kind === 'not_ready') await store.nodes.wake(node, sessionId);
      return false;
    }
    await this.#options.takeOver({ sessionId, epoch }, node);
    return true;
  }

  /** Before its time: its client has left, and the owner is told. */
  #onTunnelClosed({ id, sessionId, caller, tunnel, timer }: PendingRemoteRequest): void {
    this.#options.clock.clearTimeout(timer);
    if (!this.#pending.delete(id) || tunnel.readableEnded) return;
    const data = JSON.stringify({ kind: 'hangUp', id });
    this.#options.store.inbox.enqueue({ id: `${id}-`, sessionId, caller, data }).catch(() => undefined);
  }
}
