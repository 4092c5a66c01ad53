import { createHash } from 'node:crypto';
import { noop } from '../../async.js';
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
  /** Closes a connection that is not used any more. */
  readonly stop: (browser: SupervisedBrowser) => Promise<void>;
  /** Absent: its contexts are not registered for other nodes. */
  readonly records?: ContextRecords | undefined;
  readonly clock: Clock;
  /** A random number from 0 to 1: spreads the retries over the second half of the delay. */
  readonly jitter: () => number;
  /** Whether one that cannot be reached is tried again by itself, and not only by the next lease. Default: true. */
  readonly retries?: boolean;
  /** It became available or unavailable. */
  readonly onChange: () => void;
}

const initialRetryDelayMs = 1_000;
const maxRetryDelayMs = 30_000;

/**
 * The id of an endpoint: reveals nothing of its address, which may contain a password, and is the same on every node.
 */
export const endpointId = (url: string): string => createHash('sha256').update(url).digest('base64url').slice(0, 16);

/** One remote browser and the sessions placed in it. An unreachable one is retried with exponential backoff. */
export class Endpoint {
  readonly id: string;
  /** Undefined: they are not registered for other nodes. */
  readonly contexts: EndpointContexts | undefined;
  readonly #primary: ObservedBrowser;
  /**
   * A second connection, for contexts that other nodes opened after the first one: puppeteer knows only contexts that
   * existed at connect or that it created.
   */
  #secondary: ObservedBrowser | undefined;
  readonly #options: EndpointOptions;
  /** Contexts to close when it is reachable again: their sessions ended meanwhile. */
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
      lost: noop,
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

  /** Sessions placed in it, or being placed. */
  get sessions(): number {
    return this.#sessions;
  }

  /** The owner of the first of these sessions; see `LeaseRequest.owner`. */
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

  /** Resolves when it answers, with a connection that knows the context `contextId`, if that still exists. */
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

  /** Closes the secondary connection with its last observer. */
  async disconnect(observer: BrowserObserver, shared: ObservedBrowser): Promise<void> {
    shared.removeObserver(observer);
    if (shared === this.#primary || shared.isInUse) return;
    if (this.#secondary === shared) this.#secondary = undefined;
    await this.#options.stop(shared.browser);
  }

  /** Closes a context that has no session any more: now, or when the browser is reachable. */
  discard(contextId: string): void {
    this.#pendingDiscards.add(contextId);
    if (this.state !== 'ready') return;
    void this.browser.connection().then((connection) => this.#discardPending(connection), noop);
  }

  /** Cancels the retry timer. The pool closes the browser. */
  close(): void {
    this.#options.clock.clearTimeout(this.#retryTimer);
  }

  #onReady(connection: BrowserConnection): void {
    this.#failures = 0;
    this.#discardPending(connection);
    this.#options.onChange();
  }

  #onFailed(): void {
    const { clock, jitter, onChange, retries = true } = this.#options;
    if (!retries) {
      onChange();
      return;
    }
    const delayMs = Math.min(maxRetryDelayMs, initialRetryDelayMs * 2 ** this.#failures);
    this.#failures += 1;
    clock.clearTimeout(this.#retryTimer);
    // The observers are notified of a failure.
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

/** A supervised browser with several observers. Owned by its creator, which closes it. */
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
