import { Endpoints, type EndpointsOptions } from '../../src/browser/lease/endpoints.js';
import type { Host } from '../../src/browser/lease/host.js';
import type { Address } from '../../src/browser/lease/lease.js';
import type {
  BrowserConnection,
  BrowserObserver,
  BrowserState,
  SupervisedBrowser,
} from '../../src/browser/process/connection.js';
import type { Queue } from '../../src/browser/lease/queuedWork.js';
import { Refusal } from '../../src/errors.js';
import { nextTurn } from '../support/gate.js';
import { ManualClock } from '../support/manualClock.js';

const never = new AbortController().signal;

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

  becomes(state: 'ready' | 'lost' | 'failed'): void {
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

function serve(options: Partial<EndpointsOptions> = {}) {
  const clock = new ManualClock();
  const browsers: FakeBrowser[] = [];
  /** Contexts that a browser finds as it connects. */
  const contexts: string[] = [];
  const ended: SupervisedBrowser[] = [];
  const endpoints = new Endpoints({
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
    end: async (browser) => void ended.push(browser),
    ...options,
  });
  const join = (owner = 'a', resume?: Address, observer = { ...deaf }, queue = patient): Promise<Host> =>
    endpoints.join({ sessionId: 's', owner, resume, observer }, queue);
  const place = ({ browser }: Host): number => browsers.findIndex((one) => one === browser) + 1;
  return { clock, browsers, contexts, ended, endpoints, join, place };
}

/** Where a session had a context. */
const addressOf = (endpoint: string | undefined, contextId: string): Address => ({
  endpoint,
  lost: { mode: 'attach', isolation: 'context', pages: [], lastPageId: 0, contextId },
});

const deaf: BrowserObserver = { lost: () => undefined, ready: () => undefined, failed: () => undefined };
const patient: Queue = { signal: never, onQueued: () => undefined };

describe('[C-BROWSERS] browsers that run elsewhere', () => {
  test('share the sessions out evenly, and one that was left is the next', async () => {
    const { join, place } = serve();
    const hosts = [await join(), await join(), await join(), await join()];
    expect(hosts.map(place)).toEqual([1, 2, 1, 2]);
    await hosts[3]?.leave();
    expect(place(await join())).toBe(2);
  });

  test('take as many sessions as they may; the next one waits, and hears its position', async () => {
    const { join, endpoints } = serve({ sessionsPerBrowser: 1 });
    const first = await join();
    await join();
    const positions: number[] = [];
    const third = join('c', undefined, deaf, { signal: never, onQueued: (position) => void positions.push(position) });
    const fourth = join();
    await nextTurn();
    expect([positions, endpoints.waiting]).toEqual([[1], 2]);
    await expect(join()).rejects.toMatchObject({ reason: 'browsers_busy' });
    await first.leave();
    expect((await third).browser).toBe(first.browser);
    await (await third).leave();
    await fourth;
    expect(endpoints.waiting).toBe(0);
  });

  test('[S5] who gives up while waiting leaves the line and takes nothing along', async () => {
    const { join, endpoints } = serve({ sessionsPerBrowser: 1 });
    const [first] = [await join(), await join()];
    const impatient = new AbortController();
    const third = join('c', undefined, deaf, { signal: impatient.signal, onQueued: () => undefined });
    impatient.abort(new Error('enough'));
    await expect(third).rejects.toThrow('enough');
    await first.leave();
    expect([(await join()).browser, endpoints.waiting]).toEqual([first.browser, 0]);
  });

  test('[S6] lend a profile to one user at a time, whose sessions share it', async () => {
    const { join, place } = serve({ isolation: 'profile' });
    const ofAda = [await join('ada'), await join('ada')];
    const ofBob = await join('bob');
    expect([...ofAda, ofBob].map(place)).toEqual([1, 1, 2]);
    const ofEve = join('eve');
    await ofAda[0]?.leave();
    await nextTurn();
    await ofAda[1]?.leave();
    expect(place(await ofEve)).toBe(1);
  });

  test('leave out one that cannot be had, and try it again after a pause that grows', async () => {
    const { join, place, clock, browsers } = serve();
    const [one] = browsers;
    one?.becomes('failed');
    expect([place(await join()), place(await join())]).toEqual([2, 2]);
    clock.advance(999);
    expect(one?.tries).toBe(0);
    clock.advance(1);
    expect(one?.tries).toBe(1);
    one?.becomes('failed');
    clock.advance(1_999);
    expect(one?.tries).toBe(1);
    clock.advance(1);
    expect(one?.tries).toBe(2);
    one?.becomes('ready');
    expect(place(await join())).toBe(1);
  });

  test('refuse with the cause when none can be had, after each was tried once', async () => {
    const { join, browsers, endpoints } = serve();
    for (const browser of browsers) browser.becomes('failed');
    await expect(join()).rejects.toMatchObject({ reason: 'browser_unreachable' });
    expect(browsers.map(({ tries }) => tries)).toEqual([1, 1]);
    await expect(endpoints.warm()).rejects.toMatchObject({ reason: 'browser_unreachable' });
    endpoints.close();
  });

  test('[S10] the pauses end with the pool', () => {
    const { browsers, endpoints, clock } = serve();
    for (const browser of browsers) browser.becomes('failed');
    expect(clock.pending).toBe(2);
    endpoints.close();
    expect(clock.pending).toBe(0);
  });

  test('a session goes where its pages are', async () => {
    const { join, place } = serve();
    const [first, second] = [await join(), await join()];
    expect(place(await join('a', addressOf(second.endpoint, 'gone')))).toBe(2);
    expect(place(await join('a', addressOf(second.endpoint, 'gone')))).toBe(2);
    expect(first.endpoint).not.toBe(second.endpoint);
    expect(first.endpoint).not.toContain('test');
  });

  test('[S8] a context that could not be closed is closed when its browser is back, and no other', async () => {
    const { join, browsers } = serve();
    const host = await join();
    const [one] = browsers;
    one?.becomes('lost');
    await host.leave('left-over');
    if (one !== undefined) one.contexts = ['other', 'left-over'];
    one?.becomes('ready');
    await nextTurn();
    expect(one?.closedContexts).toEqual(['left-over']);
    one?.becomes('ready');
    await nextTurn();
    expect(one?.closedContexts).toEqual(['left-over']);
  });

  test('[C-TAKEOVER] contexts that others opened since are found over one later connection, which ends with its last session', async () => {
    const { join, browsers, contexts, ended, place } = serve({ urls: ['http://one.test'] });
    const { endpoint } = await join();
    contexts.push('young', 'younger');
    const [one, other] = await Promise.all([
      join('a', addressOf(endpoint, 'young')),
      join('b', addressOf(endpoint, 'younger')),
    ]);
    expect([one, other].map(place)).toEqual([2, 2]);
    await one.leave();
    expect(ended).toEqual([]);
    expect(place(await join('a', addressOf(endpoint, 'no such')))).toBe(1);
    expect(ended).toEqual([browsers[2]]);
    await other.leave();
    expect(ended).toEqual([browsers[2], browsers[1]]);
    expect(place(await join('a', addressOf('elsewhere', 'young')))).toBe(1);
  });
});
