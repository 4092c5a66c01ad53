import { tmpdir } from 'node:os';
import { systemClock, type Clock, timeLimit } from '../../clock.js';
import type { Config } from '../../config.js';
import { untilAborted } from '../protocol/abort.js';
import { attachBrowser } from '../process/attach.js';
import type { BrowserObserver, BrowserState, Connect, Supervise, SupervisedBrowser } from '../process/connection.js';
import { findExecutable, type BrowserSearch } from '../process/executable.js';
import { findLeftovers, openRunFolder, removeLeftovers, type RunFolder } from '../process/janitor.js';
import { launchBrowser } from '../process/launch.js';
import { residentMemory } from '../process/memory.js';
import type { BrowserHealth, BrowserLease, BrowserPool, LeaseListener, LeaseRequest } from './lease.js';
import { createLedger, type Ledger } from './ledger.js';
import { Places } from './places.js';
import type { Queue } from './queuedWork.js';
import { endpointId } from './endpoint.js';
import type { ContextRecords, EndpointContexts } from './endpointContexts.js';
import { Endpoints } from './endpoints.js';
import type { Host } from './host.js';
import { SessionLease } from './sessionLease.js';
import { SharedBrowser } from './sharedBrowser.js';

export interface BrowserPoolOptions extends BrowserSearch {
  readonly config: Pick<
    Config,
    | 'browser'
    | 'browserUrl'
    | 'sessionsPerBrowser'
    | 'executablePath'
    | 'workspace'
    | 'headless'
    | 'isolation'
    | 'maxBrowsers'
    | 'browserQueue'
  >;
  /** Runs the life of each browser; see `Supervise`. */
  readonly supervise: Supervise;
  /** Checks where users' own browsers are; see `AttachOptions`. */
  readonly resolve?: (url: string) => Promise<string>;
  /** Knows whose the contexts in browsers of `--browser-url` are. Absent: no other server is to know. */
  readonly records?: ContextRecords | undefined;
  /** Spaces the tries to reach browsers that run elsewhere. */
  readonly clock?: Clock;
  /** Where the run folder is made. Default: the system's temporary folder. */
  readonly temporaryFolder?: string;
}

/** How long a browser may take to close what a lease had in it, before it is ended with all of it. */
const releaseTimeoutMs = 2_000;

/**
 * Opens a pool with its run folder, and clears away what dead servers left. No browser is started before the first lease
 * wants one, or `warm()`. The caller closes the pool.
 */
export async function openBrowserPool(options: BrowserPoolOptions): Promise<Pool> {
  const parent = options.temporaryFolder ?? tmpdir();
  const runFolder = options.config.browser === 'launch' ? await openRunFolder(parent) : undefined;
  return new Pool(options, runFolder, findLeftovers(parent).then(removeLeftovers));
}

/** See `BrowserPool`. */
export class Pool implements BrowserPool {
  /** What was opened and closed; for tests. */
  readonly ledger: Ledger = createLedger();
  readonly #options: BrowserPoolOptions;
  readonly #runFolder: RunFolder | undefined;
  readonly #cleared: Promise<void>;
  readonly #browsers = new Set<SupervisedBrowser>();
  readonly #leases = new Set<SessionLease>();
  readonly #places: Places;
  /** Of the processes that run. */
  readonly #pids = new Set<number>();
  /** Users' own browsers by their endpoints, for as long as a lease takes part in them. */
  readonly #own = new Map<string, SharedBrowser>();
  #shared: SharedBrowser | undefined;
  /** Those of `--browser-url`, once the first lease wants one. */
  #endpoints: Endpoints | undefined;
  #started = 0;

  constructor(options: BrowserPoolOptions, runFolder: RunFolder | undefined, cleared: Promise<void>) {
    this.#options = options;
    this.#runFolder = runFolder;
    const { isolation, maxBrowsers, browserQueue } = options.config;
    this.#places = new Places({ maxBrowsers, browserQueue, shared: isolation === 'process' ? 0 : 1 });
    // What other servers left is no reason to fail: the next start tries again.
    this.#cleared = cleared.catch(() => undefined);
  }

  lease(request: LeaseRequest, listener: LeaseListener): BrowserLease {
    const lease: SessionLease = new SessionLease({
      request,
      listener,
      ledger: this.ledger,
      mode: request.endpoint === undefined ? this.#options.config.browser : 'attach',
      joinShared: (observer, queue) => this.#join(request, observer, queue),
      startProcess: (observer, queue) => this.#startProcess(observer, queue),
      onReleased: () => this.#leases.delete(lease),
    });
    this.#leases.add(lease);
    return lease;
  }

  /** Starts the shared browser ahead of the first lease, or reaches one. Throws a `Refusal` when it cannot be had. */
  async warm(signal?: AbortSignal): Promise<void> {
    if (this.#options.config.browser === 'attach') await this.#reachable().warm(signal);
    else await this.#sharedBrowser().browser.connection(signal);
  }

  get isFull(): boolean {
    return this.#places.isFull;
  }

  sharedContexts(): readonly EndpointContexts[] {
    return this.#endpoints?.shared() ?? [];
  }

  health(): BrowserHealth {
    const count = (state: BrowserState): number =>
      [...this.#browsers].filter((browser) => browser.state === state).length;
    return {
      total: this.#browsers.size,
      ready: count('ready'),
      connecting: count('connecting'),
      lost: count('lost'),
      failed: count('failed'),
      contexts: this.ledger.contexts.opened - this.ledger.contexts.closed,
      queued: this.#places.waiting + (this.#endpoints?.waiting ?? 0),
    };
  }

  memory(): Promise<number | null> {
    return residentMemory(this.#pids);
  }

  async close(): Promise<void> {
    this.#endpoints?.close();
    const released = Promise.all([...this.#leases].map((lease) => lease.release()));
    // A browser that hangs answers nothing, also not this: it is ended, and takes along what waits for it.
    await untilAborted(released, timeLimit(releaseTimeoutMs)).catch(() => undefined);
    await Promise.all([...this.#browsers].map((browser) => browser.close()));
    await released;
    await this.#cleared;
    await this.#runFolder?.close();
  }

  async #join(request: LeaseRequest, observer: BrowserObserver, queue: Queue): Promise<Host> {
    const { sessionId, endpoint, owner, resume } = request;
    if (endpoint !== undefined) return this.#joinOwn(endpoint, observer);
    if (this.#options.config.browser === 'launch') return this.#joinLaunched(observer);
    return this.#reachable().join({ sessionId, owner, observer, resume }, queue);
  }

  #joinLaunched(observer: BrowserObserver): Host {
    const shared = this.#sharedBrowser();
    shared.join(observer);
    return { browser: shared.browser, leave: async () => shared.leave(observer) };
  }

  #sharedBrowser(): SharedBrowser {
    this.#shared ??= new SharedBrowser((observer) => this.#start('launch', (signal) => this.#launch(signal), observer));
    return this.#shared;
  }

  #reachable(): Endpoints {
    const { config, clock = systemClock, records } = this.#options;
    const { browserUrl = [], isolation, sessionsPerBrowser, browserQueue } = config;
    this.#endpoints ??= new Endpoints({
      urls: browserUrl,
      isolation: isolation === 'context' ? 'context' : 'profile',
      sessionsPerBrowser,
      browserQueue,
      records,
      clock,
      jitter: Math.random,
      start: (url, observer) => this.#start('attach', this.#attachingTo(url), observer),
      end: (browser) => this.#end(browser),
    });
    return this.#endpoints;
  }

  #attachingTo(url: string, resolve?: BrowserPoolOptions['resolve']): Connect {
    const { ledger } = this;
    return (signal) => attachBrowser({ url, signal, ledger, ...(resolve !== undefined && { resolve }) });
  }

  /** A user's own. The last one who leaves closes the connection; whoever comes then opens another one. */
  #joinOwn(endpoint: string, observer: BrowserObserver): Host {
    const connect = this.#attachingTo(endpoint, this.#options.resolve);
    const shared = this.#own.get(endpoint) ?? new SharedBrowser((all) => this.#start('attach', connect, all));
    const { browser } = shared;
    this.#own.set(endpoint, shared);
    shared.join(observer);
    return {
      browser,
      endpoint: endpointId(endpoint),
      leave: async () => {
        shared.leave(observer);
        if (shared.isUsed) return;
        if (this.#own.get(endpoint) === shared) this.#own.delete(endpoint);
        await this.#end(browser);
      },
    };
  }

  async #startProcess(observer: BrowserObserver, queue: Queue): Promise<Host> {
    const place = await this.#places.take(queue);
    const browser = this.#start('launch', (signal) => this.#launch(signal), observer);
    return {
      browser,
      leave: async () => {
        await this.#end(browser);
        place.leave();
      },
    };
  }

  #start(mode: 'launch' | 'attach', connect: Connect, observer: BrowserObserver): SupervisedBrowser {
    this.#started += 1;
    const browser = this.#options.supervise({ id: `${mode}-${this.#started}`, mode, connect, observer });
    this.#browsers.add(browser);
    return browser;
  }

  async #end(browser: SupervisedBrowser): Promise<void> {
    await browser.close();
    this.#browsers.delete(browser);
  }

  async #launch(signal: AbortSignal) {
    const { config, chromePath, searchPath } = this.#options;
    const { ledger } = this;
    if (this.#runFolder === undefined) throw new Error('A pool that launches browsers has a run folder.');
    const { executablePath: named, headless, workspace } = config;
    const executablePath = await findExecutable({ executablePath: named, chromePath, searchPath });
    const folder = this.#runFolder.nextBrowserFolder();
    const connection = await launchBrowser({ executablePath, folder, headless, workspace, signal, ledger });
    const { pid } = connection;
    if (pid !== undefined) {
      this.#pids.add(pid);
      void connection.gone.then(() => this.#pids.delete(pid));
    }
    return connection;
  }
}
