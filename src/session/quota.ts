import { randomBytes } from 'node:crypto';
import type { QuotaLimits, QuotaSlot, QuotaStore } from '../cluster/clusterStore.js';
import { Refusal } from '../errors/errors.js';
import { principalKey, type Principal } from '../tenancy/principal.js';

/** A slot lives for this many node leases, so that one late heartbeat loses none. */
const leasesPerSlot = 2;

export interface SessionQuotaOptions {
  readonly store: QuotaStore;
  readonly caps: QuotaLimits;
  /** The lease of a node: silent for longer, it counts as dead. */
  readonly leaseMs: number;
}

/**
 * The slots of this node's sessions in the cluster-wide quota. A slot is occupied until it is released; those of a dead
 * node expire after two leases. Owned by the session registry; the node renews it.
 *
 *     reserve -> occupy -> renew (at each heartbeat) … -> release, when the session is closed
 */
export class SessionQuota {
  readonly #options: SessionQuotaOptions;
  readonly #occupied = new Map<string, { readonly owner: Principal; readonly ids: Set<string> }>();
  readonly #releasing = new Set<Promise<void>>();

  constructor(options: SessionQuotaOptions) {
    this.#options = options;
  }

  /** Reserves a slot for a new session. Rejects with `too_many_sessions` or `store_unreachable`. */
  async reserve(owner: Principal): Promise<QuotaSlot> {
    const { store, caps } = this.#options;
    const slot = newSlot(owner);
    const reserved = await store.acquire(slot, caps, this.#slotTtlMs);
    if (reserved === 'full') throw tooManySessions(`--max-sessions ${caps.maxSessions}`);
    if (reserved === 'full-of-owner') throw tooManySessions(`--max-sessions-per-user ${caps.maxSessionsPerUser}`);
    return slot;
  }

  /** Occupies a slot until the session is closed: the reserved one or, regardless of the limits, a new one. */
  occupy(owner: Principal, closed: Promise<void>, reserved?: QuotaSlot): void {
    const slot = reserved ?? newSlot(owner);
    const key = principalKey(owner);
    const slots = this.#occupied.get(key) ?? { owner, ids: new Set() };
    this.#occupied.set(key, slots);
    slots.ids.add(slot.id);
    // If this fails, the next heartbeat renews it.
    if (reserved === undefined) this.#options.store.renew(owner, [slot.id], this.#slotTtlMs).catch(() => undefined);
    void closed.then(() => {
      slots.ids.delete(slot.id);
      if (slots.ids.size === 0 && this.#occupied.get(key) === slots) this.#occupied.delete(key);
      this.release(slot);
    });
  }

  /** Releases a slot; while the store is unreachable, it expires instead. */
  release(slot: QuotaSlot): void {
    const releasing = this.#options.store.release(slot).catch(() => undefined);
    this.#releasing.add(releasing);
    void releasing.then(() => this.#releasing.delete(releasing));
  }

  /** Renews every occupied slot. Rejects when the store is unreachable. */
  async renew(): Promise<void> {
    for (const { owner, ids } of [...this.#occupied.values()]) {
      if (ids.size > 0) await this.#options.store.renew(owner, [...ids], this.#slotTtlMs);
    }
  }

  /** Resolves when all pending releases are done. */
  async whenReleased(): Promise<void> {
    await Promise.all(this.#releasing);
  }

  get #slotTtlMs(): number {
    return this.#options.leaseMs * leasesPerSlot;
  }
}

/** The refusal when a session limit is reached. */
export const tooManySessions = (limit: string): Refusal => new Refusal('too_many_sessions', { limit });

const newSlot = (owner: Principal): QuotaSlot => ({ id: randomBytes(9).toString('base64url'), owner });
