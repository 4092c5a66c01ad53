import type { Browser } from 'puppeteer-core';
import type { Failure } from '../../../machines/events.js';

/** A connection to one browser: a launched process, or a socket to an attached one. Owned and closed by its opener. */
export interface BrowserConnection {
  readonly browser: Browser;
  readonly mode: 'launch' | 'attach';
  /** `Chrome/156.0.…` */
  readonly product: string;
  /** The process id of a launched browser. */
  readonly pid?: number | undefined;
  /** The folder for files of this browser. Removed with a launched browser. */
  readonly temporaryFolder: string;
  /** Resolves when the browser or its connection is gone, for whatever reason. Never rejects. */
  readonly disconnected: Promise<void>;
  /** Why it ended: how the process exited, or which message made the transport drop it. Undefined if that is unknown. */
  endCause?(): string | undefined;
  /** Resolves when the browser answers (CDP Browser.getVersion). Stays pending while the browser hangs. */
  ping(): Promise<void>;
  /**
   * Kills a launched process and removes its profile folder; leaves an attached browser running. Idempotent; never
   * rejects.
   */
  close(): Promise<void>;
}

/** Opens a connection. Throws a `Refusal`. On abort, what was opened is closed before it rejects. */
export type Connect = (signal: AbortSignal) => Promise<BrowserConnection>;

/** Called in order; not called after `close()`. */
export interface BrowserObserver {
  /** The browser died; the supervisor connects again. */
  lost(): void;
  /** The browser answers, for the first time or again. */
  ready(connection: BrowserConnection): void;
  /** Connecting failed; the next `connection()` tries again. */
  failed(failure: Failure): void;
}

export type BrowserState = 'connecting' | 'ready' | 'lost' | 'failed' | 'closed';

/** A browser run by `machines/browserMachine.ts`: connecting, ready, lost and retried, failed, closed. */
export interface SupervisedBrowser {
  /** The id of its actor. */
  readonly id: string;
  readonly state: BrowserState;
  /** The connection, once it is ready. Throws a `Refusal` when connecting fails, or the signal's reason. */
  connection(signal?: AbortSignal): Promise<BrowserConnection>;
  /** Closes it for good. Idempotent; resolves when process, folder and socket are gone, also those that open late. */
  close(): Promise<void>;
}

export interface SuperviseOptions {
  readonly id: string;
  readonly mode: 'launch' | 'attach';
  readonly connect: Connect;
  readonly observer: BrowserObserver;
  /** For a connection that a person has to allow: how long an attempt may take. It is not repeated by itself. */
  readonly consentTimeoutMs?: number | undefined;
}

/**
 * Starts the supervisor of one browser. Provided by the session layer: this layer does not import the state machines.
 */
export type Supervise = (options: SuperviseOptions) => SupervisedBrowser;

export type ResourceKind = 'processes' | 'profiles' | 'connections' | 'contexts' | 'pages';

export interface ResourceCount {
  opened: number;
  closed: number;
}

/**
 * Counts of opened and closed resources since the pool was opened. Owned by the pool. Once everything is released,
 * opened equals closed (S5).
 */
export type ResourceLedger = Readonly<Record<ResourceKind, ResourceCount>>;

export function createResourceLedger(): ResourceLedger {
  const entry = (): ResourceCount => ({ opened: 0, closed: 0 });
  return { processes: entry(), profiles: entry(), connections: entry(), contexts: entry(), pages: entry() };
}
