import type { InspectionEvent } from 'xstate';
import type { Failure } from '../../../machines/events.js';
import type { Clock } from '../../clock.js';
import type { EndpointContexts, UnregisterContext } from './endpointContexts.js';
import type { PlacementRecord } from './recovery.js';
import type { OnQueued, QueueOptions } from './waitQueue.js';
import type { SessionBrowser } from './sessionBrowser.js';
import type { BrowserObserver, SupervisedBrowser, ResourceLedger } from '../process/browserConnection.js';
import type { UrlRules } from '../policy/urlRules.js';
import { Refusal } from '../../errors/errors.js';

/** What a session requests from the pool. */
export interface LeaseRequest {
  readonly sessionId: string;
  /** Issuer and subject in one string: tabs of an attached profile are shared by the sessions of one user. */
  readonly owner: string;
  readonly isolation: 'auto' | 'context' | 'process' | 'profile';
  /** The addresses that a process of its own refuses. Default: those that every browser refuses. */
  readonly rules?: UrlRules | undefined;
  /** Why a download is cancelled; resolves with undefined if it may continue. */
  readonly downloadRefusal?: () => Promise<string | undefined>;
  /** A browser of the user's own to attach to (http or ws), instead of the server's; with the isolation `profile`. */
  readonly endpoint?: string;
  /** The state to resume from an earlier lease, perhaps of another node. Pages that still exist are found again. */
  readonly resume?: ResumeState;
}

/**
 * Where a session's pages are, so that another lease can resume them. Serialized as JSON; contains no browser address.
 */
export interface ResumeState {
  /** The id of the remote browser; see `endpointId`. */
  readonly endpoint?: string | undefined;
  readonly lost: PlacementRecord;
}

/** Receives the events of a lease, in order; none after `release()`. */
export interface LeaseListener {
  /**
   * The browser died. The next `browser()` replaces it; what was lost is reported as a notice with the next response.
   */
  lost(): void;
  /** A browser is available again after `lost`. */
  ready(): void;
  /** The browser is permanently unavailable; the session ends. */
  failed(failure: Failure): void;
}

/**
 * A session's right to one browser (context, process or profile). Owned by the session's `browserLease` actor, the only
 * caller of `release()`. Everything opened under the lease is closed by its release, also what opens late (S5, S8).
 */
export interface BrowserLease {
  /**
   * The browser, opened by the first call and replaced after a loss. Concurrent calls share one opening. While every
   * process is in use, `onQueued` receives the position in the queue; the lease leaves the queue when the last call
   * gives up. Throws a `Refusal` (`browser_unreachable`, `browser_failed`, `browsers_busy`) that names cause and fix,
   * or the signal's reason when aborted.
   */
  browser(signal?: AbortSignal, onQueued?: OnQueued): Promise<SessionBrowser>;
  /**
   * Resolves when the open browser answers Browser.getVersion. Rejects when it does not within a second, or none is
   * open: the lease then drops it, and the next `browser()` opens a new placement.
   */
  check(signal: AbortSignal): Promise<void>;
  /** The open browser, if any. Opens nothing. */
  readonly current: SessionBrowser | undefined;
  /** State from which another lease can resume; undefined while nothing is open. */
  readonly resumeState?: ResumeState | undefined;
  /** The id of the supervisor of the session's browser, also while that connects. Changes when the session moves. */
  readonly browserId: string | undefined;
  /** Absent: the pool has no browsers. */
  readonly usage?: LeaseUsage;
  /**
   * Closes everything opened under this lease. `keepOpen` leaves a context of a remote browser open, for the lease that
   * resumes it. Idempotent; resolves when everything is closed.
   */
  release(end?: { readonly keepOpen: boolean }): Promise<void>;
}

/** What a lease uses of this machine. */
export interface LeaseUsage {
  /** Bytes that the server keeps of its pages and extensions. */
  readonly keptBytes: number;
  readonly downloadBytes: number;
  /** The browser process that it uses alone, while there is one. */
  readonly process: number | undefined;
  /** The folder with all that it has on disk: with its profile, if the process is its own. */
  readonly folder: string | undefined;
}

/** Leases browsers to sessions. One per orchestrator, which closes it last. */
export interface BrowserPool {
  lease(request: LeaseRequest, listener: LeaseListener): BrowserLease;
  /** Whether a session that needs its own process has to wait for a slot. */
  readonly isFull: boolean;
  /** The contexts of each reachable browser that other nodes use too. Absent: no browser is shared. */
  sharedContexts?(): readonly EndpointContexts[];
  /** Counts for `/health`. */
  health(): BrowserHealth;
  /** Resident memory of the launched browsers in bytes; null where the operating system does not report it. */
  memory(): Promise<number | null>;
  /** Closes every browser, its process and its profile folder. Resolves when they are gone. */
  close(): Promise<void>;
}

export interface BrowserHealth {
  readonly total: number;
  readonly ready: number;
  readonly connecting: number;
  readonly lost: number;
  readonly failed: number;
  /** Open browser contexts of sessions. */
  readonly contexts: number;
  /** Sessions that wait for a process. */
  readonly queued: number;
}

/** The browser that a lease is bound to. */
export interface BrowserBinding {
  readonly browser: SupervisedBrowser;
  /** The id of a remote browser; see `endpointId`. */
  readonly endpoint?: string;
  /** Whether another browser can take its place when it fails. */
  readonly isReplaceable?: boolean;
  /**
   * Registers the session's context for the other nodes that use this browser; `lost` is called when one of them closed
   * it. Absent: the browser is not shared. Never rejects.
   */
  readonly registerContext?: ((contextId: string, lost: () => void) => Promise<UnregisterContext>) | undefined;
  /**
   * Releases the binding; closes the browser if only this lease used it. `leftover`: a context in it that could not be
   * closed.
   */
  release(leftover?: string): Promise<void>;
}

export interface LeaseDeps {
  readonly request: LeaseRequest;
  readonly listener: LeaseListener;
  readonly ledger: ResourceLedger;
  readonly mode: 'launch' | 'attach';
  readonly clock: Pick<Clock, 'now'>;
  /** Bytes that a session may have kept: `--session-memory`. Default: no bound. */
  readonly sessionMemory?: number | undefined;
  /** Binds the lease to a shared browser. */
  acquireShared(observer: BrowserObserver, queue: QueueOptions): Promise<BrowserBinding>;
  /** Binds the lease to a process and profile of its own, as soon as a slot is free. */
  acquireProcess(observer: BrowserObserver, queue: QueueOptions): Promise<BrowserBinding>;
  /** Receives the inspection events of the lease's actor. */
  readonly inspect?: ((event: InspectionEvent) => void) | undefined;
  /** Called once, when everything is closed. */
  onReleased(): void;
}

const noBrowserDetail = 'This server has no browser: none of its configured tools needs one.';

/** The pool of a server whose tools need no browser. It starts nothing. */
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
