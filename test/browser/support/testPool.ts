import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { BrowserLease, LeaseListener, LeaseRequest } from '../../../src/browser/lease/lease.js';
import { openBrowserPool, type BrowserPoolOptions, type Pool } from '../../../src/browser/lease/pool.js';
import type { SessionBrowser } from '../../../src/browser/lease/sessionBrowser.js';
import {
  browserActorDefaults,
  browserSupervisor,
  type BrowserActorOptions,
} from '../../../src/session/browserActor.js';
import { chromium } from '../../support/chromium.js';

export interface TestPool {
  readonly pool: Pool;
  /** Holds the run folder; nothing may be left in it. */
  readonly folder: string;
  /** Closes the pool and tells what it left behind. */
  close(): Promise<string[]>;
}

/** A pool with real browsers whose run folder lies in a folder of its own, and that tries lost browsers again soon. */
export async function openTestPool(
  config: Partial<BrowserPoolOptions['config']> = {},
  actor: Partial<BrowserActorOptions> = {},
  records?: BrowserPoolOptions['records'],
): Promise<TestPool> {
  const folder = await mkdtemp(join(tmpdir(), 'pool-test-'));
  const pool = await openBrowserPool({
    config: {
      browser: 'launch',
      headless: true,
      browserUrl: undefined,
      executablePath: chromium,
      workspace: [],
      isolation: 'auto',
      maxBrowsers: 16,
      browserQueue: 16,
      ...config,
    },
    supervise: browserSupervisor({ ...browserActorDefaults, backoffMs: 20, maxAttempts: 3, ...actor }),
    temporaryFolder: folder,
    records,
  });
  return {
    pool,
    folder,
    close: async () => {
      await pool.close();
      const left = await readdir(folder);
      await rm(folder, { recursive: true, force: true });
      return left;
    },
  };
}

export const request = (isolation: LeaseRequest['isolation'], sessionId = 's1'): LeaseRequest => ({
  sessionId,
  owner: 'local local',
  isolation,
});

export interface Told extends LeaseListener {
  readonly events: string[];
  /** Resolves with the next event of this name. */
  next(name: string): Promise<void>;
}

export function listener(): Told {
  const events: string[] = [];
  const waiting: { name: string; resolve: () => void }[] = [];
  const tell = (name: string): void => {
    events.push(name);
    for (const { resolve } of waiting.filter((waiter) => waiter.name === name)) resolve();
  };
  return {
    events,
    lost: () => tell('lost'),
    ready: () => tell('ready'),
    failed: (failure) => tell(`failed ${failure.reason}`),
    next: (name) => new Promise((resolve) => waiting.push({ name, resolve })),
  };
}

/** The process id of the browser, asked of itself (SystemInfo.getProcessInfo). */
export async function pidOf({ browser }: Pick<SessionBrowser, 'browser'>): Promise<number> {
  const session = await browser.target().createCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const main = processInfo.find(({ type }) => type === 'browser');
  if (main === undefined) throw new Error('The browser names no process of its own.');
  return main.id;
}

export async function kill(session: Pick<SessionBrowser, 'browser'>): Promise<void> {
  process.kill(await pidOf(session), 'SIGKILL');
}

/** Waits for what no event tells from outside: looked at again and again, for as long as the test may take. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(10);
}

/** A lease's browser with its first page open, as a page tool leaves it. */
export async function withFirstPage(lease: BrowserLease): Promise<SessionBrowser> {
  const browser = await lease.browser();
  await browser.ensureFirstPage(new AbortController().signal);
  for (const page of browser.pages()) page.touched = true;
  return browser;
}
