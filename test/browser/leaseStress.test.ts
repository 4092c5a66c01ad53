import { messageOf } from '../../src/errors/errors.js';
import type { BrowserLease } from '../../src/browser/pool/browserLease.js';
import {
  withFirstPage,
  killBrowser,
  recordingListener,
  openTestPool,
  leaseRequest,
  type TestPool,
} from './support/testPool.js';

/** A small seeded generator (mulberry32): the same seed gives the same storm. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One session: leases, works a little, and leaves at a random point, waiting or not. Never throws for a dead browser. */
async function useLease(test: TestPool, id: number, random: () => number): Promise<void> {
  const lease: BrowserLease = test.pool.lease(
    leaseRequest(random() < 0.15 ? 'process' : 'context', `s${id}`),
    recordingListener(),
  );
  const leaveEarly = random() < 0.3;
  const killIt = random() < 0.2;
  const pages = Math.floor(random() * 2);
  const work = async (): Promise<void> => {
    const browser = await withFirstPage(lease);
    for (let page = 0; page < pages; page += 1) await browser.newPage();
    if (killIt) await killBrowser(browser);
  };
  const working = work().catch((error: unknown) => {
    expect(messageOf(error)).toMatch(/released|ended|exited|closed|lost|detached|failed|names no process|crashed/i);
  });
  if (!leaveEarly) await working;
  await lease.release();
  await working;
}

describe.each([1])('twenty leases while the browser is killed at random (seed %d)', (seed) => {
  it('release everything they opened', async () => {
    const test = await openTestPool();
    const random = createRandom(seed);
    for (let wave = 0; wave < 4; wave += 1) {
      await Promise.all(Array.from({ length: 5 }, (_, index) => useLease(test, wave * 5 + index, random)));
    }
    expect(test.pool.health().contexts).toBe(0);
    expect(await test.close()).toEqual([]);
    const { ledger } = test.pool;
    for (const { opened, closed } of Object.values(ledger)) expect(closed).toBe(opened);
    expect(ledger.contexts.opened).toBeGreaterThan(5);
  });
});

test('[S5] a lease that was released leaves no listener at the browser, which others go on with', async () => {
  const test = await openTestPool();
  const { browser } = await test.pool.lease(leaseRequest('context', 'stays'), recordingListener()).browser();
  const listeners = (): number[] =>
    (['disconnected', 'targetcreated', 'targetchanged', 'targetdestroyed'] as const).map((event) =>
      browser.listenerCount(event),
    );
  const before = listeners();
  const lease = test.pool.lease(leaseRequest('context', 'goes'), recordingListener());
  await (await withFirstPage(lease)).newPage();
  await lease.release();
  expect(listeners()).toEqual(before);
  expect(await test.close()).toEqual([]);
});
