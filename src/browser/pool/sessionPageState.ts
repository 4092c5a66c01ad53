import { AddressPolicy } from '../policy/addressPolicy.js';

/**
 * Session state that outlives its browser: the page id counter, the pending notices for the client, and the address
 * policy.
 */
export interface SessionPageState {
  lastPageId: number;
  nextPageId(): number;
  readonly notices: string[];
  readonly addresses: AddressPolicy;
}

export function createSessionPageState(lastPageId = 0): SessionPageState {
  return {
    lastPageId,
    nextPageId() {
      return (this.lastPageId += 1);
    },
    notices: [],
    addresses: new AddressPolicy(),
  };
}
