import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import type { InspectionEvent } from 'xstate';
import type { BrowserContext } from '../../machines/browserMachine.js';
import { navigate } from '../../src/browser/page/pageNavigation.js';
import { recordingListener, openTestPool, browserPid, leaseRequest, withFirstPage } from './support/testPool.js';

const { signal } = new AbortController();

test('a browser that hangs is found out, ended and replaced, and the answer says so', async () => {
  const hung = await openTestPool({}, { heartbeatMs: 50, heartbeatTimeoutMs: 1_000 });
  const told = recordingListener();
  const asked = hung.pool.lease(leaseRequest('context'), told);
  const before = await withFirstPage(asked);
  const pid = await browserPid(before);
  const [lost, ready] = [told.next('lost'), told.next('ready')];
  process.kill(pid, 'SIGSTOP');
  await lost;
  await ready;
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  const after = await asked.browser();
  expect(await after.page(1).page.evaluate('1 + 1')).toBe(2);
  expect(after.takeNotices()).toEqual([expect.stringContaining('has been replaced')]);
  expect(await hung.close()).toEqual([]);
});

test('a page of a browser that is busy for a while is not held by a script of its own', async () => {
  const busy = await openTestPool();
  const session = await withFirstPage(busy.pool.lease(leaseRequest('context'), recordingListener()));
  const page = session.page();
  const pid = await browserPid(session);
  const browser = page.page.browser();
  const askVersion = browser.version.bind(browser);
  // Asked once the page has not answered in its time.
  browser.version = () => {
    const version = askVersion();
    process.kill(pid, 'SIGCONT');
    return version;
  };
  process.kill(pid, 'SIGSTOP');
  expect(await page.isAnswering(signal, 50)).toBe(true);
  const running = page.page.evaluate('for (;;) {}').catch(String);
  expect(await page.isAnswering(signal, 50)).toBe(false);
  expect(await busy.close()).toEqual([]);
  await running;
});

test('a browser that is killed is told with the signal', async () => {
  const failures = new Set<string>();
  const inspect = (event: InspectionEvent): void => {
    if (event.type !== '@xstate.snapshot' || !('context' in event.snapshot)) return;
    const { failure } = event.snapshot.context as BrowserContext;
    if (failure !== null) failures.add(failure.message);
  };
  const killed = await openTestPool({}, { inspect });
  const told = recordingListener();
  const session = await withFirstPage(killed.pool.lease(leaseRequest('context'), told));
  const lost = told.next('lost');
  process.kill(await browserPid(session), 'SIGKILL');
  await lost;
  expect([...failures]).toEqual([expect.stringMatching(/^Chrome exited with SIGKILL(; its last output: .*)?\.$/)]);
  expect(await killed.close()).toEqual([]);
});

test.each(['SIGKILL', 'SIGSTOP'])('a navigation ends with its browser on %s, not at its own limit', async (end) => {
  const silent = createServer();
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  const hung = await openTestPool({}, { heartbeatMs: 50, heartbeatTimeoutMs: 1_000 });
  const told = recordingListener();
  const session = await withFirstPage(hung.pool.lease(leaseRequest('context'), told));
  const pid = await browserPid(session);
  const frame = `<iframe src="http://127.0.0.1:${(silent.address() as AddressInfo).port}/"></iframe>`;
  const loading = once(silent, 'connection');
  const outcome = navigate(session.page(), `data:text/html,${frame}`, { signal, timeoutMs: 600_000 });
  await loading;
  expect(session.isAlive).toBe(true);
  const lost = told.next('lost');
  process.kill(pid, end);
  await lost;
  // Also before a process that hung is gone: whoever worked in it is to work in its replacement.
  expect(session.isAlive).toBe(false);
  expect(await outcome).toMatchObject({ closed: true });
  expect(await hung.close()).toEqual([]);
  silent.close();
});

test('[S5] a pool whose browser hangs ends it and leaves nothing behind', async () => {
  const hung = await openTestPool();
  const session = await withFirstPage(hung.pool.lease(leaseRequest('context'), recordingListener()));
  process.kill(await browserPid(session), 'SIGSTOP');
  expect(await hung.close()).toEqual([]);
  for (const { opened, closed } of Object.values(hung.pool.ledger)) expect(closed).toBe(opened);
});

test('opening a page in a browser that hangs ends with the lease', async () => {
  const hung = await openTestPool();
  const lease = hung.pool.lease(leaseRequest('context'), recordingListener());
  const session = await withFirstPage(lease);
  const pid = await browserPid(session);
  process.kill(pid, 'SIGSTOP');
  const opening = expect(session.newPage({ background: true, signal })).rejects.toThrow('released this browser');
  const released = lease.release();
  await opening;
  process.kill(pid, 'SIGKILL');
  await released;
  expect(await hung.close()).toEqual([]);
});

test('[C-WARM] a process of its own that gives no sign of life is ended, and its place is for the next one', async () => {
  const hung = await openTestPool({ isolation: 'process', maxBrowsers: 1 });
  const lease = hung.pool.lease(leaseRequest('process'), recordingListener());
  const pid = await browserPid(await lease.browser());
  process.kill(pid, 'SIGSTOP');
  await expect(lease.check(signal)).rejects.toThrow();
  const after = await lease.browser();
  expect(await browserPid(after)).not.toBe(pid);
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  expect(await hung.close()).toEqual([]);
});
