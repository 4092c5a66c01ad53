import type { Browser } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import type { BrowserConnection } from '../process/browserConnection.js';
import { untilAborted } from '../../async.js';
import { withBrowserCdpSession } from '../cdp/cdpSessions.js';

/** A browser context of a session of this node in a remote browser. */
export interface ContextRecord {
  /** See `endpointId`. */
  readonly browser: string;
  readonly contextId: string;
  readonly sessionId: string;
}

/** Registry of the session behind each such context, so that other nodes can close orphaned ones. */
export interface ContextRecords {
  /**
   * Resolves when it is registered, or the registry is unavailable. Called before anything is opened in it. Never
   * rejects.
   */
  recordOpened(context: ContextRecord): Promise<void>;
  /** The context is closed. Returns without waiting. */
  recordClosed(context: ContextRecord): void;
}

/** The session that uses a context. */
export interface ContextHolder {
  readonly sessionId: string;
  /** Another node closed it. Does nothing when the session does not use it any more. */
  lost(): void;
}

/** Unregisters a context; `isClosed` is false when it was kept open for another node. */
export type UnregisterContext = (isClosed: boolean) => void;

/** How long the browser may take to answer. */
const responseTimeoutMs = 5_000;

/** By id, over any connection (CDP Target.disposeBrowserContext): puppeteer closes only contexts of its connection. */
export async function closeContext(browser: Browser, browserContextId: string): Promise<void> {
  await withBrowserCdpSession(browser, (cdp) => cdp.send('Target.disposeBrowserContext', { browserContextId }));
}

/** The contexts of one remote browser that several nodes share. Owned by its endpoint. */
export class EndpointContexts {
  /** See `endpointId`. */
  readonly id: string;
  readonly #records: ContextRecords;
  readonly #connection: () => Promise<BrowserConnection>;
  readonly #held = new Map<string, ContextHolder>();

  constructor(id: string, records: ContextRecords, connection: () => Promise<BrowserConnection>) {
    this.id = id;
    this.#records = records;
    this.#connection = connection;
  }

  /** The contexts that sessions of this node use now, by id. */
  contextsInUse(): ReadonlyMap<string, ContextHolder> {
    return new Map(this.#held);
  }

  /**
   * Registers a context for a session; resolves when it is recorded locally and, if the store is available, in the
   * store. Never rejects.
   */
  async register(contextId: string, holder: ContextHolder): Promise<UnregisterContext> {
    const context = { browser: this.id, contextId, sessionId: holder.sessionId };
    await this.#records.recordOpened(context);
    this.#held.set(contextId, holder);
    return (isClosed) => {
      // Another connection may have registered the same context meanwhile.
      if (this.#held.get(contextId) === holder) this.#held.delete(contextId);
      if (isClosed) this.#records.recordClosed(context);
    };
  }

  /**
   * All contexts but the default one, of every connection (CDP Target.getBrowserContexts): puppeteer lists only those
   * of its own.
   */
  async contextIds(): Promise<ReadonlySet<string>> {
    const { browserContextIds } = await this.#query((browser) =>
      withBrowserCdpSession(browser, (cdp) => cdp.send('Target.getBrowserContexts')),
    );
    return new Set(browserContextIds);
  }

  /** Closes a context with all its pages. Rejects if it does not exist. */
  async closeContext(contextId: string): Promise<void> {
    await this.#query((browser) => closeContext(browser, contextId));
  }

  async #query<T>(query: (browser: Browser) => Promise<T>): Promise<T> {
    const { browser } = await this.#connection();
    return untilAborted(query(browser), timeLimit(responseTimeoutMs));
  }
}
