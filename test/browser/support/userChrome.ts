import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '../../support/chromium.js';
import { waitUntil } from './testPool.js';

/** A Chrome as a user would start it for debugging, on a port that it picks. */
export interface UserChrome {
  readonly process: ChildProcess;
  readonly url: string;
  /** Its profile. */
  readonly folder: string;
  end(): Promise<void>;
}

export async function startUserChrome(port = 0): Promise<UserChrome> {
  const folder = await mkdtemp(join(tmpdir(), 'user-chrome-'));
  const flags = ['--headless=new', '--no-sandbox', '--disable-background-networking', '--disable-component-update'];
  const more = ['--disable-sync', '--disable-quic', '--no-first-run', `--user-data-dir=${folder}`];
  const child = spawn(
    '/usr/bin/env',
    [`TMPDIR=${folder}`, chromium, ...flags, ...more, `--remote-debugging-port=${port}`, 'about:blank'],
    { stdio: 'ignore', detached: true },
  );
  const url = (): Promise<string> => debuggingUrl(folder, port);
  await waitUntil(async () => (await url()) !== '');
  return {
    process: child,
    url: await url(),
    folder,
    end: async () => {
      const ended = once(child, 'exit');
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
        process.kill(-child.pid, 'SIGKILL');
        await ended;
      }
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}

/** Chrome writes the port that it picked itself into its profile; one that was asked for answers or not. */
async function debuggingUrl(folder: string, port: number): Promise<string> {
  if (port === 0) {
    const [picked = ''] = (await readFile(join(folder, 'DevToolsActivePort'), 'utf8').catch(() => '')).split('\n');
    return picked === '' ? '' : `http://127.0.0.1:${picked}`;
  }
  const asked = `http://127.0.0.1:${port}`;
  const answer = await fetch(`${asked}/json/version`).catch(() => undefined);
  return answer?.ok === true ? asked : '';
}
