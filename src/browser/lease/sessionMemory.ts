import { AddressPolicy } from '../policy/addressPolicy.js';

/**
 * What outlives the browser of a session: page ids that are never reused, what the client has yet to be told, and where its
 * pages may be.
 */
export interface SessionMemory {
  lastPageId: number;
  nextPageId(): number;
  readonly notices: string[];
  readonly addresses: AddressPolicy;
}

export function createMemory(lastPageId = 0): SessionMemory {
  return {
    lastPageId,
    nextPageId() {
      return (this.lastPageId += 1);
    },
    notices: [],
    addresses: new AddressPolicy(),
  };
}
