import { createHash } from 'node:crypto';
import type { Clock } from '../../clock.js';
import type { BrowserConnection, BrowserObserver, BrowserState, SupervisedBrowser } from '../process/connection.js';
import { EndpointContexts, type ContextRecords } from './endpointContexts.js';
import { SharedBrowser } from './sharedBrowser.js';

export interface EndpointOptions {
  readonly url: string;
  readonly start: (url: string, observer: BrowserObserver) => SupervisedBrowser;
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
    this.#shared = new SharedBrowser((observer) => options.start(options.url, observer));
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

  join(observer: BrowserObserver): void {
    this.#shared.join(observer);
  }

  leave(observer: BrowserObserver): void {
    this.#shared.leave(observer);
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
    const left = browser.browserContexts().filter(({ id }) => id !== undefined && this.#leftovers.has(id));
    this.#leftovers.clear();
    for (const context of left) void context.close().catch(toldAlready);
  }
}

/** Its observers hear of it. */
function toldAlready(): void {
  return undefined;
}
