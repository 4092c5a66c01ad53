import { EndpointPool, type EndpointPoolOptions } from '../../src/browser/pool/endpointPool.js';
import type { BrowserBinding, ResumeState } from '../../src/browser/pool/browserLease.js';
import type {
  BrowserConnection,
  BrowserObserver,
  BrowserState,
  SupervisedBrowser,
} from '../../src/browser/process/browserConnection.js';
import type { QueueOptions } from '../../src/browser/pool/waitQueue.js';
import { Refusal } from '../../src/errors/errors.js';
import { nextTurn } from '../support/gate.js';
import { ManualClock } from '../support/manualClock.js';

const neverAborted = new AbortController().signal;

/** A browser elsewhere whose state the test sets; asking for one that failed tries it again. */
class FakeBrowser implements SupervisedBrowser {
  readonly id = 'attach-0';
  state: BrowserState = 'ready';
  tries = 0;
  readonly closedContexts: string[] = [];
  contexts: string[] = [];
  readonly #observer: BrowserObserver;

  constructor(observer: BrowserObserver) {
    this.#observer = observer;
  }

  connection(): Promise<BrowserConnection> {
    this.tries += 1;
    if (this.state !== 'failed') return Promise.resolve(this.#connected);
    return Promise.reject(new Refusal('browser_unreachable'));
  }

  setState(state: 'ready' | 'lost' | 'failed'): void {
    this.state = state;
    if (state === 'ready') this.#observer.ready(this.#connected);
    if (state === 'lost') this.#observer.lost();
    if (state === 'failed') this.#observer.failed({ reason: 'browser_unreachable', message: 'gone' });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  get #connected(): BrowserConnection {
    const contexts = this.contexts.map((id) => ({ id }));
    const cdp = {
      send: async (_method: string, { browserContextId }: { browserContextId: string }) =>
        this.closedContexts.push(browserContextId),
      detach: () => Promise.resolve(),
    };
    const own = { targetInfo: {} };
    const connection = { send: () => Promise.resolve(own), createSession: () => Promise.resolve(cdp) };
    const target = {
      type: () => 'browser',
      createCDPSession: () => Promise.resolve({ ...cdp, connection: () => connection }),
    };
    return { browser: { browserContexts: () => contexts, targets: () => [target] } } as unknown as BrowserConnection;
  }
}

function openEndpointPool(options: Partial<EndpointPoolOptions> = {}) {
  const clock = new ManualClock();
  const browsers: FakeBrowser[] = [];
  /** Contexts that a browser finds as it connects. */
  const contexts: string[] = [];
  const ended: SupervisedBrowser[] = [];
  const endpoints = new EndpointPool({
    urls: ['http://one.test', 'http://two.test'],
    isolation: 'context',
    sessionsPerBrowser: undefined,
    browserQueue: 2,
    clock,
    jitter: () => 0,
    start: (_url, observer) => {
      const browser = new FakeBrowser(observer);
      browser.contexts = [...contexts];
      browsers.push(browser);
      return browser;
    },
    stop: async (browser) => void ended.push(browser),
    ...options,
  });
  const acquire = (
    owner = 'a',
    resume?: ResumeState,
    observer = { ...silentObserver },
    queue = unlimitedWait,
  ): Promise<BrowserBinding> => endpoints.acquire({ sessionId: 's', owner, resume, observer }, queue);
  const browserNumber = ({ browser }: BrowserBinding): number => browsers.findIndex((one) => one === browser) + 1;
  return { clock, browsers, contexts, ended, endpoints, join: acquire, place: browserNumber };
}

/** Where a session had a context. */
const resumeStateOf = (endpoint: string | undefined, contextId: string): ResumeState => ({
  endpoint,
  lost: { mode: 'attach', isolation: 'context', pages: [], lastPageId: 0, contextId },
});

const silentObserver: BrowserObserver = { lost: () => undefined, ready: () => undefined, failed: () => undefined };
const unlimitedWait: QueueOptions = { signal: neverAborted, onQueued: () => undefined };

describe('[C-BROWSERS] browsers that run elsewhere', () => {
  test('share the sessions out evenly, and one that was left is the next', async () => {
    const { join, place } = openEndpointPool();
    const hosts = [await join(), await join(), await join(), await join()];
    expect(hosts.map(place)).toEqual([1, 2, 1, 2]);
    await hosts[3]?.release();
    expect(place(await join())).toBe(2);
  });

  test('take as many sessions as they may; the next one waits, and hears its position', async () => {
    const { join, endpoints } = openEndpointPool({ sessionsPerBrowser: 1 });
    const first = await join();
    await join();
    const positions: number[] = [];
    const third = join('c', undefined, silentObserver, {
      signal: neverAborted,
      onQueued: (position) => void positions.push(position),
    });
    const fourth = join();
    await nextTurn();
    expect([positions, endpoints.waiting]).toEqual([[1], 2]);
    await expect(join()).rejects.toMatchObject({ reason: 'browsers_busy' });
    await first.release();
    expect((await third).browser).toBe(first.browser);
    await (await third).release();
    await fourth;
    expect(endpoints.waiting).toBe(0);
  });

  test('[S5] who gives up while waiting leaves the line and takes nothing along', async () => {
    const { join, endpoints } = openEndpointPool({ sessionsPerBrowser: 1 });
    const [first] = [await join(), await join()];
    const impatient = new AbortController();
    const third = join('c', undefined, silentObserver, { signal: impatient.signal, onQueued: () => undefined });
    impatient.abort(new Error('enough'));
    await expect(third).rejects.toThrow('enough');
    await first.release();
    expect([(await join()).browser, endpoints.waiting]).toEqual([first.browser, 0]);
  });

  test('[S6] lend a profile to one user at a time, whose sessions share it', async () => {
    const { join, place } = openEndpointPool({ isolation: 'profile' });
    const ofAda = [await join('ada'), await join('ada')];
    const ofBob = await join('bob');
    expect([...ofAda, ofBob].map(place)).toEqual([1, 1, 2]);
    const ofEve = join('eve');
    await ofAda[0]?.release();
    await nextTurn();
    await ofAda[1]?.release();
    expect(place(await ofEve)).toBe(1);
  });

  test('leave out one that cannot be had, and try it again after a pause that grows', async () => {
    const { join, place, clock, browsers } = openEndpointPool();
    const [one] = browsers;
    one?.setState('failed');
    expect([place(await join()), place(await join())]).toEqual([2, 2]);
    clock.advance(999);
    expect(one?.tries).toBe(0);
    clock.advance(1);
    expect(one?.tries).toBe(1);
    one?.setState('failed');
    clock.advance(1_999);
    expect(one?.tries).toBe(1);
    clock.advance(1);
    expect(one?.tries).toBe(2);
    one?.setState('ready');
    expect(place(await join())).toBe(1);
  });

  test('refuse with the cause when none can be had, after each was tried once', async () => {
    const { join, browsers, endpoints } = openEndpointPool();
    for (const browser of browsers) browser.setState('failed');
    await expect(join()).rejects.toMatchObject({ reason: 'browser_unreachable' });
    expect(browsers.map(({ tries }) => tries)).toEqual([1, 1]);
    await expect(endpoints.waitForAny()).rejects.toMatchObject({ reason: 'browser_unreachable' });
    endpoints.close();
  });

  test('[S10] the pauses end with the pool', () => {
    const { browsers, endpoints, clock } = openEndpointPool();
    for (const browser of browsers) browser.setState('failed');
    expect(clock.pending).toBe(2);
    endpoints.close();
    expect(clock.pending).toBe(0);
  });

  test('a session goes where its pages are', async () => {
    const { join, place } = openEndpointPool();
    const [first, second] = [await join(), await join()];
    expect(place(await join('a', resumeStateOf(second.endpoint, 'gone')))).toBe(2);
    expect(place(await join('a', resumeStateOf(second.endpoint, 'gone')))).toBe(2);
    expect(first.endpoint).not.toBe(second.endpoint);
    expect(first.endpoint).not.toContain('test');
  });

  test('[S8] a context that could not be closed is closed when its browser is back, and no other', async () => {
    const { join, browsers } = openEndpointPool();
    const host = await join();
    const [one] = browsers;
    one?.setState('lost');
    await host.release('left-over');
    if (one !== undefined) one.contexts = ['other', 'left-over'];
    one?.setState('ready');
    await nextTurn();
    expect(one?.closedContexts).toEqual(['left-over']);
    one?.setState('ready');
    await nextTurn();
    expect(one?.closedContexts).toEqual(['left-over']);
  });

  test('[C-TAKEOVER] contexts that others opened since are found over one later connection, which ends with its last session', async () => {
    const { join, browsers, contexts, ended, place } = openEndpointPool({ urls: ['http://one.test'] });
    const { endpoint } = await join();
    contexts.push('young', 'younger');
    const [one, other] = await Promise.all([
      join('a', resumeStateOf(endpoint, 'young')),
      join('b', resumeStateOf(endpoint, 'younger')),
    ]);
    expect([one, other].map(place)).toEqual([2, 2]);
    await one.release();
    expect(ended).toEqual([]);
    expect(place(await join('a', resumeStateOf(endpoint, 'no such')))).toBe(1);
    expect(ended).toEqual([browsers[2]]);
    await other.release();
    expect(ended).toEqual([browsers[2], browsers[1]]);
    expect(place(await join('a', resumeStateOf('elsewhere', 'young')))).toBe(1);
  });
});
