import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { BrowserLease, LeaseListener, LeaseRequest } from '../../../src/browser/pool/browserLease.js';
import {
  openBrowserPool,
  type BrowserPoolOptions,
  type SupervisedBrowserPool,
} from '../../../src/browser/pool/browserPool.js';
import { openBrowserCdpSession } from '../../../src/browser/cdp/cdpSessions.js';
import type { SessionBrowser } from '../../../src/browser/pool/sessionBrowser.js';
import { supervisorDefaults, createSupervisor, type SupervisorOptions } from '../../../src/browser/supervisor.js';
import { chromium } from '../../support/chromium.js';

export interface TestPool {
  readonly pool: SupervisedBrowserPool;
  /** Holds the run folder; nothing may be left in it. */
  readonly folder: string;
  /** Closes the pool and tells what it left behind. */
  close(): Promise<string[]>;
}

/** A pool with real browsers whose run folder lies in a folder of its own, and that tries lost browsers again soon. */
export async function openTestPool(
  config: Partial<BrowserPoolOptions['config']> = {},
  actor: Partial<SupervisorOptions> = {},
  { records, clock }: Pick<BrowserPoolOptions, 'records' | 'clock'> = {},
): Promise<TestPool> {
  const folder = await mkdtemp(join(tmpdir(), 'pool-test-'));
  const pool = await openBrowserPool({
    config: {
      browser: 'launch',
      headless: true,
      acceptInsecureCerts: false,
      sandbox: 'auto',
      proxyServer: undefined,
      chromeArg: [],
      browserUrl: undefined,
      browserAutoConnect: false,
      executablePath: chromium,
      workspace: [],
      isolation: 'auto',
      maxBrowsers: 16,
      browserQueue: 16,
      discardPagesAfter: 0,
      ...config,
    },
    supervise: createSupervisor({ ...supervisorDefaults, backoffMs: 20, maxAttempts: 3, ...actor }),
    temporaryFolder: folder,
    records,
    ...(clock && { clock }),
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

export const leaseRequest = (isolation: LeaseRequest['isolation'], sessionId = 's1'): LeaseRequest => ({
  sessionId,
  owner: 'local local',
  isolation,
});

export interface RecordingListener extends LeaseListener {
  readonly events: string[];
  /** Resolves with the next event of this name. */
  next(name: string): Promise<void>;
}

export function recordingListener(): RecordingListener {
  const events: string[] = [];
  const waiting: { name: string; resolve: () => void }[] = [];
  const record = (name: string): void => {
    events.push(name);
    for (const { resolve } of waiting.filter((waiter) => waiter.name === name)) resolve();
  };
  return {
    events,
    lost: () => record('lost'),
    ready: () => record('ready'),
    failed: (failure) => record(`failed ${failure.reason}`),
    next: (name) => new Promise((resolve) => waiting.push({ name, resolve })),
  };
}

/** The process id of the browser, asked of itself (SystemInfo.getProcessInfo). */
export async function browserPid({ browser }: Pick<SessionBrowser, 'browser'>): Promise<number> {
  const session = await openBrowserCdpSession(browser);
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const main = processInfo.find(({ type }) => type === 'browser');
  if (main === undefined) throw new Error('The browser names no process of its own.');
  return main.id;
}

export async function killBrowser(session: Pick<SessionBrowser, 'browser'>): Promise<void> {
  process.kill(await browserPid(session), 'SIGKILL');
}

/** Waits for what no event tells from outside: looked at again and again, for as long as the test may take. */
export async function waitUntil(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(10);
}

/** A lease's browser with its first page open, as a page tool leaves it. */
export async function withFirstPage(lease: BrowserLease): Promise<SessionBrowser> {
  const browser = await lease.browser();
  await browser.ensureFirstPage(new AbortController().signal);
  for (const page of browser.pages()) page.isTouched = true;
  return browser;
}
