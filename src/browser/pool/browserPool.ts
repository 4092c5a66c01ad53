import { tmpdir } from 'node:os';
import type { InspectionEvent } from 'xstate';
import { systemClock, type Clock, timeLimit } from '../../clock.js';
import type { Config } from '../../config/config.js';
import { noop, untilAborted } from '../../async.js';
import {
  attachBrowser,
  attachToRunningChrome,
  consentTimeoutMs,
  headersOf,
  type AttachBrowserOptions,
} from '../process/attachBrowser.js';
import type { UrlRules } from '../policy/urlRules.js';
import {
  type BrowserObserver,
  type BrowserState,
  type Connect,
  type Supervise,
  type SupervisedBrowser,
  createResourceLedger,
  type ResourceLedger,
} from '../process/browserConnection.js';
import { findExecutable, type BrowserSearch } from '../process/executable.js';
import { findLeftovers, openRunFolder, removeLeftovers, type RunFolder } from '../process/janitor.js';
import { launchBrowser } from '../process/launchBrowser.js';
import { residentMemory } from '../process/chromeProcess.js';
import type {
  BrowserHealth,
  BrowserLease,
  BrowserPool,
  LeaseListener,
  LeaseRequest,
  BrowserBinding,
} from './browserLease.js';
import { ProcessSlots, type QueueOptions } from './waitQueue.js';
import { endpointId, ObservedBrowser } from './endpoint.js';
import type { ContextRecords, EndpointContexts } from './endpointContexts.js';
import { EndpointPool } from './endpointPool.js';
import { SessionLease } from './sessionLease.js';

export interface BrowserPoolOptions extends BrowserSearch {
  readonly config: Pick<
    Config,
    | 'browser'
    | 'browserUrl'
    | 'browserHeader'
    | 'browserAutoConnect'
    | 'channel'
    | 'userDataDir'
    | 'sessionsPerBrowser'
    | 'executablePath'
    | 'workspace'
    | 'headless'
    | 'acceptInsecureCerts'
    | 'sandbox'
    | 'proxyServer'
    | 'chromeArg'
    | 'isolation'
    | 'maxBrowsers'
    | 'browserQueue'
    | 'discardPagesAfter'
  >;
  /** Starts the supervisor of each browser; see `Supervise`. */
  readonly supervise: Supervise;
  /** Receives the inspection events of the leases' actors. */
  readonly inspect?: ((event: InspectionEvent) => void) | undefined;
  /** Whether the environment names a proxy, which resolves names in Chrome's place. */
  readonly hasProxy?: boolean | undefined;
  /** Addresses that launched browsers refuse. Default: none. */
  readonly rules?: UrlRules | undefined;
  /** Checks and resolves the addresses of users' own browsers; see `AttachBrowserOptions`. */
  readonly resolve?: (url: string) => Promise<string>;
  /** Registers the contexts in browsers of `--browser-url`. Absent: they are not registered for other nodes. */
  readonly records?: ContextRecords | undefined;
  /** Bytes that a session may have kept: `--session-memory`. */
  readonly sessionMemory?: number | undefined;
  /** Times the attempts to reach remote browsers, and the discarding of unused pages. */
  readonly clock?: Clock;
  /** The parent of the run folder. Default: the system's temporary folder. */
  readonly temporaryFolder?: string;
}

/** How long a browser may take to close what the leases opened in it, before it is killed. */
const releaseTimeoutMs = 2_000;
/** Pages are discarded so much of the time too late, at most. */
const sweepsUntilDiscard = 4;

/**
 * Opens a pool with its run folder, and removes the leftovers of servers that have died. A browser is started by the
 * first lease that needs one, or by `warm()`. The caller closes the pool.
 */
export async function openBrowserPool(options: BrowserPoolOptions): Promise<SupervisedBrowserPool> {
  const parent = options.temporaryFolder ?? tmpdir();
  const runFolder = options.config.browser === 'launch' ? await openRunFolder(parent) : undefined;
  return new SupervisedBrowserPool(options, runFolder, findLeftovers(parent).then(removeLeftovers));
}

/** A `BrowserPool` of launched and attached browsers, each run by a supervisor. Created by `openBrowserPool`. */
export class SupervisedBrowserPool implements BrowserPool {
  /** Counts what was opened and closed; for tests. */
  readonly ledger: ResourceLedger = createResourceLedger();
  readonly #options: BrowserPoolOptions;
  readonly #runFolder: RunFolder | undefined;
  readonly #cleanup: Promise<void>;
  readonly #browsers = new Set<SupervisedBrowser>();
  readonly #leases = new Set<SessionLease>();
  readonly #slots: ProcessSlots;
  /** Process ids of the running browsers. */
  readonly #pids = new Set<number>();
  /** Users' own browsers by endpoint, while a lease is bound to them. */
  readonly #userBrowsers = new Map<string, ObservedBrowser>();
  #shared: ObservedBrowser | undefined;
  /** The browsers of `--browser-url`, from the first lease that needs one. */
  #endpoints: EndpointPool | undefined;
  #startCount = 0;
  /** The timer of the next one, while there are leases. */
  #sweep: unknown;

  constructor(options: BrowserPoolOptions, runFolder: RunFolder | undefined, cleanup: Promise<void>) {
    this.#options = options;
    this.#runFolder = runFolder;
    const { isolation, maxBrowsers, browserQueue } = options.config;
    this.#slots = new ProcessSlots({ maxBrowsers, browserQueue, reserved: isolation === 'process' ? 0 : 1 });
    // A failed cleanup does not stop the server: the next start tries again.
    this.#cleanup = cleanup.catch(() => undefined);
  }

  lease(request: LeaseRequest, listener: LeaseListener): BrowserLease {
    const lease: SessionLease = new SessionLease({
      request,
      listener,
      ledger: this.ledger,
      clock: this.#clock,
      sessionMemory: this.#options.sessionMemory,
      inspect: this.#options.inspect,
      mode: request.endpoint === undefined ? this.#options.config.browser : 'attach',
      acquireShared: (observer, queue) => this.#acquireShared(request, observer, queue),
      acquireProcess: (observer, queue) => this.#acquireProcess(request, observer, queue),
      onReleased: () => this.#leases.delete(lease),
    });
    this.#leases.add(lease);
    this.#sweep ??= this.#nextSweep();
    return lease;
  }

  /** Starts or reaches the shared browser before the first lease. Throws a `Refusal` when that fails. */
  async warm(signal?: AbortSignal): Promise<void> {
    if (this.#usesEndpoints) await this.#endpointPool().waitForAny(signal);
    else await this.#sharedBrowser().browser.connection(signal);
  }

  get isFull(): boolean {
    return this.#slots.isFull;
  }

  sharedContexts(): readonly EndpointContexts[] {
    return this.#endpoints?.sharedContexts() ?? [];
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
      queued: this.#slots.waiting + (this.#endpoints?.waiting ?? 0),
    };
  }

  memory(): Promise<number | null> {
    return residentMemory(this.#pids);
  }

  async close(): Promise<void> {
    this.#clock.clearTimeout(this.#sweep);
    this.#endpoints?.close();
    const released = Promise.all([...this.#leases].map((lease) => lease.release()));
    // A hung browser does not answer this either: it is killed, which settles what waits for it.
    await untilAborted(released, timeLimit(releaseTimeoutMs)).catch(() => undefined);
    await Promise.all([...this.#browsers].map((browser) => browser.close()));
    await released;
    await this.#cleanup;
    await this.#runFolder?.close();
  }

  async #acquireShared(request: LeaseRequest, observer: BrowserObserver, queue: QueueOptions): Promise<BrowserBinding> {
    const { sessionId, endpoint, owner, resume } = request;
    if (endpoint !== undefined) return this.#acquireUserBrowser(endpoint, observer);
    if (!this.#usesEndpoints) return this.#acquireLaunched(observer);
    return this.#endpointPool().acquire({ sessionId, owner, observer, resume }, queue);
  }

  /** Closes pages that no call has used for a while, to release their renderers. */
  #nextSweep(): unknown {
    const { discardPagesAfter } = this.#options.config;
    if (discardPagesAfter === 0) return undefined;
    return this.#clock.setTimeout(() => {
      const time = this.#clock.now() - discardPagesAfter;
      // A browser that is lost meanwhile has nothing to give back.
      for (const lease of this.#leases) lease.discardPages(time).catch(noop);
      this.#sweep = this.#leases.size === 0 ? undefined : this.#nextSweep();
    }, discardPagesAfter / sweepsUntilDiscard);
  }

  get #clock(): Clock {
    return this.#options.clock ?? systemClock;
  }

  #acquireLaunched(observer: BrowserObserver): BrowserBinding {
    const shared = this.#sharedBrowser();
    shared.addObserver(observer);
    return { browser: shared.browser, release: async () => shared.removeObserver(observer) };
  }

  #sharedBrowser(): ObservedBrowser {
    this.#shared ??= new ObservedBrowser((observer) =>
      this.#start('launch', (signal) => this.#launch(signal), observer),
    );
    return this.#shared;
  }

  #endpointPool(): EndpointPool {
    const { config, clock = systemClock, records } = this.#options;
    const { browserUrl, browserAutoConnect, isolation, sessionsPerBrowser, browserQueue, userDataDir } = config;
    const profile = userDataDir ?? config.channel ?? 'default';
    this.#endpoints ??= new EndpointPool({
      urls: browserUrl ?? [`profile:${profile}`],
      isolation: isolation === 'context' ? 'context' : 'profile',
      sessionsPerBrowser,
      browserQueue,
      records,
      clock,
      jitter: Math.random,
      retries: !browserAutoConnect,
      start: (url, observer) => this.#startEndpoint(url, observer),
      stop: (browser) => this.#stop(browser),
    });
    return this.#endpoints;
  }

  /** A browser of `--browser-url`, the running Chrome of the user, or one that is launched with a profile that is kept. */
  #startEndpoint(url: string, observer: BrowserObserver): SupervisedBrowser {
    const { browserUrl, browserHeader, browserAutoConnect, userDataDir, channel } = this.#options.config;
    const { ledger } = this;
    if (browserUrl !== undefined)
      return this.#start('attach', this.#attachTo(url, { headers: headersOf(browserHeader) }), observer);
    if (!browserAutoConnect) return this.#start('launch', (signal) => this.#launch(signal), observer);
    const connect: Connect = (signal) => attachToRunningChrome({ userDataDir, channel }, { signal, ledger });
    return this.#start('attach', connect, observer, consentTimeoutMs);
  }

  #attachTo(url: string, options: Pick<AttachBrowserOptions, 'resolve' | 'headers'>): Connect {
    const { ledger } = this;
    return (signal) => attachBrowser({ url, signal, ledger, ...options });
  }

  /** Whether sessions share browsers that exist once: those that run already, and the profile that is kept. */
  get #usesEndpoints(): boolean {
    const { browser, userDataDir } = this.#options.config;
    return browser === 'attach' || userDataDir !== undefined;
  }

  /** Binds to a user's own browser. The last release closes the connection; the next lease opens a new one. */
  #acquireUserBrowser(endpoint: string, observer: BrowserObserver): BrowserBinding {
    const { resolve } = this.#options;
    const connect = this.#attachTo(endpoint, resolve === undefined ? {} : { resolve });
    const shared =
      this.#userBrowsers.get(endpoint) ?? new ObservedBrowser((observers) => this.#start('attach', connect, observers));
    const { browser } = shared;
    this.#userBrowsers.set(endpoint, shared);
    shared.addObserver(observer);
    return {
      browser,
      endpoint: endpointId(endpoint),
      release: async () => {
        shared.removeObserver(observer);
        if (shared.isInUse) return;
        if (this.#userBrowsers.get(endpoint) === shared) this.#userBrowsers.delete(endpoint);
        await this.#stop(browser);
      },
    };
  }

  async #acquireProcess(
    request: LeaseRequest,
    observer: BrowserObserver,
    queue: QueueOptions,
  ): Promise<BrowserBinding> {
    const slot = await this.#slots.acquire(queue);
    const browser = this.#start('launch', (signal) => this.#launch(signal, request.rules), observer);
    return {
      browser,
      release: async () => {
        await this.#stop(browser);
        slot.release();
      },
    };
  }

  #start(
    mode: 'launch' | 'attach',
    connect: Connect,
    observer: BrowserObserver,
    consentTimeoutMs?: number,
  ): SupervisedBrowser {
    this.#startCount += 1;
    const id = `${mode}-${this.#startCount}`;
    const browser = this.#options.supervise({ id, mode, connect, observer, consentTimeoutMs });
    this.#browsers.add(browser);
    return browser;
  }

  async #stop(browser: SupervisedBrowser): Promise<void> {
    await browser.close();
    this.#browsers.delete(browser);
  }

  async #launch(signal: AbortSignal, rules = this.#options.rules) {
    const { config, chromePath, searchPath, hasProxy } = this.#options;
    const { ledger } = this;
    if (this.#runFolder === undefined) throw new Error('A pool that launches browsers needs a run folder.');
    const { headless, workspace, acceptInsecureCerts, sandbox, proxyServer, chromeArg, userDataDir } = config;
    const { executablePath: named, channel } = config;
    const executablePath = await findExecutable({ executablePath: named, channel, chromePath, searchPath });
    const folder = this.#runFolder.nextBrowserFolder();
    const options = {
      executablePath,
      folder,
      userDataDir,
      headless,
      workspace,
      acceptInsecureCerts,
      sandbox,
      proxyServer,
      chromeArg,
      rules,
      hasProxy,
    };
    const connection = await launchBrowser({ ...options, signal, ledger });
    const { pid } = connection;
    if (pid !== undefined) {
      this.#pids.add(pid);
      void connection.disconnected.then(() => this.#pids.delete(pid));
    }
    return connection;
  }
}
