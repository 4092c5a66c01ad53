import { KeptBytes } from '../collectors/ringBuffer.js';
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
  /** What is kept of its pages and extensions. */
  readonly kept: KeptBytes;
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
type Stored = Partial<Pick<SessionPageState, 'lastPageId' | 'startEmulation'>>;

export function createSessionPageState(
  { lastPageId = 0, startEmulation }: Stored = {},
  sessionMemory?: number,
): SessionPageState {
  const kept = new KeptBytes(sessionMemory);
  const own = kept.open();
  return {
    kept,
    lastPageId,
    nextPageId() {
      return (this.lastPageId += 1);
    },
    notices: [],
    addresses: new AddressPolicy(),
    credentials: new Credentials(own),
    breakpoints: new BreakpointList(own),
    actions: new ActionLog(own),
    startEmulation,
  };
}
