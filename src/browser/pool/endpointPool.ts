import { Refusal } from '../../errors/errors.js';
import type { BrowserObserver } from '../process/browserConnection.js';
import { Endpoint, type EndpointOptions } from './endpoint.js';
import type { EndpointContexts } from './endpointContexts.js';
import type { ResumeState, BrowserBinding } from './browserLease.js';
import { WaitQueue, type QueueOptions } from './waitQueue.js';

export interface EndpointPoolOptions extends Omit<EndpointOptions, 'url' | 'onChange'> {
  readonly urls: readonly string[];
  /** A profile belongs to one user at a time. */
  readonly isolation: 'context' | 'profile';
  /** Undefined: no bound. */
  readonly sessionsPerBrowser: number | undefined;
  /** Leases that may wait for a browser. */
  readonly browserQueue: number;
}

/** Who wants a browser. */
export interface EndpointRequest {
  readonly sessionId: string;
  readonly owner: string;
  /** Where its pages are: that browser is the best. */
  readonly resume?: ResumeState | undefined;
  readonly observer: BrowserObserver;
}

/**
 * Browsers that run elsewhere, shared out: each session gets the one with the fewest sessions among those that answer.
 * Owned by the pool, which closes the browsers.
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
   * Resolves with a browser that answers. Throws `browsers_busy` when nobody more may wait, what the last of them threw
   * when none can be had, or the signal's reason.
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

  /** Resolves when one of them answers; rejects with the error of the last one. */
  async waitForAny(signal?: AbortSignal): Promise<void> {
    const connecting = this.#endpoints.map(({ browser }) => browser.connection(signal));
    await Promise.any(connecting).catch((error: unknown) => {
      throw error instanceof AggregateError ? error.errors.at(-1) : error;
    });
  }

  /** Closes a context that is left of a session which nobody goes on with. */
  discard(id: string, contextId: string): void {
    this.#endpoints.find((endpoint) => endpoint.id === id)?.discard(contextId);
  }

  /** Those that answer and that other servers use too. */
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

  /** One that cannot be had is only tried when there is no other. */
  #tryAcquire({ owner, resume }: EndpointRequest, tried: ReadonlySet<Endpoint>): Endpoint | undefined {
    const untried = this.#endpoints.filter((endpoint) => !tried.has(endpoint));
    const available = untried.filter(({ state }) => state !== 'failed');
    const [best] = (available.length > 0 ? available : untried)
      .filter((endpoint) => this.#hasCapacityFor(owner, endpoint))
      .sort((one, other) => {
        const [a, b] = [one, other].map((endpoint) => this.#rank(endpoint, owner, resume?.endpoint));
        return compare(a ?? [], b ?? []);
      });
    best?.acquire(owner);
    return best;
  }

  #hasCapacityFor(owner: string, endpoint: Endpoint): boolean {
    const { isolation, sessionsPerBrowser = Number.POSITIVE_INFINITY } = this.#options;
    const isOthers = isolation === 'profile' && endpoint.owner !== undefined && endpoint.owner !== owner;
    return endpoint.sessions < sessionsPerBrowser && !isOthers;
  }

  /** What decides first stands first: where its pages are, where its user's tabs are, who answers, who has least to do. */
  #rank({ id, owner: current, state, sessions }: Endpoint, owner: string, preferred: string | undefined): number[] {
    const isTheirs = this.#options.isolation === 'profile' && current === owner;
    return [id === preferred ? 0 : 1, isTheirs ? 0 : 1, state === 'ready' ? 0 : 1, sessions];
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
        ? 'Every browser is used by somebody else, and no more sessions may wait for one. Try again later.'
        : 'Every browser has as many sessions as it may have, and no more may wait for one. Try again in a moment.';
    const limit = `--sessions-per-browser ${sessionsPerBrowser ?? 'none'}, --browser-queue ${browserQueue}`;
    return new Refusal('browsers_busy', { detail, limit });
  }
}

/** By the first number in which they differ. */
function compare(one: readonly number[], other: readonly number[]): number {
  const firstDifference = one.findIndex((number, index) => number !== other[index]);
  return firstDifference === -1 ? 0 : (one[firstDifference] ?? 0) - (other[firstDifference] ?? 0);
}
