import type { Browser } from 'puppeteer-core';
import type { Failure } from '../../../machines/events.js';

/** The way to one browser: our own process, or a socket to somebody else's. Owned and closed by whoever opened it. */
export interface BrowserConnection {
  readonly browser: Browser;
  readonly mode: 'launch' | 'attach';
  /** `Chrome/156.0.…` */
  readonly product: string;
  /** Of our own process. */
  readonly pid?: number | undefined;
  /** Where files for this browser may be put. Removed with the browser if it is ours. */
  readonly temporaryFolder: string;
  /** Resolves when the browser, or the way to it, is gone, whoever ended it. Never rejects. */
  readonly disconnected: Promise<void>;
  /** Why we dropped it: the browser said what we do not take. Undefined if it ended otherwise. */
  droppedBecause?(): string | undefined;
  /** Resolves when the browser answers (Browser.getVersion). One that hangs leaves it open. */
  ping(): Promise<void>;
  /** Ends our process with its profile folder; leaves an attached browser running. Idempotent, never rejects. */
  close(): Promise<void>;
}

/** Opens a connection. Throws a `Refusal`; when the signal aborts, what was opened is closed before it rejects. */
export type Connect = (signal: AbortSignal) => Promise<BrowserConnection>;

/** Told in order; nothing after `close()`. */
export interface BrowserObserver {
  /** It died; it is tried again. */
  lost(): void;
  /** It answers, for the first time or again. */
  ready(connection: BrowserConnection): void;
  /** It cannot be had; the next one who wants it tries again. */
  failed(failure: Failure): void;
}

export type BrowserState = 'connecting' | 'ready' | 'lost' | 'failed' | 'closed';

/** A browser whose life a state chart runs: opened, lost, tried again, given up, closed. */
export interface SupervisedBrowser {
  /** Of the actor that runs its chart. */
  readonly id: string;
  readonly state: BrowserState;
  /** The connection once it is ready. Throws a `Refusal` when it cannot be had, or the signal's reason. */
  connection(signal?: AbortSignal): Promise<BrowserConnection>;
  /** Ends it for good. Idempotent; resolves when process, folder and socket are gone, also those that open late. */
  close(): Promise<void>;
}

export interface SuperviseOptions {
  readonly id: string;
  readonly mode: 'launch' | 'attach';
  readonly connect: Connect;
  readonly observer: BrowserObserver;
}

/** Starts the life of one browser. The session layer provides it: this layer does not know the charts. */
export type Supervise = (options: SuperviseOptions) => SupervisedBrowser;
