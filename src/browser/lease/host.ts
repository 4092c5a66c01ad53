import type { BrowserObserver, SupervisedBrowser } from '../process/browserConnection.js';
import type { UnregisterContext } from '../pool/endpointContexts.js';
import type { LeaseListener, LeaseRequest } from '../pool/browserLease.js';
import type { ResourceLedger } from '../process/resourceLedger.js';
import type { QueueOptions } from './queuedWork.js';

/** A browser that a lease takes part in. */
export interface BrowserBinding {
  readonly browser: SupervisedBrowser;
  /** The id of one that runs elsewhere. */
  readonly endpoint?: string;
  /** Whether there are others of its kind, when it cannot be had any more. */
  readonly isReplaceable?: boolean;
  /**
   * Tells the other servers that use this browser whose a context in it is; `lost` is told when one of them has closed it.
   * Absent: nobody else is to know. Never rejects.
   */
  readonly registerContext?: ((contextId: string, lost: () => void) => Promise<UnregisterContext>) | undefined;
  /**
   * Takes no part any more; ends the browser if it was this lease's alone. `leftover` is a context in it that could not be
   * closed.
   */
  release(leftover?: string): Promise<void>;
}

export interface LeaseDeps {
  readonly request: LeaseRequest;
  readonly listener: LeaseListener;
  readonly ledger: ResourceLedger;
  readonly mode: 'launch' | 'attach';
  /** A browser that others work in too. */
  acquireShared(observer: BrowserObserver, queue: QueueOptions): Promise<BrowserBinding>;
  /** A process and profile for this session alone, as soon as there is a place for it. */
  acquireProcess(observer: BrowserObserver, queue: QueueOptions): Promise<BrowserBinding>;
  /** Told once, when all is gone. */
  onReleased(): void;
}
