import { createHash } from 'node:crypto';
import type { Clock } from '../../clock.js';
import type {
  BrowserConnection,
  BrowserObserver,
  BrowserState,
  SupervisedBrowser,
} from '../process/browserConnection.js';
import { closeContext, EndpointContexts, type ContextRecords } from './endpointContexts.js';

export interface EndpointOptions {
  readonly url: string;
  readonly start: (url: string, observer: BrowserObserver) => SupervisedBrowser;
  /** Closes one that was started and nobody uses any more. */
  readonly stop: (browser: SupervisedBrowser) => Promise<void>;
  /** Absent: no other server is to know of the contexts in it. */
  readonly records?: ContextRecords | undefined;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly jitter: () => number;
  /** It can be had again, or cannot be had any more. */
  readonly onChange: () => void;
}

const initialRetryDelayMs = 1_000;
const maxRetryDelayMs = 30_000;

/** Names an endpoint without telling its address, which may hold a password. The same on every server. */
export const endpointId = (url: string): string => createHash('sha256').update(url).digest('base64url').slice(0, 16);

/** One browser that runs elsewhere, with those who work in it. One that cannot be had is tried again after a pause. */
export class Endpoint {
  readonly id: string;
  /** Undefined: no other server is to know of them. */
  readonly contexts: EndpointContexts | undefined;
  readonly #primary: ObservedBrowser;
  /** A later connection, for contexts that others opened since the first: the library knows those that it met or made. */
  #secondary: ObservedBrowser | undefined;
  readonly #options: EndpointOptions;
  /** Contexts of sessions that ended while it could not be reached. */
  readonly #pendingDiscards = new Set<string>();
  #sessions = 0;
  #owner: string | undefined;
  #failures = 0;
  #retryTimer: unknown;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.id = endpointId(options.url);
    this.#primary = this.#connect();
    const { records } = options;
    this.contexts = records && new EndpointContexts(this.id, records, () => this.browser.connection());
    this.#primary.addObserver({
      lost: () => undefined,
      ready: (connection) => this.#onReady(connection),
      failed: () => this.#onFailed(),
    });
  }

  get state(): BrowserState {
    return this.#primary.browser.state;
  }

  get browser(): SupervisedBrowser {
    return this.#primary.browser;
  }

  /** How many work in it, or are about to. */
  get sessions(): number {
    return this.#sessions;
  }

  /** Who came first of those who work in it. */
  get owner(): string | undefined {
    return this.#owner;
  }

  acquire(owner: string): void {
    this.#sessions += 1;
    this.#owner ??= owner;
  }

  release(): void {
    this.#sessions -= 1;
    if (this.#sessions === 0) this.#owner = undefined;
  }

  /** Resolves when it answers, over a connection that knows the context that is to be found again, if it is there. */
  async connect(
    observer: BrowserObserver,
    contextId: string | undefined,
    signal: AbortSignal,
  ): Promise<ObservedBrowser> {
    const connections = [() => this.#primary, () => this.#secondary, () => (this.#secondary = this.#connect())];
    for (const select of connections) {
      const shared = select();
      if (shared === undefined) continue;
      shared.addObserver(observer);
      try {
        const { browser } = await shared.browser.connection(signal);
        if (contextId === undefined || browser.browserContexts().some(({ id }) => id === contextId)) return shared;
      } catch (error) {
        await this.disconnect(observer, shared);
        throw error;
      }
      await this.disconnect(observer, shared);
    }
    this.#primary.addObserver(observer);
    return this.#primary;
  }

  /** The last one who leaves a later connection closes it. */
  async disconnect(observer: BrowserObserver, shared: ObservedBrowser): Promise<void> {
    shared.removeObserver(observer);
    if (shared === this.#primary || shared.isInUse) return;
    if (this.#secondary === shared) this.#secondary = undefined;
    await this.#options.stop(shared.browser);
  }

  /** Closes a context that nobody works in any more: now, or when the browser can be reached. */
  discard(contextId: string): void {
    this.#pendingDiscards.add(contextId);
    if (this.state !== 'ready') return;
    void this.browser.connection().then(
      (connection) => this.#discardPending(connection),
      () => undefined,
    );
  }

  /** Ends the pause. The pool closes the browser. */
  close(): void {
    this.#options.clock.clearTimeout(this.#retryTimer);
  }

  #onReady(connection: BrowserConnection): void {
    this.#failures = 0;
    this.#discardPending(connection);
    this.#options.onChange();
  }

  #onFailed(): void {
    const { clock, jitter, onChange } = this.#options;
    const delayMs = Math.min(maxRetryDelayMs, initialRetryDelayMs * 2 ** this.#failures);
    this.#failures += 1;
    clock.clearTimeout(this.#retryTimer);
    this.#retryTimer = clock.setTimeout(() => void this.browser.connection().catch(noop), delayMs * (1 - jitter() / 2));
    onChange();
  }

  #discardPending({ browser }: BrowserConnection): void {
    const contextIds = [...this.#pendingDiscards];
    this.#pendingDiscards.clear();
    for (const contextId of contextIds) void closeContext(browser, contextId).catch(noop);
  }

  #connect(): ObservedBrowser {
    const { start, url } = this.#options;
    return new ObservedBrowser((observer) => start(url, observer));
  }
}

/** Its observers hear of it. */
function noop(): void {
  return undefined;
}

/** A browser that several leases take part in. Owned by whoever starts it, who closes it. */
export class ObservedBrowser {
  readonly browser: SupervisedBrowser;
  readonly #observers = new Set<BrowserObserver>();

  constructor(start: (observer: BrowserObserver) => SupervisedBrowser) {
    const notify = (call: (observer: BrowserObserver) => void): void => [...this.#observers].forEach(call);
    this.browser = start({
      lost: () => notify((observer) => observer.lost()),
      ready: (connection) => notify((observer) => observer.ready(connection)),
      failed: (failure) => notify((observer) => observer.failed(failure)),
    });
  }

  get isInUse(): boolean {
    return this.#observers.size > 0;
  }

  addObserver(observer: BrowserObserver): void {
    this.#observers.add(observer);
  }

  removeObserver(observer: BrowserObserver): void {
    this.#observers.delete(observer);
  }
}
