import { residentMemory } from '../../src/browser/process/chromeProcess.js';
import {
  recordingListener,
  openTestPool,
  leaseRequest,
  waitUntil,
  withFirstPage,
  type TestPool,
} from './support/testPool.js';

const signal = new AbortController().signal;

describe('[C-BROWSERS] a pool that may run one process beside the shared one', () => {
  let test: TestPool;
  beforeAll(async () => {
    test = await openTestPool({ maxBrowsers: 2, browserQueue: 1 });
  });
  afterAll(async () => {
    expect(await test.close()).toEqual([]);
    for (const { opened, closed } of Object.values(test.pool.ledger)) expect(closed).toBe(opened);
  });

  it('lets the next one wait, tells it its position, and gives it the place of the one that ends', async () => {
    const [first, second, third] = ['first', 'second', 'third'].map((id) =>
      test.pool.lease(leaseRequest('auto', id), recordingListener()),
    );
    if (!first || !second || !third) throw new Error('unreachable');
    const [one, two, three] = [await first.browser(), await second.browser(), await third.browser()];
    await one.ensureProcess(signal);
    const positions: number[] = [];
    const moving = two.ensureProcess(signal, (position) => positions.push(position));
    await waitUntil(() => test.pool.health().queued === 1);
    await expect(three.ensureProcess(signal)).rejects.toMatchObject({ reason: 'browsers_busy' });
    expect([positions, two.isolation, three.isolation, three.isAlive]).toEqual([[1], 'context', 'context', true]);
    expect(test.pool.health().total).toBe(2);
    await first.release();
    await moving;
    expect([two.isolation, test.pool.health().total, test.pool.health().queued]).toEqual(['process', 2, 0]);
    await Promise.all([second.release(), third.release()]);
  });

  it('[S5] forgets who cancels or ends while it waits; who asks again waits again', async () => {
    const [first, second] = [
      test.pool.lease(leaseRequest('process'), recordingListener()),
      test.pool.lease(leaseRequest('process'), recordingListener()),
    ];
    await first.browser();
    const cancel = new AbortController();
    const cancelled = second.browser(cancel.signal);
    await waitUntil(() => test.pool.health().queued === 1);
    cancel.abort(new Error('cancelled'));
    const again = second.browser();
    await expect(cancelled).rejects.toThrow('cancelled');
    await waitUntil(() => test.pool.health().queued === 1);
    const released = second.release();
    await expect(again).rejects.toThrow('released');
    await released;
    expect(test.pool.health().queued).toBe(0);
    await first.release();
  });

  it('tells the memory of its processes with their children, where the system does', async () => {
    expect([0, null]).toContain(await residentMemory([]));
    const lease = test.pool.lease(leaseRequest('process'), recordingListener());
    await withFirstPage(lease);
    const bytes = await test.pool.memory();
    if (process.platform === 'linux') expect(bytes).toBeGreaterThan(50 * 1024 ** 2);
    await lease.release();
  });
});
