import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors/errors.js';
import type { Caller } from '../tenancy/principal.js';
import type { OwnerLookup, InboxMessage, EnqueueResult, ClusterStore, OwnershipTerm } from './clusterStore.js';
import { piecesOf, RequesterTunnel } from './forwardingTunnel.js';

export interface RemoteRequestsDeps {
  readonly store: ClusterStore;
  readonly node: string;
  readonly clock: Clock;
  /** Whether `owner`, which the directory names as the owner of the session, can no longer serve it. */
  isOwnerGone(sessionId: string, owner: string): Promise<boolean>;
  /** Takes the session over from a dead owner, unless another node does. */
  takeOver(term: OwnershipTerm, owner: string): Promise<void>;
}

/** One request forwarded to the node that owns a session, through the store. */
export interface RemoteRequest {
  /** The socket for an HTTP client. The caller destroys it unless it ends. */
  readonly tunnel: RequesterTunnel;
  /**
   * Puts the bytes written to the tunnel into the inbox. `owned`: the reply follows, or the tunnel breaks. Any other
   * result: the inbox has not taken the request.
   */
  send(): Promise<EnqueueResult>;
  /** The reply was read completely: the owner need not be notified when the tunnel closes. */
  finish(): void;
}

type CurrentOwner = Extract<OwnerLookup, { readonly kind: 'owned' | 'not_ready' }>;

interface PendingRemoteRequest {
  readonly id: string;
  readonly sessionId: string;
  readonly caller: Caller;
  readonly tunnel: RequesterTunnel;
  delivery: Delivery;
}

/** `waiting`: the message is in the inbox of the session, and is polled for. */
type Delivery =
  | { readonly kind: 'unsent' }
  | {
      readonly kind: 'waiting';
      /** The epoch of the owner at the time of enqueueing. */
      readonly epoch: number;
      /** Wake-ups of the owner since then, without a reply. */
      readonly unansweredWakeups: number;
      readonly timer: unknown;
    };

type Waiting = Extract<Delivery, { readonly kind: 'waiting' }>;

/** The interval of polling, doubled up to `maxPollMs` while nothing changes. */
const initialPollMs = 250;
const maxPollMs = 2_000;
/** Attempts to enqueue while a takeover is in progress. */
const takeoverRetryMs = 50;
const maxTakeoverRetries = 40;
/** Wake-ups of an owner that does not take the message, before the request fails with `node_lost`. */
const maxUnansweredWakeups = 8;
/** Fewer wake-ups for a new owner: the message may have been lost with the previous one. */
const maxWakeupsAfterTakeover = 3;

/**
 * Requests that this node forwards to the owners of sessions. A waiting request polls the store with backoff and wakes the
 * owner: a lost hint costs time, not the message. Owned by the node, which closes it.
 *
 * ```
 *  requesting node                 store                       owner
 *    send ───────── message ──────▶ inbox ─────── hint ───────▶ take
 *      │ owner dead: takeOver                                   serve
 *    tunnel ◀────── hint, piece ── replies ◀───── piece 0 ───── "taken"
 *    tunnel ◀────── hint, piece ── replies ◀───── piece 1…n ─── response
 *      poll: fetch pieces, find the owner, wake it
 *    finish, or "hangUp" ─────────▶ inbox ─────────────────────▶ destroy its tunnel
 * ```
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
    const pending: PendingRemoteRequest = { id, sessionId, caller, tunnel, delivery: { kind: 'unsent' } };
    tunnel.once('close', () => this.#onTunnelClosed(pending));
    return { tunnel, send: () => this.#send(pending), finish: () => void this.#pending.delete(id) };
  }

  onReplyPiece(messageId: string, piece: string | null): void {
    this.#pending.get(messageId)?.tunnel.onPiece(piece);
  }

  /** Fails the waiting requests. Their messages are in the inbox already: the owner may still carry them out. */
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
      pending.delivery = { kind: 'waiting', epoch: outcome.epoch, unansweredWakeups: 0, timer: undefined };
      this.#schedulePoll(pending, 0);
      this.#takeOverIfOrphaned(pending, outcome).catch(() => undefined);
    }
    return outcome;
  }

  /** Retries while a takeover is in progress; restarts one whose node died. */
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
    const { tunnel, delivery } = pending;
    if (tunnel.destroyed || delivery.kind === 'unsent') return;
    const pause = Math.min(maxPollMs, initialPollMs * 2 ** round);
    const timer = this.#options.clock.setTimeout(() => {
      const before = piecesOf(tunnel.progress);
      void this.#poll(pending, delivery)
        // The store is unreachable: the next poll tries again.
        .catch(() => false)
        .then((hasChanged) =>
          this.#schedulePoll(pending, hasChanged || piecesOf(tunnel.progress) !== before ? 0 : round + 1),
        );
    }, pause);
    pending.delivery = { ...delivery, timer };
  }

  /** True: the session has a new owner, or will have one soon. */
  async #poll(pending: PendingRemoteRequest, delivery: Waiting): Promise<boolean> {
    const { sessionId, caller, tunnel } = pending;
    await tunnel.fetchPieces();
    const found = await this.#options.store.directory.find(sessionId, caller);
    if (tunnel.destroyed) return false;
    const { progress } = tunnel;
    if (found.kind === 'not_ready') {
      await this.#takeOverIfOrphaned(pending, found);
      return true;
    }
    if (found.kind !== 'owned') {
      const closed = found.kind === 'closed' ? new Refusal('closed', { closedBecause: found.closedBecause }) : null;
      if (progress.kind !== 'answering') tunnel.destroy(closed ?? new Refusal('node_lost'));
      return false;
    }
    if (progress.kind !== 'offered' && progress.epoch !== found.epoch) tunnel.destroy(new Refusal('node_lost'));
    else if (await this.#takeOverIfOrphaned(pending, found)) return true;
    else if (progress.kind === 'offered') await this.#wakeOwner(pending, delivery, found);
    return false;
  }

  /** An owner that does not take the message, however often it is woken, has lost it. */
  async #wakeOwner(pending: PendingRemoteRequest, delivery: Waiting, { node, epoch }: CurrentOwner): Promise<void> {
    const unansweredWakeups = delivery.unansweredWakeups + 1;
    pending.delivery = { ...delivery, unansweredWakeups };
    const maxWakeups = epoch === delivery.epoch ? maxUnansweredWakeups : maxWakeupsAfterTakeover;
    if (unansweredWakeups > maxWakeups) pending.tunnel.destroy(new Refusal('node_lost'));
    else await this.#options.store.nodes.wake(node, pending.sessionId);
  }

  /** Triggers a takeover if the owner is dead. A live owner that is not ready may not know of its ownership: it is woken. */
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

  /** Closed early because the client disconnected: the owner gets a `hangUp` message. */
  #onTunnelClosed({ id, sessionId, caller, tunnel, delivery }: PendingRemoteRequest): void {
    if (delivery.kind === 'waiting') this.#options.clock.clearTimeout(delivery.timer);
    if (!this.#pending.delete(id) || tunnel.readableEnded) return;
    const data = JSON.stringify({ kind: 'hangUp', id });
    this.#options.store.inbox.enqueue({ id: `${id}-`, sessionId, caller, data }).catch(() => undefined);
  }
}
