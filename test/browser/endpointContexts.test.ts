import puppeteer from 'puppeteer-core';
import type { ContextRecords, EndpointContexts, ContextRecord } from '../../src/browser/pool/endpointContexts.js';
import { recordingListener, openTestPool, leaseRequest, withFirstPage, type TestPool } from './support/testPool.js';
import { startUserChrome, type UserChrome } from './support/userChrome.js';

/** What was said of contexts, in order. */
class RecordingRecords implements ContextRecords {
  readonly all: (readonly [string, ContextRecord])[] = [];

  async recordOpened(context: ContextRecord): Promise<void> {
    this.all.push(['opened', context]);
  }

  recordClosed(context: ContextRecord): void {
    this.all.push(['closed', context]);
  }
}

let chrome: UserChrome;
let told: RecordingRecords;
let test: TestPool;

beforeAll(async () => {
  chrome = await startUserChrome();
});
beforeEach(async () => {
  told = new RecordingRecords();
  test = await openTestPool(
    { browser: 'attach', browserUrl: [chrome.url], isolation: 'context' },
    {},
    { records: told },
  );
});
afterEach(async () => {
  expect(await test.close()).toEqual([]);
  for (const { opened, closed } of Object.values(test.pool.ledger)) expect(closed).toBe(opened);
});
afterAll(() => chrome.end());

/** The one browser of the pool. */
function shared(): EndpointContexts {
  const [contexts, ...others] = test.pool.sharedContexts();
  if (contexts === undefined || others.length > 0) throw new Error('There is one browser, which answers.');
  return contexts;
}

describe('[C-SHARED] a context in a browser that other servers use too', () => {
  it('is written down before a page is open in it, and no more when it is closed', async () => {
    expect(test.pool.sharedContexts()).toEqual([]);
    const lease = test.pool.lease(leaseRequest('context', 'one'), recordingListener());
    const { context } = await lease.browser();
    const written = { browser: shared().id, contextId: context.id, sessionId: 'one' };
    expect(told.all).toEqual([['opened', written]]);
    expect([...shared().contextsInUse()]).toMatchObject([[context.id, { sessionId: 'one' }]]);
    await lease.release();
    expect(told.all.slice(1)).toEqual([['closed', written]]);
    expect(shared().contextsInUse().size).toBe(0);
  });

  it('stays written down when it is left open for another server, or its connection breaks', async () => {
    const events = recordingListener();
    const lease = test.pool.lease(leaseRequest('context', 'one'), events);
    const before = await withFirstPage(lease);
    const lost = events.next('lost');
    await before.browser.disconnect();
    await lost;
    const { context } = await lease.browser();
    expect(told.all.map(([what, { contextId }]) => [what, contextId])).toEqual([
      ['opened', context.id],
      ['opened', context.id],
    ]);
    expect([...shared().contextsInUse().keys()]).toEqual([context.id]);
    await lease.release({ keepOpen: true });
    expect([told.all.length, shared().contextsInUse().size]).toEqual([2, 0]);
    expect(await shared().contextIds()).toContain(context.id);
    await shared().closeContext(context.id ?? '');
  });

  it('that another server closed is replaced, and the client hears why', async () => {
    const events = recordingListener();
    const lease = test.pool.lease(leaseRequest('context', 'one'), events);
    const before = await withFirstPage(lease);
    const { id: contextId = '' } = before.context;
    const other = await puppeteer.connect({ browserURL: chrome.url });
    await other
      .browserContexts()
      .find(({ id }) => id === contextId)
      ?.close();
    expect(await shared().contextIds()).not.toContain(contextId);
    shared().contextsInUse().get(contextId)?.lost();
    expect(events.events).toEqual(['lost', 'ready']);
    expect(lease.resumeState?.lost).not.toHaveProperty('contextId');
    const after = await withFirstPage(lease);
    expect(after.context.id).not.toBe(contextId);
    expect(after.pages()).toHaveLength(1);
    expect(after.takeNotices()).toContainEqual(
      expect.stringMatching(/^This node was unresponsive.*another node closed.*It has been replaced/),
    );
    await lease.release();
    expect(events.events).toEqual(['lost', 'ready']);
    await other.disconnect();
  });

  it('is seen and can be closed though it was opened over another connection, later', async () => {
    await test.pool.warm();
    const other = await puppeteer.connect({ browserURL: chrome.url });
    const { id: contextId = '' } = await other.createBrowserContext();
    expect(await shared().contextIds()).toEqual(new Set([contextId]));
    await shared().closeContext(contextId);
    expect(await shared().contextIds()).toEqual(new Set());
    await expect(shared().closeContext(contextId)).rejects.toThrow('Failed to find context');
    await other.disconnect();
  });

  it('is asked for over the own way to the browser, whichever clients were there and are gone', async () => {
    const connecting = [1, 2, 3].map(() => puppeteer.connect({ browserURL: chrome.url }));
    await test.pool.warm();
    const others = await Promise.all(connecting);
    await Promise.all(others.map((other) => other.disconnect()));
    expect(await shared().contextIds()).toEqual(new Set());
  });
});
