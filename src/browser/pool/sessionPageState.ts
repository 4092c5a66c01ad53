import { BreakpointList } from '../debugger/breakpoints.js';
import { ActionLog } from '../page/actionLog.js';
import type { EmulationSettings } from '../page/pageEmulation.js';
import { AddressPolicy } from '../policy/addressPolicy.js';
import { Credentials } from '../policy/credentials.js';

/**
 * Session state that outlives its browser: the page id counter, the pending notices for the client, the address
 * policy, credentials for servers, breakpoints, and the log of actions.
 */
export interface SessionPageState {
  lastPageId: number;
  nextPageId(): number;
  readonly notices: string[];
  readonly addresses: AddressPolicy;
  readonly credentials: Credentials;
  readonly breakpoints: BreakpointList;
  readonly actions: ActionLog;
  /** What a new page emulates. */
  startEmulation: EmulationSettings | undefined;
}

/** What another node knows of it. */
type Kept = Partial<Pick<SessionPageState, 'lastPageId' | 'startEmulation'>>;

export function createSessionPageState({ lastPageId = 0, startEmulation }: Kept = {}): SessionPageState {
  return {
    lastPageId,
    nextPageId() {
      return (this.lastPageId += 1);
    },
    notices: [],
    addresses: new AddressPolicy(),
    credentials: new Credentials(),
    breakpoints: new BreakpointList(),
    actions: new ActionLog(),
    startEmulation,
  };
}
