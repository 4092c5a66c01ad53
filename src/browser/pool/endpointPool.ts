import { Refusal } from '../../errors/errors.js';
import type { BrowserObserver } from '../process/browserConnection.js';
import { Endpoint, type EndpointOptions } from './endpoint.js';
import type { EndpointContexts } from './endpointContexts.js';
import type { ResumeState, BrowserBinding } from './browserLease.js';
import { WaitQueue, type QueueOptions } from './waitQueue.js';

export interface EndpointPoolOptions extends Omit<EndpointOptions, 'url' | 'onChange'> {
  readonly urls: readonly string[];
  /** A profile is used by one user at a time. */
  readonly isolation: 'context' | 'profile';
  /** Undefined: no bound. */
  readonly sessionsPerBrowser: number | undefined;
  /** Leases that may wait for a browser. */
  readonly browserQueue: number;
}

/** A lease's request for a browser. */
export interface EndpointRequest {
  readonly sessionId: string;
  readonly owner: string;
  /** The placement to resume; its browser is preferred. */
  readonly resume?: ResumeState | undefined;
  readonly observer: BrowserObserver;
}

/**
 * Distributes sessions over remote browsers: each session gets the least loaded of those that answer. Owned by the
 * pool, which closes the browsers.
 */
export class EndpointPool {
  readonly #options: EndpointPoolOptions;
  readonly #endpoints: readonly Endpoint[];
  readonly #queue: WaitQueue<Endpoint>;

  /** Connects to all of them. */
  constructor(options: EndpointPoolOptions) {
    this.#options = options;
    this.#queue = new WaitQueue((late) => this.#release(late));
    this.#endpoints = options.urls.map(
      (url) => new Endpoint({ ...options, url, onChange: () => this.#queue.dispatch() }),
    );
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Resolves with a binding to a browser that answers. Throws `browsers_busy` when the queue is full, the last
   * connection error when none is reachable, or the signal's reason.
   */
  async acquire(request: EndpointRequest, queue: QueueOptions): Promise<BrowserBinding> {
    const tried = new Set<Endpoint>();
    for (;;) {
      const endpoint = await this.#acquireEndpoint(request, tried, queue);
      try {
        return await this.#bind(endpoint, request, queue.signal);
      } catch (error) {
        this.#release(endpoint);
        tried.add(endpoint);
        if (queue.signal.aborted || tried.size === this.#endpoints.length) throw error;
      }
    }
  }

  /** Resolves when one browser answers; rejects with the last error when none does. */
  async waitForAny(signal?: AbortSignal): Promise<void> {
    const connecting = this.#endpoints.map(({ browser }) => browser.connection(signal));
    await Promise.any(connecting).catch((error: unknown) => {
      throw error instanceof AggregateError ? error.errors.at(-1) : error;
    });
  }

  /** Closes a context whose session is not resumed by any node. */
  discard(id: string, contextId: string): void {
    this.#endpoints.find((endpoint) => endpoint.id === id)?.discard(contextId);
  }

  /** The contexts of the reachable browsers that other nodes use too. */
  sharedContexts(): EndpointContexts[] {
    const ready = this.#endpoints.filter(({ state }) => state === 'ready');
    return ready.flatMap(({ contexts }) => contexts ?? []);
  }

  close(): void {
    for (const endpoint of this.#endpoints) endpoint.close();
  }

  async #acquireEndpoint(
    request: EndpointRequest,
    tried: ReadonlySet<Endpoint>,
    queue: QueueOptions,
  ): Promise<Endpoint> {
    queue.signal.throwIfAborted();
    const tryAcquire = (): Endpoint | undefined => this.#tryAcquire(request, tried);
    const endpoint = tryAcquire();
    if (endpoint !== undefined) return endpoint;
    if (this.waiting >= this.#options.browserQueue) throw this.#busy();
    return this.#queue.wait(tryAcquire, queue);
  }

  /** An unreachable one is tried only when no other is left. */
  #tryAcquire({ owner, resume }: EndpointRequest, tried: ReadonlySet<Endpoint>): Endpoint | undefined {
    const untried = this.#endpoints.filter((endpoint) => !tried.has(endpoint));
    const available = untried.filter(({ state }) => state !== 'failed');
    const [best] = (available.length > 0 ? available : untried)
      .filter((endpoint) => this.#hasCapacityFor(owner, endpoint))
      .sort((a, b) => compare(this.#rank(a, owner, resume?.endpoint), this.#rank(b, owner, resume?.endpoint)));
    best?.acquire(owner);
    return best;
  }

  #hasCapacityFor(owner: string, endpoint: Endpoint): boolean {
    const { isolation, sessionsPerBrowser = Number.POSITIVE_INFINITY } = this.#options;
    const isOfOtherUser = isolation === 'profile' && endpoint.owner !== undefined && endpoint.owner !== owner;
    return endpoint.sessions < sessionsPerBrowser && !isOfOtherUser;
  }

  /**
   * Sort key, most significant first: holds the session's pages, holds its user's tabs, is ready, number of sessions.
   */
  #rank({ id, owner: current, state, sessions }: Endpoint, owner: string, preferred: string | undefined): number[] {
    const isOfSameUser = this.#options.isolation === 'profile' && current === owner;
    return [id === preferred ? 0 : 1, isOfSameUser ? 0 : 1, state === 'ready' ? 0 : 1, sessions];
  }

  async #bind(
    endpoint: Endpoint,
    { sessionId, observer, resume }: EndpointRequest,
    signal: AbortSignal,
  ): Promise<BrowserBinding> {
    const { id, contexts } = endpoint;
    const contextId = resume?.endpoint === id ? resume.lost.contextId : undefined;
    const shared = await endpoint.connect(observer, contextId, signal);
    return {
      browser: shared.browser,
      endpoint: id,
      isReplaceable: this.#endpoints.length > 1,
      registerContext: contexts && ((contextId, lost) => contexts.register(contextId, { sessionId, lost })),
      release: async (leftover) => {
        await endpoint.disconnect(observer, shared);
        if (leftover !== undefined) endpoint.discard(leftover);
        this.#release(endpoint);
      },
    };
  }

  #release(endpoint: Endpoint): void {
    endpoint.release();
    this.#queue.dispatch();
  }

  #busy(): Refusal {
    const { sessionsPerBrowser, browserQueue, isolation } = this.#options;
    const detail =
      isolation === 'profile'
        ? 'Every browser is in use by another user and the queue is full. Try again later.'
        : 'Every browser has reached --sessions-per-browser and the queue is full. Try again in a moment.';
    const limit = `--sessions-per-browser ${sessionsPerBrowser ?? 'none'}, --browser-queue ${browserQueue}`;
    return new Refusal('browsers_busy', { detail, limit });
  }
}

/** Lexicographic order. */
function compare(a: readonly number[], b: readonly number[]): number {
  const firstDifference = a.findIndex((number, index) => number !== b[index]);
  return firstDifference === -1 ? 0 : (a[firstDifference] ?? 0) - (b[firstDifference] ?? 0);
}
