import type { CDPSession, Page } from 'puppeteer-core';

/** One page of a session, with everything collected about it since the session has it. Skeleton. */
export interface SessionPage {
  /** Never reused within a session. */
  readonly id: number;
  readonly page: Page;
  /** A protocol session of our own on the page's target. */
  readonly cdp: CDPSession;
  url(): string;
  title(): Promise<string>;
  /** Runs one tool at a time on this page, in order of arrival. Rejects with the signal's reason while waiting. */
  locked<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T>;
  dispose(): Promise<void>;
}
