import type { Failure } from '../../../machines/events.js';
import type { EndpointContexts, UnregisterContext } from './endpointContexts.js';
import type { PlacementRecord } from './recovery.js';
import type { OnQueued, QueueOptions } from './waitQueue.js';
import type { SessionBrowser } from './sessionBrowser.js';
import type { BrowserObserver, SupervisedBrowser } from '../process/browserConnection.js';
import type { ResourceLedger } from '../process/resourceLedger.js';
import { Refusal } from '../../errors/errors.js';

/** What a session asks the pool for. */
export interface LeaseRequest {
  readonly sessionId: string;
  /** Issuer and subject in one string: tabs of an attached profile are shared by the sessions of one user. */
  readonly owner: string;
  readonly isolation: 'auto' | 'context' | 'process' | 'profile';
  /** A browser of the user's own to attach to (http or ws), instead of the server's; with the isolation `profile`. */
  readonly endpoint?: string;
  /** What the session had under an earlier lease, perhaps another server's: it is gone on with if it can be found. */
  readonly resume?: ResumeState;
}

/** Where the pages of a session are. In JSON, without the browser's own address. */
export interface ResumeState {
  /** Of a browser that outlives this server; see `endpointId`. */
  readonly endpoint?: string | undefined;
  readonly lost: PlacementRecord;
}

/** What the pool tells the session, in order; nothing after `release()`. */
export interface LeaseListener {
  /** The browser died. It is replaced at the next `browser()`; what was lost becomes a notice of the next answer. */
  lost(): void;
  /** A browser is there again after `lost`. */
  ready(): void;
  /** It cannot be had any more; the session ends. */
  failed(failure: Failure): void;
}

/**
 * A session's right to one browser (context, process or profile). Owned by the session's `browserLease` actor, which
 * alone calls `release()`; whatever is opened under it, also late, is closed by then (S5, S8).
 */
export interface BrowserLease {
  /**
   * The browser, opened on the first call (so a lazy session pays nothing before) and replaced when it was lost.
   * Concurrent calls share one opening. While every process is taken, `onQueued` is told the position in the queue, which
   * is left when the last call gives up. Throws a `Refusal` (`browser_unreachable`, `browser_failed`, `browsers_busy`)
   * that names cause and mend, or the signal's reason when aborted.
   */
  browser(signal?: AbortSignal, onQueued?: OnQueued): Promise<SessionBrowser>;
  /**
   * Resolves when the open browser gives a sign of life. Rejects when it does not within a second, or none is open: then
   * the lease has let go of it, and the next `browser()` opens another place.
   */
  check(signal: AbortSignal): Promise<void>;
  /** What is open now, without opening anything. */
  readonly current: SessionBrowser | undefined;
  /** Where another lease can go on; undefined while nothing is open yet. */
  readonly resumeState?: ResumeState | undefined;
  /** The actor that runs the session's browser, open or not yet; another one after a move. */
  readonly browserId: string | undefined;
  /**
   * Closes everything opened under this lease; what is `leftOpen`, in a browser that runs elsewhere, is for the lease that
   * goes on with it. Idempotent; resolves when it is gone.
   */
  release(end?: { readonly keepOpen: boolean }): Promise<void>;
}

/** Gives browsers to sessions. One per orchestrator, which closes it last. */
export interface BrowserPool {
  lease(request: LeaseRequest, listener: LeaseListener): BrowserLease;
  /** Whether whoever needs a process of its own now has to wait for it. */
  readonly isFull: boolean;
  /** The contexts in each browser that answers and that other servers use too. Absent: there is none. */
  sharedContexts?(): readonly EndpointContexts[];
  /** Counts for `/health`. */
  health(): BrowserHealth;
  /** Resident memory of the browsers that were launched, in bytes; null where the system does not tell. */
  memory(): Promise<number | null>;
  /** Ends every browser, process, profile folder. Resolves when they are gone. */
  close(): Promise<void>;
}

export interface BrowserHealth {
  readonly total: number;
  readonly ready: number;
  readonly connecting: number;
  readonly lost: number;
  readonly failed: number;
  /** Browser contexts that sessions hold. */
  readonly contexts: number;
  /** Sessions that wait for a process. */
  readonly queued: number;
}

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

const noBrowserDetail = 'This server has no browser: none of the tools that it was made with needs one.';

/** The pool of a server whose tools need no browser: nothing is started, and nothing is left behind. */
export const noBrowserPool: BrowserPool = {
  lease: () => ({
    current: undefined,
    browserId: undefined,
    browser: () => Promise.reject(new Refusal('browser_failed', { detail: noBrowserDetail })),
    check: () => Promise.resolve(),
    release: () => Promise.resolve(),
  }),
  isFull: false,
  health: () => ({ total: 0, ready: 0, connecting: 0, lost: 0, failed: 0, contexts: 0, queued: 0 }),
  memory: () => Promise.resolve(0),
  close: () => Promise.resolve(),
};
