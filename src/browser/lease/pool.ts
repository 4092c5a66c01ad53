import { tmpdir } from 'node:os';
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
import { SessionLease, type Host } from './sessionLease.js';

export interface BrowserPoolOptions extends BrowserSearch {
  readonly config: Pick<
    Config,
    'browser' | 'browserUrl' | 'executablePath' | 'headless' | 'isolation' | 'maxBrowsers' | 'browserQueue'
  >;
  /** Runs the life of each browser; see `Supervise`. */
  readonly supervise: Supervise;
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
  /** The leases that take part in the shared browser. */
  readonly #observers = new Set<BrowserObserver>();
  #shared: SupervisedBrowser | undefined;
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
      mode: this.#options.config.browser,
      joinShared: (observer) => this.#joinShared(observer),
      startProcess: (observer, queue) => this.#startProcess(observer, queue),
      onReleased: () => this.#leases.delete(lease),
    });
    this.#leases.add(lease);
    return lease;
  }

  /** Starts the shared browser ahead of the first lease. Throws a `Refusal` when it cannot be had. */
  async warm(signal?: AbortSignal): Promise<void> {
    await this.#sharedBrowser().connection(signal);
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
      queued: this.#places.waiting,
    };
  }

  memory(): Promise<number | null> {
    return residentMemory(this.#pids);
  }

  async close(): Promise<void> {
    const released = Promise.all([...this.#leases].map((lease) => lease.release()));
    // A browser that hangs answers nothing, also not this: it is ended, and takes along what waits for it.
    await untilAborted(released, AbortSignal.timeout(releaseTimeoutMs)).catch(() => undefined);
    await Promise.all([...this.#browsers].map((browser) => browser.close()));
    await released;
    await this.#cleared;
    await this.#runFolder?.close();
  }

  #joinShared(observer: BrowserObserver): Host {
    const browser = this.#sharedBrowser();
    this.#observers.add(observer);
    return {
      browser,
      leave: async () => {
        this.#observers.delete(observer);
      },
    };
  }

  #sharedBrowser(): SupervisedBrowser {
    const tell = (message: (observer: BrowserObserver) => void): void => [...this.#observers].forEach(message);
    this.#shared ??= this.#start({
      lost: () => tell((observer) => observer.lost()),
      ready: (connection) => tell((observer) => observer.ready(connection)),
      failed: (failure) => tell((observer) => observer.failed(failure)),
    });
    return this.#shared;
  }

  async #startProcess(observer: BrowserObserver, queue: Queue): Promise<Host> {
    const place = await this.#places.take(queue);
    const browser = this.#start(observer);
    return {
      browser,
      leave: async () => {
        await browser.close();
        this.#browsers.delete(browser);
        place.leave();
      },
    };
  }

  #start(observer: BrowserObserver): SupervisedBrowser {
    const mode = this.#options.config.browser;
    this.#started += 1;
    const connect: Connect = (signal) => this.#connect(signal);
    const browser = this.#options.supervise({ id: `${mode}-${this.#started}`, mode, connect, observer });
    this.#browsers.add(browser);
    return browser;
  }

  async #connect(signal: AbortSignal) {
    const { config, chromePath, searchPath } = this.#options;
    const { ledger } = this;
    if (config.browserUrl !== undefined) return attachBrowser({ url: config.browserUrl, signal, ledger });
    if (this.#runFolder === undefined) throw new Error('A pool that launches browsers has a run folder.');
    const { executablePath: named, headless } = config;
    const executablePath = await findExecutable({ executablePath: named, chromePath, searchPath });
    const folder = this.#runFolder.nextBrowserFolder();
    const connection = await launchBrowser({ executablePath, folder, headless, signal, ledger });
    const { pid } = connection;
    if (pid !== undefined) {
      this.#pids.add(pid);
      void connection.gone.then(() => this.#pids.delete(pid));
    }
    return connection;
  }
}
