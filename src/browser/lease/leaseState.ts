import type { LeasedBrowser } from './leasedBrowser.js';
import type { Lost } from './loss.js';
import type { QueuedWork } from './queuedWork.js';

export type UnopenedState =
  /** Nothing is open: not asked for yet, or it could not be had. */
  | { readonly name: 'vacant' }
  /** The session had a browser, and it died or cannot be reached. */
  | { readonly name: 'lost'; readonly lost: Lost };

/** How far a lease is. */
export type LeaseState =
  | UnopenedState
  | { readonly name: 'opening'; readonly from: UnopenedState; readonly opening: QueuedWork<LeasedBrowser> }
  | { readonly name: 'open'; readonly session: LeasedBrowser }
  | { readonly name: 'released'; readonly gone: Promise<void> };

/** What is to be found again. */
export function lostIn(state: LeaseState): Lost | undefined {
  const from = state.name === 'opening' ? state.from : state;
  return from.name === 'lost' ? from.lost : undefined;
}
