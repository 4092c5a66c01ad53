import { AddressPolicy } from '../policy/addressPolicy.js';

/**
 * What outlives the browser of a session: page ids that are never reused, what the client has yet to be told, and where its
 * pages may be.
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
