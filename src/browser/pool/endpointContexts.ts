import type { Browser } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import type { BrowserConnection } from '../process/browserConnection.js';
import { untilAborted } from '../../async.js';
import { withBrowserCdpSession } from '../cdp/cdpSessions.js';

/** A context that a session of this server has in a browser that runs elsewhere. */
export interface ContextRecord {
  /** See `endpointId`. */
  readonly browser: string;
  readonly contextId: string;
  readonly sessionId: string;
}

/** Where it is written down whose each such context is, so that other servers can close what this one leaves. */
export interface ContextRecords {
  /** Resolves when it is written down, or cannot be now. Comes before anything is opened in it. Never rejects. */
  recordOpened(context: ContextRecord): Promise<void>;
  /** It is gone. Returns at once. */
  recordClosed(context: ContextRecord): void;
}

/** Who works in a context. */
export interface ContextHolder {
  readonly sessionId: string;
  /** Others have closed it. Does nothing when it is not worked in any more. */
  lost(): void;
}

/** Ends the work in a context, which is closed now or was left open. */
export type UnregisterContext = (isClosed: boolean) => void;

/** How long the browser may take to answer. */
const responseTimeoutMs = 5_000;

/** By its id, whoever opened it (CDP Target.disposeBrowserContext): the library knows those of its connection. */
export async function closeContext(browser: Browser, browserContextId: string): Promise<void> {
  await withBrowserCdpSession(browser, (cdp) => cdp.send('Target.disposeBrowserContext', { browserContextId }));
}

/** The contexts of one browser that runs elsewhere and is other servers' too. Owned by its endpoint. */
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

  /** Those in which sessions of this server work now, by their ids. */
  contextsInUse(): ReadonlyMap<string, ContextHolder> {
    return new Map(this.#held);
  }

  /** From when it resolves it is held, and written down if that can be. Never rejects. */
  async register(contextId: string, holder: ContextHolder): Promise<UnregisterContext> {
    const context = { browser: this.id, contextId, sessionId: holder.sessionId };
    await this.#records.recordOpened(context);
    this.#held.set(contextId, holder);
    return (isClosed) => {
      // It may have been found again meanwhile, over another connection.
      if (this.#held.get(contextId) === holder) this.#held.delete(contextId);
      if (isClosed) this.#records.recordClosed(context);
    };
  }

  /** All but the profile, whoever's they are (CDP Target.getBrowserContexts): the library knows those of its connection. */
  async contextIds(): Promise<ReadonlySet<string>> {
    const { browserContextIds } = await this.#query((browser) =>
      withBrowserCdpSession(browser, (cdp) => cdp.send('Target.getBrowserContexts')),
    );
    return new Set(browserContextIds);
  }

  /** Closes one with all that is in it. Rejects if there is none. */
  async closeContext(contextId: string): Promise<void> {
    await this.#query((browser) => closeContext(browser, contextId));
  }

  async #query<T>(query: (browser: Browser) => Promise<T>): Promise<T> {
    const { browser } = await this.#connection();
    return untilAborted(query(browser), timeLimit(responseTimeoutMs));
  }
}
