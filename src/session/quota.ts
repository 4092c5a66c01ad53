import { randomBytes } from 'node:crypto';
import type { QuotaLimits, QuotaSlot, QuotaStore } from '../cluster/clusterStore.js';
import { Refusal } from '../errors/errors.js';
import { principalKey, type Principal } from '../tenancy/principal.js';

/** So many leases of its node a place counts for: as long as a node renews them, a beat that is late loses none. */
const leasesPerSlot = 2;

export interface SessionQuotaOptions {
  readonly store: QuotaStore;
  readonly caps: QuotaLimits;
  /** How long a node that says nothing counts as there. */
  readonly leaseMs: number;
}

/**
 * The places that the sessions of this node take among those of all nodes. One that is taken counts until it is given back;
 * those of a node that dies are free after two of its leases. Owned by the registry of sessions; the node renews it.
 */
export class SessionQuota {
  readonly #options: SessionQuotaOptions;
  readonly #occupied = new Map<string, { readonly owner: Principal; readonly ids: Set<string> }>();
  readonly #releasing = new Set<Promise<void>>();

  constructor(options: SessionQuotaOptions) {
    this.#options = options;
  }

  /** A place for a session of this user that is about to be opened. Throws `too_many_sessions` or `store_unreachable`. */
  async reserve(owner: Principal): Promise<QuotaSlot> {
    const { store, caps } = this.#options;
    const slot = newSlot(owner);
    const reserved = await store.acquire(slot, caps, this.#slotTtlMs);
    if (reserved === 'full') throw tooManySessions(`--max-sessions ${caps.maxSessions}`);
    if (reserved === 'full-of-owner') throw tooManySessions(`--max-sessions-per-user ${caps.maxSessionsPerUser}`);
    return slot;
  }

  /** Holds a place until the session is closed: one that was taken, or, whatever the caps say, one more. */
  occupy(owner: Principal, closed: Promise<void>, reserved?: QuotaSlot): void {
    const slot = reserved ?? newSlot(owner);
    const key = principalKey(owner);
    const held = this.#occupied.get(key) ?? { owner, ids: new Set() };
    this.#occupied.set(key, held);
    held.ids.add(slot.id);
    // What cannot be said now is said with the next beat.
    if (reserved === undefined) this.#options.store.renew(owner, [slot.id], this.#slotTtlMs).catch(() => undefined);
    void closed.then(() => {
      held.ids.delete(slot.id);
      if (held.ids.size === 0 && this.#occupied.get(key) === held) this.#occupied.delete(key);
      this.release(slot);
    });
  }

  /** Gives one back. If that cannot be said now, it is free in its time. */
  release(slot: QuotaSlot): void {
    const freeing = this.#options.store.release(slot).catch(() => undefined);
    this.#releasing.add(freeing);
    void freeing.then(() => this.#releasing.delete(freeing));
  }

  /** All that are held count on. Rejects when the store cannot be reached. */
  async renew(): Promise<void> {
    for (const { owner, ids } of [...this.#occupied.values()]) {
      if (ids.size > 0) await this.#options.store.renew(owner, [...ids], this.#slotTtlMs);
    }
  }

  /** Resolves when all that were given back are free. */
  async whenReleased(): Promise<void> {
    await Promise.all(this.#releasing);
  }

  get #slotTtlMs(): number {
    return this.#options.leaseMs * leasesPerSlot;
  }
}

/** The refusal of a session that there is no place for. */
export const tooManySessions = (limit: string): Refusal => new Refusal('too_many_sessions', { limit });

const newSlot = (owner: Principal): QuotaSlot => ({ id: randomBytes(9).toString('base64url'), owner });
