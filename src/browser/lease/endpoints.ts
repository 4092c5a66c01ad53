import { Refusal } from '../../errors.js';
import type { BrowserObserver } from '../process/connection.js';
import { Endpoint, type EndpointOptions } from './endpoint.js';
import type { EndpointContexts } from './endpointContexts.js';
import type { Address } from './lease.js';
import { Line } from './line.js';
import type { Queue } from './queuedWork.js';
import type { Host } from './host.js';

export interface EndpointsOptions extends Omit<EndpointOptions, 'url' | 'onChange'> {
  readonly urls: readonly string[];
  /** A profile belongs to one user at a time. */
  readonly isolation: 'context' | 'profile';
  /** Undefined: no bound. */
  readonly sessionsPerBrowser: number | undefined;
  /** Leases that may wait for a browser. */
  readonly browserQueue: number;
}

/** Who wants a browser. */
export interface Guest {
  readonly sessionId: string;
  readonly owner: string;
  /** Where its pages are: that browser is the best. */
  readonly resume?: Address | undefined;
  readonly observer: BrowserObserver;
}

/**
 * Browsers that run elsewhere, shared out: each session gets the one with the fewest sessions among those that answer.
 * Owned by the pool, which closes the browsers.
 */
export class Endpoints {
  readonly #options: EndpointsOptions;
  readonly #endpoints: readonly Endpoint[];
  readonly #line: Line<Endpoint>;

  /** Connects to all of them. */
  constructor(options: EndpointsOptions) {
    this.#options = options;
    this.#line = new Line((late) => this.#giveBack(late));
    this.#endpoints = options.urls.map((url) => new Endpoint({ ...options, url, onChange: () => this.#line.serve() }));
  }

  get waiting(): number {
    return this.#line.length;
  }

  /**
   * Resolves with a browser that answers. Throws `browsers_busy` when nobody more may wait, what the last of them threw
   * when none can be had, or the signal's reason.
   */
  async join(guest: Guest, queue: Queue): Promise<Host> {
    const tried = new Set<Endpoint>();
    for (;;) {
      const endpoint = await this.#taken(guest, tried, queue);
      try {
        return await this.#hostAt(endpoint, guest, queue.signal);
      } catch (error) {
        this.#giveBack(endpoint);
        tried.add(endpoint);
        if (queue.signal.aborted || tried.size === this.#endpoints.length) throw error;
      }
    }
  }

  /** Resolves when one of them answers; rejects with the error of the last one. */
  async warm(signal?: AbortSignal): Promise<void> {
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
  shared(): EndpointContexts[] {
    const living = this.#endpoints.filter(({ state }) => state === 'ready');
    return living.flatMap(({ contexts }) => contexts ?? []);
  }

  close(): void {
    for (const endpoint of this.#endpoints) endpoint.close();
  }

  async #taken(guest: Guest, tried: ReadonlySet<Endpoint>, queue: Queue): Promise<Endpoint> {
    queue.signal.throwIfAborted();
    const take = (): Endpoint | undefined => this.#take(guest, tried);
    const endpoint = take();
    if (endpoint !== undefined) return endpoint;
    if (this.waiting >= this.#options.browserQueue) throw this.#busy();
    return this.#line.wait(take, queue);
  }

  /** One that cannot be had is only tried when there is no other. */
  #take({ owner, resume }: Guest, tried: ReadonlySet<Endpoint>): Endpoint | undefined {
    const left = this.#endpoints.filter((endpoint) => !tried.has(endpoint));
    const living = left.filter(({ state }) => state !== 'failed');
    const [best] = (living.length > 0 ? living : left)
      .filter((endpoint) => this.#hasRoomFor(owner, endpoint))
      .sort((one, other) => {
        const [a, b] = [one, other].map((endpoint) => this.#distance(endpoint, owner, resume?.endpoint));
        return compare(a ?? [], b ?? []);
      });
    best?.enter(owner);
    return best;
  }

  #hasRoomFor(owner: string, endpoint: Endpoint): boolean {
    const { isolation, sessionsPerBrowser = Number.POSITIVE_INFINITY } = this.#options;
    const isOthers = isolation === 'profile' && endpoint.owner !== undefined && endpoint.owner !== owner;
    return endpoint.sessions < sessionsPerBrowser && !isOthers;
  }

  /** What decides first stands first: where its pages are, where its user's tabs are, who answers, who has least to do. */
  #distance({ id, owner: current, state, sessions }: Endpoint, owner: string, preferred: string | undefined): number[] {
    const isTheirs = this.#options.isolation === 'profile' && current === owner;
    return [id === preferred ? 0 : 1, isTheirs ? 0 : 1, state === 'ready' ? 0 : 1, sessions];
  }

  async #hostAt(endpoint: Endpoint, { sessionId, observer, resume }: Guest, signal: AbortSignal): Promise<Host> {
    const { id, contexts } = endpoint;
    const contextId = resume?.endpoint === id ? resume.lost.contextId : undefined;
    const shared = await endpoint.join(observer, contextId, signal);
    return {
      browser: shared.browser,
      endpoint: id,
      isReplaceable: this.#endpoints.length > 1,
      hold: contexts && ((contextId, lost) => contexts.hold(contextId, { sessionId, lost })),
      leave: async (leftover) => {
        await endpoint.leave(observer, shared);
        if (leftover !== undefined) endpoint.discard(leftover);
        this.#giveBack(endpoint);
      },
    };
  }

  #giveBack(endpoint: Endpoint): void {
    endpoint.exit();
    this.#line.serve();
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
  const place = one.findIndex((number, index) => number !== other[index]);
  return place === -1 ? 0 : (one[place] ?? 0) - (other[place] ?? 0);
}
