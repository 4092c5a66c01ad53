import type { BrowserObserver, SupervisedBrowser } from '../process/connection.js';
import type { LetGo } from './endpointContexts.js';
import type { LeaseListener, LeaseRequest } from './lease.js';
import type { Ledger } from './ledger.js';
import type { Queue } from './queuedWork.js';

/** A browser that a lease takes part in. */
export interface Host {
  readonly browser: SupervisedBrowser;
  /** The id of one that runs elsewhere. */
  readonly endpoint?: string;
  /** Whether there are others of its kind, when it cannot be had any more. */
  readonly isReplaceable?: boolean;
  /**
   * Tells the other servers that use this browser whose a context in it is; `lost` is told when one of them has closed it.
   * Absent: nobody else is to know. Never rejects.
   */
  readonly hold?: ((contextId: string, lost: () => void) => Promise<LetGo>) | undefined;
  /**
   * Takes no part any more; ends the browser if it was this lease's alone. `leftover` is a context in it that could not be
   * closed.
   */
  leave(leftover?: string): Promise<void>;
}

export interface LeaseSurroundings {
  readonly request: LeaseRequest;
  readonly listener: LeaseListener;
  readonly ledger: Ledger;
  readonly mode: 'launch' | 'attach';
  /** A browser that others work in too. */
  joinShared(observer: BrowserObserver, queue: Queue): Promise<Host>;
  /** A process and profile for this session alone, as soon as there is a place for it. */
  startProcess(observer: BrowserObserver, queue: Queue): Promise<Host>;
  /** Told once, when all is gone. */
  onReleased(): void;
}
