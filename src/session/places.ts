import { randomBytes } from 'node:crypto';
import type { Caps, Place, PlaceStore } from '../cluster/serverStore.js';
import { Refusal } from '../errors.js';
import { ownerKey, type Principal } from '../tenancy/principal.js';

/** So many leases of its node a place counts for: as long as a node renews them, a beat that is late loses none. */
const leases = 2;

export interface PlacesOptions {
  readonly store: PlaceStore;
  readonly caps: Caps;
  /** How long a node that says nothing counts as there. */
  readonly leaseMs: number;
}

/**
 * The places that the sessions of this node take among those of all nodes. One that is taken counts until it is given back;
 * those of a node that dies are free after two of its leases. Owned by the registry of sessions; the node renews it.
 */
export class Places {
  readonly #options: PlacesOptions;
  readonly #held = new Map<string, { readonly owner: Principal; readonly ids: Set<string> }>();
  readonly #freeing = new Set<Promise<void>>();

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /** A place for a session of this user that is about to be opened. Throws `too_many_sessions` or `store_unreachable`. */
  async take(owner: Principal): Promise<Place> {
    const { store, caps } = this.#options;
    const place = newPlace(owner);
    const taken = await store.take(place, caps, this.#ms);
    if (taken === 'full') throw tooMany(`--max-sessions ${caps.maxSessions}`);
    if (taken === 'full-of-owner') throw tooMany(`--max-sessions-per-user ${caps.maxSessionsPerUser}`);
    return place;
  }

  /** Holds a place until the session is closed: one that was taken, or, whatever the caps say, one more. */
  hold(owner: Principal, closed: Promise<void>, taken?: Place): void {
    const place = taken ?? newPlace(owner);
    const key = ownerKey(owner);
    const held = this.#held.get(key) ?? { owner, ids: new Set() };
    this.#held.set(key, held);
    held.ids.add(place.id);
    // What cannot be said now is said with the next beat.
    if (taken === undefined) this.#options.store.keep(owner, [place.id], this.#ms).catch(() => undefined);
    void closed.then(() => {
      held.ids.delete(place.id);
      if (held.ids.size === 0 && this.#held.get(key) === held) this.#held.delete(key);
      this.free(place);
    });
  }

  /** Gives one back. If that cannot be said now, it is free in its time. */
  free(place: Place): void {
    const freeing = this.#options.store.free(place).catch(() => undefined);
    this.#freeing.add(freeing);
    void freeing.then(() => this.#freeing.delete(freeing));
  }

  /** All that are held count on. Rejects when the store cannot be reached. */
  async renew(): Promise<void> {
    for (const { owner, ids } of [...this.#held.values()]) {
      if (ids.size > 0) await this.#options.store.keep(owner, [...ids], this.#ms);
    }
  }

  /** Resolves when all that were given back are free. */
  async freed(): Promise<void> {
    await Promise.all(this.#freeing);
  }

  get #ms(): number {
    return this.#options.leaseMs * leases;
  }
}

/** The refusal of a session that there is no place for. */
export const tooMany = (limit: string): Refusal => new Refusal('too_many_sessions', { limit });

const newPlace = (owner: Principal): Place => ({ id: randomBytes(9).toString('base64url'), owner });
