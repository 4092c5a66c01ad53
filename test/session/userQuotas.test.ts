import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BrowserTime } from '../../src/session/browserTime.js';
import { parseQuotas, UserQuotas, type UserQuotasOptions } from '../../src/session/userQuotas.js';
import type { Session } from '../../src/session/session.js';
import { silentLog } from '../../src/log.js';
import { ManualClock } from '../support/manualClock.js';

const anna = { issuer: 'local', user: 'anna' };
const emil = { issuer: 'local', user: 'emil' };
const mebibyte = 1024 ** 2;

interface FakeUse {
  readonly process?: number;
  readonly folder?: string;
  readonly downloadBytes?: number;
  readonly resourceBytes?: number;
  readonly keptBytes?: number;
}

/** A session with what it uses. */
function fakeSession(principal: typeof anna, use: FakeUse = {}) {
  const { process, folder, downloadBytes = 0, resourceBytes = 0, keptBytes = 0 } = use;
  let end = (): void => undefined;
  const closed = new Promise<void>((resolve) => (end = resolve));
  const session = {
    ...{ id: `session-of-${principal.user}`, principal, user: principal.user, state: 'active', lease: 'eager' },
    hasOwnProcess: true,
    browserTime: new BrowserTime(clock),
    closed,
    memory: { keptBytes },
    resources: { bytes: resourceBytes },
    browserLease: { current: { isolation: 'process' }, usage: { process, folder, downloadBytes, keptBytes } },
    close: () => {
      sessions.delete(session as unknown as Session);
      end();
    },
  };
  sessions.add(session as unknown as Session);
  return session as unknown as Session;
}

const sessions = new Set<Session>();
let clock: ManualClock;
beforeEach(() => {
  sessions.clear();
  clock = new ManualClock();
});

function quotasWith(defaults: readonly string[], options: Partial<UserQuotasOptions> = {}): UserQuotas {
  return new UserQuotas({
    sessions: () => [...sessions],
    hasUsers: true,
    quotasOf: () => Promise.resolve([]),
    defaults,
    residentMemory: (pids) => Promise.resolve(pids.length * 100 * mebibyte),
    clock,
    log: silentLog,
    ...options,
  });
}

const run = (): string => 'done';

test('each quota is refused by its name, with what is used and what frees it, and to nobody else', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  await writeFile(join(folder, 'file'), Buffer.alloc(2 * mebibyte, 'x'));
  fakeSession(anna, { process: 1, folder, downloadBytes: 3 * mebibyte, resourceBytes: mebibyte }).browserTime.start();
  clock.advance(120_000);
  const cases = [
    ['processes=1', 'process', /quota of processes is used up: 1 of 1\. One is free again when a session ends/],
    ['browser-time=2m', 'use', /quota of browser-time is used up: 2 min of 2 min\. It starts again at 00:00 UTC/],
    ['memory=100mb', 'grow', /quota of memory is used up: 100\.0 MB of 100\.0 MB\. close_page, close_browser/],
    ['disk=3mb', 'store', /quota of disk is used up: 3\.0 MB of 3\.0 MB\. close_browser/],
  ] as const;
  for (const [quota, demand, message] of cases) {
    const quotas = quotasWith([quota]);
    await expect(quotas.admit(anna, demand, run)).rejects.toMatchObject({ reason: 'quota_exceeded' });
    await expect(quotas.admit(anna, demand, run)).rejects.toThrow(message);
    expect(await quotas.admit(emil, demand, run)).toBe('done');
  }
  expect(await quotasWith(['downloads=2mb']).downloadRefusal(anna)).toMatch(
    /quota of downloads is used up: 3\.0 MB of 2\.0 MB/,
  );
  expect(await quotasWith(['downloads=2mb']).downloadRefusal(emil)).toBeUndefined();
  // What does not need more of it goes on: pages can be looked at and closed.
  expect(await quotasWith(['processes=1', 'memory=1mb', 'disk=1mb']).admit(anna, 'use', run)).toBe('done');
  await rm(folder, { recursive: true });
});

test('sessions that are opened at once do not pass a quota together', async () => {
  const quotas = quotasWith(['processes=2']);
  const open = () => quotas.admit(anna, 'process', () => fakeSession(anna, { process: 1 }));
  const opened = await Promise.allSettled([open(), open(), open(), open(), open()]);
  expect(opened.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
});

test('those of a user take precedence, and what other nodes tell of the user counts', async () => {
  fakeSession(anna, { process: 1 });
  const [own] = await quotasWith([]).usage();
  const quotas = quotasWith(['processes=1'], {
    quotasOf: ({ user }) => Promise.resolve(user === 'anna' ? ['processes=3'] : []),
    elsewhere: (user) => Promise.resolve(user === 'anna' && own !== undefined ? [own, own] : []),
  });
  await expect(quotas.admit(anna, 'process', run)).rejects.toThrow('3 of 3');
  expect(await quotas.admit(emil, 'process', run)).toBe('done');
});

test('browser time counts sessions that have ended, and begins again with the day', async () => {
  const quotas = quotasWith(['browser-time=1h']);
  const session = fakeSession(anna);
  quotas.follow(session);
  session.browserTime.start();
  clock.advance(3_600_000);
  session.close('operator-closed');
  await nextTurn();
  await expect(quotas.admit(anna, 'use', run)).rejects.toThrow('60 min of 60 min');
  clock.advance(24 * 3_600_000);
  expect(await quotas.admit(anna, 'use', run)).toBe('done');
});

test('browser time is what has elapsed, however the time of the machine is set', async () => {
  const quotas = quotasWith(['browser-time=1h']);
  const session = fakeSession(anna);
  session.browserTime.start();
  for (const [jump, minutes] of [
    [5 * 3_600_000, 10] as const,
    [-3 * 3_600_000, 20] as const,
    [-86_400_000, 20] as const,
  ]) {
    clock.advance(600_000);
    clock.jump(jump);
    const [used] = await quotas.usage();
    expect(used?.browserMs).toBeLessThanOrEqual(minutes * 60_000);
    expect(used?.browserMs).toBeGreaterThanOrEqual(0);
    expect(await quotas.admit(anna, 'use', run)).toBe('done');
  }
});

test('browser time outlives the process, with that of sessions that are still open, for its day', async () => {
  const file: { text: string | null } = { text: null };
  const spentTime = {
    read: () => Promise.resolve(file.text),
    write: (text: string) => Promise.resolve(void (file.text = text)),
  };
  const restart = () => quotasWith(['browser-time=3h'], { spentTime });
  const first = restart();
  const [ended, open] = [fakeSession(anna), fakeSession(anna)];
  first.follow(ended);
  first.start();
  for (const { browserTime } of [ended, open]) browserTime.start();
  clock.advance(3_600_000);
  ended.close('operator-closed');
  await nextTurn();
  clock.advance(3_600_000);
  // As after `kill -9`: what the last check wrote.
  while (file.text === null) await nextTurn();
  await first.close();
  sessions.clear();
  await expect(restart().admit(anna, 'use', run)).rejects.toThrow('180 min of 180 min');
  expect(await restart().admit(emil, 'use', run)).toBe('done');
  clock.advance(24 * 3_600_000);
  expect(await restart().admit(anna, 'use', run)).toBe('done');
  for (const damaged of ['', '{', '{"day":1}']) {
    file.text = damaged;
    expect(await restart().admit(anna, 'use', run)).toBe('done');
  }
});

test('other nodes are told at once who uses how many processes', async () => {
  const quotas = quotasWith([], { elsewhere: () => Promise.resolve([]) });
  expect(quotas.published).toEqual([]);
  const session = fakeSession(anna, { process: 1 });
  expect(quotas.published).toMatchObject([{ user: 'anna', sessions: 1, processes: 1, browserMs: 0, memoryBytes: 0 }]);
  session.browserTime.start();
  clock.advance(12_345);
  expect(quotas.published).toMatchObject([{ browserMs: 10_000 }]);
  await quotas.close();
});

test('a page that fills memory or disk without a call ends its session at twice the quota, and no other', async () => {
  const quotas = quotasWith(['memory=50mb', 'browser-time=24h']);
  const [greedy, other] = [fakeSession(anna, { process: 1 }), fakeSession(emil)];
  quotas.start();
  clock.advance(10_000);
  for (let turn = 0; turn < 20; turn += 1) await nextTurn();
  expect([sessions.has(greedy), sessions.has(other)]).toEqual([false, true]);
  await quotas.close();
});

test('who uses what, as an operator sees it', async () => {
  fakeSession(anna, { process: 7, downloadBytes: 5, resourceBytes: 11, keptBytes: 3 }).browserTime.start();
  fakeSession(anna, { keptBytes: 4 });
  clock.advance(1_000);
  const used = { sessions: 2, processes: 1, browserMs: 1_000, memoryBytes: 100 * mebibyte, keptBytes: 7 };
  const quotas = { memory: 2 * 1024 ** 3, 'browser-time': 8 * 36e5 };
  expect(await quotasWith(['memory=2gb', 'browser-time=8h']).usage()).toEqual([
    { user: 'anna', ...used, downloadBytes: 5, diskBytes: 11, quotas },
  ]);
  expect(parseQuotas(['processes=4', 'DISK=1GB', 'downloads=512'])).toEqual({
    processes: 4,
    disk: 1024 ** 3,
    downloads: 512,
  });
});
