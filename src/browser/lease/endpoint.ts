import { createHash } from 'node:crypto';
import type { Clock } from '../../clock.js';
import type { BrowserConnection, BrowserObserver, BrowserState, SupervisedBrowser } from '../process/connection.js';
import { closeContext, EndpointContexts, type ContextRecords } from './endpointContexts.js';
import { SharedBrowser } from './sharedBrowser.js';

export interface EndpointOptions {
  readonly url: string;
  readonly start: (url: string, observer: BrowserObserver) => SupervisedBrowser;
  /** Closes one that was started and nobody uses any more. */
  readonly end: (browser: SupervisedBrowser) => Promise<void>;
  /** Absent: no other server is to know of the contexts in it. */
  readonly records?: ContextRecords | undefined;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly jitter: () => number;
  /** It can be had again, or cannot be had any more. */
  readonly onChange: () => void;
}

const firstPauseMs = 1_000;
const longestPauseMs = 30_000;

/** Names an endpoint without telling its address, which may hold a password. The same on every server. */
export const endpointId = (url: string): string => createHash('sha256').update(url).digest('base64url').slice(0, 16);

/** One browser that runs elsewhere, with those who work in it. One that cannot be had is tried again after a pause. */
export class Endpoint {
  readonly id: string;
  /** Undefined: no other server is to know of them. */
  readonly contexts: EndpointContexts | undefined;
  readonly #shared: SharedBrowser;
  /** A later connection, for contexts that others opened since the first: the library knows those that it met or made. */
  #later: SharedBrowser | undefined;
  readonly #options: EndpointOptions;
  /** Contexts of sessions that ended while it could not be reached. */
  readonly #leftovers = new Set<string>();
  #sessions = 0;
  #owner: string | undefined;
  #failures = 0;
  #pause: unknown;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.id = endpointId(options.url);
    this.#shared = this.#connect();
    const { records } = options;
    this.contexts = records && new EndpointContexts(this.id, records, () => this.browser.connection());
    this.#shared.join({
      lost: () => undefined,
      ready: (connection) => this.#onReady(connection),
      failed: () => this.#onFailed(),
    });
  }

  get state(): BrowserState {
    return this.#shared.browser.state;
  }

  get browser(): SupervisedBrowser {
    return this.#shared.browser;
  }

  /** How many work in it, or are about to. */
  get sessions(): number {
    return this.#sessions;
  }

  /** Who came first of those who work in it. */
  get owner(): string | undefined {
    return this.#owner;
  }

  enter(owner: string): void {
    this.#sessions += 1;
    this.#owner ??= owner;
  }

  exit(): void {
    this.#sessions -= 1;
    if (this.#sessions === 0) this.#owner = undefined;
  }

  /** Resolves when it answers, over a connection that knows the context that is to be found again, if it is there. */
  async join(observer: BrowserObserver, contextId: string | undefined, signal: AbortSignal): Promise<SharedBrowser> {
    const connections = [() => this.#shared, () => this.#later, () => (this.#later = this.#connect())];
    for (const take of connections) {
      const shared = take();
      if (shared === undefined) continue;
      shared.join(observer);
      try {
        const { browser } = await shared.browser.connection(signal);
        if (contextId === undefined || browser.browserContexts().some(({ id }) => id === contextId)) return shared;
      } catch (error) {
        await this.leave(observer, shared);
        throw error;
      }
      await this.leave(observer, shared);
    }
    this.#shared.join(observer);
    return this.#shared;
  }

  /** The last one who leaves a later connection closes it. */
  async leave(observer: BrowserObserver, shared: SharedBrowser): Promise<void> {
    shared.leave(observer);
    if (shared === this.#shared || shared.isUsed) return;
    if (this.#later === shared) this.#later = undefined;
    await this.#options.end(shared.browser);
  }

  /** Closes a context that nobody works in any more: now, or when the browser can be reached. */
  discard(contextId: string): void {
    this.#leftovers.add(contextId);
    if (this.state !== 'ready') return;
    void this.browser.connection().then(
      (connection) => this.#clear(connection),
      () => undefined,
    );
  }

  /** Ends the pause. The pool closes the browser. */
  close(): void {
    this.#options.clock.clearTimeout(this.#pause);
  }

  #onReady(connection: BrowserConnection): void {
    this.#failures = 0;
    this.#clear(connection);
    this.#options.onChange();
  }

  #onFailed(): void {
    const { clock, jitter, onChange } = this.#options;
    const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** this.#failures);
    this.#failures += 1;
    clock.clearTimeout(this.#pause);
    this.#pause = clock.setTimeout(() => void this.browser.connection().catch(toldAlready), pause * (1 - jitter() / 2));
    onChange();
  }

  #clear({ browser }: BrowserConnection): void {
    const left = [...this.#leftovers];
    this.#leftovers.clear();
    for (const contextId of left) void closeContext(browser, contextId).catch(toldAlready);
  }

  #connect(): SharedBrowser {
    const { start, url } = this.#options;
    return new SharedBrowser((observer) => start(url, observer));
  }
}

/** Its observers hear of it. */
function toldAlready(): void {
  return undefined;
}
