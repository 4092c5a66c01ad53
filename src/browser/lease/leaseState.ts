import type { LeasedBrowser } from '../pool/leasedBrowser.js';
import type { PlacementRecord } from '../pool/recovery.js';
import type { QueuedWork } from './queuedWork.js';

export type UnopenedState =
  /** Nothing is open: not asked for yet, or it could not be had. */
  | { readonly kind: 'vacant' }
  /** The session had a browser, and it died or cannot be reached. */
  | { readonly kind: 'lost'; readonly lost: PlacementRecord };

/** How far a lease is. */
export type LeaseState =
  | UnopenedState
  | { readonly kind: 'opening'; readonly from: UnopenedState; readonly opening: QueuedWork<LeasedBrowser> }
  | { readonly kind: 'open'; readonly browser: LeasedBrowser }
  | { readonly kind: 'released'; readonly done: Promise<void> };

/** What is to be found again. */
export function recordToRestore(state: LeaseState): PlacementRecord | undefined {
  const from = state.kind === 'opening' ? state.from : state;
  return from.kind === 'lost' ? from.lost : undefined;
}
